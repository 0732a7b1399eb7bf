"""Connections to a ledger: SQLite on a local disk (WAL, FULL, BEGIN IMMEDIATE) or PostgreSQL, by URL."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, OperationalError

from contracts.errors import ConfigurationError, DataCutError, EvidenceError, PlaceError
from flows.ringfence.schema import ROW, reservation

CHUNK = 20_000
WHOLE_NUMBERS = ("round", "reuse", "pooled", "place", "batch", "number", "base", "events")


def schema_of(names: tuple[str, ...]) -> dict[str, type[pl.DataType]]:
    """Return the frame schema of ledger columns."""
    return {name: pl.Int64 if name in WHOLE_NUMBERS else pl.String for name in names}


def put(connection: Connection, table: Table, rows: pl.DataFrame, same: Mapping[str, str | int]) -> None:
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
BUSY_SECONDS = 120
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "ncpfs")
WRITES = {"ringfence_writes": True}
CONNECTED = {"connect_timeout": 30, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""To PostgreSQL, unless the URL says otherwise: a server whose machine is gone is noticed within a minute."""


def engine_of(url: str, *, make: bool = True) -> Engine:
    """Return an engine for a ledger URL.

    Args:
        make: make an SQLite file where there is none.

    Raises:
        ConfigurationError: neither ``sqlite:///FILE`` nor ``postgresql://...``.
        PlaceError: no driver, no file, or an SQLite file on a network file system.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("is not a database URL", where="ledger") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, make=make)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed)
    raise ConfigurationError("is neither sqlite:///FILE nor postgresql://...", where="ledger")


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite ledger; nothing for a server.

    Raises:
        ConfigurationError: it is no URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("is not a database URL", where="ledger") from None
    named = parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:"
    return Path(str(parsed.database)) if named else None


def damage(connection: Connection) -> list[str]:
    """Look at the tables without believing their indexes; name what does not hold.

    A damaged index lets a second reservation of one metering point in, and answers that nothing is there.
    """
    if connection.dialect.name == "sqlite":
        told = [str(line) for (line,) in connection.execute(text("PRAGMA integrity_check(5)"))]
        faults = [] if told == ["ok"] else [f"the database is damaged ({len(told)} faults or more)"]
        table = f"{reservation.name} NOT INDEXED"
    else:
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            connection.execute(text(f"SET LOCAL enable_{kind} = off"))
        faults, table = [], reservation.name
    twice = f"SELECT count(*) FROM (SELECT 1 AS one FROM {table} GROUP BY campaign, mpan HAVING count(*) > 1) AS twice"  # noqa: S608
    found = int(connection.execute(text(twice)).scalar_one())
    if connection.dialect.name != "sqlite":
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            connection.execute(text(f"SET LOCAL enable_{kind} = on"))
        faults += _index_answers(connection)
    return [*faults, f"{found} metering points are reserved twice"] if found else faults


def _index_answers(connection: Connection) -> list[str]:
    """Compare what PostgreSQL's index says of reservations with what the table holds."""
    rows = int(connection.execute(text(f"SELECT count(*) FROM {reservation.name}")).scalar_one())  # noqa: S608
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    query = f"SELECT count(*) FROM (SELECT campaign, mpan FROM {reservation.name} ORDER BY campaign, mpan) AS kept"  # noqa: S608
    indexed = int(connection.execute(text(query)).scalar_one())
    connection.execute(text("SET LOCAL enable_seqscan = on"))
    return [] if rows == indexed else ["an index does not hold what its table holds"]


def _sqlite(url: URL, *, make: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("names no file: sqlite:///FILE", where="ledger")
    file = Path(url.database)
    kind = file_system(file.resolve().parent)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        raise PlaceError(
            f"lies on a network file system ({kind}), where SQLite's locks do not hold",
            where=str(file),
            remedy="use a local disk, or PostgreSQL",
        )
    if make:
        _make_private(file)
    elif not file.is_file():
        raise PlaceError("does not exist", where=str(file))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _make_private(file: Path) -> None:
    """Make an empty file that its owner alone may read, unless there is one."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as fault:
        raise PlaceError("cannot be written", where=str(file), remedy=fault.strerror or "") from None


def _pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where ``_begin`` says
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Begin at once as a writer: a reader that turns writer half-way is refused without waiting."""
    writes = connection.get_execution_options().get("ringfence_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL) -> Engine:
    asked = {name: value for name, value in CONNECTED.items() if name not in url.query}
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), hide_parameters=True, connect_args=asked)
    except ModuleNotFoundError:
        raise PlaceError("needs a driver for PostgreSQL", where="ledger", remedy="pip install 'datacut[si]'") from None


def file_system(folder: Path) -> str:
    """Return the type of the file system a folder lies on; empty where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    best = ("", "")
    for line in lines:
        _, mount, kind = line.split()[:3]
        point = mount.replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


@contextlib.contextmanager
def writing(engine: Engine, campaign: str) -> Iterator[Connection]:
    """Open a transaction that no other writer of the campaign overlaps; commit at the end, or nothing.

    Raises:
        PlaceError: the database is away, full or busy. EvidenceError: it is damaged.
    """
    committing = False
    try:
        with translated(engine), engine.connect().execution_options(**WRITES) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                number = int.from_bytes(hashlib.sha256(f"datacut ringfence {campaign}".encode()).digest()[:8], "big")
                connection.execute(text(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'"))  # as SQLite waits
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": number - 2**63})
            yield connection
            committing = engine.dialect.name == "postgresql"
    except PlaceError as fault:
        if not committing:
            raise
        raise PlaceError(
            "went away in a commit: whether it was made is not known",
            where=fault.where,
            remedy="start the server and run the same command again; datacut ringfence status shows what stands",
        ) from None


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the ledger.

    Raises:
        PlaceError: the database is away or busy. EvidenceError: it is damaged.
    """
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with translated(engine), engine.connect().execution_options(**level) as connection, connection.begin():
        yield connection


_DAMAGED = (str(sqlite3.SQLITE_CORRUPT), "XX001", "XX002")
_BUSY = (str(sqlite3.SQLITE_BUSY), str(sqlite3.SQLITE_LOCKED), "55P03")
_REFUSED = {
    str(sqlite3.SQLITE_READONLY): "is read-only",
    "25006": "is read-only",
    "42501": "is not ours to use so: permission is denied",
}


@contextlib.contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn faults of the database into one line without values; a broken constraint passes."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as fault:
        raise _told(fault, place_of(engine)) from None


def _told(fault: DBAPIError, where: str) -> DataCutError:
    """Return what a fault of a database means, by its own numbers: PostgreSQL's words come in many languages."""
    code = str(getattr(fault.orig, "sqlstate", None) or getattr(fault.orig, "sqlite_errorcode", 0) & 0xFF)
    if code in _DAMAGED:
        return EvidenceError("is damaged", where=where, remedy="restore it from a backup (datacut ringfence restore)")
    if code in _BUSY:
        return PlaceError(f"is still busy after {BUSY_SECONDS} s", where=where, remedy="see who holds it; run it again")
    if code in _REFUSED:
        return PlaceError(_REFUSED[code], where=where, remedy="let the user who runs it write there")
    if isinstance(fault, OperationalError) or fault.connection_invalidated or not isinstance(fault, DatabaseError):
        return PlaceError("cannot be reached or written", where=where, remedy="check the disk or server")
    kind = type(fault.orig).__name__
    return PlaceError(f"refused a statement ({kind})", where=where, remedy="is it a ledger?")


def place_of(engine: Engine) -> str:
    """Name the ledger without its password."""
    return f"ledger {engine.url.render_as_string(hide_password=True)}"
