"""SQL conditions of contracts as Polars expressions: about one row, the same on any day, or refused."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import polars as pl

# Where each kind of node in Polars' own form of an expression keeps its operands. What is not listed is
# refused: aggregates, windows and row counts would depend on how an extract is cut into partitions.
_OPERANDS: dict[str, tuple[str, ...]] = {
    "Column": (),
    "Literal": (),
    "BinaryExpr": ("left", "right"),
    "Cast": ("expr",),
    "Ternary": ("predicate", "truthy", "falsy"),
    "Function": ("input",),
}
# Functions of one row; Boolean, StringExpr, TemporalExpr and Sql are whole families.
_FUNCTIONS = frozenset(
    {
        "Boolean",
        "StringExpr",
        "TemporalExpr",
        "Sql",
        "Coalesce",
        "FillNull",
        "Abs",
        "Sign",
        "MaxHorizontal",
        "MinHorizontal",
    }
)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_CLOCK = re.compile(r"\b(?:now|current_(?:date|time|timestamp)|local(?:time|timestamp))\b", re.IGNORECASE)


class NotRowWiseError(ValueError):
    """A condition looks at other rows (an aggregate, a window), at the clock, or at no column at all."""


@lru_cache(maxsize=4096)
def sql(text: str) -> pl.Expr:
    """Parse any SQL expression over the columns of one row, constants included; the same text once only.

    Raises:
        NotRowWiseError: the expression aggregates, uses a window, or reads the clock.
        polars.exceptions.PolarsError: the text is not one SQL expression.
    """
    if _CLOCK.search(_QUOTED.sub("", text)):
        raise NotRowWiseError("a condition must give the same answer on any day")
    expression = pl.sql_expr(text)
    if not _is_row_wise(json.loads(expression.meta.serialize(format="json"))):
        raise NotRowWiseError("a condition must be about the columns of one row")
    return expression


def parse_sql(text: str) -> pl.Expr:
    """Parse an SQL boolean expression over the columns of one row, three-valued as in SQL.

    Raises:
        NotRowWiseError: the expression aggregates, uses a window, reads the clock, or names no column.
        polars.exceptions.PolarsError: the text is not one SQL expression.
    """
    expression = sql(text)
    if not expression.meta.root_names():
        raise NotRowWiseError("a condition must be about the columns of one row")
    return expression


def _is_row_wise(node: Any) -> bool:
    if isinstance(node, list):
        return all(_is_row_wise(operand) for operand in node)
    if not isinstance(node, dict) or len(node) != 1:
        return False
    ((kind, body),) = node.items()
    if kind == "Function":
        function = body["function"]
        name = function if isinstance(function, str) else next(iter(function))
        if name not in _FUNCTIONS:
            return False
    operands = _OPERANDS.get(kind)
    return operands is not None and all(_is_row_wise(body[operand]) for operand in operands)
