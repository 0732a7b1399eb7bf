"""What the product itself writes, column by column: a submission pack is held against it before a row is taken.

A signature says who made a pack, not what made it. A value that no run of the product can have written is either raw
or not of this scheme, and neither may go on into a release.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from contracts.model import Column, Contract
from contracts.scheme.model import HIGHEST_NUMBER, INWARD_LETTERS, SchemeLists
from contracts.vocabulary import REASON_CODE, Field, Form, Method
from transforms.conform import CODE_PATTERN, TEXT_PATTERN
from transforms.pseudonymise import mpan
from transforms.pseudonymise.identifiers import ESME_SPELLING, UPRN_DIGITS
from transforms.pseudonymise.pseudonymiser import TOKEN_DIGITS
from transforms.quality import exclusions

TOKEN = rf"^[0-9a-f]{{{TOKEN_DIGITS}}}$"
REASON = f"(?:{REASON_CODE}|{exclusions.COMPANION}|{exclusions.COINCIDENT})"
PSEUDONYMS = {
    Form.UPRN: f"^[0-9]{{{UPRN_DIGITS}}}$",
    Form.METER_SERIAL: r"^[^\sa-z](?:[^a-z\x00-\x1f]*[^\sa-z])?$",
    Form.ESME_ID: f"^{ESME_SPELLING}$",
}
# Columns of excluded rows; the MPAN core is judged by its check digit.
EXCLUDED = {"mpan_core": "", "token": TOKEN, "first_cause": f"^{REASON}$", "reasons": f"^{REASON}(?: {REASON})*$"}

# Of what a submission tells of its own faults: where, in which row, which column, by which rule.
TOLD = ("mpan_core", "token", "row_key", "column", "rule_id")
NULLABLE = ("mpan_core", "token")
ROW_KEY = r"^[^a-z\x00-\x1f]{0,80}$"  # pseudonyms and codes, upper case


def unlike_staged(frame: pl.DataFrame, contract: Contract, lists: SchemeLists) -> list[str]:
    """Return the columns of released rows that hold a value which no run can have written; names, never values (Q62).

    Args:
        frame: any of the contract's staged columns; empty ones may be of any type.
        contract: the extract's contract. What a participant's policy may do besides (token, generalise, suppress) is
            allowed for, since the SI does not know it.
        lists: the frozen lists of the pseudonym scheme.
    """
    held = [column for column in contract.staged if column.name in frame.columns]
    return [c.name for c in held if not _as_written(c, frame[c.name], lists).fill_null(value=True).all()]


def unlike_excluded(frame: pl.DataFrame) -> list[str]:
    """Return the columns of excluded rows (``mpan_core, token, first_cause, reasons``) with a value of no run."""
    odd = []
    for name, pattern in EXCLUDED.items():
        values = frame[name]
        good = _text(values, pattern) if pattern else _of(values, mpan.valid)
        if not good.fill_null(value=True).all():
            odd.append(name)
    return odd


def unlike_told(frame: pl.DataFrame, contract: Contract) -> list[str]:
    """Return the columns of what a submission tells of its own faults (``TOLD``) with a value of no run."""
    names = [column.name for column in contract.columns]
    ranges = [f"{names[n]} to {names[m]}" for n in range(len(names)) for m in range(n + 1, len(names))]
    good = {
        "mpan_core": _of(frame["mpan_core"], mpan.valid),
        "token": _text(frame["token"], TOKEN),
        "row_key": _text(frame["row_key"], ROW_KEY),
        "column": _of(frame["column"], lambda texts: texts.is_in([*names, *ranges])),
        "rule_id": _of(frame["rule_id"], lambda texts: texts.is_in([rule.id for rule in contract.rules])),
    }
    return [name for name, verdict in good.items() if not verdict.fill_null(value=name in NULLABLE).all()]


def _as_written(column: Column, values: pl.Series, lists: SchemeLists) -> pl.Series:
    """Tell for each value whether a run can have written it; null for null."""
    if column.treatment.field is Field.ADDRESS:
        return _address(column.name, values, lists)
    if column.form is Form.MPAN:
        return _of(values, mpan.valid if column.key else lambda texts: mpan.valid(texts) | texts.str.contains(TOKEN))
    if column.treatment.method is not Method.TOKEN and column.form in PSEUDONYMS:
        return _text(values, f"{PSEUDONYMS[column.form]}|{TOKEN}")
    if values.dtype != pl.String and column.form in (Form.DATE, Form.DECIMAL, Form.INTEGER):
        return pl.repeat(value=True, n=values.len(), eager=True)  # a date or number is one
    own = {
        Form.CODE: [str(column.options.get("pattern", CODE_PATTERN)), CODE_PATTERN],
        Form.TEXT: [str(column.options.get("pattern", TEXT_PATTERN))],
        Form.FLAG: ["^[TF]$"],
    }
    kept = [] if column.treatment.method is Method.TOKEN else own.get(column.form, [])
    return _text(values, "|".join(f"(?:{pattern})" for pattern in (*kept, TOKEN)))


def _address(name: str, values: pl.Series, lists: SchemeLists) -> pl.Series:
    """Tell which values are lines of a pseudonym address, or tokens of such."""
    known = {
        "address_line_1": [str(n) for n in range(1, HIGHEST_NUMBER + 1)],
        "address_line_5": list(lists.streets),
        "address_line_8": list(lists.post_towns.values()),
    }
    if name == "postcode":
        return _text(values, rf"^[A-Z]{{1,2}}(?:[0-9][0-9A-Z]?)? [0-9][{INWARD_LETTERS}]{{2}}$|{TOKEN}")
    return _of(values, lambda texts: texts.is_in(known.get(name, [])) | texts.str.contains(TOKEN))


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
