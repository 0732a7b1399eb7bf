"""Finds what is wrong with decision tables before a row of data is read: gaps, overlaps, rows that never decide.

Every combination of the values that a table's conditions can see is tried. Inputs bring their values (a code list, or
a few that stand for all); an item that another reads brings its own values and null. A lookup finds something or not.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from contracts.augmentation.model import TABLES, Decision, Input, Item, Outcome, Tables
from contracts.errors import ContractError
from contracts.model import Contract
from contracts.vocabulary import Method
from transforms.augment.decision_tables import reads, sql
from transforms.augment.manufacture import SCHEMES

MOST = 3_000_000  # combinations of one item: what a table reads must stay within sight
_SEEN = "found."


def findings(tables: Tables, codes: Mapping[str, Sequence[str]], contracts: Mapping[str, Contract]) -> list[str]:
    """Return everything that is wrong with the tables, in words; nothing where all is well.

    Args:
        codes: code lists by name.
        contracts: extracts that statements name.
    """
    found = _names(tables)
    known: dict[str, list[Any]] = {i.name: _values(i, codes) for i in tables.inputs}
    told: set[str] = set()
    for item in tables.items:
        try:
            found += _statements(item, contracts) + _rows(item, told)
            unknown = sorted(reads(item) - set(known))
            if unknown:
                found.append(f"{item.item}: reads {', '.join(unknown)}, which is neither an input nor an item above it")
            else:
                found += _combinations(item, known, tables)
        except ContractError as fault:
            found.append(f"{item.item}: {fault.line()}")
        known[item.item] = [*(item.values or ("x",)), None]
        if item.tells_source:
            told.add(item.item)
    for condition in tables.coherence:
        try:
            unknown = sorted(set(sql(condition.sql, where=condition.code).meta.root_names()) - set(known))
        except ContractError as fault:
            found.append(fault.line())
            continue
        if unknown:
            found.append(f"{condition.code}: reads {', '.join(unknown)}, which is neither an input nor an item")
    return found


def _values(given: Input, codes: Mapping[str, Sequence[str]]) -> list[Any]:
    values: list[Any] = list(codes.get(given.codes, ())) if given.codes else list(given.values)
    return [*values, None] if given.nullable else values


def _names(tables: Tables) -> list[str]:
    rules = [row.rule for item in tables.items for row in item.rows]
    items = [item.item for item in tables.items]
    found = [f"rule {a} is there twice" for a, b in pairwise(sorted(rules)) if a == b]
    return found + [f"item {a} is there twice" for a, b in pairwise(sorted(items)) if a == b]


def _statements(item: Item, contracts: Mapping[str, Contract]) -> list[str]:
    found = []
    for statement in item.stated:
        contract = contracts.get(statement.extract)
        columns = {c.name: c for c in contract.columns} if contract else {}
        for name in filter(None, (statement.column, statement.date)):
            if name not in columns:
                found.append(f"{item.item}: is stated in {statement.extract}.{name}, which no contract has")
            elif columns[name].treatment.method is Method.DROP:
                found.append(f"{item.item}: is stated in {statement.extract}.{name}, which is dropped")
    return found


def _rows(item: Item, known: Container[str]) -> list[str]:
    found = []
    earlier: list[str] = []
    for row in item.rows:
        if row.decided_as and row.decided_as not in known:
            found.append(
                f"{item.item}: {row.rule} is decided as {row.decided_as}, no item above it that tells its source"
            )
        if item.values and row.outcome is Outcome.VALUE and row.argument not in item.values:
            found.append(f"{item.item}: {row.rule} gives a value that is none of the item's")
        if row.lookup and row.lookup.table not in TABLES:
            found.append(f"{item.item}: {row.rule} looks up {row.lookup.table}; there are {', '.join(TABLES)}")
        found += [f"{item.item}: {row.rule} {what}" for what in _scheme(item, row)]
        found += [
            f"{item.item}: {row.rule} yields to {other}, which is not an earlier row"
            for other in row.yields_to
            if other not in earlier
        ]
        if earlier and item.rows[len(earlier) - 1].otherwise:
            found.append(f"{item.item}: {row.rule} comes after the row that takes the rest")
        earlier.append(row.rule)
    return found


def _scheme(item: Item, row: Decision) -> list[str]:
    if row.scheme is None:
        return []
    name, given = row.scheme.scheme, row.scheme.model_fields_set
    if name not in SCHEMES:
        return [f"manufactures by {name or 'nothing'}; there are {', '.join(SCHEMES)}"]
    if given != {"scheme", *SCHEMES[name]}:
        return [f"needs {', '.join(SCHEMES[name]) or 'nothing'} for {name}"]
    weights = row.scheme.weights
    if "weights" in given and not (weights and all(weight > 0 for weight in weights.values())):
        return ["has weights that are no positive whole numbers"]
    strange = sorted(set(weights) - set(item.values)) if item.values else []
    return [f"may choose {', '.join(strange)}, which is not a value of the item"] if strange else []


def _combinations(item: Item, known: Mapping[str, list[Any]], tables: Tables) -> list[str]:
    """Try every combination of what the conditions of one item see."""
    frame = _grid(item, known, tables)
    if frame is None:
        return [f"{item.item}: reads too much to be tried out"]
    holds = [_holds(row).alias(row.rule) for row in item.rows]
    verdicts = frame.select(holds)
    taken = pl.Series([False]).new_from_index(0, frame.height)
    found = []
    for number, row in enumerate(item.rows):
        mine = verdicts[row.rule]
        if not (mine & ~taken).any():
            found.append(f"{item.item}: {row.rule} can never decide")
        if not row.otherwise:
            found += _overlaps(item, number, verdicts, frame)
        taken = taken | mine
    if not taken.all():
        found.append(f"{item.item}: no row decides {_shown(frame, ~taken)}")
    return found


def _grid(item: Item, known: Mapping[str, list[Any]], tables: Tables) -> pl.DataFrame | None:
    """Return every combination of the columns that the conditions read, without the impossible ones."""
    names: set[str] = set()
    for row in item.rows:
        names.update(sql(row.when, where=row.rule).meta.root_names())
    impossible = [(c, set(sql(c.sql, where=c.code).meta.root_names())) for c in tables.impossible]
    wanted = set(names)
    for _, read in impossible:
        if len(read & names) > 1 or read <= names:
            wanted |= read & set(known)
    columns = {name: known[name] for name in sorted(wanted)}
    columns |= {f"{_SEEN}{row.rule}": [True, False] for row in item.rows if row.lookup}
    size = 1
    for values in columns.values():
        size *= max(len(values), 1)
    if size > MOST:
        return None
    frame = pl.DataFrame({"_one": [0]})
    for name, values in columns.items():
        frame = frame.join(pl.DataFrame({name: pl.Series(values, dtype=_kind(values))}), how="cross")
    for condition, read in impossible:
        if read <= set(columns):
            frame = frame.filter(~sql(condition.sql, where=condition.code).fill_null(value=False))
    return frame


def _kind(values: list[Any]) -> Any:
    return pl.Series([v for v in values if v is not None]).dtype if any(v is not None for v in values) else pl.String


def _holds(row: Decision) -> pl.Expr:
    holds = sql(row.when, where=row.rule).fill_null(value=False)
    return holds & pl.col(f"{_SEEN}{row.rule}") if row.lookup else holds


def _result(row: Decision) -> tuple[str, ...]:
    """What a row gives, for comparison: two rows of equal outcome may overlap as they like."""
    detail = str(row.lookup or row.scheme or row.argument)
    return (row.outcome.value, detail, row.source.value)


def _overlaps(item: Item, number: int, verdicts: pl.DataFrame, frame: pl.DataFrame) -> list[str]:
    row = item.rows[number]
    found = []
    for other in item.rows[:number]:
        both = verdicts[row.rule] & verdicts[other.rule]
        if other.rule in row.yields_to:
            if not both.any():
                found.append(f"{item.item}: {row.rule} yields to {other.rule} and never meets it")
        elif both.any() and _result(row) != _result(other):
            found.append(f"{item.item}: {other.rule} and {row.rule} both decide {_shown(frame, both)}")
    return found


def _shown(frame: pl.DataFrame, where: pl.Series) -> str:
    """Return the first combination in words. It is made up of table values, never of data."""
    example = frame.filter(where).drop("_one").row(0, named=True)
    return ", ".join(f"{name} {'null' if value is None else value}" for name, value in example.items())
