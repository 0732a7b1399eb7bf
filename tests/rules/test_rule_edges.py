"""Hand-made cases at the edges of the rules: what is just right keeps the rule, what is just wrong breaks it.

The numbers were worked out from the domain reference by hand, not by the product.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.rules.cutting import HALF_HOURLY, MiniCut, mpan

ONE, TWO, THREE = mpan(10, 5), mpan(10, 6), mpan(10, 7)


def points(cases: Mapping[str, tuple], first: int) -> dict[str, str]:
    """Give each case a metering point of its own, of the distributor that the case asks for."""
    asked = {case: str(row.get("mpan_core", ONE))[:2] for case, (_, row, _) in cases.items()}
    return {case: mpan(int(asked[case]), first + number) for number, case in enumerate(cases)}


@pytest.fixture(scope="module")
def registrations(tmp_path_factory, reference):
    """Judge all cases in one cut; a case's rules by its name."""
    mini = MiniCut(tmp_path_factory.mktemp("cases"), reference=reference)
    every = {}
    for participant, cases, good, first in (
        ("EELC", REGISTRATIONS, None, 1000),
        ("YELG", CONFIGURATIONS, HALF_HOURLY, 5000),
    ):
        mine = points(cases, first)
        rows = [{**row, "mpan_core": mine[case]} for case, (_, row, _) in cases.items()]
        mini.add(participant, "registration", rows, good=good)
        every |= {case: (participant, point) for case, point in mine.items()}
    mini.judge()
    return lambda case: mini.broken(every[case][0], "registration", every[case][1])


MPANS = {
    "remainder 0 gives 0": ("1000000000030", True),
    "remainder 10 gives 0": ("1000000000040", True),
    "remainder 10 does not give 1": ("1000000000041", False),
    "by the book": ("1800000123458", True),
    "check digit one off": ("1800000123457", False),
    "twelve digits": ("180000012345", False),
    "fourteen digits": ("18000001234580", False),
    "spaces are harmless": ("18 0000 0123 458", True),
    "a letter is not": ("18O0000123458", False),
    "a spreadsheet's decimal point": ("1800000123458.0", True),
}


@pytest.mark.requirement("DQ01")
@pytest.mark.parametrize(("raw", "valid"), MPANS.values(), ids=MPANS)
def test_check_digit(mini: MiniCut, raw, valid):
    broken = mini.add("EELC", "registration", [{"mpan_core": raw}]).judge().broken("EELC", "registration", raw)
    assert ("DQ01_mpan_core" not in broken) == valid


@pytest.mark.requirement("DQ01")
@pytest.mark.parametrize("filler", ["0000000000000", "9999999999999", "0"])
def test_a_filler_is_no_metering_point(mini: MiniCut, filler):
    """Thirteen zeros pass the check digit; they stand for none, so the row has neither a pseudonym nor a token."""
    mini.add("EELC", "registration", [{"mpan_core": filler}]).judge()
    assert mini.verdicts("EELC", "registration") == {None: {"DQ01_mpan_core"}}


