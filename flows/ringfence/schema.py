"""Tables of the ledger, the same on SQLite and PostgreSQL, and the triggers that make its history append-only."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    text,
    update,
)

FORMAT = 2
"""Version of the tables; another number is another ledger, or one to migrate (:mod:`flows.ringfence.copies`)."""

CHAIN = 1
"""Version of the chain of digests: a migration leaves every digest as it is."""

METADATA = MetaData()

ledger = Table("ringfence_ledger", METADATA, Column("format", Integer, primary_key=True))

identity = Table(
    "ringfence_identity",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("made", String(40), nullable=False),
)

batch = Table(
    "ringfence_batch",
    METADATA,
    Column("campaign", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("idempotency_key", String(200), nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("base", Integer, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", String(40), nullable=False),
    Column("reason", Text, nullable=False),
    Column("events", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    PrimaryKeyConstraint("campaign", "number"),
    UniqueConstraint("campaign", "idempotency_key"),
)


def _what() -> list[Column[str] | Column[int]]:
    return [
        Column("unit", String(40), nullable=False),
        Column("phase", String(40), nullable=False),
        Column("stage", String(120), nullable=False),
        Column("test_case", String(200), nullable=False),
        Column("participant", String(120), nullable=False),
        Column("participant_role", String(120), nullable=False),
        Column("role", String(16), nullable=False),
        Column("round", Integer, nullable=False),
        Column("reuse", Integer, nullable=False),
    ]


event = Table(
    "ringfence_event",
    METADATA,
    Column("campaign", String(64), nullable=False),
    Column("batch", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("mpan", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("pooled", Integer, nullable=False),
    *_what(),
    PrimaryKeyConstraint("campaign", "batch", "place"),
    Index("ringfence_event_mpan", "campaign", "mpan"),
)

reservation = Table(
    "ringfence_reservation",
    METADATA,
    Column("campaign", String(64), nullable=False),
    Column("mpan", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("batch", Integer, nullable=False),
    *_what(),
    PrimaryKeyConstraint("campaign", "mpan"),  # one metering point, one reservation: the database itself refuses two
    Index("ringfence_reservation_case", "campaign", "test_case"),
)

HISTORY = (batch, event)
WHAT = ("unit", "phase", "stage", "test_case", "participant", "participant_role", "role", "round", "reuse")
"""What a metering point is reserved for."""

ROW = ("mpan", *WHAT)
"""Columns of a reservation."""

EVENT = ("kind", "pooled", *ROW)
"""Columns of an event, in the order in which the chain digests them. ``pooled``: given back to the pool by it."""

_REFUSAL = "the history of the ring-fence ledger is append-only"


def create(connection: Connection) -> int:
    """Make the tables and triggers where they are missing; return the format of the ledger."""
    METADATA.create_all(connection)
    found = connection.execute(select(ledger.c.format)).scalars().all()
    if found:
        return int(found[0])
    guard(connection)
    connection.execute(insert(ledger).values(format=FORMAT))
    connection.execute(insert(identity).values(id=secrets.token_hex(16), made=_now()))
    return FORMAT


def guard(connection: Connection) -> None:
    """Make the triggers that keep the history append-only."""
    for statement in _TRIGGERS[connection.dialect.name]:
        connection.execute(text(statement))


def migrate(connection: Connection) -> int:
    """Bring a ledger of an earlier format to this one; return the format it had. History and digests stay as they are.

    Format 1 had no id.
    """
    had = int(connection.execute(select(ledger.c.format)).scalar_one())
    if had == 1:
        identity.create(connection, checkfirst=True)
        connection.execute(insert(identity).values(id=secrets.token_hex(16), made=_now()))
        connection.execute(update(ledger).values(format=FORMAT))
    return had


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        for table in HISTORY
        for verb in ("UPDATE", "DELETE")
    ]


def _postgresql() -> list[str]:
    function = (
        "CREATE OR REPLACE FUNCTION ringfence_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    return [
        function,
        *(
            f"CREATE TRIGGER {table.name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ringfence_append_only()"
            for table in HISTORY
        ),
    ]


_TRIGGERS = {"sqlite": _sqlite(), "postgresql": _postgresql()}
