"""Rows as records of a flow: full width, mandatory items, what is not expressible, one file of several extracts."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from contracts.dtc import shipped_flow
from contracts.load import load_all
from transforms.release.dtc_text import LAYOUT, DtcText

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