REGISTRATIONS = {
    # DQ02: the distributor
    "DQ02 network operator": ("DQ02_distributor_id", {}, False),
    "DQ02 independent distributor": ("DQ02_distributor_id", {"mpan_core": mpan(24, 5)}, False),
    "DQ02 closed in 2014": ("DQ02_distributor_id", {"mpan_core": mpan(28, 5)}, True),
    "DQ02 nobody's id": ("DQ02_distributor_id", {"mpan_core": mpan(88, 5)}, True),
    # DQ04, DQ05: present, and of its list
    "DQ04 profile class empty": ("DQ04_profile_class", {"profile_class": None}, True),
    "DQ04 spaces are empty": ("DQ04_profile_class", {"profile_class": "  "}, True),
    "DQ05 profile class 08": ("DQ05_profile_class", {"profile_class": "08"}, False),
    "DQ05 profile class 09": ("DQ05_profile_class", {"profile_class": "09"}, True),
    "DQ05 profile class without its zero": ("DQ05_profile_class", {"profile_class": "1"}, False),
    "DQ05 an empty one is not of a wrong list": ("DQ05_profile_class", {"profile_class": None}, False),
    "DQ05 GSP Group _P": ("DQ05_gsp_group_id", {"gsp_group_id": "_P"}, False),
    "DQ05 there is no _I": ("DQ05_gsp_group_id", {"gsp_group_id": "_I"}, True),
    "DQ05 nor _O": ("DQ05_gsp_group_id", {"gsp_group_id": "_O"}, True),
    "DQ05 lower case is harmless": ("DQ05_gsp_group_id", {"gsp_group_id": "_a"}, False),
    "DQ05 too long for a code": ("DQ05_codes_form", {"dcc_service_flag": "N" * 12}, True),
    "DQ05 a participant has four characters": ("DQ05_codes_form", {"data_collector_mpid": "DCO"}, True),
    "DQ05 a DUoS tariff has three characters": ("DQ05_stated_form", {"duos_tariff_id": "A123"}, True),
    "DQ05 or fewer": ("DQ05_stated_form", {"duos_tariff_id": "n1"}, False),
    "DQ05 flag in words": ("DQ05_domestic_premises_indicator_form", {"domestic_premises_indicator": "yes"}, False),
    "DQ05 no flag": ("DQ05_domestic_premises_indicator_form", {"domestic_premises_indicator": "X"}, True),
    # DQ08: the distributor's own codes
    "DQ08 class that ends on the cut date": (
        "DQ08_line_loss_factor_class", {"line_loss_factor_class_id": "003"}, False),
    "DQ08 class that ended the day before": (
        "DQ08_line_loss_factor_class", {"line_loss_factor_class_id": "002"}, True),
    "DQ08 class that begins the day after": (
        "DQ08_line_loss_factor_class", {"line_loss_factor_class_id": "004"}, True),
    "DQ08 class of another distributor": (
        "DQ08_line_loss_factor_class", {"line_loss_factor_class_id": "401"}, True),
    "DQ08 class without its zeros": ("DQ08_line_loss_factor_class", {"line_loss_factor_class_id": "1"}, False),
    "DQ08 common timeswitch code": ("DQ08_meter_timeswitch_code", {"meter_timeswitch_code": "801"}, False),
    "DQ08 own timeswitch code": (
        "DQ08_meter_timeswitch_code",
        {"meter_timeswitch_code": "023", "standard_settlement_configuration_id": "0151", "profile_class": "02"}, False),
    "DQ08 timeswitch code of another distributor": (
        "DQ08_meter_timeswitch_code", {"meter_timeswitch_code": "117"}, True),
    "DQ08 own timeswitch code given up the day before": (
        "DQ08_meter_timeswitch_code", {"meter_timeswitch_code": "510"}, True),
    "DQ08 500 to 509 are common to all": ("DQ08_meter_timeswitch_code", {"meter_timeswitch_code": "500"}, False),
    "DQ05 timeswitch code that ended the day before": (
        "DQ05_meter_timeswitch_code", {"meter_timeswitch_code": "802"}, True),
    # DQ07: the combination tables
    "DQ07 all four tables agree": ("DQ07_profile_class", {}, False),
    "DQ07 combination ended the day before": (
        "DQ07_timeswitch_configuration",
        {"standard_settlement_configuration_id": "0151", "profile_class": "02"}, True),
    "DQ07 profile class that the combination does not have": (
        "DQ07_profile_class", {"profile_class": "02"}, True),
    # DQ09: the distributor's own group
    "DQ09 its own group": ("DQ09_gsp_group", {}, False),
    "DQ09 another group": ("DQ09_gsp_group", {"gsp_group_id": "_M"}, True),
    "DQ09 SOUT out of area, group _A": (
        "DQ09_gsp_group", {"mpan_core": mpan(20, 5), "line_loss_factor_class_id": "701"}, False),
    "DQ09 SOUT is not in _N": (
        "DQ09_gsp_group", {"mpan_core": mpan(20, 5), "line_loss_factor_class_id": "701", "gsp_group_id": "_N"}, True),
    "DQ09 an independent distributor in any group": (
        "DQ09_gsp_group", {"mpan_core": mpan(24, 5), "line_loss_factor_class_id": "N01", "gsp_group_id": "_M"}, False),
    # DQ10: roles on the cut date
    "DQ10 supplier whose role ends on the cut date": ("DQ10_supplier_mpid", {"supplier_mpid": "SUPB"}, False),
    "DQ10 supplier whose role ended the day before": ("DQ10_supplier_mpid", {"supplier_mpid": "SUPE"}, True),
    "DQ10 supplier whose role begins on the cut date": ("DQ10_supplier_mpid", {"supplier_mpid": "SUPT"}, False),
    "DQ10 supplier of tomorrow": ("DQ10_supplier_mpid", {"supplier_mpid": "SUPN"}, True),
    "DQ10 a meter operator is no collector": ("DQ10_data_collector_mpid", {"data_collector_mpid": "MOPA"}, True),
    "DQ10 a half-hourly collector is one": ("DQ10_data_collector_mpid", {"data_collector_mpid": "DCHH"}, False),
    "DQ10 none appointed breaks another rule": ("DQ10_data_collector_mpid", {"data_collector_mpid": None}, False),
    # DQ11, DQ20: dates
    "DQ11 supplied since the cut date": (
        "DQ11_supplier_effective_from", {"supplier_effective_from": "2023-08-19"}, False),
    "DQ11 supplied from the day after": (
        "DQ11_supplier_effective_from", {"supplier_effective_from": "2023-08-20"}, True),
    "DQ11 no 31 April": ("DQ11_supplier_effective_from_form", {"supplier_effective_from": "31/04/2019"}, True),
    "DQ11 a leap day": ("DQ11_supplier_effective_from_form", {"supplier_effective_from": "29/02/2020"}, False),
    "DQ20 disconnected on the cut date": ("DQ20_disconnected", {"disconnection_date": "2023-08-19"}, True),
    "DQ20 disconnected the day after": ("DQ20_disconnected", {"disconnection_date": "2023-08-20"}, False),
    # DQ17: the indicator follows the contract, so a warning
    "DQ17 domestic profile, domestic": ("DQ17_domestic", {}, False),
    "DQ17 domestic profile, not domestic": ("DQ17_domestic", {"domestic_premises_indicator": "F"}, True),
    "DQ17 business profile, not domestic": (
        "DQ17_domestic", {"profile_class": "03", "domestic_premises_indicator": "F"}, False),
    # DQ21, DQ22: the address
    "DQ21 postcode without its space": ("DQ21_postcode_form", {"postcode": "CO11AA"}, False),
    "DQ21 inward letters never C": ("DQ21_postcode_form", {"postcode": "CO1 1CC"}, True),
    "DQ21 first letter never Q": ("DQ21_postcode_form", {"postcode": "QX1 1AA"}, True),
    "DQ21 EC1A": ("DQ21_postcode_form", {"postcode": "EC1A 1BB"}, False),
    "DQ21 no unit": ("DQ21_postcode_form", {"postcode": "W1M"}, True),
    "DQ22 Mr and a name": ("DQ22_address", {"address_line_2": "C O MR JONES"}, True),
    "DQ22 a street of Mr Punch's": ("DQ22_address", {"address_line_2": "PUNCH AND MRS LANE"}, True),
    "DQ22 a telephone number": ("DQ22_address", {"address_line_2": "TEL 01632 960123"}, True),
    "DQ22 a flat's number is none": ("DQ22_address", {"address_line_2": "FLAT 01632"}, False),
    "DQ22 an e-mail address": ("DQ22_address", {"address_line_2": "a.b@example.com"}, True),
    "DQ22 Carefree Road": ("DQ22_address", {"address_line_2": "CAREFREE ROAD"}, False),
    "DQ22 an area code in brackets": ("DQ22_address", {"address_line_2": "TEL (01632) 960123"}, True),
    "DQ22 a number from abroad": ("DQ22_address", {"address_line_2": "CALL +44 1632 960123"}, True),
    "DQ22 that with nought in brackets": ("DQ22_address", {"address_line_2": "+44 (0)1632 960123"}, True),
    "DQ22 that with two noughts": ("DQ22_address", {"address_line_2": "0044 1632 960123"}, True),
    "DQ22 a number without a space": ("DQ22_address", {"address_line_2": "TEL:01632960123"}, True),
    "DQ22 a title and two spaces": ("DQ22_address", {"address_line_2": "MR  JONES"}, True),
    "DQ22 a title, its dot and no space": ("DQ22_address", {"address_line_2": "MR.JONES"}, True),
    "DQ22 a title and an initial": ("DQ22_address", {"address_line_2": "MRS. P JONES"}, True),
    "DQ22 a reverend": ("DQ22_address", {"address_line_2": "REV. JONES"}, True),
    "DQ22 a doctor at the start of a line": ("DQ22_address", {"address_line_2": "DR. JONES"}, True),
    "DQ22 a drive by its abbreviation": ("DQ22_address", {"address_line_2": "12 ELM DR NORTH"}, False),
    "DQ22 a drive in an estate": ("DQ22_address", {"address_line_2": "UNIT 3 PARK DR IND EST"}, False),
    "DQ22 words that begin like titles": ("DQ22_address", {"address_line_2": "DRIVE MRSA MISSENDEN REVELL"}, False),
    "DQ22 numbers of flats": ("DQ22_address", {"address_line_2": "FLATS 1-12 AND 20-31"}, False),
    "DQ22 a plot in brackets": ("DQ22_address", {"address_line_2": "PLOT (0163)"}, False),
    "DQ22 a line that ends like a title": (
        "DQ22_address", {"address_line_2": "HOUSE MS", "address_line_3": "LONDON"}, False),
}  # fmt: skip


