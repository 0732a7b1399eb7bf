"""Searches rows of a table, column by column, and what columns say together."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from flows.leak_scan.column import SHORTEST, ColumnHits, ColumnPlace, look_at, weigh_column
from flows.leak_scan.findings import LeakFindings
from flows.leak_scan.read_back import Block, Rows
from transforms.leak_scan.candidates import CORE, EVERY, MPAN, UPRN, Windows
from transforms.leak_scan.cells import Cells
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digests, Kind
from transforms.leak_scan.numbers import halves, whole_numbers

if TYPE_CHECKING:
    from flows.leak_scan.scan import Scanner

OWNER = "mpan_core"
NUMBER = "as a number"
# columns of postcodes: by that name, and the value of an item that its row names
POSTCODES = ("postcode", "/expected/steps.parquet, column value")


def search_rows(scanner: Scanner, rows: Rows, found: LeakFindings) -> None:
    """Search every column of some rows."""
    long_digits: list[pl.Series] = []
    texts: list[str] = []
    for name, array in zip(rows.batch.schema.names, rows.batch.columns, strict=True):
        where = f"{rows.where}, column {name}"
        kind = array.type
        if pa.types.is_dictionary(kind) or _is_text(kind):
            texts.append(name)
        elif pa.types.is_nested(kind) or _is_bytes(kind):
            scanner.block(Block(_as_bytes(array), where), found, scanner.plain)
        elif not pa.types.is_boolean(kind) and not pa.types.is_null(kind):
            values = pl.Series(name, array)
            _numbers(scanner, values, where, found)
            if values.dtype.is_integer():
                long_digits.append(values)
    long_digits += _texts(scanner, rows, texts, found)
    _halves(scanner, long_digits, rows, found)


def _texts(scanner: Scanner, rows: Rows, names: list[str], found: LeakFindings) -> list[pl.Series]:
    """Search columns of texts: each text once, and a column in which one is hit, whole; return those of digits."""
    digits, columns = [], []
    owners = cache(lambda: _owners(scanner, rows.batch))
    for name in names:
        array = rows.batch.column(name)
        cells = Cells.of_array(array.dictionary if pa.types.is_dictionary(array.type) else array)
        if 1 < cells.widest <= CORE and cells.only_digits and not pa.types.is_dictionary(array.type):
            digits.append(pl.Series(name, array))
        if cells.widest >= SHORTEST:
            columns.append((array, cells, _place(rows, name, owners)))
    looks = [ColumnHits() for _ in columns]
    if columns and not found.exact:
        looks = look_at(scanner, [cells for _, cells, _ in columns], [place.where for _, _, place in columns], found)
    for look, (array, cells, place) in zip(looks, columns, strict=True):
        kinds = EVERY if found.exact else look.kinds
        if kinds:
            distinct = pa.types.is_dictionary(array.type)
            every = Cells.of_array(array.cast(pa.large_string())) if distinct else cells
            weigh_column(scanner, every, kinds, place, found)
    return digits


def _place(rows: Rows, name: str, owners: Callable[[], tuple[Digests, ...]]) -> ColumnPlace:
    where = f"{rows.where}, column {name}"
    return ColumnPlace(where, lambda cell: f", row {rows.row + cell + 1}", where.endswith(POSTCODES), owners)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _owners(scanner: Scanner, batch: pa.RecordBatch) -> tuple[Digests, ...]:
    """Return the digest of each row's pseudonym MPAN; 0 where it has none; nothing where no column has one."""
    if OWNER not in batch.schema.names or not _is_text(batch.schema.field(OWNER).type):
        return ()
    cells = Cells.of_array(batch.column(OWNER))
    present = np.flatnonzero(cells.length > 0)
    text = cells.of(present).condensed()
    start, length = text.cell_spans()
    owner = np.zeros(batch.num_rows, np.uint64)
    owner[present] = scanner.known.digester.of(Kind.MPAN, text.data, start, np.minimum(length, CORE))
    return (owner,)


def _numbers(scanner: Scanner, values: pl.Series, where: str, found: LeakFindings) -> None:
    for numbers in whole_numbers(values):
        text = Condensed.of_texts(pl.Series(numbers).cast(pl.String))
        start, length = text.cell_spans()
        for kind, good in (
            (Kind.MPAN, (length == MPAN) | (length == CORE)),
            (Kind.UPRN, length < UPRN.stop),
            (Kind.METER_SERIAL, length >= 8),
        ):
            size = np.minimum(length[good], CORE) if kind is Kind.MPAN else length[good]
            hits = scanner.known.search(text, Windows(kind, NUMBER, start[good], size))
            found.note(hits, where, "")


def _halves(scanner: Scanner, columns: list[pl.Series], rows: Rows, found: LeakFindings) -> None:
    """Search what two columns of digits say together."""
    for names, texts in halves(columns):
        text = Condensed.of_texts(texts)
        start, _ = text.cell_spans()
        windows_ = Windows(Kind.MPAN, "in two columns", start, np.full(start.size, CORE))
        found.note(scanner.known.search(text, windows_), f"{rows.where}, columns {names}", "")


def _as_bytes(array: pa.Array) -> Bytes:
    """Return cells of bytes or of nested values as text, one a line."""
    lines = [_cell(value) for value in array.to_pylist() if value is not None]
    return np.frombuffer(b"\n".join(lines), np.uint8)


def _cell(value: object) -> bytes:
    if isinstance(value, bytes):
        numbers = [str(int.from_bytes(value, order)) for order in ("little", "big")] if len(value) <= 8 else []
        return b" ".join([value, value.hex().encode(), *(n.encode() for n in numbers)])
    return json.dumps(value, default=str).encode()
