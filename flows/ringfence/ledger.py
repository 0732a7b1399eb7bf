"""The ledger: who was given which metering point, for what, when, by whom and why; append-only, chained, for ever.

A *campaign* is one data cut. A *batch* is one change, whole or absent. Its *events* say what happened to each metering
point. A *reservation* says what is so now; the database refuses a second one for the same metering point.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, RowMapping, func, insert, inspect, select
from sqlalchemy.exc import IntegrityError

from contracts.errors import EvidenceError, RingFenceError
from flows.ringfence import chain, tables
from flows.ringfence.connect import engine_of, place_of, reading, writing
from flows.ringfence.tables import ROW, batch, event, reservation

CHUNK = 20_000
ROW_SCHEMA = {name: pl.Int64 if name in ("round", "reuse") else pl.String for name in ROW}


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what, when and why.

    Attributes:
        idempotency_key: the same key and the same request are the same change, committed once.
        request_sha256: digest of everything the change was computed from.
        base: number of the last change that the solver had seen; None: it does not depend on the others.
    """

    campaign: str
    idempotency_key: str
    request_sha256: str
    actor: str
    at: str
    reason: str
    base: int | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A batch as the ledger holds it; ``replayed``: it was there already."""

    campaign: str
    number: int
    kind: str
    sha256: str
    events: int
    replayed: bool
    body: dict[str, Any]


class Ledger:
    """A ledger by URL.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://...``.

    Raises:
        ConfigurationError: the URL is not one of them. PlaceError: the database is unfit or away.
        EvidenceError: it holds a ledger of another format.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = engine_of(url)
        with reading(self.engine) as connection:
            fresh = not inspect(connection).has_table(tables.ledger.name)
            found = None if fresh else connection.execute(select(tables.ledger.c.format)).scalar()
        if fresh:
            with writing(self.engine, "") as connection:
                found = tables.create(connection)
        if found != tables.FORMAT:
            raise EvidenceError(f"has format {found}, this version reads {tables.FORMAT}", where=place_of(self.engine))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading ----------------------------------------------------------------------------------------------

    def head(self, campaign: str) -> str:
        """Return the digest of a campaign's last batch (or of its emptiness)."""
        with reading(self.engine) as connection:
            return _head(connection, campaign)[1]

    def version(self, campaign: str) -> int:
        """Return the number of the last batch that changed a reservation."""
        with reading(self.engine) as connection:
            return _version(connection, campaign)

    def find(self, campaign: str, idempotency_key: str) -> Receipt | None:
        """Return the batch with a key."""
        with reading(self.engine) as connection:
            row = _with_key(connection, campaign, idempotency_key)
        return _receipt(row, replayed=True) if row is not None else None

    def reservations(self, campaign: str) -> pl.DataFrame:
        """Return the reservations: mpan, what for, state, batch of the last change; sorted by mpan."""
        columns = [reservation.c[name] for name in (*ROW, "state", "batch")]
        query = select(*columns).where(reservation.c.campaign == campaign).order_by(reservation.c.mpan)
        with reading(self.engine) as connection:
            rows = connection.execute(query).fetchall()
        schema = {**ROW_SCHEMA, "state": pl.String, "batch": pl.Int64}
        return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")

    # -- writing ----------------------------------------------------------------------------------------------

    def commit(self, change: Change, rows: pl.DataFrame) -> Receipt:
        """Reserve metering points, all of them or none.

        Args:
            rows: the columns of ``ROW``.

        Raises:
            RingFenceError: the plan is stale, a metering point is reserved already, or the key was used for another
                request.
        """
        try:
            with writing(self.engine, change.campaign) as connection:
                if (found := _replayed(connection, change)) is not None:
                    return found
                version = _version(connection, change.campaign)
                if change.base is not None and change.base != version:
                    raise RingFenceError(
                        f"the plan is stale: solved on change {change.base}, the ledger is at {version}",
                        where=place_of(self.engine),
                        remedy="plan again",
                    )
                receipt = _append(connection, change, "commit", "committed", rows.sort("mpan"))
                _insert(connection, reservation, rows, {"state": "committed", "batch": receipt.number}, change.campaign)
                return receipt
        except IntegrityError:
            raise RingFenceError(
                "a metering point is reserved already: nothing was committed",
                where=place_of(self.engine),
                remedy="plan again on what is left",
            ) from None


def _head(connection: Connection, campaign: str) -> tuple[int, str]:
    query = select(batch.c.number, batch.c.sha256).where(batch.c.campaign == campaign)
    row = connection.execute(query.order_by(batch.c.number.desc()).limit(1)).first()
    return (int(row[0]), str(row[1])) if row else (0, chain.genesis(campaign))


def _version(connection: Connection, campaign: str) -> int:
    query = select(func.max(batch.c.number)).where(batch.c.campaign == campaign, batch.c.kind != "plan")
    return int(connection.execute(query).scalar() or 0)


def _with_key(connection: Connection, campaign: str, key: str) -> RowMapping | None:
    query = select(batch).where(batch.c.campaign == campaign, batch.c.idempotency_key == key)
    return connection.execute(query).mappings().first()


def _receipt(row: RowMapping, *, replayed: bool) -> Receipt:
    body = json.loads(row["body"])
    return Receipt(row["campaign"], row["number"], row["kind"], row["sha256"], row["events"], replayed, body)


def _replayed(connection: Connection, change: Change) -> Receipt | None:
    row = _with_key(connection, change.campaign, change.idempotency_key)
    if row is None:
        return None
    if row["request_sha256"] != change.request_sha256:
        raise RingFenceError(
            f"key {change.idempotency_key} was used for another request",
            where="ledger",
            remedy="give the new request its own key",
        )
    return _receipt(row, replayed=True)


def _append(connection: Connection, change: Change, kind: str, happened: str, rows: pl.DataFrame) -> Receipt:
    """Write a batch with one event for each of ``rows``."""
    number, previous = _head(connection, change.campaign)
    number += 1
    rows = rows.select(ROW).with_columns(pl.lit(happened).alias("kind"))
    digest, events = chain.events_digest([rows])
    body = chain.canonical(change.body)
    header = {
        "campaign": change.campaign,
        "number": number,
        "kind": kind,
        "idempotency_key": change.idempotency_key,
        "request_sha256": change.request_sha256,
        "base": -1 if change.base is None else change.base,
        "actor": change.actor,
        "at": change.at,
        "reason": change.reason,
        "events": events,
    }
    sha256 = chain.seal(header, previous, digest, body)
    connection.execute(insert(batch).values(**header, body=body, previous_sha256=previous, sha256=sha256))
    placed = rows.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    _insert(connection, event, placed, {"batch": number}, change.campaign)
    return Receipt(change.campaign, number, kind, sha256, events, False, change.body)


def _insert(connection: Connection, table: Any, rows: pl.DataFrame, same: dict[str, Any], campaign: str) -> None:
    for part in _slices(rows):
        values = [{**row, **same, "campaign": campaign} for row in part.to_dicts()]
        connection.execute(insert(table), values)


def _slices(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for begin in range(0, rows.height, CHUNK):
        yield rows.slice(begin, CHUNK)