@pytest.mark.requirement("DQ02", "DQ04", "DQ05", "DQ07", "DQ08", "DQ09", "DQ10", "DQ11", "DQ17", "DQ20", "DQ21", "DQ22")
@pytest.mark.requirement("R3", "R4", "R6", "R7", "R8", "R9", "Q75")
@pytest.mark.parametrize("case", REGISTRATIONS)
def test_registration(registrations, case):
    rule, _, breaks = REGISTRATIONS[case]
    assert (rule in registrations(case)) == breaks


CONFIGURATIONS = {
    # R1: profile class and settlement configuration
    "00 without a configuration": ("DQ06_settlement_configuration", {}, False),
    "00 with a configuration": (
        "DQ06_settlement_configuration", {"standard_settlement_configuration_id": "0393"}, True),
    # R2: measurement class
    "class C": ("DQ06_measurement_class", {}, False),
    "class A with profile class 00": ("DQ06_measurement_class", {"measurement_class": "A"}, True),
    "class B with profile class 00": ("DQ06_measurement_class", {"measurement_class": "B"}, True),
    "class D, half-hourly unmetered": ("DQ06_measurement_class", {"measurement_class": "D"}, False),
    # R6 for half-hourly: timeswitch code and loss class
    "valid half-hourly": ("DQ07_half_hourly", {}, False),
    "loss class of a profile": ("DQ07_half_hourly", {"line_loss_factor_class_id": "003"}, True),
    # R5: an export has profile class 00 or 08
    "export half-hourly": (
        "DQ19_export_profile_class", {"line_loss_factor_class_id": "060"}, False),
}  # fmt: skip


