"""The ledger: who was given which metering point, for what, when, by whom and why; append-only, chained, for ever.

A *campaign* is one data cut. A *batch* is one change, whole or absent. Its *events* say what happened to each metering
point. A *reservation* says what is so now; the database refuses a second one for the same metering point.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import polars as pl
from sqlalchemy import Connection, Engine, RowMapping, insert, inspect, select
from sqlalchemy.exc import IntegrityError

from contracts.errors import ConfigurationError, EvidenceError, RingFenceError
from contracts.json_types import JsonObject
from contracts.ringfence.model import State
from flows.ringfence import hash_chain, schema
from flows.ringfence.database import (
    RESERVED,
    damage,
    drop,
    engine_of,
    get,
    place_of,
    put,
    reading,
    set_state,
    sqlite_file,
    writing,
)
from flows.ringfence.schema import EVENT, ROW, batch, event, reservation
from flows.ringfence.transitions import Selection, returned, settle

PLAN, COMMIT = "plan", "commit"
DAMAGED = "nothing was committed; restore it from a backup"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes what, when and why.

    Attributes:
        idempotency_key: the same key and the same request are the same change, committed once.
        request_sha256: digest of everything the change was computed from.
        base: number of the last change that the solver had seen; None: it does not depend on the others.
        body: what else is to be kept with the change, as JSON.
    """

    campaign: str
    idempotency_key: str
    request_sha256: str
    actor: str
    at: str
    reason: str
    base: int | None = None
    body: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a change that does not say who, when and why.

        Raises:
            ConfigurationError: one of them is blank.
        """
        missing = [name for name in ("actor", "at", "reason") if not getattr(self, name).strip()]
        if missing:
            raise ConfigurationError(f"a change needs {', '.join(missing)}", where="ledger")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A batch as the ledger holds it; ``replayed``: it was there already."""

    campaign: str
    number: int
    kind: str
    request_sha256: str
    base: int
    sha256: str
    events: int
    replayed: bool
    body: JsonObject


