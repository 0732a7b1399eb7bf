"""Values as JSON holds them in a DIP message, and whether they are as published: whole columns at a time.

Source: Elexon's published DIP API as tabled in ``contracts/messages``: date and time in 25 characters with an offset,
numbers as text with three decimals, true and false.
"""

from __future__ import annotations

import polars as pl

from contracts.messages.model import FormKind, MessageForm

LOCAL = "Europe/London"  # days of the record are local days
STAMP = "%Y-%m-%dT%H:%M:%S%:z"
_TRUE, _FALSE = ("T", "true", "Y"), ("F", "false", "N")


def encoded(column: pl.Expr, kind: pl.DataType, form: MessageForm) -> pl.Expr:
    """Return a column as a message holds it; what cannot be written so becomes null.

    Args:
        kind: the column's type. A date becomes local midnight with its offset; a text stays as it is.
    """
    match form.kind:
        case FormKind.DATE_TIME:
            return _stamp(column, kind)
        case FormKind.DECIMAL:
            return column if kind == pl.String else column.cast(pl.Decimal(18, 3), strict=False).cast(pl.String)
        case FormKind.BOOLEAN:
            if kind == pl.Boolean:
                return column
            text = column.cast(pl.String)
            return (
                pl.when(text.is_in(_TRUE)).then(pl.lit(value=True)).when(text.is_in(_FALSE)).then(pl.lit(value=False))
            )
        case FormKind.NUMBER:
            return column.cast(pl.Int64 if form.whole else pl.Float64, strict=False)
        case FormKind.LIST:
            if isinstance(kind, pl.List):
                return column
            text = column.cast(pl.String)
            none: list[str] = []
            return pl.when(text.is_null()).then(pl.lit(none, pl.List(pl.String))).otherwise(pl.concat_list(text))
        case _:
            return column.cast(pl.String)


def _stamp(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Date:
        local = column.cast(pl.Datetime("ms")).dt.replace_time_zone(LOCAL, ambiguous="earliest")
        return local.dt.strftime(STAMP)
    if isinstance(kind, pl.Datetime):
        return column.dt.strftime(STAMP)
    return column.cast(pl.String)


def conforms(column: pl.Expr, form: MessageForm) -> pl.Expr:
    """Return whether an encoded column is as published, null where it is null."""
    match form.kind:
        case FormKind.BOOLEAN:
            return pl.when(column.is_not_null()).then(pl.lit(value=True))
        case FormKind.NUMBER:
            return column.is_between(form.least, form.most)
        case FormKind.LIST:
            return column.list.eval(pl.element().str.contains(f"^(?:{form.pattern})$")).list.all()
        case _:
            return column.is_in(form.codes) if form.codes else column.str.contains(f"^(?:{form.pattern})$")