@pytest.mark.requirement("DQ06", "DQ07", "R1", "R2", "R5", "R6")
@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_half_hourly_registration(registrations, case):
    rule, _, breaks = CONFIGURATIONS[case]
    assert (rule in registrations(case)) == breaks


@pytest.mark.requirement("R1")
def test_a_profile_without_a_configuration(registered):
    assert "DQ06_settlement_configuration" in registered({"standard_settlement_configuration_id": None})


@pytest.mark.requirement("R5", "DQ19")
@pytest.mark.parametrize(("profile", "breaks"), [("08", False), ("01", True)])
def test_export_profile_classes(registered, profile, breaks):
    broken = registered({"line_loss_factor_class_id": "060", "profile_class": profile})
    assert ("DQ19_export_profile_class" in broken) == breaks


@pytest.mark.requirement("DQ19", "R5")
@pytest.mark.parametrize(
    ("loss_class", "stated", "breaks"),
    [("001", "I", False), ("001", "E", True), ("060", "E", False), ("060", "I", True), ("060", None, False),
     ("999", "E", False), ("001", "B", False)],
)  # fmt: skip
def test_the_stated_direction_is_that_of_the_loss_class(registered, loss_class, stated, breaks):
    broken = registered({"line_loss_factor_class_id": loss_class, "energy_direction": stated, "profile_class": "08"})
    assert ("DQ19_energy_direction" in broken) == breaks


