"""Frames into tables and back, in slices, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, Table, bindparam, delete, insert, update

from flows.ringfence.schema import ROW, reservation

CHUNK = 20_000
WHOLE_NUMBERS = ("round", "reuse", "pooled", "place", "batch")


def schema_of(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the frame schema of ledger columns."""
    return {name: pl.Int64 if name in WHOLE_NUMBERS else pl.String for name in names}


def put(connection: Connection, table: Table, rows: pl.DataFrame, same: dict[str, Any]) -> None:
    """Insert the rows of a frame, each with the values of ``same`` added."""
    for part in rows.iter_slices(CHUNK):
        connection.execute(insert(table), [{**row, **same} for row in part.to_dicts()])


def parts(connection: Connection, query: Select[Any], names: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Yield the answer of a query in slices."""
    found = connection.execute(query, execution_options={"yield_per": CHUNK})
    for rows in found.partitions():
        yield pl.DataFrame([tuple(row) for row in rows], schema=schema_of(names), orient="row")


def get(connection: Connection, query: Select[Any], names: tuple[str, ...]) -> pl.DataFrame:
    """Return the answer of a query as a frame."""
    return pl.concat([pl.DataFrame(schema=schema_of(names)), *parts(connection, query, names)])


def set_state(connection: Connection, campaign: str, mpans: pl.Series, state: str, batch: int) -> None:
    """Give reservations another state."""
    statement = (
        update(reservation)
        .where(reservation.c.campaign == campaign, reservation.c.mpan == bindparam("one"))
        .values(state=state, batch=batch)
    )
    _each(connection, statement, mpans)


def drop(connection: Connection, campaign: str, mpans: pl.Series) -> None:
    """End reservations."""
    _each(
        connection,
        delete(reservation).where(reservation.c.campaign == campaign, reservation.c.mpan == bindparam("one")),
        mpans,
    )


def _each(connection: Connection, statement: Any, mpans: pl.Series) -> None:
    for begin in range(0, len(mpans), CHUNK):
        connection.execute(statement, [{"one": mpan} for mpan in mpans.slice(begin, CHUNK).to_list()])


RESERVED = (*ROW, "state", "batch")
"""Columns of the reservations as the ledger returns them."""
