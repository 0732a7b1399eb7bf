"""The column type that each form becomes: what rules may count on."""

from __future__ import annotations

import polars as pl

from contracts.model import Column
from contracts.vocabulary import Form

DECIMAL_DIGITS, DECIMAL_SCALE = 16, 3


def column_type(column: Column) -> pl.DataType:
    """Return the type of a conformed column."""
    match column.form:
        case Form.DATE:
            return pl.Date()
        case Form.DECIMAL:
            return pl.Decimal(DECIMAL_DIGITS, int(column.options.get("scale", DECIMAL_SCALE)))
        case Form.INTEGER:
            return pl.Int32()
        case _:
            return pl.String()