@pytest.mark.requirement("DQ03")
def test_one_registration_of_a_metering_point(mini):
    rows = [{"mpan_core": ONE}, {"mpan_core": ONE, "supplier_mpid": "SUPB"}, {"mpan_core": TWO}]
    mini.add("EELC", "registration", rows).judge()
    assert "DQ03_mpan_core" in mini.broken("EELC", "registration", ONE)
    assert "DQ03_mpan_core" not in mini.broken("EELC", "registration", TWO)


@pytest.mark.requirement("DQ03")
def test_two_distributors_cannot_register_one_metering_point(mini):
    mini.add("EELC", "registration", [{"mpan_core": ONE}, {"mpan_core": TWO}])
    mini.add("YELG", "registration", [{"mpan_core": ONE}]).judge()
    for participant in ("EELC", "YELG"):
        assert "DQ03_one_sender" in mini.broken(participant, "registration", ONE)
    assert "DQ03_one_sender" not in mini.broken("EELC", "registration", TWO)


RELATED = {
    "both name each other": ({"related_mpan": TWO}, {"related_mpan": ONE}, set()),
    "one names the other": ({"related_mpan": TWO}, {}, set()),
    "itself": ({"related_mpan": ONE}, {}, {"DQ26_related_to_itself"}),
    "one in no data": ({"related_mpan": THREE}, {}, {"DQ27_related_mpan"}),
    "no MPAN": ({"related_mpan": "1000000000041"}, {}, {"DQ27_related_mpan_form"}),
    "an export": (
        {"related_mpan": TWO},
        {"line_loss_factor_class_id": "060", "profile_class": "08"},
        {"DQ26_related_import"},
    ),
    "an unmetered one": ({"related_mpan": TWO}, {"measurement_class": "B"}, {"DQ26_related_metered"}),
    "another supplier's": ({"related_mpan": TWO}, {"supplier_mpid": "SUPB"}, {"DQ26_related_supplier"}),
    "in another group": ({"related_mpan": TWO}, {"gsp_group_id": "_B"}, {"DQ26_related_group"}),
}


@pytest.mark.requirement("DQ26", "DQ27")
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize(("row", "other", "breaks"), RELATED.values(), ids=RELATED)
def test_related_metering_points(tmp_path, reference, row, other, breaks, partitions):
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    mini.add("EELC", "registration", [{"mpan_core": ONE, **row}, {"mpan_core": TWO, **other}]).judge()
    assert {r for r in mini.broken("EELC", "registration", ONE) if r.startswith(("DQ26", "DQ27"))} == breaks


