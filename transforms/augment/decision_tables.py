"""Decision tables over metering points: each item's value, the rule that gave it, its source and effective-from date.

The tables are data (``contracts/augmentation/items.yaml``); nothing here knows an item by name.
Source: Q59 and Q63 (manufacture only what legacy systems lack), domain 6.2 and 6.3 (a stated value overrides).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from contracts.augmentation.model import (
    Condition,
    Decision,
    Item,
    Manufacture,
    Outcome,
    Statement,
    ValueSource,
    stated_column,
)
from contracts.errors import ContractError
from transforms.augment.manufacture import CHOICE, DIP_ID, EUI64, TOKEN36, Manufacturer, meter_text

POINT = "_order"  # the metering point as one integer (``transforms.pseudonymise.mpan.order_key``)
REASONS = "undecided"  # column that says why items are empty
_AT, _FOUND = "_at", "_found"
Lookups = Mapping[str, pl.DataFrame]


def sql(text: str, *, where: str) -> pl.Expr:
    """Return an SQL expression.

    Raises:
        ContractError: it is not one.
    """
    try:
        return pl.sql_expr(text)
    except pl.exceptions.PolarsError:
        raise ContractError("is not an SQL expression", where=where) from None


def rule_column(item: Item | str) -> str:
    """Return the column that names the rule of an item."""
    return f"{item if isinstance(item, str) else item.item}_rule"


def reads(item: Item) -> set[str]:
    """Return the columns that an item's rows read."""
    names: set[str] = set()
    for row in item.rows:
        texts = [row.when]
        match row.outcome:
            case Outcome.COLUMN:
                names.add(row.argument)
            case Outcome.SQL:
                texts.append(row.argument)
            case Outcome.LOOKUP if row.lookup:
                texts += row.lookup.keys.values()
            case Outcome.MANUFACTURE:
                names.update(_read_by_scheme(row))
        for text in texts:
            names.update(sql(text, where=row.rule).meta.root_names())
    for statement in item.stated:
        if statement.when:
            names.update(sql(statement.when, where=item.item).meta.root_names())
    return names


def _read_by_scheme(row: Decision) -> set[str]:
    if row.scheme is None:
        return set()
    texts = filter(None, (row.scheme.mpid, row.scheme.role))
    return set(row.scheme.of).union(*(sql(text, where=row.rule).meta.root_names() for text in texts))


def needed(items: Sequence[Item], wanted: Sequence[str]) -> list[Item]:
    """Return the items that must be decided to know some of them, in their order."""
    names = set(wanted)
    chosen = []
    for item in reversed(items):
        if item.item in names:
            chosen.append(item)
            names |= reads(item)
    return chosen[::-1]


def layers(items: Sequence[Item]) -> list[list[Item]]:
    """Group items so that those of one group read only items of earlier groups."""
    depth: dict[str, int] = {}
    for item in items:
        depth[item.item] = 1 + max((depth.get(name, 0) for name in reads(item) - {item.item}), default=0)
    return [[i for i in items if depth[i.item] == level] for level in sorted(set(depth.values()))]


def decide(frame: pl.DataFrame, items: Sequence[Item], lookups: Lookups, maker: Manufacturer) -> pl.DataFrame:
    """Decide every item of every metering point, in the order of the tables.

    Columns in: ``_order``, the tables' inputs, ``stated.<extract>.<column>`` where something is stated (a statement
    whose column is absent was made by nobody).
    Columns out: beside those, ``<item>`` and ``<item>_rule`` (which row or statement decided; null where no row
    speaks). Rows are neither added nor dropped, nor reordered.

    Raises:
        ContractError: a table reads a column that is not there, or is no SQL.
    """
    try:
        for group in layers(items):
            frame = _decide_group(frame, group, lookups, maker)
    except pl.exceptions.PolarsError as fault:
        raise ContractError(f"a decision table does not fit the data ({type(fault).__name__})", where="items") from None
    return frame


def _decide_group(frame: pl.DataFrame, group: Sequence[Item], lookups: Lookups, maker: Manufacturer) -> pl.DataFrame:
    for item in group:
        for row in item.rows:
            if row.lookup:
                frame = _look_up(frame, row, lookups)
    present = set(frame.columns)
    frame = frame.with_columns(_place(item, present).alias(f"{_AT}.{item.item}") for item in group)
    decided = [_value(item, present).alias(item.item) for item in group]
    rules = [_rule(item).alias(rule_column(item)) for item in group]
    frame = frame.with_columns(*decided, *rules)
    for item in group:
        for number, row in enumerate(item.rows, start=len(item.stated)):
            if row.scheme:
                frame = _manufacture(frame, item, row, number, maker)
    return frame.drop([c for c in frame.columns if c.startswith((f"{_AT}.", f"{_FOUND}."))])


