"""Reads any file of a pack back for the leak scan: names, metadata, columns, lines; in pieces, whatever its size."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

BATCH = 262_144
BLOCK = 1 << 20
CSV_BLOCK = 4 << 20  # 32 of them are read ahead, whatever the reader of a file is told
OVERLAP = 128  # characters of a text that are searched again with the next block
FEW = 4  # bytes a cell, uncompressed, below which a column is read as its distinct values


class PieceKind(Enum):
    """What a piece is made of."""

    TEXTS = auto()  # lines, names, metadata: no postcode may stand here
    COLUMN = auto()
    DISTINCT = auto()  # the distinct values of a column, which may come again


@dataclass(frozen=True, slots=True)
class ScanPiece:
    """Some values of a file and where they stand; ``cells`` is how many values they stand for."""

    kind: PieceKind
    values: pl.Series
    where: str
    cells: int


def pieces(path: Path, name: str) -> Iterator[ScanPiece]:
    """Yield all that a file holds.

    Args:
        name: how the file is called where a piece is told of.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path, name)
    elif path.suffix == ".csv":
        yield from _csv(path, name)
    else:
        for number, lines in enumerate(_blocks(path)):
            yield _texts(lines, f"{name}, block {number + 1}")


def _texts(texts: Iterable[str], where: str) -> ScanPiece:
    values = pl.Series("", list(texts), dtype=pl.String)
    return ScanPiece(PieceKind.TEXTS, values, where, values.len())


def _parquet(path: Path, name: str) -> Iterator[ScanPiece]:
    file = pq.ParquetFile(path)
    yield _texts(_metadata(file), f"{name}, names and metadata")
    for column, bounds in _statistics(file).items():
        yield ScanPiece(
            PieceKind.COLUMN, pl.Series(column, bounds), f"{name}, statistics of column {column}", len(bounds)
        )
    few = [column for column, size in _cell_sizes(file).items() if size < FEW]
    file = pq.ParquetFile(path, read_dictionary=few)
    wanted = [f.name for f in file.schema_arrow if _textual(f.type) or _wide(f.type)]
    yield from _batches(file.iter_batches(batch_size=BATCH, columns=wanted), name)


def _csv(path: Path, name: str) -> Iterator[ScanPiece]:
    with path.open(encoding="utf-8") as stream:
        header = next(csv.reader(stream), [])
    yield _texts(header, f"{name}, header")
    if header:
        as_text = pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string()))
        reader = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(block_size=CSV_BLOCK),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=as_text,
        )
        yield from _batches(reader, name)


def _batches(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[ScanPiece]:
    at = 0
    for batch in batches:
        for column, array in zip(batch.schema.names, batch.columns, strict=True):
            where = f"{name}, column {column}, rows from {at + 1}"
            if pa.types.is_dictionary(array.type):
                values = pl.Series(column, array.dictionary.cast(pa.large_string()))
                yield ScanPiece(PieceKind.DISTINCT, values, where, batch.num_rows)
            else:
                yield ScanPiece(PieceKind.COLUMN, pl.Series(column, array), where, batch.num_rows)
        at += batch.num_rows


def _textual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _wide(kind: pa.DataType) -> bool:
    """Tell whether a column of numbers could carry an MPAN."""
    wide = (pa.types.is_int64, pa.types.is_uint64, pa.types.is_decimal, pa.types.is_float64)
    return any(test(kind) for test in wide)


def _cell_sizes(file: pq.ParquetFile) -> dict[str, float]:
    """Return the bytes of a cell of each text column, as the footer says; a hint for speed and nothing else."""
    sizes: Counter[str] = Counter()
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            sizes[column.path_in_schema] += column.total_uncompressed_size
    text = {f.name for f in file.schema_arrow if _textual(f.type)}
    return {name: size / max(1, file.metadata.num_rows) for name, size in sizes.items() if name in text}


def _metadata(file: pq.ParquetFile) -> Iterator[str]:
    """Yield every text of a Parquet file that is no value: names and key-value metadata."""
    yield from file.schema_arrow.names
    for key, value in (file.schema_arrow.metadata or {}).items():
        yield f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}"
    yield file.metadata.created_by or ""


def _statistics(file: pq.ParquetFile) -> dict[str, list[str]]:
    """Return the bounds of each column that the footer states, as texts."""
    found: dict[str, list[str]] = {}
    for group in range(file.metadata.num_row_groups):
        for column in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(column)
            known = chunk.statistics
            if known is not None and known.has_min_max:
                found.setdefault(chunk.path_in_schema, []).extend((str(known.min), str(known.max)))
    return found


def _blocks(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a text file, in blocks; a line longer than a block comes in overlapping pieces."""
    held = ""
    with path.open("rb") as stream:
        while chunk := stream.read(BLOCK):
            text = held + chunk.decode("utf-8", "replace")
            lines = text.split("\n")
            held = lines.pop()
            if lines:
                yield lines
            if len(held) > BLOCK:
                yield [held]
                held = held[-OVERLAP:]
    if held:
        yield [held]