@pytest.mark.requirement("DQ26")
def test_a_metering_point_stands_in_one_related_group(mini):
    rows = [{"mpan_core": ONE, "related_mpan": TWO}, {"mpan_core": TWO, "related_mpan": THREE}, {"mpan_core": THREE}]
    mini.add("EELC", "registration", rows).judge()
    assert "DQ26_one_relationship" in mini.broken("EELC", "registration", ONE)


LINKED = {
    "import and export": ({"line_loss_factor_class_id": "060"}, set()),
    "import and import": ({"line_loss_factor_class_id": "001"}, {"DQ26_linked_direction"}),
    "another group": (
        {"line_loss_factor_class_id": "060", "gsp_group_id": "_B"},
        {"DQ26_linked_group"},
    ),
    "one domestic, one not": (
        {"line_loss_factor_class_id": "060", "domestic_premises_indicator": "T"},
        {"DQ17_linked"},
    ),
}


@pytest.mark.requirement("DQ17", "DQ26", "R15", "Q5")
@pytest.mark.parametrize(("other", "breaks"), LINKED.values(), ids=LINKED)
def test_stated_links_of_import_and_export(mini, other, breaks):
    rows = [{"mpan_core": ONE, "linked_mpan": TWO, "line_loss_factor_class_id": "003"}, {"mpan_core": TWO, **other}]
    mini.add("EELC", "registration", rows, good=HALF_HOURLY).judge()
    assert {r for r in mini.broken("EELC", "registration", ONE) if r.startswith(("DQ26", "DQ17"))} == breaks


UNITS = {
    "base unit of supplier and group": ("2__ASUPA000", set()),
    "of another supplier": ("2__ASUPB000", {"DQ28_supplier_mpid"}),
    "of another group": ("2__MSUPA000", {"DQ28_gsp_group_id"}),
    "a secondary unit says nothing": ("V__HSUPB000", set()),
}


@pytest.mark.requirement("DQ28")
@pytest.mark.parametrize(("unit", "breaks"), UNITS.values(), ids=UNITS)
def test_bm_units(mini, unit, breaks):
    mini.add("EELC", "registration", [{"mpan_core": ONE}, {"mpan_core": TWO}])
    mini.add("ELEX", "bmu_mapping", [{"mpan_core": ONE, "bm_unit_id": unit}]).judge()
    assert {r for r in mini.broken("ELEX", "bmu_mapping", ONE) if r.startswith("DQ28")} == breaks
    assert "DQ28_bm_unit" in mini.broken("EELC", "registration", TWO)
    assert "DQ28_bm_unit" not in mini.broken("EELC", "registration", ONE)


@pytest.mark.requirement("DQ24", "Q74", "Q83")
@pytest.mark.parametrize(
    ("row", "breaks"),
    [
        ({}, set()),
        ({"supplier_mpid": "SUPB"}, {"DQ24_supplier_mpid"}),
        ({"energisation_status": "D"}, {"DQ24_energisation_status"}),
        ({"measurement_class": "F"}, {"DQ24_measurement_class"}),
        ({"meter_operator_mpid": "MOPX"}, {"DQ24_meter_operator_mpid"}),
        ({"supplier_effective_from": "2019-04-02"}, {"DQ24_supplier_effective_from"}),
        ({"meter_serial_number": "E12Z070111"}, {"DQ24_meter_serial_number"}),
        ({"meter_serial_number": "l04c15502 "}, set()),
    ],
)
def test_portfolio_and_registration_agree(mini, row, breaks):
    mini.add("EELC", "registration", [{"mpan_core": ONE}, {"mpan_core": TWO}])
    mini.add("MOPA", "metering", [{"mpan_core": ONE}])
    mini.add("SUPA", "portfolio", [{"mpan_core": ONE, **row}]).judge()
    assert {r for r in mini.broken("SUPA", "portfolio", ONE) if r.startswith("DQ24")} == breaks
    assert "DQ24_registered_not_supplied" in mini.broken("EELC", "registration", TWO)


