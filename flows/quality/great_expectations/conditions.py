"""Conditions on a row as Polars expressions: SQL text, and the condition objects of Great Expectations."""

from __future__ import annotations

from typing import Any

import polars as pl

from contracts.conditions import NotRowWiseError, parse_sql

__all__ = ["NotRowWiseError", "compare", "parse_sql"]


def compare(column: str, operator: str, parameter: Any) -> pl.Expr:
    """Return ``column operator parameter`` for an operator of Great Expectations' condition objects."""
    value = pl.col(column)
    if operator in ("IN", "NOT_IN"):
        within = value.is_in(list(parameter))
        return within if operator == "IN" else ~within
    comparisons = {
        "==": value.eq,
        "!=": value.ne,
        "<": value.lt,
        "<=": value.le,
        ">": value.gt,
        ">=": value.ge,
    }
    return comparisons[operator](pl.lit(parameter))
