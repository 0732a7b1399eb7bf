"""A table or query in PostgreSQL over ADBC: Arrow batches from one read-only transaction, never the whole result."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import polars as pl
import pyarrow as pa

from contracts.errors import ConfigurationError, IntakeError, PlaceError
from flows.intake.arrow_text import as_text, judge_texts, nothing_readable, plain_decimal, untyped
from flows.intake.csv_reader import check_names
from flows.intake.gzip_stream import Budget
from flows.intake.raw_file import Digest
from flows.intake.reader import ReadAhead, Reader
from flows.intake.source import Limits, SourceSpec

_TABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_QUERY = re.compile(r"(select|with)\b", re.IGNORECASE)
# SQLSTATE classes: connection, authorisation, no such database, resources, operator, system.
_PLACE_STATES = ("08", "28", "3D", "53", "57", "58")
# Types that come as numerals or text, under whatever Arrow type; and those that are no value of the market.
_TEXTS = ("numeric", "citext", "name")
_NO_TEXT = (
    "json",
    "jsonb",
    "xml",
    "bytea",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "interval",
    "point",
    "tsvector",
    "hstore",
)
_BATCH_HINT = "adbc.postgresql.batch_size_hint_bytes"


class DatabaseReader(Reader):
    """Reader of one table or query. ``size`` is 0; the digest takes in header and rows as text, in result order."""

    form = "database"

    def __init__(self, spec: SourceSpec, limits: Limits, digest: Digest | None) -> None:
        """Connect and start the query.

        Raises:
            ConfigurationError: the query is neither a table's name nor a SELECT.
            PlaceError: driver or server are missing, or the server refuses the login.
            IntakeError: the server refuses the query, or a column is not scalar.
        """
        super().__init__(spec, limits)
        query = _statement(spec)
        try:
            from adbc_driver_manager import Error
            from adbc_driver_postgresql import dbapi
        except ImportError:
            raise PlaceError(
                "the PostgreSQL driver is not installed",
                where=self.label,
                remedy="pip install datacut[postgres]",
            ) from None
        self._digest, self._foreign = digest, (Error, pa.ArrowException, OSError, ValueError)
        try:
            self._connection = dbapi.connect(spec.url)
        except self._foreign:
            raise PlaceError(
                "the database cannot be reached or refuses the login",
                where=self.label,
                remedy="check url, server and password",
            ) from None
        self._ending.append(self._connection.close)
        try:
            self._start(query)
            self._judge_schema()
        except BaseException:
            self.close()
            raise

    def _start(self, query: str) -> None:
        try:
            with self._connection.cursor() as first:
                first.execute("SET TRANSACTION READ ONLY")
            cursor = self._connection.cursor()
            self._ending.append(cursor.close)
            cursor.adbc_statement.set_options(**{_BATCH_HINT: str(self.limits.block_bytes)})
            cursor.execute(query)
            self._batches = cursor.fetch_record_batch()
        except self._foreign as fault:
            raise self._refused(fault) from None

    def _judge_schema(self) -> None:
        fields = list(self._batches.schema)
        kinds = [_kind(field) for field in fields]
        check_names([field.name for field in fields], self.label, self.limits)
        plain = [_readable(field, kind) for field, kind in zip(fields, kinds, strict=True)]
        without = untyped(pa.schema(plain))
        without |= {at: f"is {kind}; cast it to numeric" for at, kind in enumerate(kinds) if kind == "money"}
        without |= {at: f"is {kind}" for at, kind in enumerate(kinds) if kind in _NO_TEXT}
        without |= {at: "is nested" for at, kind in enumerate(kinds) if kind.startswith("_")}
        self.untyped = {fields[at].name: what for at, what in without.items()}
        self._places = [at for at in range(len(fields)) if at not in without]
        self.header = tuple(fields[at].name for at in self._places)
        if not self.header:
            raise nothing_readable(self.untyped, self.label)
        self._numerics = [fields[at].name for at in self._places if kinds[at] == "numeric"]
        self._padded = [fields[at].name for at in self._places if kinds[at] == "bpchar"]

    def _frames(self) -> Iterator[pl.DataFrame]:
        ahead = ReadAhead(self._record_batches())
        self._ending.append(ahead.close)
        budget = Budget(self.label, self.limits, floor=math.inf)
        if self._digest is not None:
            self._digest.update(json.dumps(self.header).encode())
        for batch in ahead:
            budget.give(judge_texts(batch, self.label, self.limits))
            frame = as_text(batch, self.header, self.label).with_columns(
                *(plain_decimal(pl.col(name)) for name in self._numerics),
                *(pl.col(name).str.strip_chars_end(" ") for name in self._padded),
            )
            if self._digest is not None:
                rows = frame.write_csv(include_header=False, quote_style="non_numeric", line_terminator="\n")
                self._digest.update(rows.encode())
            yield frame

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = next(self._batches, None)
            except self._foreign as fault:
                raise self._refused(fault) from None
            if batch is None:
                return
            columns = [batch.column(at) for at in self._places]
            yield pa.RecordBatch.from_arrays(
                [c.storage if isinstance(c, pa.ExtensionArray) else c for c in columns],
                names=[str(i) for i in range(len(columns))],
            )

    def _refused(self, fault: BaseException) -> IntakeError | PlaceError:
        """Put the server's complaint into words of ours: its own quote the query and values."""
        state = str(getattr(fault, "sqlstate", None) or "")
        shown = f" (SQLSTATE {state})" if re.fullmatch(r"[0-9A-Z]{5}", state) else ""
        if not shown or state.startswith(_PLACE_STATES):
            return PlaceError(f"the database failed{shown}", where=self.label, remedy="check server and rights")
        return IntakeError(f"the database refuses the query{shown}", where=self.label, remedy="try the query by hand")


def _statement(spec: SourceSpec) -> str:
    query = (spec.query or "").strip().rstrip(";").strip()
    if _TABLE.fullmatch(query):
        return f"SELECT * FROM {query}"  # noqa: S608 - letters, digits and one dot
    if not _QUERY.match(query):
        raise ConfigurationError("the query is neither a table's name nor a SELECT", where=spec.name)
    return query


def _readable(field: Any, kind: str) -> Any:
    """Return a field as what it is read as: texts of types that the driver does not know come as bytes."""
    return pa.field(field.name, pa.string()) if kind in _TEXTS else field


def _kind(field: Any) -> str:
    """Return the server's own name of the field's type."""
    metadata = field.metadata or {}
    with suppress(UnicodeDecodeError):
        return str(metadata.get(b"POSTGRESQL:type", metadata.get(b"ADBC:postgresql:typname", b"")).decode())
    return ""
