"""Hand-made cases at the edges of the rules on meters and registers, worked out by hand like those on registrations."""

from __future__ import annotations

import re

import polars as pl
import pytest

from contracts.load import load_all
from tests.rules.cutting import HALF_HOURLY, MiniCut, mpan
from transforms.quality import rules

ONE, TWO, THREE = mpan(10, 5), mpan(10, 6), mpan(10, 7)


SHARED = {
    "energised, metered, no meter": ({}, None, True),
    "a meter": ({}, "MOPA", False),
    "a meter of another operator": ({}, "MOPZ", False),
    "de-energised": ({"energisation_status": "D"}, None, False),
    "its operator takes no part": ({"meter_operator_mpid": "MOPX"}, None, False),
}


@pytest.mark.requirement("DQ12", "R11")
@pytest.mark.parametrize(("row", "sender", "breaks"), SHARED.values(), ids=SHARED)
def test_energised_metering_points_have_a_meter(mini, row, sender, breaks):
    mini.add("EELC", "registration", [{"mpan_core": ONE, **row}, {"mpan_core": TWO}])
    meters = {"MOPA": [TWO], **({sender: [TWO, ONE] if sender == "MOPA" else [ONE]} if sender else {})}
    for participant, points in meters.items():
        mini.add(participant, "metering", [{"mpan_core": p, "meter_serial_number": f"L04C1550{n}"}
                                           for n, p in enumerate(points)])  # fmt: skip
    mini.judge()
    assert ("DQ12_meter" in mini.broken("EELC", "registration", ONE)) == breaks


@pytest.mark.requirement("R11", "DQ12")
def test_an_unmetered_metering_point_has_none(mini):
    mini.add("EELC", "registration", [{"mpan_core": ONE, "measurement_class": "B"}, {"mpan_core": TWO}])
    mini.add("MOPA", "metering", [{"mpan_core": ONE}, {"mpan_core": TWO, "meter_serial_number": "L04C99999"}]).judge()
    assert "DQ12_unmetered" in mini.broken("EELC", "registration", ONE)


SERIALS = {
    "ten characters": ("K17WAX1234", set()),
    "eleven": ("K17WAX12345", {"DQ13_length"}),
    "a space inside": ("K09A 12300", set()),
    "an asterisk": ("L04C*1550", {"DQ13_length"}),
    "digits only": ("40218377", set()),
    "too short for the scheme": ("AB1", {"DQ13_pseudonym"}),
    "none": (None, {"DQ13_meter_serial_number"}),
}


@pytest.mark.requirement("DQ13")
@pytest.mark.parametrize(("serial", "breaks"), SERIALS.values(), ids=SERIALS)
def test_meter_serial_numbers(mini, serial, breaks):
    mini.add("MOPA", "metering", [{"mpan_core": ONE, "meter_serial_number": serial}]).judge()
    assert {r for r in mini.broken("MOPA", "metering", ONE) if r.startswith("DQ13")} == breaks


@pytest.mark.requirement("DQ22", "Q68")
@pytest.mark.parametrize(("model", "breaks"), [("LANDIS E110", False), ("LANDIS L04C15502", True), (ONE, True)])
def test_an_identifier_of_the_row_in_a_column_that_passes(mini, model, breaks):
    mini.add("MOPA", "metering", [{"mpan_core": ONE, "make_and_model": model}]).judge()
    assert ("DQ22_own_identifier" in mini.broken("MOPA", "metering", ONE)) == breaks


MODELS = {
    "LANDIS & GYR E470": False, "ELSTER A1100": False, "AM2 SP": False, "CEWE PROMETER 100": False,
    "EDMI E-MK10A": False, "PRI M-5235A": False, "LANDIS+GYR E110 (5/100)": False, "A100C MR SP": False,
    "E470 REV B SINGLE PHASE": False, "ACTARIS SL761A071 5-100A": False, "5 PARK": False,
    "SECURE LIBERTY 100 2-WAY": False,
    "MR JONES": True, "KEY WITH MRS  LI": True, "MISS.JONES": True, "REV. GREEN": True, "DR SMITH": True,
    "TEL 01632 960123": True, "(01632) 960123": True, "+44 1632 960123": True, "0044 (0)1632 960-123": True,
    "CAF YARD 25 SKYLARK RISE": True, "25A High Street": True, "2 ST. JOHN-S COURT EAST": True,
    "1 THE OLD BREWERY MEWS": True, "H12E24905": True,
}  # fmt: skip


@pytest.mark.requirement("DQ22", "Q68")
def test_personal_data_in_make_and_model(mini):
    of = {model: mpan(10, 200 + number) for number, model in enumerate(MODELS)}
    rows = [{"mpan_core": point, "meter_serial_number": f"K17W{point[7:12]}", "make_and_model": model}
            for model, point in of.items()]  # fmt: skip
    mini.add("MOPA", "metering", rows).judge()
    found = {model: "DQ22_make_and_model" in mini.broken("MOPA", "metering", point) for model, point in of.items()}
    assert found == MODELS


