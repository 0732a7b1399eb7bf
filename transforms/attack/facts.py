"""Rows of extracts -> one value per metering point and fact, in numbers that can be compared.

A code becomes a 64-bit digest (0 where there is none), a date its day number, an amount the logarithm of one more than
it (:func:`scaled`), so that equal distances are equal shares; both are NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.attack.model import Fact, FactKind, SeriesFacts

ORDER = "_order"
Column = NDArray[Any]  # UInt64 digests or Float64 numbers
Values = dict[str, Column]  # attribute (fact, or fact and place) -> a value for each metering point
SEPARATOR = "@"


def attribute(fact: str, place: str) -> str:
    """Return the name of what one place tells of a fact."""
    return f"{fact}{SEPARATOR}{place}"


def fact_of(name: str) -> str:
    """Return the fact that an attribute is about."""
    return name.partition(SEPARATOR)[0]


def wanted(facts: Mapping[str, Fact], extract: str) -> list[tuple[Fact, str]]:
    """Return the facts that an extract may tell, with the column."""
    found = []
    for fact in facts.values():
        for place in fact.places:
            of, _, column = place.partition(".")
            if of == extract:
                found.append((fact, column))
    return found


def gather(frame: pl.LazyFrame, facts: Sequence[tuple[Fact, str]], extract: str) -> pl.DataFrame:
    """Return one row per metering point with an attribute per fact and column, by metering point.

    Columns in: ``_order`` and the columns of the facts. Columns out: ``_order``, the attributes (UInt64 or Float64).
    Each row is taken by itself, then the rows of a metering point are made one: most extracts have one a point, for
    which nothing is grouped.
    """
    named = [(fact, column, attribute(fact.id, f"{extract}.{column}")) for fact, column in facts]
    rows = frame.select(ORDER, *(_taken(fact, pl.col(column)).alias(name) for fact, column, name in named))
    whole = rows.drop_nulls(ORDER).sort(ORDER, maintain_order=True).collect(engine="streaming")
    once = whole[ORDER].n_unique() == whole.height
    if not once:
        whole = whole.group_by(ORDER, maintain_order=True).agg(
            _of_rows(fact, pl.col(name)).alias(name) for fact, _, name in named
        )
    else:
        counted = [name for fact, _, name in named if fact.take == "count"]
        whole = whole.with_columns(pl.lit(1, pl.UInt32).alias(name) for name in counted)
    return whole.select(ORDER, *(_number(pl.col(name), fact.kind).alias(name) for fact, _, name in named))


def _taken(fact: Fact, value: pl.Expr) -> pl.Expr:
    """Return what one row tells of a fact."""
    word, _, amount = fact.take.partition(" ")
    text = value.cast(pl.String)
    match word:
        case "outward":
            bare = text.str.replace_all(" ", "")
            return pl.when(bare.str.len_chars() > 3).then(bare.str.head(-3))
        case "year":
            return text.str.extract(r"^([A-Z][0-9]{2})[A-Z]{0,2}[0-9]{5,}")
        case "first":
            return text.str.head(int(amount))
        case "sum":
            return value.cast(pl.Float64)
        case "present":
            return value.is_not_null()
        case "latest":
            return value
    return text if fact.kind is FactKind.CODE else value


def _of_rows(fact: Fact, value: pl.Expr) -> pl.Expr:
    """Return what several rows of a metering point tell together."""
    match fact.take.partition(" ")[0]:
        case "sum":
            return pl.when(value.count() > 0).then(value.sum())
        case "latest":
            return value.max()
        case "count":
            return value.n_unique()
        case "present":
            return value.any()
    return value.min()


def _number(value: pl.Expr, kind: FactKind) -> pl.Expr:
    match kind:
        case FactKind.CODE:
            text = value.cast(pl.String)
            return pl.when(text.is_not_null()).then(text.hash(0)).otherwise(pl.lit(0, pl.UInt64))
        case FactKind.DATE:
            return value.cast(pl.Date).cast(pl.Int32).cast(pl.Float64).fill_null(float("nan"))
        case FactKind.AMOUNT:
            number = value.cast(pl.Float64)
            return (number.sign() * number.abs().log1p()).fill_null(float("nan"))


def series(frame: pl.LazyFrame, spec: SeriesFacts, days: Sequence[date], periods: Sequence[str]) -> pl.LazyFrame:
    """Return totals of days and half-hours of the first of them, one row per metering point, as scaled amounts.

    Columns in: ``_order``, measurement quantity, settlement day and the periods, kWh.
    Columns out: ``_order``, ``day_<n>``, ``half_hour_<n>``; NaN where there is no such day.
    """
    mine = frame.filter((pl.col(spec.quantity) == spec.of) & pl.col(spec.day).is_in(list(days)))
    values = [pl.col(name).cast(pl.Float64) for name in periods]
    rows = mine.select(ORDER, spec.day, pl.sum_horizontal(values).alias("_total"), *values)
    made = [
        _number(pl.col("_total").filter(pl.col(spec.day) == day).first(), FactKind.AMOUNT).alias(f"day_{n}")
        for n, day in enumerate(days, 1)
    ]
    made += [
        _number(pl.col(periods[period - 1]).filter(pl.col(spec.day) == days[0]).first(), FactKind.AMOUNT).alias(
            f"half_hour_{n}"
        )
        for n, period in enumerate(spec.half_hours, 1)
    ]
    return rows.group_by(ORDER).agg(made)


def differences(values: Values, facts: Mapping[str, Fact]) -> Values:
    """Return values with the differences of dates that facts ask for, of the first place that tells each of them."""
    first: dict[str, str] = {}
    for name in values:
        first.setdefault(fact_of(name), name)
    made = dict(values)
    for fact in facts.values():
        if fact.minus and all(part in first for part in fact.minus):
            left, right = (values[first[part]] for part in fact.minus)
            made[fact.id] = np.subtract(left, right, dtype=np.float64)
    return made


def known_cells(values: Column) -> NDArray[np.bool_]:
    """Tell which cells have a value."""
    found: NDArray[np.bool_] = values != 0 if values.dtype == np.uint64 else ~np.isnan(values)
    return found
