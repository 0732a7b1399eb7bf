"""Which columns of a header refuse a file, and which are dropped without a word."""

from __future__ import annotations

import pytest

from contracts.errors import RefusedError
from contracts.load import load_all
from transforms.conform import map_columns

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
    assert found.dropped == 1
    assert column not in found.names