PREMISES = {
    "one address": ([{}, {}], False),
    "two addresses": ([{}, {"address_line_1": "2"}], True),
    "spelt differently": ([{}, {"address_line_1": " 1 ", "address_line_5": "High St"}], False),
    "no postcode to compare": ([{"postcode": None}, {"postcode": None, "address_line_1": "2"}], False),
    "no address to compare": ([{}, {"address_line_1": None, "address_line_5": None, "postcode": None}], False),
}


@pytest.mark.requirement("DQ14", "Q4")
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize(("addresses", "breaks"), PREMISES.values(), ids=PREMISES)
def test_a_serial_number_at_one_premises(tmp_path, reference, addresses, breaks, partitions):
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    mini.add("EELC", "registration", [{"mpan_core": p, **a} for p, a in zip((ONE, TWO), addresses, strict=True)])
    mini.add("MOPA", "metering", [{"mpan_core": ONE}, {"mpan_core": TWO}]).judge()
    assert [("DQ14_one_premises" in mini.broken("MOPA", "metering", p)) for p in (ONE, TWO)] == [breaks, breaks]


ESME = "00-1C-5E-01-23-45-67-89"
DEVICES = {
    "smart with an id": ("S2A", ESME, set()),
    "smart without one is augmented": ("S2A", None, set()),
    "SMETS1 with an id": ("S1", ESME, set()),
    "an APC type with an id": ("2ADF", ESME, set()),
    "traditional with an id": ("N", ESME, {"DQ15_not_smart"}),
    "an advanced domestic meter is not smart": ("NSS", ESME, {"DQ15_not_smart"}),
    "seven pairs": ("S2A", "00-1C-5E-01-23-45-67", {"DQ15_esme_id_form"}),
    "no hex": ("S2A", "00-1C-5E-GG-23-45-67-89", {"DQ15_esme_id_form"}),
}


@pytest.mark.requirement("DQ15", "R12", "Q2", "Q6")
@pytest.mark.parametrize(("kind", "esme", "breaks"), DEVICES.values(), ids=DEVICES)
def test_esme_ids(mini, kind, esme, breaks):
    mini.add("MOPA", "metering", [{"mpan_core": ONE, "meter_type": kind, "esme_id": esme}]).judge()
    assert {r for r in mini.broken("MOPA", "metering", ONE) if r.startswith("DQ15")} == breaks


@pytest.mark.requirement("DQ15", "R12")
@pytest.mark.parametrize("partitions", [1, 8])
def test_an_esme_id_belongs_to_one_meter_wherever_it_stands(tmp_path, reference, partitions):
    mini = MiniCut(tmp_path, partitions=partitions, reference=reference)
    smart = {"meter_type": "S2A", "esme_id": ESME}
    mini.add("MOPA", "metering", [{"mpan_core": ONE, **smart}, {"mpan_core": THREE, "meter_type": "S2A"}])
    mini.add("MOPB", "metering", [{"mpan_core": TWO, **smart, "meter_serial_number": "E12Z070111"}]).judge()
    assert "DQ15_one_meter" in mini.broken("MOPA", "metering", ONE)
    assert "DQ15_one_meter" in mini.broken("MOPB", "metering", TWO)
    assert "DQ15_one_meter" not in mini.broken("MOPA", "metering", THREE)


@pytest.mark.requirement("DQ15", "R12")
@pytest.mark.parametrize("spelling", ["001C5E0123456789", "00:1C:5E:01:23:45:67:89", "00.1c.5e.01.23.45.67.89",
                                      "00 1C 5E 01 23 45 67 89", " 00-1c-5e-01-23-45-67-89"])  # fmt: skip
def test_an_esme_id_is_one_however_it_is_spelt(mini, spelling):
    smart = {"meter_type": "S2A", "esme_id": ESME}
    other = {**smart, "esme_id": spelling, "meter_serial_number": "E12Z070111"}
    mini.add("MOPA", "metering", [{"mpan_core": ONE, **smart}])
    mini.add("MOPB", "metering", [{"mpan_core": TWO, **other}]).judge()
    assert "DQ15_one_meter" in mini.broken("MOPA", "metering", ONE)
    assert "DQ15_one_meter" in mini.broken("MOPB", "metering", TWO)
    (named,) = set(mini.rows("MOPA", "metering")["esme_id"]) | set(mini.rows("MOPB", "metering")["esme_id"])
    assert re.fullmatch("[0-9A-F]{2}(-[0-9A-F]{2}){7}", named)