def _place(item: Item, present: set[str]) -> pl.Expr:
    """Return the place, among statements and rows, of what decides each metering point."""
    place = pl.lit(None, pl.UInt8)
    first = len(item.stated)
    for number, row in reversed(list(enumerate(item.rows, start=first))):
        holds = sql(row.when, where=row.rule).fill_null(value=False)
        if row.lookup:
            holds = holds & pl.col(f"{_FOUND}.{row.rule}").is_not_null()
        place = pl.when(holds).then(pl.lit(number, pl.UInt8)).otherwise(place)
    for number, statement in reversed(list(enumerate(item.stated))):
        if statement.name in present:
            said = _said(item, statement)
            place = pl.when(said.is_not_null()).then(pl.lit(number, pl.UInt8)).otherwise(place)
    return place


def _said(item: Item, statement: Statement) -> pl.Expr:
    """Return a stated value, null where it is none of the item's values: such a statement decides nothing."""
    said = pl.col(statement.name)
    if item.values:
        said = pl.when(said.is_in(item.values)).then(said)
    if statement.when:
        said = pl.when(sql(statement.when, where=item.item).fill_null(value=False)).then(said)
    return said


def _value(item: Item, present: set[str]) -> pl.Expr:
    kind = pl.Decimal(16, 3) if item.decimal else pl.String
    value: pl.Expr = pl.lit(None, kind)
    at = pl.col(f"{_AT}.{item.item}")
    for number, row in enumerate(item.rows, start=len(item.stated)):
        match row.outcome:
            case Outcome.VALUE:
                given = pl.lit(row.argument)
            case Outcome.COLUMN:
                given = pl.col(row.argument)
            case Outcome.SQL:
                given = sql(row.argument, where=row.rule)
            case Outcome.LOOKUP:
                given = pl.col(f"{_FOUND}.{row.rule}")
            case _:
                continue
        value = pl.when(at == number).then(given.cast(kind)).otherwise(value)
    for number, statement in enumerate(item.stated):
        if statement.name in present:
            value = pl.when(at == number).then(pl.col(statement.name).cast(kind)).otherwise(value)
    return value


def _rule(item: Item) -> pl.Expr:
    names = pl.Enum(list(item.rules))
    at = pl.col(f"{_AT}.{item.item}")
    return at.replace_strict(list(range(len(item.rules))), pl.Series(item.rules, dtype=names), default=None)


def _look_up(frame: pl.DataFrame, row: Decision, lookups: Lookups) -> pl.DataFrame:
    """Add ``_found.<rule>``: what the mapping table says, null where it says nothing."""
    found = f"{_FOUND}.{row.rule}"
    table = lookups.get(row.lookup.table) if row.lookup else None
    if row.lookup is None or table is None or table.is_empty():
        return frame.with_columns(pl.lit(None, pl.String).alias(found))
    keys = {column: f"{_FOUND}.key.{column}" for column in row.lookup.keys}
    left = frame.with_columns(sql(text, where=row.rule).alias(keys[c]) for c, text in row.lookup.keys.items())
    right = table.select(*(pl.col(c).alias(name) for c, name in keys.items()), pl.col(row.lookup.value).alias(found))
    return left.join(right, on=list(keys.values()), how="left", maintain_order="left").drop(list(keys.values()))


def _manufacture(frame: pl.DataFrame, item: Item, row: Decision, number: int, maker: Manufacturer) -> pl.DataFrame:
    """Fill in a row's keyed values. Key material never enters an expression: it would stand in a query plan."""
    chosen = frame[f"{_AT}.{item.item}"] == number
    where = chosen.fill_null(value=False).arg_true()
    if where.is_empty():
        return frame
    seen = {POINT, *_read_by_scheme(row)}
    some = frame.select(name for name in frame.columns if name in seen)[where]
    made = _made(item.item, row.scheme, some, maker)
    column = frame[item.item].clone().scatter(where, made.cast(frame.schema[item.item]))
    return frame.with_columns(column)


