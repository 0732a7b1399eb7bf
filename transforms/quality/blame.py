"""Which columns of its row a broken rule is about: what a person has to look at to cleanse the row."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.conditions import sql
from contracts.model import Contract, Rule
from contracts.vocabulary import Expectation, Form
from transforms.conform import bad
from transforms.quality.lookups import MPAN

BLAMED = "_blamed"  # bits of the contract's columns, as :func:`blamed_bits` gives them
BITS = 64  # columns that one number tells apart
ADDRESS_TEXT = "address_text"
OWN_IDENTIFIER = "own_identifier"
MOST_COLUMNS = 6  # a rule over more of them is about their range


def blamed(rule: Rule, contract: Contract) -> tuple[str, ...]:
    """Return the columns of the extract that a rule is about, in contract order.

    They are those that its verdict reads; of a verdict on what other tables hold, those that its condition reads; else
    those by which the other tables are looked up.
    """
    kwargs = rule.kwargs
    if "column" in kwargs and (own := _own(contract, {str(kwargs["column"])})):
        return own
    verdict = {str(kwargs["column"])} if "column" in kwargs else set(kwargs.get("column_list", ()))
    verdict |= _roots([*dict(kwargs.get("keys", {})).values(), kwargs.get("condition", "")])
    when = _roots([kwargs.get("row_condition", "")])
    if ADDRESS_TEXT in verdict:
        return _lines(contract)[:1]
    if any(word in verdict for word in (OWN_IDENTIFIER,)):
        return (MPAN,)
    for names in (verdict, when, _behind(contract, verdict), _behind(contract, when)):
        if own := _own(contract, names):
            return own
    return (MPAN,)


def blamed_bits(shape: pl.DataFrame, repeated: pl.DataFrame, contract: Contract, rules: Sequence[Rule]) -> pl.Series:
    """Return, as bits of the contract's columns, what the intake rules are about where a rule names many columns.

    Columns in: ``shape``, the rows as conformed, marks included; ``repeated``, which rows have an identifier of their
    own in a column, as :func:`transforms.release.leak_candidates.own_row` tells.

    Returns:
        ``_blamed``: bit n for column n of the contract, of the first 64; it holds no value of the row.
    """
    found = {name: repeated[name] for name in repeated.columns}
    for rule in rules:
        if rule.expectation == Expectation.COLUMNS_CONFORM:
            found |= {name: shape[bad(name)] for name in rule.kwargs["column_list"] if bad(name) in shape.columns}
        elif rule.kwargs.get("column") == ADDRESS_TEXT and "regex" in rule.kwargs:
            regex = str(rule.kwargs["regex"])
            if shape[ADDRESS_TEXT].str.contains(regex).any():
                found |= {n: shape[n].str.contains(regex).fill_null(value=False) for n in _lines(contract)}
    bits = np.zeros(shape.height, np.uint64)
    for number, column in enumerate(contract.columns[:BITS]):
        if column.name in found and found[column.name].any():
            bits |= found[column.name].to_numpy().astype(np.uint64) << np.uint64(number)
    return pl.Series(BLAMED, bits)


def blamed_in_rows(rule: Rule, contract: Contract, bits: NDArray[np.uint64]) -> dict[str, pl.Series]:
    """Return the columns to look at in rows that break a rule: column -> in which of the rows.

    Args:
        bits: of the contract's columns, a number for each row: of a rule about duplicates the columns in which they
            differ, of any other what :func:`blamed_bits` gives.
    """
    names = {column.name for column in contract.columns}
    if rule.expectation == Expectation.COLUMNS_CONFORM:
        names = set(rule.kwargs["column_list"])
    elif rule.kwargs.get("column") == ADDRESS_TEXT and "regex" in rule.kwargs:
        names = set(_lines(contract))
    elif rule.kwargs.get("column") != OWN_IDENTIFIER and rule.expectation != Expectation.UNIQUE:
        names = set()
    found = {
        column.name: pl.Series((bits >> np.uint64(number) & np.uint64(1)).astype(bool))
        for number, column in enumerate(contract.columns[:BITS])
        if column.name in names
    }
    found = {name: rows for name, rows in found.items() if rows.any()}
    told = pl.Series(np.zeros(bits.size, dtype=bool))
    for rows in found.values():
        told = told | rows
    if (~told).any():
        every = blamed(rule, contract)
        if len(every) > MOST_COLUMNS:
            every = (f"{every[0]} to {every[-1]}",)
        for name in every:
            found[name] = found[name] | ~told if name in found else ~told
    return found


def _lines(contract: Contract) -> tuple[str, ...]:
    return tuple(column.name for column in contract.columns if column.form is Form.ADDRESS_LINE)


def _own(contract: Contract, names: Collection[str]) -> tuple[str, ...]:
    return tuple(column.name for column in contract.columns if column.name in names)


def _roots(texts: Collection[object]) -> set[str]:
    return {root for text in texts if text for root in sql(str(text)).meta.root_names()}


def _behind(contract: Contract, names: Collection[str]) -> set[str]:
    """Return the columns that derived ones rest on."""
    known = {derived.name: derived for derived in contract.derived}
    found: set[str] = set()
    open_ = [name for name in names if name in known]
    while open_:
        derived = known[open_.pop()]
        roots = _roots([derived.sql] if derived.sql else list(derived.keys.values()))
        open_ += [root for root in roots - found if root in known]
        found |= roots
    return found