@pytest.mark.requirement("DQ15", "Q4")
def test_import_and_export_share_a_meter_and_its_id(mini):
    smart = {"meter_type": "S2A", "esme_id": ESME}
    mini.add("MOPA", "metering", [{"mpan_core": ONE, **smart}, {"mpan_core": TWO, **smart}]).judge()
    assert "DQ15_one_meter" not in mini.broken("MOPA", "metering", ONE)


DIGITS = {
    "single element, five": ("S2A", "5", False),
    "single element, six": ("S2A", "6", True),
    "polyphase, six": ("S2C", "6", False),
    "polyphase, five": ("S2CD", "5", True),
    "twin element with APC, five": ("2BF", "5", False),
    "polyphase with APC, five": ("2CF", "5", True),
    "SMETS1, nine": ("S1", "9", False),
    "traditional, seven": ("N", "7", False),
}


@pytest.mark.requirement("DQ16", "R13")
@pytest.mark.parametrize(("kind", "digits", "breaks"), DIGITS.values(), ids=DIGITS)
def test_displayed_digits(mini, kind, digits, breaks):
    mini.add("MOPA", "metering", [{"mpan_core": ONE, "meter_type": kind}])
    mini.add("MOPA", "register", [{"mpan_core": ONE, "number_of_digits": digits}]).judge()
    assert ("DQ16_digits" in mini.broken("MOPA", "register", ONE)) == breaks


@pytest.mark.requirement("DQ05", "R13")
@pytest.mark.parametrize(("digits", "breaks"), [("0", False), ("9", False), ("10", True), ("-5", True)])
def test_displayed_digits_are_those_that_a_message_can_say(mini, digits, breaks):
    mini.add("MOPA", "register", [{"mpan_core": ONE, "number_of_digits": digits}]).judge()
    assert ("DQ05_number_of_digits_form" in mini.broken("MOPA", "register", ONE)) == breaks


FLAGS = {
    "active, smart": ("A", "S2A", set()),
    "active, traditional": ("A", "N", {"DQ18_dcc_service_flag"}),
    "none, smart": ("N", "S2A", {"DQ18_smart_meter"}),
    "installed, smart": ("I", "S2A", set()),
    "none, traditional": ("N", "N", set()),
    "active, no meter known": ("A", None, set()),
}


@pytest.mark.requirement("DQ18", "R14")
@pytest.mark.parametrize(("flag", "kind", "breaks"), FLAGS.values(), ids=FLAGS)
def test_dcc_service_flag(mini, flag, kind, breaks):
    mini.add("EELC", "registration", [{"mpan_core": ONE, "dcc_service_flag": flag}, {"mpan_core": TWO}])
    meters = [{"mpan_core": TWO}, *([{"mpan_core": ONE, "meter_type": kind}] if kind else [])]
    mini.add("MOPA", "metering", meters).judge()
    assert {r for r in mini.broken("EELC", "registration", ONE) if r.startswith("DQ18")} == breaks


QUANTITIES = {
    "import, import": ("001", ["AI"], set()),
    "import, export": ("001", ["AE"], {"1"}),
    "import, both on one meter": ("001", ["AI", "AE"], set()),
    "import, reactive export beside": ("001", ["AI", "RI", "RE"], set()),
    "import, reactive export alone says nothing": ("001", ["RE"], set()),
    "import, export with its reactive": ("001", ["AE", "RE"], {"1"}),
    "export, export": ("060", ["AE"], set()),
    "export, import": ("060", ["AI"], {"1"}),
    "export, both on one meter": ("060", ["AI", "AE"], set()),
    "no quantity said (D0149)": ("060", [None], set()),
    "a class that nobody knows": ("999", ["AE"], set()),
}


@pytest.mark.requirement("DQ19", "Q4")
@pytest.mark.parametrize(("loss_class", "quantities", "breaks"), QUANTITIES.values(), ids=QUANTITIES)
def test_direction_and_measurement_quantity(mini, loss_class, quantities, breaks):
    row = {"line_loss_factor_class_id": loss_class, "meter_timeswitch_code": "845"}
    mini.add("EELC", "registration", [{"mpan_core": ONE, **row}, {"mpan_core": TWO}], good=HALF_HOURLY)
    rows = [{"mpan_core": ONE, "measurement_quantity": q, "time_pattern_regime_id": None if q else "00001",
             "register_id": str(n)} for n, q in enumerate(quantities, start=1)]  # fmt: skip
    mini.add("MOPA", "register", [*rows, {"mpan_core": TWO}]).judge()
    frame = mini.rows("MOPA", "register").filter(pl.col("mpan_core") == mini.pseudonym(ONE))
    assert set(frame.filter(rules.broken(load_all()["register"], "DQ19_direction"))["register_id"]) == breaks
    assert "DQ19_direction" not in mini.broken("MOPA", "register", TWO)
