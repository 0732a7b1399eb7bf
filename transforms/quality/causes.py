"""Counts by likely cause the values of a column that did not take its form. No value leaves: counts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from contracts.causes.model import Cause, Causes
from contracts.model import Contract
from contracts.vocabulary import Form
from transforms.column_map import ColumnMap

BLANK, OTHER = "blank", "other"
_UNJUDGED = frozenset({Form.ADDRESS_LINE})  # free text has no form to miss
Signs = dict[str, dict[str, int]]


def signs(raw: pl.DataFrame, taken: pl.DataFrame, contract: Contract, columns: ColumnMap, known: Causes) -> Signs:
    """Return, by column of the contract and likely cause, how many values of a batch did not take their form.

    Args:
        raw: the source's columns, all text.
        taken: the contract's columns after conforming, null where a value did not take its form; rows as in ``raw``.

    Returns:
        Only columns with such values; a required column's empty cells are counted as ``blank``.
    """
    found: Signs = {}
    for heading, name in columns.names.items():
        column = contract.column(name)
        if name not in taken.columns or column.form in _UNJUDGED or not taken[name].null_count():
            continue
        texts = raw[heading].cast(pl.String).str.strip_chars().filter(taken[name].is_null())
        empty = int((texts.is_null() | (texts == "").fill_null(value=False)).sum())
        failed = texts.filter(texts.is_not_null() & (texts != ""))
        counts = by_cause(failed, known.of(column.form))
        if empty and column.required:
            counts[BLANK] = empty
        if counts:
            found[name] = counts
    return found


def by_cause(texts: pl.Series, tried: Sequence[Cause]) -> dict[str, int]:
    """Return how many of some texts have each cause: the first whose pattern a text matches, else ``other``."""
    if texts.is_empty():
        return {}
    name = pl.lit(OTHER)
    for cause in reversed(tried):
        name = pl.when(pl.col("text").str.contains(cause.pattern)).then(pl.lit(cause.id)).otherwise(name)
    counted = texts.alias("text").to_frame().select(name.alias("cause"))["cause"].value_counts()
    return {str(cause): int(count) for cause, count in sorted(counts_of(counted).items())}


def counts_of(counted: pl.DataFrame) -> dict[str, int]:
    """Return value counts as a mapping."""
    return dict(counted.iter_rows())


def added(first: Mapping[str, Mapping[str, int]], second: Mapping[str, Mapping[str, int]]) -> Signs:
    """Return the sum of two counts."""
    total: Signs = {column: dict(counts) for column, counts in first.items()}
    for column, counts in second.items():
        mine = total.setdefault(column, {})
        for cause, count in counts.items():
            mine[cause] = mine.get(cause, 0) + count
    return total
