"""What the product itself writes, column by column: a submission pack is held against it before a row is taken.

A signature says who made a pack, not what made it. A value that no run of the product can have written is either raw
or not of this scheme, and neither may go on into a release.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from contracts.model import Column, Contract
from contracts.scheme import HIGHEST_NUMBER, scheme_lists
from contracts.vocabulary import Field, Form, Method
from transforms import exclusion, mpan
from transforms.conform import CODE_PATTERN, TEXT_PATTERN
from transforms.pseudonymise import TOKEN_DIGITS

TOKEN = rf"^[0-9a-f]{{{TOKEN_DIGITS}}}$"
REASON = rf"(?:DQ(?:0[1-9]|[12][0-9]|3[0-2])|{exclusion.COMPANION})"
PSEUDONYMS = {
    Form.UPRN: r"^[0-9]{12}$",
    Form.METER_SERIAL: r"^[^\sa-z](?:[^a-z\x00-\x1f]{0,48}[^\sa-z])?$",
    Form.ESME_ID: r"^(?:[0-9A-F]{16}|[0-9A-F]{2}(?:[-:. ][0-9A-F]{2}){7})$",
}
EXCLUDED = {"mpan_core": "", "token": TOKEN, "first_cause": f"^{REASON}$", "reasons": f"^{REASON}(?: {REASON})*$"}


def unlike_staged(frame: pl.DataFrame, contract: Contract) -> list[str]:
    """Return the columns of released rows that hold a value which no run can have written; names, never values.

    Args:
        frame: any of the contract's staged columns; empty ones may be of any type.
        contract: the extract's contract. Policies that coarsen (token, generalise) are allowed for.
    """
    held = [column for column in contract.staged if column.name in frame.columns]
    return [c.name for c in held if not _as_written(c, frame[c.name]).fill_null(value=True).all()]


def unlike_excluded(frame: pl.DataFrame) -> list[str]:
    """Return the columns of excluded rows (``mpan_core, token, first_cause, reasons``) with a value of no run."""
    odd = []
    for name, pattern in EXCLUDED.items():
        values = frame[name]
        good = _text(values, pattern) if pattern else _of(values, mpan.valid)
        if not good.fill_null(value=True).all():
            odd.append(name)
    return odd


def _as_written(column: Column, values: pl.Series) -> pl.Series:
    """Tell for each value whether a run can have written it; null for null."""
    if column.treatment.field is Field.ADDRESS:
        return _address(column.name, values)
    if column.form is Form.MPAN:
        return _of(values, mpan.valid)
    if column.treatment.method is not Method.TOKEN and column.form in PSEUDONYMS:
        return _text(values, PSEUDONYMS[column.form])
    if values.dtype != pl.String:
        return pl.repeat(value=True, n=values.len(), eager=True)  # a date or number is one
    own = {
        Form.CODE: [str(column.options.get("pattern", CODE_PATTERN)), CODE_PATTERN],
        Form.TEXT: [str(column.options.get("pattern", TEXT_PATTERN))],
        Form.FLAG: ["^[TF]$"],
    }
    kept = [] if column.treatment.method is Method.TOKEN else own.get(column.form, [])
    return _text(values, "|".join(f"(?:{pattern})" for pattern in (*kept, TOKEN)))


def _address(name: str, values: pl.Series) -> pl.Series:
    lists = scheme_lists()
    match name:
        case "address_line_1":
            numbers = [str(n) for n in range(1, HIGHEST_NUMBER + 1)]
            return _of(values, lambda texts: texts.is_in(numbers))
        case "address_line_5":
            return _of(values, lambda texts: texts.is_in(list(lists.streets)))
        case "address_line_8":
            return _of(values, lambda texts: texts.is_in(list(lists.post_towns.values())))
        case "postcode":
            return _text(values, r"^[A-Z]{1,2}(?:[0-9][0-9A-Z]?)? [0-9][A-Z]{2}$")
        case _:
            return _nowhere(values)


def _of(values: pl.Series, check: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Apply a check of texts; what is no text at all has not been written by a run, unless nothing is there."""
    if values.dtype != pl.String:
        return _nowhere(values)
    verdict = check(values)
    return verdict.set(values.is_null(), None) if values.null_count() else verdict


def _text(values: pl.Series, pattern: str) -> pl.Series:
    return _of(values, lambda texts: texts.str.contains(pattern))


def _nowhere(values: pl.Series) -> pl.Series:
    """Return null for null, and false for whatever stands here: nothing may."""
    return pl.select(pl.when(pl.lit(values).is_not_null()).then(pl.lit(value=False)).alias(values.name)).to_series()
