"""What a run can have written, column by column: what a submission pack is held against before a row is taken."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from contracts.load import load_all
from contracts.scheme import scheme_lists
from transforms.release.submission_check import unlike_excluded, unlike_staged

MPAN, TOKEN = "1000000000030", "0123456789abcdef0123456789abcdef"
EXCLUDED = {  # mpan_core, token, first_cause, reasons; the columns that are odd
    "a rule": ((MPAN, None, "DQ01", "DQ01 DQ22"), []),
    "a companion": ((MPAN, None, "companion", "companion"), []),
    "a coincident pseudonym, hidden": ((None, TOKEN, "coincident", "coincident"), []),
    "a number that no check has": ((MPAN, None, "DQ33", "DQ33"), ["first_cause", "reasons"]),
    "a raw number": (("1000000000041", None, "DQ01", "DQ01"), ["mpan_core"]),
    "a raw number in place of a token": ((None, MPAN, "DQ01", "DQ01"), ["token"]),
}


@pytest.mark.requirement("Q62", "Q58")
@pytest.mark.parametrize(("row", "odd"), EXCLUDED.values(), ids=EXCLUDED)
def test_excluded_rows(row, odd):
    frame = pl.DataFrame([row], schema=["mpan_core", "token", "first_cause", "reasons"], orient="row")
    assert unlike_excluded(frame.cast(pl.String)) == odd


STAGED = {  # extract, column, value, fit
    "no postcode": ("registration", "postcode", None, True),
    "an area alone": ("registration", "postcode", "CO 1AB", True),
    "a real inward code": ("registration", "postcode", "CO1 1CI", False),
    "a UPRN as a token": ("registration", "uprn", TOKEN, True),
    "a short UPRN": ("registration", "uprn", "100062", False),
    "a house": ("registration", "address_line_1", "250", True),
    "a house that no pseudonym has": ("registration", "address_line_1", "251", False),
    "a town": ("registration", "address_line_8", "COLCHESTER", True),
    "a village": ("registration", "address_line_8", "LITTLE SNORING", False),
    "an ESME id": ("metering", "esme_id", "02-1C-5E-01-23-45-67-89", True),
    "an ESME id as backups spell it": ("metering", "esme_id", "001c5e0123456789", False),
    "a long serial number": ("metering", "meter_serial_number", "E12Z07010112345678901234567890", True),
    "a serial number in small letters": ("metering", "meter_serial_number", "e12z070101", False),
    "a day": ("registration", "supplier_effective_from", date(2019, 4, 1), True),
    "a day as text": ("registration", "supplier_effective_from", "THE OLD FORGE", False),
    "a related MPAN as a token": ("registration", "related_mpan", TOKEN, True),
    "a metering point as a token": ("registration", "mpan_core", TOKEN, False),
    "a number for a text": ("registration", "gsp_group_id", 7, False),
}


@pytest.mark.requirement("Q62", "Q58")
@pytest.mark.parametrize(("extract", "column", "value", "fit"), STAGED.values(), ids=STAGED)
def test_released_rows(extract, column, value, fit):
    frame = pl.DataFrame({column: [value, None]})
    assert unlike_staged(frame, load_all()[extract], scheme_lists()) == ([] if fit else [column])
