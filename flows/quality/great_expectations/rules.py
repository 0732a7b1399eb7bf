"""What each rule asks of a row, as Polars expressions; semantics are those of the pandas engine.

Differences that are meant: patterns are Rust regular expressions (no look-around, no back-references, ``$``
is the end of the text); columns that are not text are matched and measured as Polars casts them to text;
columns of different kinds cannot be compared, not even for equality.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from contracts.model import Arguments

ColumnRule = Callable[[pl.Expr, pl.DataType, Arguments], pl.Expr]
PairRule = Callable[[pl.Expr, pl.Expr, Arguments], pl.Expr]


def in_set(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the value is a member of ``value_set``; no set at all is satisfied by everything."""
    if values.get("value_set") is None:
        return column.is_not_null()
    return column.is_in(_members(dtype, values["value_set"]).implode())


def not_in_set(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the value is no member of ``value_set``."""
    if values.get("value_set") is None:
        return column.is_not_null()
    return ~in_set(column, dtype, values)


def match_regex(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the pattern is found anywhere in the text."""
    return _text(column, dtype).str.contains(values["regex"])


def not_match_regex(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the pattern is found nowhere in the text."""
    return ~match_regex(column, dtype, values)


def between(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the value lies within its bounds; text bounds of a date column are ISO 8601 dates."""
    low, high = (_bound(dtype, values.get(name)) for name in ("min_value", "max_value"))
    if low is not None and high is not None and low > high:
        raise ValueError("min_value cannot be greater than max_value")
    return _within(column, low, high, values)


def length_between(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the text has a number of characters within the bounds."""
    length = _text(column, dtype).str.len_chars()
    return _within(length, values.get("min_value"), values.get("max_value"), values)


def length_equals(column: pl.Expr, dtype: pl.DataType, values: Arguments) -> pl.Expr:
    """True where the text has exactly ``value`` characters."""
    return _text(column, dtype).str.len_chars().eq(values["value"])


def a_greater_than_b(a: pl.Expr, b: pl.Expr, values: Arguments) -> pl.Expr:
    """True where A > B, or A >= B with ``or_equal``."""
    return a >= b if values.get("or_equal") else a > b


def equal(a: pl.Expr, b: pl.Expr, values: Arguments) -> pl.Expr:
    """True where A = B; a missing value equals nothing."""
    return a == b


COLUMN_RULES: Mapping[str, ColumnRule] = {
    "column_values.in_set": in_set,
    "column_values.not_in_set": not_in_set,
    "column_values.match_regex": match_regex,
    "column_values.not_match_regex": not_match_regex,
    "column_values.between": between,
    "column_values.value_length.between": length_between,
    "column_values.value_length.equals": length_equals,
}
PAIR_RULES: Mapping[str, PairRule] = {
    "column_pair_values.a_greater_than_b": a_greater_than_b,
    "column_pair_values.equal": equal,
}


def kept(columns: list[pl.Expr], ignore_row_if: str) -> pl.Expr | None:
    """Rows that a rule over several columns looks at; ``None`` for all of them."""
    present = [column.is_not_null() for column in columns]
    if ignore_row_if in ("both_values_are_missing", "all_values_are_missing"):
        return pl.any_horizontal(present)
    if ignore_row_if in ("either_value_is_missing", "any_value_is_missing"):
        return pl.all_horizontal(present)
    if ignore_row_if in ("neither", "never"):
        return None
    raise ValueError("unknown ignore_row_if")


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return column if dtype == pl.String else column.cast(pl.String)


def _within(column: pl.Expr, low: Any, high: Any, values: Arguments) -> pl.Expr:
    limits: list[pl.Expr] = []
    if low is not None:
        limits.append(column > low if values.get("strict_min") else column >= low)
    if high is not None:
        limits.append(column < high if values.get("strict_max") else column <= high)
    if not limits:
        raise ValueError("min_value and max_value cannot both be None")
    return limits[0] if len(limits) == 1 else limits[0] & limits[1]


def _members(dtype: pl.DataType, value_set: Any) -> pl.Series:
    """Members that a column of this type can hold; others can never match and are left out."""
    if dtype.is_temporal():
        comparable = [
            _moment(value) for value in value_set if isinstance(value, str | dt.date | dt.time | dt.timedelta)
        ]
    elif dtype == pl.String:
        comparable = [value for value in value_set if isinstance(value, str)]
    elif dtype == pl.Boolean:
        comparable = [bool(value) for value in value_set if isinstance(value, int | float) and value in (0, 1)]
    elif dtype.is_integer():
        comparable = [int(v) for v in value_set if isinstance(v, int | float | Decimal) and v == v // 1]
    elif dtype.is_numeric():
        comparable = [value for value in value_set if isinstance(value, int | float | Decimal)]
    elif dtype == pl.Null:
        comparable = []
    else:
        raise TypeError("a set of values is not defined for this type of column")
    return pl.Series(comparable, dtype=dtype, strict=False).drop_nulls()


def _bound(dtype: pl.DataType, value: Any) -> Any:
    """Check that a bound can be compared with the column, as the pandas engine does."""
    if value is None or dtype == pl.Null:
        return value
    if dtype.is_temporal():
        if not isinstance(value, str | dt.date | dt.time | dt.timedelta):
            raise TypeError("a column of dates or times needs bounds of that kind")
        return _moment(value)
    if dtype.is_numeric() and isinstance(value, int | float | Decimal):
        return value
    if dtype == pl.String and isinstance(value, str):
        return value
    raise TypeError("column and bound are of different kinds")


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return dt.datetime.fromisoformat(value) if len(value) > len("2024-01-31") else dt.date.fromisoformat(value)