def _made(item: str, given: Manufacture | None, some: pl.DataFrame, maker: Manufacturer) -> pl.Series:
    points = some[POINT].to_numpy()
    match given:
        case Manufacture(scheme=kind, weights=weights) if kind == CHOICE:
            return maker.choose(item, points, weights)
        case Manufacture(scheme=kind, of=columns) if kind == EUI64:
            return maker.eui64(item, meter_text(some, columns))
        case Manufacture(scheme=kind) if kind == TOKEN36:
            return maker.token36(item, points)
        case Manufacture(scheme=kind, mpid=mpid, role=role) if kind == DIP_ID:
            pairs = some.select(sql(mpid, where=item).alias("mpid"), sql(role, where=item).alias("role"))
            return maker.dip_ids(item, pairs["mpid"], pairs["role"])
    raise ContractError("is not a manufacturing scheme with its parameters", where=item)


def sources(item: Item) -> dict[str, str | None]:
    """Return the source of a value by the rule that gave it; null where a rule decides nothing."""
    found: dict[str, str | None] = {s.name: ValueSource.STATED.value for s in item.stated}
    for row in item.rows:
        found[row.rule] = None if row.outcome is Outcome.UNDECIDED else row.source.value
    return found


def provenance(items: Sequence[Item], columns: Sequence[str]) -> list[pl.Expr]:
    """Return, for each item, its value, rule, source and effective-from date as expressions over decided rows.

    Columns out: ``<item>``, ``<item>_rule``, ``<item>_source`` (``stated``, ``derived``, ``manufactured``; null where
    nothing could be decided), ``<item>_from`` (date; null where there is no value), and where an item's rows tell it
    ``<item>_decided_by`` (whose word or which attribute decided; null where nothing did).
    """
    kinds = pl.Enum([s.value for s in ValueSource])
    by_name = {item.item: item for item in items}
    out = []
    for item in items:
        rule = pl.col(rule_column(item))
        by_rule = sources(item)
        source = rule.replace_strict(
            list(by_rule), pl.Series(list(by_rule.values()), dtype=kinds), default=None, return_dtype=kinds
        )
        date = sql(item.effective_from, where=item.item).cast(pl.Date)
        for statement in item.stated:
            name = stated_column(statement.extract, statement.date)
            if statement.date and name in columns:
                own = pl.when(rule == statement.name).then(pl.col(name))
                date = pl.coalesce(own, date)
        since = pl.when(pl.col(item.item).is_not_null()).then(date)
        out += [pl.col(item.item), rule, source.alias(f"{item.item}_source"), since.alias(f"{item.item}_from")]
        if item.tells_source:
            out.append(_decided_by(item, by_name).alias(f"{item.item}_decided_by"))
    return out


def told_columns(item: Item) -> list[str]:
    """Return the columns that :func:`provenance` makes of an item, in order."""
    name = item.item
    told = [name, rule_column(item), f"{name}_source", f"{name}_from"]
    return [*told, f"{name}_decided_by"] if item.tells_source else told


def _decided_by(item: Item, others: Mapping[str, Item]) -> pl.Expr:
    """Return in words which source decided an item; null where none did."""
    rule = pl.col(rule_column(item))
    words = {s.name: s.decided_by for s in item.stated} | {r.rule: r.decided_by for r in item.rows if r.decided_by}
    told = rule.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.String)
    for row in item.rows:
        if row.decided_as:
            told = pl.when(rule == row.rule).then(_decided_by(others[row.decided_as], others)).otherwise(told)
    return told


def reasons(items: Sequence[Item]) -> pl.Expr:
    """Return why items are empty that nothing decides, as one text over decided rows; null where all are decided.

    An item and its reason are joined by a colon, several by a semicolon.
    """
    told = []
    for item in items:
        rule = pl.col(rule_column(item))
        words = {r.rule: f"{item.item}: {r.argument}" for r in item.rows if r.outcome is Outcome.UNDECIDED}
        if words:
            told.append(rule.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.String))
    if not told:
        return pl.lit(None, pl.String).alias(REASONS)
    text = pl.concat_str(told, separator="; ", ignore_nulls=True)
    return pl.when(text.str.len_bytes() > 0).then(text).alias(REASONS)


def undecided(items: Sequence[Item]) -> pl.Expr:
    """Tell which metering points an item that excludes leaves undecided."""
    return pl.any_horizontal(pl.lit(value=False), *(pl.col(i.item).is_null() for i in items if i.excludes))


def incoherent(conditions: Sequence[Condition]) -> pl.Expr:
    """Tell which decided metering points break a coherence condition; an unknown verdict breaks none."""
    return pl.any_horizontal(~sql(c.sql, where=c.code).fill_null(value=True) for c in conditions)
