"""Reads any file of a pack back for the leak scan: as blocks of bytes, a Parquet file also as its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.leak_scan.numbers import LEAST

BATCH = 65_536
BLOCK = 1 << 20
LINES = 1 << 19  # bytes of whole lines: what is made of them stays near the processor
OVERLAP = 256  # bytes of a text that are searched again with the next block
FEW = 4  # bytes a cell, uncompressed, below which a column is read as its distinct values
MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of a file.

    Attributes:
        line: how many line breaks stand before them.
        words: they are names and metadata of a table: no value of a row may stand there.
        binary: they are no text.
    """

    data: NDArray[np.uint8]
    where: str
    line: int = 0
    words: bool = False
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table; ``row`` is how many stand before them."""

    batch: pa.RecordBatch
    where: str
    row: int


def pieces(path: Path, name: str, *, lines: bool = False) -> Iterator[Block | Rows]:
    """Yield all that a file holds.

    Args:
        name: how the file is called where a piece is told of.
        lines: end each block where a line ends, if there is one.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path, name)
    elif lines:
        yield from _whole_lines(path, name)
    else:
        yield from _blocks(path, name)


def text_block(text: str, where: str) -> Block:
    """Return names and metadata as a block."""
    return Block(np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8), where, words=True)


def _parquet(path: Path, name: str) -> Iterator[Block | Rows]:
    """Yield names and metadata as texts, the footer and page indexes as they lie there, and the rows."""
    file = pq.ParquetFile(path)
    yield text_block("\n".join(_metadata(file)), f"{name}, names and metadata")
    yield from _beside_pages(path, file, name)
    few = [column for column, size in _cell_sizes(file).items() if size < FEW]
    columns = _columns(path, file)
    at = 0
    for batch in pq.ParquetFile(path, read_dictionary=few, metadata=file.metadata).iter_batches(
        batch_size=BATCH, columns=columns, use_threads=False
    ):
        yield Rows(batch, name, at)
        at += batch.num_rows


def _columns(path: Path, file: pq.ParquetFile) -> list[str] | None:
    """Return the columns that could hold an identifier: no truth values, and no dates that are dates; None for all."""
    schema = file.schema_arrow
    if len(schema.names) != file.metadata.num_columns or any("." in name for name in schema.names):
        return None  # nested columns, or names that could be taken for some
    days = [field.name for field in schema if pa.types.is_date32(field.type)]
    largest = pl.scan_parquet(path).select(pl.col(days).to_physical().cast(pl.Int64).abs().max()).collect()
    plain = {name for name in days if (largest[name].item() or 0) < LEAST}
    return [field.name for field in schema if field.name not in plain and not pa.types.is_boolean(field.type)]


def _metadata(file: pq.ParquetFile) -> Iterator[str]:
    """Yield every text of a Parquet file that is no value: names, and key-value metadata of the file and its fields."""
    schema = file.schema_arrow
    yield from schema.names
    yield file.metadata.created_by or ""
    for held in (schema.metadata, *(field.metadata for field in schema)):
        for key, value in (held or {}).items():
            yield f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}"


def _beside_pages(path: Path, file: pq.ParquetFile, name: str) -> Iterator[Block]:
    """Yield what lies between and after the pages of a Parquet file: page indexes, the footer, anything else."""
    pages: list[tuple[int, int]] = []
    meta = file.metadata
    for group in range(meta.num_row_groups):
        row_group = meta.row_group(group)
        for number in range(row_group.num_columns):
            chunk = row_group.column(number)
            begin = chunk.data_page_offset
            if chunk.dictionary_page_offset:
                begin = min(begin, chunk.dictionary_page_offset)
            pages.append((begin, begin + chunk.total_compressed_size))
    size, at, held = path.stat().st_size, len(MAGIC), b""
    with path.open("rb") as stream:
        for begin, end in [*sorted(pages), (size, size)]:
            stream.seek(at)
            while at < begin:
                some = stream.read(min(BLOCK, begin - at))
                held += some + b"\n"
                at += len(some)
                if len(held) >= BLOCK:
                    yield Block(np.frombuffer(held, np.uint8), f"{name}, footer and page indexes", binary=True)
                    held = held[-OVERLAP:]
            at = max(at, end)
    yield Block(np.frombuffer(held, np.uint8), f"{name}, footer and page indexes", binary=True)


def _textual(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_dictionary(kind))


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


def _blocks(path: Path, name: str) -> Iterator[Block]:
    """Yield a file in blocks that overlap a little: what stands across a border is whole in one of them."""
    held, line = b"", 0
    with path.open("rb") as stream:
        while chunk := stream.read(BLOCK):
            data = held + chunk
            yield Block(np.frombuffer(data, np.uint8), name, line)
            held = data[-OVERLAP:]
            line += data.count(b"\n") - held.count(b"\n")


def _whole_lines(path: Path, name: str) -> Iterator[Block]:
    """Yield a file in blocks of whole lines; where a line has no end, in blocks that overlap a little."""
    held, line = b"", 0
    with path.open("rb") as stream:
        while chunk := stream.read(LINES):
            data = held + chunk
            end = data.rfind(b"\n") + 1
            if end:
                yield Block(np.frombuffer(data, np.uint8, end), name, line)
                line += data.count(b"\n")
            elif len(data) >= BLOCK:
                yield Block(np.frombuffer(data, np.uint8), name, line)
                end = len(data) - OVERLAP
            held = data[end:]
    if held:
        yield Block(np.frombuffer(held, np.uint8), name, line)