class Ledger:
    """A ledger by URL.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://...``.
        make: make the tables where they are missing.

    Raises:
        ConfigurationError: the URL is not one of them. PlaceError: the database is unfit or away.
        EvidenceError: it holds no ledger, or one of another format.
    """

    def __init__(self, url: str, *, make: bool = True) -> None:
        self.engine: Engine = engine_of(url, make=make)
        with reading(self.engine) as connection:
            fresh = not inspect(connection).has_table(schema.ledger.name)
            found = None if fresh else connection.execute(select(schema.ledger.c.format)).scalar()
        if fresh and make:
            with writing(self.engine, "") as connection:
                found = schema.create(connection)
        if found != schema.FORMAT:
            what = "holds no ledger" if found is None else f"has format {found}, this version reads {schema.FORMAT}"
            old = found is not None and found < schema.FORMAT
            raise EvidenceError(
                what, where=place_of(self.engine), remedy="bring it up with datacut ringfence migrate" if old else ""
            )
        with reading(self.engine) as connection:
            self.id = str(connection.execute(select(schema.identity.c.id)).scalar_one())

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Ledger:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # -- reading ----------------------------------------------------------------------------------------------

    def head(self, campaign: str) -> str:
        """Return the digest of a campaign's last batch (or of its emptiness)."""
        with reading(self.engine) as connection:
            return _last(connection, campaign)[1]

    def last(self, campaign: str) -> tuple[int, str]:
        """Return number and digest of a campaign's last batch."""
        with reading(self.engine) as connection:
            return _last(connection, campaign)

    def digests(self, campaign: str) -> list[str]:
        """Return the digest of every batch of a campaign, the oldest first."""
        query = select(batch.c.sha256).where(batch.c.campaign == campaign).order_by(batch.c.number)
        with reading(self.engine) as connection:
            return [str(found) for (found,) in connection.execute(query)]

    def version(self, campaign: str) -> int:
        """Return the number of the last batch that changed a reservation."""
        with reading(self.engine) as connection:
            return _version(connection, campaign)

    def find(self, campaign: str, idempotency_key: str) -> Receipt | None:
        """Return the batch with a key."""
        with reading(self.engine) as connection:
            row = _with_key(connection, campaign, idempotency_key)
        return _receipt(row, replayed=True) if row is not None else None

    def latest(
        self, campaign: str, kind: str, *, number: int | None = None, request: str | None = None
    ) -> Receipt | None:
        """Return the last batch of a kind, or the one with a number, or the last of a request."""
        query = select(batch).where(batch.c.campaign == campaign, batch.c.kind == kind)
        if request is not None:
            query = query.where(batch.c.request_sha256 == request)
        if number is not None:
            query = query.where(batch.c.number == number)
        with reading(self.engine) as connection:
            row = connection.execute(query.order_by(batch.c.number.desc()).limit(1)).mappings().first()
        return _receipt(row, replayed=True) if row is not None else None

    def batches(self, campaign: str) -> pl.DataFrame:
        """Return what every batch says about itself (all columns but its body), the oldest first."""
        names = tuple(column.name for column in batch.c if column.name != "body")
        query = select(*(batch.c[name] for name in names)).where(batch.c.campaign == campaign)
        with reading(self.engine) as connection:
            return get(connection, query.order_by(batch.c.number), names)

    def events(self, campaign: str, *, mpan: str | None = None, number: int | None = None) -> pl.DataFrame:
        """Return events (``tables.EVENT`` and batch) in order: of a metering point, or of a batch."""
        names = (*EVENT, "batch")
        query = select(*(event.c[name] for name in names)).where(event.c.campaign == campaign)
        if mpan is not None:
            query = query.where(event.c.mpan == mpan)
        if number is not None:
            query = query.where(event.c.batch == number)
        with reading(self.engine) as connection:
            return get(connection, query.order_by(event.c.batch, event.c.place), names)

    def reservations(self, campaign: str, selection: Selection | None = None) -> pl.DataFrame:
        """Return the reservations (``bulk.RESERVED``), all or some, sorted by mpan."""
        with reading(self.engine) as connection:
            return _reservations(connection, campaign, selection or Selection())

    def given_back(self, campaign: str) -> pl.DataFrame:
        """Return what metering points did before they were given back to the pool (``tables.ROW`` and ``was``)."""
        with reading(self.engine) as connection:
            return returned(connection, campaign)

    # -- writing ----------------------------------------------------------------------------------------------

    def propose(self, change: Change, rows: pl.DataFrame) -> Receipt:
        """Write a plan down: what would be reserved (columns ``tables.ROW``). It holds nothing."""
        with writing(self.engine, change.campaign) as connection:
            if (found := _replayed(connection, change)) is not None:
                return found
            return _append(connection, change, PLAN, _events(rows, State.PLANNED))

    def commit(self, change: Change, rows: pl.DataFrame) -> Receipt:
        """Reserve metering points (columns ``tables.ROW``), all of them or none.

        Raises:
            RingFenceError: the plan is stale, a metering point is reserved already, or the key was used for another
                request.
        """
        try:
            with writing(self.engine, change.campaign) as connection:
                if (found := _replayed(connection, change)) is not None:
                    return found
                _refuse_stale(connection, change, self.engine)
                receipt = _append(connection, change, COMMIT, _events(rows, State.COMMITTED))
                same: dict[str, str | int] = {"state": State.COMMITTED.value, "batch": receipt.number}
                put(connection, reservation, rows.select(ROW), {**same, "campaign": change.campaign})
                if faults := damage(connection):
                    raise EvidenceError("; ".join(faults), where=place_of(self.engine), remedy=DAMAGED)
                return receipt
        except IntegrityError:
            raise RingFenceError(
                "a metering point is already reserved; nothing was committed",
                where=place_of(self.engine),
                remedy="plan again on what is left",
            ) from None

    def move(self, change: Change, selection: Selection, to: State, *, pool: bool = True) -> Receipt:
        """Give reservations another state, all of the selected or none; whole units.

        Args:
            selection: which of them.
            to: issued, consumed, released or quarantined.
            pool: a release gives those back to the pool that were never issued, or whose test allowed reuse.

        Raises:
            RingFenceError: nothing is selected, or a state may not follow the one that stands.
        """
        with writing(self.engine, change.campaign) as connection:
            if (found := _replayed(connection, change)) is not None:
                return found
            _refuse_stale(connection, change, self.engine)
            chosen = settle(_reservations(connection, change.campaign, selection), to, pool=pool)
            receipt = _append(connection, change, to.value, chosen.select(EVENT))
            back = chosen["pooled"] == 1
            drop(connection, change.campaign, chosen["mpan"].filter(back))
            set_state(connection, change.campaign, chosen["mpan"].filter(~back), to.value, receipt.number)
            return receipt


