"""Decision tables: what each item becomes, from what, and that a doubtful case is told and not guessed."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from contracts.augmentation import tables
from transforms.augment.decision_tables import decide, incoherent, layers, provenance, reads, reasons, undecided
from transforms.augment.timeswitch import ATTRIBUTES, timeswitch_attributes

SILENT = ("SPECL", "CHECK", "LAG_", "LEAD_", "MAIN_")
NOBODY = {
    "link_mpan": None, "link_rule": None, "link_role": None, "relation_mpan": None, "relation_role": None,
    "partner_supplier_mpid": None, "partner_data_service_mpid": None, "partner_metering_service_mpid": None,
}  # fmt: skip
USUAL = {
    "_order": 1, "distributor_id": "10", "gsp_group_id": "_A", "distributor_mpid": "EELC", "supplier_mpid": "SUPA",
    "supplier_effective_from": date(2020, 1, 1), "cut_date": date(2023, 8, 19), "meter_timeswitch_code": "801",
    "line_loss_factor_class_id": "001", "measurement_class": "A", "energisation_status": "E",
    "data_collector_mpid": "DCOL", "meter_operator_mpid": "MOPA", "llfc_direction": "I", "llfc_voltage": "W",
    "mtc_meter_type": "UN", "mtc_payment": None, "mtc_communicates": "N", "mtc_half_hourly": "N",
    "measured_direction": None, "meter_type": "N", "meter_segments": 1, "meter_serial_number": "L04C15502",
    "meter_install_date": date(2004, 6, 1), "address_line_1": "1", "address_line_5": "HIGH STREET",
    "postcode": "IP1 1AA", "eac": None, "aa": None, "partner_supplier_effective_from": None,
    "stated.registration.domestic_premises_indicator": "T", "stated.registration.profile_class": "01",
    "stated.registration.standard_settlement_configuration_id": "0393", **NOBODY,
}  # fmt: skip
TEXT = {name: pl.String for name, value in USUAL.items() if value is None and not name.endswith("_from")}


METER_TYPE = "stated.metering.meter_type"  # what a meter operator says; the tests call it meter_type


def frame(*points: dict) -> pl.DataFrame:
    rows = [{**USUAL, "_order": n, **point} for n, point in enumerate(points, start=1)]
    rows = [{METER_TYPE if name == "meter_type" else name: value for name, value in row.items()} for row in rows]
    kinds = TEXT | {
        "_order": pl.UInt64,
        "eac": pl.Float64,
        "aa": pl.Float64,
        "partner_supplier_effective_from": pl.Date,
        "meter_install_date": pl.Date,
    }
    names = dict.fromkeys(name for row in rows for name in row)
    kinds |= {n: pl.String for n in names if n not in kinds and all(row.get(n) is None for row in rows)}
    return pl.DataFrame([{**names, **row} for row in rows], schema_overrides=kinds)


def decided(maker, *points: dict, lookups: dict | None = None) -> pl.DataFrame:
    return decide(frame(*points), tables().items, lookups or {}, maker)


@pytest.mark.requirement("Q63", "Q95")
@pytest.mark.parametrize(
    ("point", "connection", "segment"),
    [
        ({"measurement_class": "B", "llfc_voltage": "U", "meter_type": None, "meter_segments": 0}, "U", "U"),
        ({"measurement_class": "D", "llfc_voltage": "W", "meter_type": None, "meter_segments": 0}, "U", "U"),
        ({"measurement_class": "C", "llfc_voltage": "H", "meter_type": "H"}, "H", "A"),
        ({"measurement_class": "E", "llfc_voltage": "W", "meter_type": "H"}, "L", "A"),
        ({"measurement_class": "C", "llfc_voltage": None, "meter_type": "N"}, "L", "A"),
        ({"measurement_class": "G", "llfc_voltage": "E", "meter_type": "H"}, "W", "A"),  # the class says whole current
        ({"measurement_class": "A", "llfc_voltage": "L", "meter_type": "N"}, "L", "A"),
        ({"measurement_class": "G", "meter_type": "RCAMR"}, "W", "A"),
        ({"measurement_class": "F", "meter_type": "NCAMR"}, "W", "A"),
        ({"measurement_class": "A", "meter_type": "RCAMY"}, "W", "A"),
        ({"measurement_class": "A", "meter_type": "S2ADE"}, "W", "S"),
        ({"measurement_class": "F", "meter_type": "2ADF"}, "W", "S"),
        ({"measurement_class": "A", "meter_type": "K"}, "W", "S"),
        ({"measurement_class": "A", "meter_type": "N"}, "W", "S"),
        ({"meter_type": None, "meter_segments": 0, "stated.registration.dcc_service_flag": "I"}, "W", "S"),
    ],
)
def test_segment_and_connection(maker, point, connection, segment):
    found = decided(maker, point)
    assert (found["connection_type"][0], found["market_segment"][0]) == (connection, segment)
    assert not found.select(undecided(tables().items)).item()


NO_METER = {"meter_type": None, "meter_segments": 0, "meter_serial_number": None, "meter_install_date": None}


@pytest.mark.requirement("DQ31")
@pytest.mark.parametrize(
    ("point", "item", "reason"),
    [
        *(({"meter_type": kind, "meter_segments": 0}, "market_segment", "meter type does not tell") for kind in SILENT),
        ({**NO_METER, "measurement_class": "F"}, "market_segment", "neither a meter"),
        ({**NO_METER, "measurement_class": "G", "mtc_half_hourly": "H"}, "market_segment", "neither a meter"),
        ({**NO_METER}, "meter_type", "no meter is held"),
        ({**NO_METER, "energisation_status": "D"}, "meter_type", "de-energised metering point may have none"),
        ({"llfc_direction": None}, "energy_direction", "neither the line loss factor class nor a register"),
        ({"stated.registration.domestic_premises_indicator": None}, "consent_granularity", "premises are domestic"),
    ],
)
def test_what_is_unknown_is_released_empty_with_its_reason(maker, point, item, reason):
    """Undecided is not excluded, and not guessed."""
    found = decided(maker, point)
    assert found[item][0] is None
    assert not found.select(undecided(tables().items) | incoherent(tables().coherence)).to_series().any()
    (why,) = found.select(reasons(tables().items)).to_series()
    assert any(part.startswith(f"{item}: ") and reason in part for part in why.split("; ")), why


@pytest.mark.requirement("DQ31")
@pytest.mark.parametrize(
    ("point", "code"),
    [
        ({"meter_type": "S2A", "meter_segments": 2}, "DQ31-N"),
        ({"llfc_voltage": "U"}, "DQ31-L"),
        ({"mtc_meter_type": "UM"}, "DQ31-V"),
        ({"mtc_meter_type": "PH", "measurement_class": "C"}, "DQ31-V"),
    ],
)
def test_what_contradicts_itself_is_excluded(maker, point, code):
    found = decided(maker, point)
    broken = [c.code for c in tables().coherence if found.select(incoherent([c])).item()]
    assert code in broken


@pytest.mark.requirement("DQ31")
def test_a_de_energised_metering_point_without_a_meter_is_no_contradiction(maker):
    found = decided(maker, {**NO_METER, "energisation_status": "D"})
    assert not found.select(undecided(tables().items) | incoherent(tables().coherence)).to_series().any()
    assert found["market_segment"][0] == "S"


@pytest.mark.requirement("Q63", "Q88")
@pytest.mark.parametrize(
    ("point", "segment", "source"),
    [
        ({"meter_type": "RCAMR"}, "A", "meter operator"),
        ({"meter_type": "RCAMR", "stated.registration.meter_type": "S2A"}, "A", "meter operator"),
        ({"meter_type": None, "stated.registration.meter_type": "RCAMR"}, "A", "distributor"),
        ({"meter_type": None, "stated.registration.meter_type": "K"}, "S", "distributor"),
        ({"meter_type": "NSS"}, "S", "market default"),
        ({"meter_type": "SPECL", "stated.registration.dcc_service_flag": "A"}, "S", "DCC service flag"),
        ({**NO_METER, "stated.registration.dcc_service_flag": "A"}, "S", "DCC service flag"),
        ({**NO_METER, "stated.registration.dcc_service_flag": "I", "measurement_class": "F"}, "S", "DCC service flag"),
        ({**NO_METER, "mtc_payment": "KEY", "measurement_class": "F"}, "S", "meter timeswitch code"),
        (
            {**NO_METER, "mtc_communicates": "Y", "stated.registration.profile_class": "03"},
            "A",
            "meter timeswitch code",
        ),
        ({**NO_METER, "mtc_communicates": "Y", "stated.registration.profile_class": "01"}, "S", "market default"),
        (
            {**NO_METER, "measurement_class": "G", "mtc_half_hourly": "H", "stated.registration.dcc_service_flag": "N"},
            "A",
            "meter timeswitch code",
        ),
        ({**NO_METER, "measurement_class": "G", "stated.registration.dcc_service_flag": "N"}, "A", "measurement class"),
        ({**NO_METER, "measurement_class": "E"}, "A", "measurement class"),
        ({**NO_METER, "llfc_voltage": "L"}, "A", "line loss factor class"),
        ({**NO_METER, "stated.registration.profile_class": "06"}, "A", "profile class"),
        ({**NO_METER, "stated.registration.profile_class": "08", "llfc_direction": "E"}, "S", "market default"),
        (NO_METER, "S", "market default"),
        ({"stated.registration.market_segment": "A"}, "A", "distributor"),
    ],
)
def test_the_segment_says_which_source_decided(maker, point, segment, source):
    found = decided(maker, point)
    told = found.select(*provenance(tables().items, found.columns))
    assert (told["market_segment"][0], told["market_segment_decided_by"][0]) == (segment, source)


@pytest.mark.requirement("Q63", "Q88")
def test_the_meter_type_says_which_source_decided(maker):
    found = decided(
        maker,
        {"meter_type": "S2A", "stated.registration.meter_type": "N"},
        {"meter_type": None, "stated.registration.meter_type": "N"},
        {**NO_METER, "mtc_payment": "TOKEN"},
        {**NO_METER, "measurement_class": "C"},
        NO_METER,
    )
    told = found.select(*provenance(tables().items, found.columns))
    assert told["meter_type"].to_list() == ["S2A", "N", "T", "H", None]
    assert told["meter_type_decided_by"].to_list() == [
        "meter operator", "distributor", "meter timeswitch code", "measurement class", None
    ]  # fmt: skip


@pytest.mark.requirement("Q63")
def test_a_stated_value_wins_with_its_own_date(maker):
    stated = {
        "stated.registration.market_segment": "A",
        "stated.registration.market_segment_effective_from": date(2022, 2, 2),
        "stated.registration.connection_type": "L",
        "stated.portfolio.consent_granularity": "D",
    }
    found = decided(maker, stated, {}, {"stated.registration.market_segment": "Z"})
    told = found.select(*provenance(tables().items, found.columns))
    assert told["market_segment"].to_list() == ["A", "S", "S"]
    assert told["market_segment_source"].to_list() == ["stated", "derived", "derived"]
    assert told["market_segment_from"].to_list() == [date(2022, 2, 2), date(2020, 1, 1), date(2020, 1, 1)]
    assert told["connection_type"][0] == "L"
    assert told["consent_granularity"][0] == "D"
    assert told["data_service_role"][0] == "ADS"  # what reads the segment reads the stated one


@pytest.mark.requirement("Q59", "Q63")
def test_every_item_says_where_it_comes_from(maker):
    found = decided(
        maker,
        {"meter_type": "S2A"},
        {"measurement_class": "B", "llfc_voltage": "U", "meter_type": None, "meter_segments": 0},
    )
    told = found.select(*provenance(tables().items, found.columns))
    for item in tables().items:
        assert told[f"{item.item}_rule"].null_count() == 0, "every combination has a row that speaks for it"
        given = told.filter(pl.col(item.item).is_not_null())
        assert set(given[f"{item.item}_source"]) <= {"stated", "derived", "manufactured"}
        assert given[f"{item.item}_source"].null_count() == 0
        assert given[f"{item.item}_from"].null_count() == 0
    assert told["esme_id_source"].to_list() == ["manufactured", "derived"]
    assert told["esme_id"][1] is None
    assert told["metering_service_role"].to_list() == ["MSS", "UMSO"]
    assert told["metering_service_mpid"].to_list() == [None, None]  # no table says what the legacy agent becomes


def test_an_esme_id_stands_on_a_smart_meter_alone(maker):
    """REG1046, and a statement about a meter that is not smart is not taken."""
    said = {"stated.registration.esme_id": "02-00-00-00-00-00-00-01"}
    found = decided(maker, said | {"meter_type": "N"}, said | {"meter_type": "S1"})
    assert found["esme_id"].to_list() == [None, "02-00-00-00-00-00-00-01"]
    assert not found.select(incoherent(tables().coherence).any()).item()


@pytest.mark.requirement("DQ31")
def test_an_incoherent_metering_point_is_told(maker):
    found = decided(maker, {"stated.registration.market_segment": "S", "stated.registration.connection_type": "H"}, {})
    assert found.select(incoherent(tables().coherence).alias("x"))["x"].to_list() == [True, False]


@pytest.mark.requirement("Q110", "Q115")
def test_services_and_dip_ids_by_mapping_table_else_by_default(maker):
    lookups = {
        "services": pl.DataFrame(
            {"legacy_role": ["DC"], "legacy_mpid": ["DCOL"], "market_segment": ["S"], "mpid": ["SDSX"]}
        ),
        "dip_ids": pl.DataFrame({"mpid": ["SDSX"], "role": ["SDS"], "dip_id": ["14AB000001"]}),
    }
    found = decided(maker, {}, {"meter_type": "H"}, lookups=lookups)
    told = found.select(*provenance(tables().items, found.columns))
    assert told["data_service_mpid"].to_list() == ["SDSX", None]
    assert told["data_service_mpid_source"].to_list() == ["derived", None]
    assert told["data_service_dip_id"].to_list() == ["14AB000001", None]
    assert told["data_service_dip_id_source"].to_list() == ["derived", None]
    (why,) = found.select(reasons(tables().items)).to_series().to_list()[1:]
    assert "no table says which data service" in str(why)


@pytest.mark.requirement("Q110", "Q115")
def test_an_agent_that_standing_data_knows_in_the_role_keeps_its_mpid(maker):
    """An MPID may have several roles; the one that the segment asks for counts, and only where it is published."""
    ids = {"mpid": ["DCOL", "MOPA", "MOPA", "EELC"], "role": ["SDS", "MSS", "MSA", "UMSO"]}
    published = pl.DataFrame({**ids, "dip_id": ["14AB000001", "12AB000001", "13AB000001", "16AB000001"]})
    unmetered = {"measurement_class": "B", "llfc_voltage": "U", "meter_type": None, "meter_segments": 0}
    found = decided(maker, {}, {"meter_type": "H"}, unmetered, lookups={"dip_ids": published})
    assert found["data_service_mpid"].to_list() == ["DCOL", None, None]  # no ADS or UMSDS of that MPID is published
    assert found["metering_service_mpid"].to_list() == ["MOPA", "MOPA", "EELC"]  # REG1030: a UMSO of that LDSO
    assert found["metering_service_dip_id"].to_list() == ["12AB000001", "13AB000001", "16AB000001"]


def test_a_service_that_a_table_names_without_a_dip_id_gets_a_manufactured_one(maker):
    row = {"legacy_role": ["MOP"], "legacy_mpid": ["MOPA"], "market_segment": ["S"], "mpid": ["MSSX"]}
    found = decided(maker, {}, lookups={"services": pl.DataFrame(row)})
    told = found.select(*provenance(tables().items, found.columns))
    assert told["metering_service_dip_id"].to_list() == [f"12{int('MSSX', 36):08d}"]
    assert told["metering_service_dip_id_source"].to_list() == ["manufactured"]


def test_a_subsidiary_has_the_services_of_its_principal(maker):
    """REG1038: appointments on a linked export are those of its import."""
    link = {"link_mpan": "1000000000030", "link_rule": "AS2", "link_role": "SUBSIDIARY",
            "partner_supplier_mpid": "SUPB", "partner_data_service_mpid": "DCXX",
            "partner_metering_service_mpid": "MSXX",
            "partner_supplier_effective_from": date(2021, 5, 5), "llfc_direction": "E"}  # fmt: skip
    found = decided(maker, link)
    told = found.select(*provenance(tables().items, found.columns)).row(0, named=True)
    assert (told["data_service_mpid"], told["metering_service_mpid"]) == ("DCXX", "MSXX")
    assert (told["linked_mpan"], told["linked_mpan_direction"], told["linked_mpan_supplier_mpid"]) == (
        "1000000000030",
        "I",
        "SUPB",
    )
    assert told["linked_mpan_from"] == date(2021, 5, 5)  # both ends are supplied from then on
    assert told["association_role"] == "SUBSIDIARY"


def test_items_are_decided_after_what_they_read():
    place = {item.item: n for n, group in enumerate(layers(tables().items)) for item in group}
    for item in tables().items:
        assert all(place[other] < place[item.item] for other in reads(item) - {item.item} if other in place)


@pytest.mark.parametrize("height", [0, 1, 3])
def test_without_market_domain_data_a_timeswitch_code_says_nothing(height):
    points = pl.DataFrame({"distributor_id": ["10"] * height, "meter_timeswitch_code": ["801"] * height})
    found = timeswitch_attributes(points, None, None, None)
    assert found.height == height
    assert found.select(ATTRIBUTES).null_count().row(0) == (height,) * len(ATTRIBUTES)


@pytest.mark.requirement("Q95")
@pytest.mark.parametrize(
    ("meter", "flag", "communicates"),
    [("S2A", "A", "Y"), ("S2A", "I", "N"), ("S1", "N", "N"), ("S2B", None, None), ("N", "N", None), ("H", "A", None)],
)
def test_a_smart_meter_communicates_by_its_dcc_service_flag(maker, meter, flag, communicates):
    found = decided(maker, {"meter_type": meter, "stated.registration.dcc_service_flag": flag})
    assert found["smart_meter_communicates"].to_list() == [communicates]


@pytest.mark.parametrize(
    ("point", "leads_to"),
    [
        ({}, "F"),
        ({"stated.registration.domestic_premises_indicator": "F"}, "G"),
        ({"llfc_voltage": "L"}, "E"),
        ({"measurement_class": "C", "meter_type": "H"}, "E"),
        ({"measurement_class": "E", "meter_type": "H"}, "C"),
        ({"measurement_class": "B", "meter_type": None, "meter_segments": 0}, "D"),
        ({"measurement_class": "G", "meter_type": "H"}, None),
    ],
)
def test_what_a_change_of_measurement_class_leads_to(maker, point, leads_to):
    assert decided(maker, point)["measurement_class_change"].to_list() == [leads_to]
