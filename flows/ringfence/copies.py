"""Copies of a ledger: a backup taken while it is used, the way back, and the way up from an earlier format.

A backup is an SQLite file, whatever the ledger's engine: one snapshot of all its tables, id and digests unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from contracts.errors import ConfigurationError, EvidenceError, RingFenceError
from flows.cut.workspace import disk
from flows.files import whole
from flows.ringfence import schema
from flows.ringfence.audit import campaigns, verify_ledger
from flows.ringfence.database import CHUNK, engine_of, place_of, reading, writing
from flows.ringfence.ledger import Ledger, has_ledger

TABLES = (schema.batch, schema.event, schema.reservation)


def backup(ledger: Ledger, out: Path) -> int:
    """Copy a ledger into a new file while it may be in use, and check the copy; return how many changes it holds.

    Raises:
        ConfigurationError: the file is there already. PlaceError: database or disk refuse.
        EvidenceError: the ledger does not hold.
    """
    if out.exists():
        raise ConfigurationError("is there already", where=str(out), remedy="choose another name for the backup")
    with disk(out), whole(out, durable=True) as growing:
        _clear(growing)  # what a backup that was killed has left
        _copy(ledger, f"sqlite:///{growing}")
        count = _checked(f"sqlite:///{growing}")
        _clear(growing, "-wal", "-shm")
    return count


def _clear(file: Path, *more: str) -> None:
    for ending in more or ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + ending).unlink(missing_ok=True)


def restore(source: Path, url: str, *, fits: Callable[[Ledger], None] = lambda _: None) -> int:
    """Put a backup in the place of a ledger that is gone; return how many changes it holds.

    Args:
        fits: is asked before anything is written, and raises where the backup is not the one that is wanted.

    Raises:
        RingFenceError: there is a ledger. ConfigurationError, EvidenceError: the file is no backup, or does not hold.
        PlaceError: the database refuses.
    """
    if not source.is_file():
        raise ConfigurationError("there is no such file", where=str(source), remedy="name a backup of a ledger")
    if has_ledger(url):
        raise RingFenceError(
            "there is a ledger already",
            where="ring_fence.ledger",
            remedy="move it away first, if it is not the right one",
        )
    with Ledger(f"sqlite:///{source}", make=False) as kept:
        fits(kept)
        for campaign in campaigns(kept):
            verify_ledger(kept, campaign)
        _copy(kept, url)
    return _checked(url)


def _copy(ledger: Ledger, url: str) -> None:
    """Write all of a ledger into an empty place, as of one moment, in one transaction."""
    target = engine_of(url)
    try:
        with reading(ledger.engine) as source, writing(target, "") as into:
            schema.METADATA.create_all(into)
            if into.execute(select(func.count()).select_from(schema.ledger)).scalar_one():
                raise RingFenceError("there is a ledger already", where=place_of(target))
            schema.guard(into)
            for table in (schema.ledger, schema.identity, *TABLES):
                _rows(source, into, table)
    finally:
        target.dispose()


def _rows(source: Connection, into: Connection, table: Any) -> None:
    found = source.execute(select(table), execution_options={"yield_per": CHUNK})
    for rows in found.mappings().partitions():
        into.execute(insert(table), [dict(row) for row in rows])


def _checked(url: str) -> int:
    with Ledger(url, make=False) as copy:
        return sum(verify_ledger(copy, campaign).batches for campaign in campaigns(copy))


def migrate(url: str) -> int:
    """Bring a ledger of an earlier format to this one, in one transaction; return the format it had.

    Raises:
        RingFenceError: there is no ledger. EvidenceError: it is of a later version, or does not hold afterwards.
    """
    if not has_ledger(url):
        raise RingFenceError(
            "there is no ledger", where="ring_fence.ledger", remedy="make it with datacut ringfence init"
        )
    engine = engine_of(url, make=False)
    try:
        with writing(engine, "") as connection:
            had = schema.migrate(connection)
    finally:
        engine.dispose()
    if had > schema.FORMAT:
        raise EvidenceError(f"has format {had}, of a later version", where="ledger", remedy="install that version")
    _checked(url)
    return had