@pytest.mark.requirement("DQ24", "Q78")
def test_what_nobody_registers(mini):
    mini.add("EELC", "registration", [{"mpan_core": ONE}])
    mini.add("SUPA", "portfolio", [{"mpan_core": TWO}, {"mpan_core": mpan(23, 5)}]).judge()
    assert "DQ24_registered" in mini.broken("SUPA", "portfolio", TWO)
    # the distributor of this one takes no part in the cut: nothing is wrong with the supplier
    assert "DQ24_registered" not in mini.broken("SUPA", "portfolio", mpan(23, 5))


@pytest.mark.requirement("DQ24", "DQ30", "R6")
def test_annual_consumption(mini):
    rows = [
        {"mpan_core": ONE},
        {"mpan_core": ONE, "eac": None, "aa": "3000.5"},  # the advance of the same regime: no repetition
        {"mpan_core": TWO, "time_pattern_regime_id": "00043"},
        {"mpan_core": THREE, "eac": "lots"},
        {"mpan_core": mpan(10, 8), "eac": "-12.5"},
        {"mpan_core": mpan(10, 9), "eac": None},
        {"mpan_core": mpan(10, 10)}, {"mpan_core": mpan(10, 10)},
        {"mpan_core": mpan(10, 11)}, {"mpan_core": mpan(10, 11), "aa": "90.0"},  # the advance beside hides nothing
    ]  # fmt: skip
    mini.add("EELC", "registration", [{"mpan_core": p} for p in {r["mpan_core"] for r in rows}])
    mini.add("DCOL", "annual_consumption", rows).judge()
    found = {p: mini.broken("DCOL", "annual_consumption", p) for p in {r["mpan_core"] for r in rows}}
    assert found == {
        ONE: set(),
        TWO: {"DQ24_time_pattern_regime_id"},
        THREE: {"DQ30_eac_form"},
        mpan(10, 8): set(),
        mpan(10, 9): {"DQ04_volume"},
        mpan(10, 10): {"DQ03_eac"},
        mpan(10, 11): {"DQ03_eac"},
    }


@pytest.mark.requirement("DQ09", "DQ21")
def test_a_gsp_group_unusual_for_its_postcode(mini):
    usual = [{"mpan_core": mpan(24, n)} for n in range(300)]
    odd = {"mpan_core": mpan(24, 999), "gsp_group_id": "_M"}
    mini.add("IPNL", "registration", [*usual, odd, {**odd, "mpan_core": mpan(24, 998), "postcode": "S1 2AB"}]).judge()
    assert "DQ09_usual_group" in mini.broken("IPNL", "registration", mpan(24, 999))
    assert "DQ09_usual_group" not in mini.broken("IPNL", "registration", mpan(24, 5))
    # one metering point of another outward code is too few to say what is usual there
    assert "DQ09_usual_group" not in mini.broken("IPNL", "registration", mpan(24, 998))


@pytest.mark.requirement("R10")
def test_a_rule_is_judged_only_where_the_source_carries_the_item(mini):
    none = {"data_aggregator_mpid": None, "data_collector_mpid": None}
    mini.add("EELC", "registration", [{"mpan_core": ONE, **none}, {"mpan_core": TWO, "data_aggregator_mpid": None}])
    mini.judge()
    broken = mini.broken("EELC", "registration", ONE)
    assert "DQ10_data_collector_mpid_appointed" in broken
    assert "DQ10_data_aggregator_mpid_appointed" not in broken  # no row of the source names one


@pytest.mark.requirement("Q75")
def test_without_market_domain_data_its_rules_are_not_judged(tmp_path):
    from flows.intake.market_domain_data import load_reference
    from tests.rules.cutting import CUT

    mini = MiniCut(tmp_path, reference=load_reference(None, CUT))
    mini.add("EELC", "registration", [{"mpan_core": mpan(88, 5), "line_loss_factor_class_id": "ZZ9"}]).judge()
    assert mini.broken("EELC", "registration", mpan(88, 5)) == set()
