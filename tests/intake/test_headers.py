"""Which columns of a header refuse a file, and which are dropped without a word."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigurationError, IntakeError, RefusedError
from contracts.load import load_all
from transforms.column_map import map_columns

PORTFOLIO = load_all()["portfolio"]
HEADER = ["MPAN Core", "Supplier", "Registration From", "DC", "MOP", "MSN", "MC", "ES"]


@pytest.mark.requirement("DQ23", "Q68")
@pytest.mark.parametrize(
    "column",
    [
        "Name",
        "NAME",
        " name ",
        "Customer Name",
        "CustomerName",
        "Surname",
        "Account Number",
        "the forename",
        "Contact Name",
        "Name of occupier",
        "supplier customer name",
        "Tariff",
        "Tariff Id",
        "customer DUoS tariff id",
    ],
)
def test_a_name_or_a_tariff_refuses_the_file(column):
    with pytest.raises(RefusedError, match="column 9 of the header") as told:
        map_columns(PORTFOLIO, [*HEADER, column], where="SUPA/portfolio")
    assert told.value.exit_code == 12


@pytest.mark.requirement("DQ23", "Q68")
@pytest.mark.parametrize(
    "column",
    ["DNO name", "DNO_NAME", "GSP Group Name", "Supplier name", "DUoS Tariff Id", "DUOS_TARIFF_ID", "DUoSTariffId EFD"],
)
def test_the_name_of_a_thing_and_a_network_charge_are_dropped(column):
    found = map_columns(PORTFOLIO, [*HEADER, column], where="SUPA/portfolio")
    assert found.dropped == (column,)
    assert column not in found.names


def _refused(kind, header, **options):
    with pytest.raises(kind) as told:
        map_columns(PORTFOLIO, header, where="SUPA/portfolio", **options)
    return str(told.value)


@pytest.mark.requirement("DQ23", "Q68")
@pytest.mark.parametrize("column", ["Site Name", "Product Name", "Meter Operator Name", "SIM Slot", "Mobile Network"])
def test_a_heading_that_only_sounds_personal_says_which_line_allows_it(column):
    told = _refused(RefusedError, [*HEADER, column])
    assert f'"{column}"' in told
    assert f"`harmless: [{column}]`" in told
    found = map_columns(PORTFOLIO, [*HEADER, column], where="x", harmless=[column.upper().replace(" ", "_")])
    assert found.dropped == (column,)


@pytest.mark.requirement("DQ23", "Q68")
@pytest.mark.parametrize("column", ["Customer Name", "First Name", "Contact Name", "Account Number", "Mobile Phone"])
def test_no_line_allows_a_persons_heading(column):
    told = _refused(RefusedError, [*HEADER, column], harmless=[column])
    assert "harmless" not in told


@pytest.mark.requirement("DQ23")
def test_allowing_one_heading_allows_no_other():
    told = _refused(RefusedError, [*HEADER, "Site Name", "Product Name"], harmless=["Site Name"])
    assert "column 10 of the header" in told
    assert "Product Name" in told


@pytest.mark.requirement("Q86")
def test_own_names_go_before_the_list():
    header = ["Supply Number", "MPAN", *HEADER[1:]]
    found = map_columns(PORTFOLIO, header, where="x", own={"mpan_core": "supply_number"})
    assert found.names["Supply Number"] == "mpan_core"
    assert found.dropped == ("MPAN",)
    assert found.aliases["mpan_core"] == "mpan_core"  # what others see of it


@pytest.mark.requirement("Q86")
@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"mpan_core": "Supply No"}, 'maps mpan_core to "Supply No", which is not in the header'),
        ({"mpan": "Supply Number"}, '`columns` names "mpan", not in the contract portfolio'),
        ({"mpan_core": "MPAN Core", "linked_mpan": "MPAN Core"}, "claimed twice"),
    ],
)
def test_own_names_that_fit_nothing(own, told):
    assert told in _refused(ConfigurationError, HEADER, own=own)


@pytest.mark.parametrize(
    ("reference", "name"), [("J0003", "mpan_core"), ("J0004", "meter_serial_number"), ("j0084", "supplier_mpid")]
)
def test_item_references_are_headings(reference, name):
    header = ["J0003", "J0084", "J0049", "J0205", "J0178", "J0004", "J0082", "J0080"]
    found = map_columns(PORTFOLIO, [h.swapcase() if h.lower() == reference else h for h in header], where="x")
    assert name in found.names.values()
    assert found.dropped == ()


def test_meter_id_is_left_to_the_user():
    header = [h if h != "MSN" else "METER_ID" for h in HEADER]
    metering = load_all()["metering"]
    assert "METER_ID" in map_columns(PORTFOLIO, header, where="x").dropped
    with pytest.raises(IntakeError, match=r"columns: \{meter_serial_number: METER_ID\}"):
        map_columns(metering, ["MPAN", "METER_ID", "METER_TYPE", "METER_INSTALL_DATE"], where="x")
    assert map_columns(PORTFOLIO, header, where="x", own={"meter_serial_number": "METER_ID"}).dropped == ()


def test_two_columns_of_one_meaning_are_named():
    told = _refused(RefusedError, [*HEADER, "Supplier Id"])
    assert '"Supplier", "Supplier Id"' in told
    assert "columns: {supplier_mpid: ...}" in told


def test_a_missing_column_names_what_is_left_over():
    told = _refused(IntakeError, ["Supply Number", *HEADER[1:]])
    assert "lacks the required column mpan_core" in told
    assert '"Supply Number"' in told


def test_missing_optional_columns_are_named():
    found = map_columns(PORTFOLIO, HEADER, where="x")
    assert "linked_mpan" in found.missing
    assert "mpan_core" not in found.missing


@pytest.mark.parametrize("heading", ["1200012345678", "x" * 60, "SW1A 1AA 1234567", "a\x07b"])
def test_a_heading_that_may_be_data_is_not_repeated(heading):
    told = _refused(IntakeError, [heading, *HEADER[1:]])
    assert heading not in told
    assert "may be data" in told