def has_ledger(url: str) -> bool:
    """Tell whether there is a ledger at a URL; makes nothing.

    Raises:
        ConfigurationError: the URL is unfit. PlaceError: the server is away, or the file is no database.
    """
    file = sqlite_file(url)
    if file is not None and (not file.is_file() or not file.stat().st_size):
        return False
    engine = engine_of(url, make=False)
    try:
        with reading(engine) as connection:
            return inspect(connection).has_table(schema.ledger.name)
    finally:
        engine.dispose()


def _last(connection: Connection, campaign: str) -> tuple[int, str]:
    query = select(batch.c.number, batch.c.sha256).where(batch.c.campaign == campaign)
    row = connection.execute(query.order_by(batch.c.number.desc()).limit(1)).first()
    return (int(row[0]), str(row[1])) if row else (0, hash_chain.genesis(campaign))


def _version(connection: Connection, campaign: str) -> int:
    query = select(batch.c.number).where(batch.c.campaign == campaign, batch.c.kind != PLAN)
    return int(connection.execute(query.order_by(batch.c.number.desc()).limit(1)).scalar() or 0)


def _refuse_stale(connection: Connection, change: Change, engine: Engine) -> None:
    version = _version(connection, change.campaign)
    if change.base is not None and change.base != version:
        raise RingFenceError(
            f"the plan is stale: made on change {change.base}, the ledger is at {version}",
            where=place_of(engine),
            remedy="plan again",
        )


def _reservations(connection: Connection, campaign: str, selection: Selection) -> pl.DataFrame:
    query = select(*(reservation.c[name] for name in RESERVED)).where(reservation.c.campaign == campaign)
    query = query.where(*selection.conditions()).order_by(reservation.c.mpan)
    return selection.among(get(connection, query, RESERVED))


def _with_key(connection: Connection, campaign: str, key: str) -> RowMapping | None:
    query = select(batch).where(batch.c.campaign == campaign, batch.c.idempotency_key == key)
    return connection.execute(query).mappings().first()


def _receipt(row: RowMapping, *, replayed: bool) -> Receipt:
    names = ("campaign", "number", "kind", "request_sha256", "base", "sha256", "events")
    return Receipt(**{name: row[name] for name in names}, replayed=replayed, body=json.loads(row["body"]))


def _replayed(connection: Connection, change: Change) -> Receipt | None:
    row = _with_key(connection, change.campaign, change.idempotency_key)
    if row is None:
        return None
    if row["request_sha256"] != change.request_sha256:
        raise RingFenceError(
            f"key {change.idempotency_key} is already used for another request",
            where="ledger",
            remedy="give the new request its own key",
        )
    return _receipt(row, replayed=True)


def _events(rows: pl.DataFrame, happened: State) -> pl.DataFrame:
    return rows.sort("mpan").select(pl.lit(happened.value).alias("kind"), pl.lit(0, pl.Int64).alias("pooled"), *ROW)


def _append(connection: Connection, change: Change, kind: str, rows: pl.DataFrame) -> Receipt:
    """Write a batch with its events (columns ``tables.EVENT``)."""
    number, previous = _last(connection, change.campaign)
    number += 1
    digest, events = hash_chain.events_digest([rows])
    body = hash_chain.canonical(change.body)
    base = -1 if change.base is None else change.base
    header: dict[str, str | int] = {
        "campaign": change.campaign,
        "number": number,
        "kind": kind,
        "idempotency_key": change.idempotency_key,
        "request_sha256": change.request_sha256,
        "base": base,
        "actor": change.actor,
        "at": change.at,
        "reason": change.reason,
        "events": events,
    }
    sha256 = hash_chain.seal(header, previous, digest, body)
    connection.execute(insert(batch).values(**header, body=body, previous_sha256=previous, sha256=sha256))
    placed = rows.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64))
    put(connection, event, placed, {"batch": number, "campaign": change.campaign})
    return Receipt(change.campaign, number, kind, change.request_sha256, base, sha256, events, False, json.loads(body))
