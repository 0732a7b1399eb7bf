"""No text that passes as it is opens as a formula, hides what it says, or turns the direction of writing."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.load import load_all
from contracts.vocabulary import Form
from transforms.conform import CODE_PATTERN, TEXT_PATTERN

pytestmark = pytest.mark.requirement("Q67", "DQ22")
FIRST = ("=", "+", "-", "@", "\t", "\r", "\n", " ", "\uff1d", "\uff0b", "\uff0d", "\uff20")
ANYWHERE = (
    "\x00",
    "\x07",
    "\x1b",
    "\x7f",
    "\x85",
    "\u200b",
    "\u200e",
    "\u202a",
    "\u202e",
    "\u2066",
    "\u2069",
    "\ufeff",
)
DEFAULT = {Form.TEXT: TEXT_PATTERN, Form.CODE: CODE_PATTERN}
PASSING = sorted(
    {str(column.options.get("pattern", DEFAULT[column.form])) for contract in load_all().values()
     for column in contract.columns if column.form in DEFAULT} | set(DEFAULT.values())
)  # fmt: skip


@pytest.mark.parametrize("pattern", PASSING)
def test_no_cell_is_a_formula_or_hides_what_it_says(pattern):
    bodies = ("A", "AB", "ABCD", "1", "SUM(A1)", "2__ASUPA000", "E110")
    hostile = [mark + body for mark in FIRST for body in bodies]
    hostile += [body[:1] + mark + body[1:] for mark in ANYWHERE for body in bodies]
    hostile += [mark + body for mark in ANYWHERE for body in bodies]
    taken = pl.Series(hostile).str.contains(pattern)
    assert pl.Series(hostile).filter(taken).to_list() == []


def test_texts_of_meters_are_taken():
    texts = pl.Series(["LANDIS+GYR E110 (5/100)", "(OLD) 5-100A", "Elster A1140", "é", "a" * 60])
    assert texts.str.contains(TEXT_PATTERN).all()
    assert not pl.Series(["a" * 61]).str.contains(TEXT_PATTERN).any()
