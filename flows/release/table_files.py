"""Writes wide tables as Parquet and CSV from pieces: equal rows give equal bytes however they are parted."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.cut.workspace import disk

ROW_GROUP = 131_072
BOUNDED = ("mpan_core",)  # rows stand in its order and its bounds find them; those of codes cost time and find nothing


class ParquetTable:
    """One Parquet file whose row groups have a fixed size; use as a context manager.

    Code columns (``Enum``) are stored by dictionary and read back as text.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.Table] = []
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk(self._path):
            if kind is None:
                self._flush(last=True)
            if self._writer is not None:
                self._writer.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows; all pieces have the same columns."""
        self.rows += frame.height
        self._held.append(_arrow(frame))
        with disk(self._path):
            self._flush(last=False)

    def _flush(self, *, last: bool) -> None:
        held = sum(table.num_rows for table in self._held)
        if not self._held or (held < ROW_GROUP and not last):
            return
        whole = pa.concat_tables(self._held)
        if self._writer is None:
            bounded = [name for name in BOUNDED if name in whole.column_names]
            self._writer = pq.ParquetWriter(
                self._path, whole.schema, compression="zstd", store_schema=False, write_statistics=bounded or False
            )
        full = held if last else held - held % ROW_GROUP
        if full or last:
            self._writer.write_table(whole.slice(0, full).combine_chunks(), row_group_size=ROW_GROUP)
        self._held = [whole.slice(full)] if full < held else []


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """Return a frame as Arrow holds it: texts as they lie in memory, codes by a dictionary of texts with offsets."""
    codes = frame.select(cs.enum()).to_arrow(compat_level=pl.CompatLevel.oldest())
    rest = frame.select(~cs.enum()).to_arrow(compat_level=pl.CompatLevel.newest())
    known = {table_name: table for table in (codes, rest) for table_name in table.column_names}
    return pa.table({name: known[name].column(name) for name in frame.columns})


class CsvLines:
    """The rows of a frame as lines of CSV, written once for whoever gets some of them."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.header = frame.clear().write_csv().encode()
        text = np.frombuffer(frame.write_csv(include_header=False).encode(), np.uint8)
        ends = np.flatnonzero(text == ord("\n")) + 1
        if ends.size != frame.height:  # a value with a line break: each row by itself
            rows = [row.write_csv(include_header=False).encode() for row in frame.iter_slices(1)]
            text, ends = np.frombuffer(b"".join(rows), np.uint8), np.cumsum([len(row) for row in rows], dtype=np.int64)
        offsets = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int64))
        self._lines = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), frame.height, [None, offsets, pa.py_buffer(text)]
        )

    def of(self, rows: NDArray[np.intp]) -> memoryview:
        """Return the lines of some rows."""
        chosen = self._lines.take(pa.array(rows))
        end = np.frombuffer(chosen.buffers()[1], np.int64)[len(chosen)]
        return memoryview(chosen.buffers()[2])[:end]


class CsvTable:
    """One CSV file with a header, UTF-8, comma; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with disk(self._path):
                self._file.close()

    def add(self, lines: CsvLines, rows: NDArray[np.intp]) -> None:
        """Take some of the rows of a frame; all frames have the same columns."""
        with disk(self._path):
            if self._file is None:
                self._file = open(self._path, "wb")  # noqa: SIM115 - closed by the context
                self._file.write(lines.header)
            self._file.write(lines.of(rows))
