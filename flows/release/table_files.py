"""Writes wide tables as Parquet and CSV from pieces: equal rows give equal bytes however they are parted."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

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
        self._held.append(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
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
            self._writer.write_table(whole.slice(0, full), row_group_size=ROW_GROUP)
        self._held = [whole.slice(full)] if full < held else []


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

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows; all pieces have the same columns."""
        with disk(self._path):
            first = self._file is None
            if self._file is None:
                self._file = open(self._path, "wb")  # noqa: SIM115 - closed by the context
            frame.write_csv(self._file, include_header=first)
