"""Which columns of its row a broken rule is about: what a person has to look at to cleanse the row."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from contracts.conditions import sql
from contracts.model import Contract, Rule
from contracts.vocabulary import Expectation, Form
from transforms.conform import bad
from transforms.quality.lookups import MPAN

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


def blamed_in_rows(
    rule: Rule, contract: Contract, shape: pl.DataFrame, exact: Mapping[str, pl.Series]
) -> dict[str, pl.Series]:
    """Return the columns to look at in rows that break a rule: column -> in which of the rows.

    Args:
        shape: the rows as :func:`transforms.conform.conform` gives them, marks included.
        exact: of a rule about repeated identifiers, the columns that repeat one; of one about duplicates, those in
            which they differ; each with the rows in which it does.
    """
    every = pl.Series([True]).new_from_index(0, shape.height)
    found: dict[str, pl.Series] = {}
    if rule.expectation == Expectation.COLUMNS_CONFORM:
        found = {name: shape[bad(name)] for name in rule.kwargs["column_list"] if bad(name) in shape.columns}
    elif rule.kwargs.get("column") == OWN_IDENTIFIER or rule.expectation == Expectation.UNIQUE:
        found = dict(exact)
    elif rule.kwargs.get("column") == ADDRESS_TEXT and "regex" in rule.kwargs:
        regex = str(rule.kwargs["regex"])
        found = {name: shape[name].str.contains(regex).fill_null(value=False) for name in _lines(contract)}
    found = {name: rows for name, rows in found.items() if rows.any()}
    told = every.new_from_index(0, shape.height) & False
    for rows in found.values():
        told = told | rows
    rest = every & ~told
    if rest.any():
        names = blamed(rule, contract)
        if len(names) > MOST_COLUMNS:
            names = (f"{names[0]} to {names[-1]}",)
        for name in names:
            found[name] = found[name] | rest if name in found else rest
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
