"""Rows as records of a flow: full width, mandatory items, what is not expressible, one file of several extracts."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from contracts.dtc import shipped_flow
from contracts.evidence_inputs import LackingItem, UnwrittenGroup
from contracts.load import load_all
from transforms.release.dtc_text import LAYOUT, DtcText, not_carried

CUT = date(2023, 8, 19)
METER = {
    "mpan_core": "2000000000001",
    "meter_serial_number": "A1",
    "make_and_model": "X",
    "meter_asset_provider_mpid": "AMAP",
    "meter_type": "N",
    "meter_install_date": date(2019, 4, 1),
    "standard_settlement_configuration_id": "0393",
    LAYOUT: 0,
}
REGISTER = {
    "mpan_core": "2000000000001",
    "meter_serial_number": "A1",
    "register_id": "01",
    "measurement_quantity": "AI",
    "multiplier": "1.00",
    "number_of_digits": "5",
    LAYOUT: 1,
}


def d0150() -> DtcText:
    return DtcText([load_all()[name].dtc_layouts[0] for name in ("metering", "register")], CUT)


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    names = dict.fromkeys([*METER, *REGISTER])
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], infer_schema_length=None)


@pytest.mark.requirement("Q62", "DQ29")
def test_meters_and_registers_are_records_of_one_file_at_full_width():
    found = d0150().records(frame(METER, REGISTER, {**REGISTER, "register_id": "02"}))
    lines = "".join(found.text.to_list()).splitlines()
    assert [line.split("|")[0] for line in lines] == ["288", "289", "290", "293", "293"]
    assert (found.count, found.expressible.to_list()) == (5, [True] * 3)
    for line in lines:
        group, *fields = line.split("|")[:-1]
        items = shipped_flow("D0150").groups[group].items
        assert len(fields) == len(items)
        assert all(value for value, item in zip(fields, items, strict=True) if item.mandatory)
    assert lines[2].split("|")[19] == "20190401"


@pytest.mark.requirement("Q62", "DQ29")
def test_a_row_without_a_mandatory_value_is_told_and_takes_its_registers_with_it():
    sound = {"meter_serial_number": "A2"}
    rows = frame({**METER, "meter_type": None}, REGISTER, {**METER, **sound}, {**REGISTER, **sound})
    found = d0150().records(rows)
    assert found.expressible.to_list() == [False, False, True, True]
    assert [line.split("|")[0] for line in "".join(found.text.to_list()).splitlines()] == ["288", "289", "290", "293"]


@pytest.mark.requirement("Q62", "DQ29")
def test_what_stands_once_under_a_metering_point_is_written_once():
    other = {**METER, "mpan_core": "2000000000002"}
    second = {**METER, "meter_serial_number": "A2"}
    found = d0150().records(frame(METER, REGISTER, second, {**REGISTER, "meter_serial_number": "A2"}, other))
    groups = [line.split("|")[0] for line in "".join(found.text.to_list()).splitlines()]
    assert groups == ["288", "289", "290", "293", "290", "293", "288", "289", "290"]


@pytest.mark.requirement("Q62")
def test_a_group_beside_the_row_is_left_out_without_values():
    found = d0150().records(frame({**METER, "standard_settlement_configuration_id": None}))
    assert [line.split("|")[0] for line in found.text.to_list()[0].splitlines()] == ["288", "290"]


@pytest.mark.requirement("Q62")
def test_dates_and_times_have_the_flows_own_form():
    row = {
        "mpan_core": "2000000000001", "meter_serial_number": "A1", "register_id": "S", "reading_type": "R",
        "reading_date": date(2016, 2, 22), "reading": None, "validation_status": "V", "reading_method": "N", LAYOUT: 0,
    }  # fmt: skip
    text = DtcText(load_all()["meter_reading"].dtc_layouts[:1], CUT).records(pl.DataFrame([row])).text[0]
    assert text.splitlines() == ["026|2000000000001|V|", "028|A1|R|", "030|S|20160222000000|0||||N|"]


@pytest.mark.requirement("Q62")
def test_a_divider_in_a_value_is_not_written():
    assert not d0150().records(frame({**METER, "make_and_model": "A|B"})).expressible[0]


@pytest.mark.requirement("Q62", "DQ29")
def test_what_is_written_for_want_of_a_value_is_told_with_its_records():
    text = d0150()
    text.records(frame(METER, REGISTER, {**REGISTER, "register_id": "02"}))
    told = {entry.item: (entry.written, entry.records) for entry in text.filled()}
    assert told["290.J0501"] == ("100", 1)
    assert told["293.J0474"] == ("C", 2)
    assert told["288.J1254"] == ("cut date", 1)
    names = {entry.item: entry.name for entry in text.filled()}
    assert names["290.J0419"] == "Meter Location"
    without = {name: value for name, value in METER.items() if name != "standard_settlement_configuration_id"}
    text = d0150()
    text.records(frame(without))
    assert not [entry for entry in text.filled() if entry.item.startswith(("289", "293"))]


@pytest.mark.requirement("Q62", "DQ29")
def test_registers_alone_lack_what_their_meter_would_say():
    text = d0150()
    assert not text.records(frame(REGISTER, {**REGISTER, "register_id": "02"})).expressible.any()
    lacking = {entry.item: entry.rows for entry in text.lacking([1])}
    assert lacking == {"290.J0410": 2, "290.J0483": 2, "290.J1677": 2}
    assert text.lacking([0]) == []


@pytest.mark.requirement("Q62")
def test_a_value_that_breaks_its_record_is_told():
    text = d0150()
    text.records(frame({**METER, "make_and_model": "A|B"}, {**METER, "mpan_core": "2000000000002"}))
    (told,) = text.lacking([0])
    assert (told.item, told.name, told.rows) == ("", "a divider or the end of a line in a value", 1)
    assert LackingItem.model_validate_json(told.model_dump_json()) == told


@pytest.mark.requirement("Q62")
def test_flags_that_are_filled_are_counted_by_half_hour():
    layout = load_all()["half_hourly"].dtc_layouts[0]
    periods = dict.fromkeys((f"period_{n:02d}" for n in range(1, 49)), 0.5)
    row = {"mpan_core": "2000000000001", "measurement_quantity": "AI", "settlement_date": CUT, **periods, LAYOUT: 0}
    text = DtcText([layout], CUT)
    text.records(pl.DataFrame([{**row, "period_flags": "A" * 40 + "?" * 8}, {**row, "period_flags": None}]))
    told = {entry.item: entry.records for entry in text.filled()}
    assert told == {"101.J0084": 1, "103.J0020": 56}


@pytest.mark.requirement("Q62", "DQ27")
def test_columns_that_a_flow_does_not_have_are_told():
    layouts = [layout for layout in load_all()["registration"].dtc_layouts if layout.flow == "D0217"]
    rows = pl.DataFrame(
        {"mpan_core": ["1", "2"], "related_mpan": ["2", None], "uprn": ["a", "b"], "linked_mpan": [None, None]}
    )
    assert not_carried(layouts, rows) == {"related_mpan": 1, "uprn": 2}
    text = (
        DtcText(layouts, CUT)
        .records(
            rows.with_columns(
                pl.lit("_A").alias("gsp_group_id"),
                pl.lit(date(2020, 1, 1)).alias("supplier_effective_from"),
                pl.lit(0).alias(LAYOUT),
            )
        )
        .text
    )
    assert [line.split("|")[-2] for line in text] == ["T", "F"]


ADVANCE = {"time_pattern_regime_id": "00001", "effective_from": date(2022, 5, 18), "eac": None, "aa": None}


@pytest.mark.requirement("Q62", "DQ29")
def test_a_group_that_the_catalogue_has_once_below_its_parent_is_filled_where_no_row_has_it():
    layouts = [layout for layout in load_all()["annual_consumption"].dtc_layouts if layout.flow == "D0019"]
    rows = [
        {"mpan_core": point, **ADVANCE, **value, LAYOUT: number}
        for point in ("2000000000001", "2000000000002")
        for number, value in enumerate(({"eac": "11000.0"}, {"aa": "12008.8"}))
    ]
    text = DtcText(layouts, CUT)
    lines = "".join(text.records(pl.DataFrame(rows, infer_schema_length=None)).text).splitlines()
    assert [line.split("|")[0] for line in lines] == ["ZIN", "ISD", "EAH", "EAD", "AAH", "AAD"] * 2
    assert lines[1] == "ISD|20230819|"
    told = {entry.item: (entry.written, entry.records) for entry in text.filled()}
    assert told["ISD.J0328"] == ("cut date", 2)
    assert {entry.group for entry in text.left_out()} == {"REG", "PSC", "IMC", "GSP", "IES"}


@pytest.mark.requirement("Q62")
def test_what_a_return_has_no_column_for_is_told_by_item_and_group():
    text = DtcText(load_all()["meter_reading"].dtc_layouts[:1], CUT)
    assert [entry.item for entry in text.left_empty()] == ["030.J0044", "030.J1013", "030.J0045"]
    assert text.left_empty()[2].name == "Meter Reading Flag"
    assert UnwrittenGroup(group="032", below="030", cardinality="1..1") in text.left_out()
    assert {entry.group for entry in text.left_out()} == {"027", "029", "032", "033"}
    assert "290.J0410" not in {entry.item for entry in d0150().left_empty()}
    assert "293.J0408" in {entry.item for entry in d0150().left_empty()}
