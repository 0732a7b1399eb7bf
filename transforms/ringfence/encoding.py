"""Attribute values as small numbers, and which test accepts which number.

Equality is decided once for each distinct value, never once for each metering point. An attribute with few distinct
values keeps one code for each; one with many (a consumption, a date) is reduced to the groups of values that no test
tells apart, so that it cannot split the population into as many profiles as it has metering points.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.ringfence.model import Criterion

MOST_DISTINCT = 1024
"""Above this many distinct values, values that no test tells apart share a code."""

Test = tuple[Criterion, ...]


@dataclass(frozen=True)
class Coding:
    """Codes of one attribute.

    Attributes:
        attribute: column name.
        values: distinct values as text, sorted; ``codes[i]`` is the code of ``values[i]``.
        size: number of codes with a value; code ``size`` means no value.
        tests: distinct tests on the attribute; ``accepts[t, code]`` tells whether test ``t`` accepts ``code``.
    """

    attribute: str
    values: pl.Series
    codes: NDArray[np.uint32]
    size: int
    tests: tuple[Test, ...]
    accepts: NDArray[np.bool_]

    def values_of(self, code: int) -> list[str]:
        """Return the values that share ``code``, sorted; empty for the code of no value."""
        return self.values.filter(pl.Series(self.codes == code)).to_list()

    def expression(self, dtype: pl.DataType) -> pl.Expr:
        """Return the expression that turns a column of ``dtype`` into codes, missing values into ``size``."""
        kind = pl.UInt8 if self.size < 255 else pl.UInt16 if self.size < 65_535 else pl.UInt32
        text = attribute_text(self.attribute, dtype)
        if self.size == len(self.values) and self.size <= MOST_DISTINCT:
            coded = text.cast(pl.Enum(self.values)).to_physical() if self.size else pl.lit(None)
        else:
            coded = text.replace_strict(self.values, pl.Series(self.codes), default=None)
        return coded.cast(kind).fill_null(self.size).alias(self.attribute)


def attribute_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the values of an attribute as text; a whole number is written alike whatever type holds it."""
    column = pl.col(name)
    if not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.round()) & (column.abs() < 2**53)
    return pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))


def tests_by_attribute(criteria: Iterable[tuple[Criterion, ...]]) -> dict[str, list[Test]]:
    """Return the distinct tests of every attribute, in a fixed order.

    Args:
        criteria: the criteria of each demand; several on one attribute make one test (all must hold).
    """
    found: dict[str, set[Test]] = {}
    for each in criteria:
        for attribute, test in split_by_attribute(each).items():
            found.setdefault(attribute, set()).add(test)
    return {attribute: sorted(found[attribute], key=repr) for attribute in sorted(found)}


def split_by_attribute(criteria: tuple[Criterion, ...]) -> dict[str, Test]:
    """Group the criteria of one demand by attribute, in a fixed order."""
    parts: dict[str, list[Criterion]] = {}
    for criterion in sorted(criteria, key=repr):
        parts.setdefault(criterion.attribute, []).append(criterion)
    return {attribute: tuple(parts[attribute]) for attribute in sorted(parts)}


def code_attribute(attribute: str, values: pl.Series, tests: Iterable[Test]) -> Coding:
    """Number the distinct ``values`` (text, sorted, no nulls) of an attribute and judge them by every test."""
    chosen = tuple(tests)
    accepts = np.zeros((len(chosen), len(values) + 1), dtype=np.bool_)
    for row, test in enumerate(chosen):
        accepts[row, :-1] = _accepted(values, test)
        accepts[row, -1] = all(criterion.present is False for criterion in test)
    codes = np.arange(len(values), dtype=np.uint32)
    if len(values) > MOST_DISTINCT:
        groups, inverse = np.unique(accepts[:, :-1], axis=1, return_inverse=True)
        codes = inverse.astype(np.uint32).reshape(-1)
        accepts = np.concatenate([groups, accepts[:, -1:]], axis=1)
    return Coding(attribute, values, codes, accepts.shape[1] - 1, chosen, accepts)


def _accepted(values: pl.Series, test: Test) -> NDArray[np.bool_]:
    """Return which values meet every criterion of ``test``."""
    held = np.ones(len(values), dtype=np.bool_)
    for criterion in test:
        if criterion.present is False:
            held &= False
        if criterion.values:
            held &= values.is_in(list(criterion.values)).to_numpy()
        if criterion.at_least is not None or criterion.at_most is not None:
            held &= _within(values, criterion)
    return held


def _within(values: pl.Series, criterion: Criterion) -> NDArray[np.bool_]:
    """Return which values lie in the range: as numbers if its ends are numbers, else as text (ISO dates sort so)."""
    ends = [_number(end) for end in (criterion.at_least, criterion.at_most) if end is not None]
    held = np.ones(len(values), dtype=np.bool_)
    if all(end is not None for end in ends):
        numbers = values.cast(pl.Float64, strict=False)
        low, high = _number(criterion.at_least), _number(criterion.at_most)
        held &= numbers.is_not_null().to_numpy()
        held &= (numbers >= low).fill_null(False).to_numpy() if low is not None else True
        held &= (numbers <= high).fill_null(False).to_numpy() if high is not None else True
        return held
    if criterion.at_least is not None:
        held &= (values >= criterion.at_least).to_numpy()
    if criterion.at_most is not None:
        held &= (values <= criterion.at_most).to_numpy()
    return held


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
