"""Files of a sample, written a chunk at a time: plain, gzip, zip and Parquet. Times inside them are fixed, not the clock's."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import IO, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.sample.codes import CUT_DATE


def joined(text: pl.Series) -> bytes:
    """Return all texts of a column without nulls, one after the other, as UTF-8."""
    array = text.to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    if data is None:
        return b""
    ends = memoryview(offsets).cast("q")
    return bytes(memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]])


def delimited(frame: pl.DataFrame, separator: str, line_end: str) -> bytes:
    """Return the data rows of a frame as delimited UTF-8 text; a null is an empty field."""
    out = io.BytesIO()
    frame.write_csv(out, include_header=False, separator=separator, line_terminator=line_end)
    return out.getvalue()


def header(names: list[str], separator: str, line_end: str) -> bytes:
    """Return the header line."""
    return (separator.join(names) + line_end).encode("ascii")


def to_cp1252(data: bytes) -> bytes:
    """Return UTF-8 text in the Windows character set that older systems write."""
    return data if data.isascii() else data.decode("utf-8").encode("cp1252")


LEVEL = 1  # of compression: a sample is read once or twice


class Sink(Protocol):
    """A file that grows."""

    def add(self, part: pl.DataFrame | bytes) -> None:
        """Write the next rows."""

    def close(self) -> None:
        """Finish the file."""


class Plain:
    """A file of bytes as they come: DTC user files."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115 - closed by close()

    def add(self, part: pl.DataFrame | bytes) -> None:
        if isinstance(part, bytes):
            self._file.write(part)

    def close(self) -> None:
        self._file.close()


class Delimited:
    """A delimited text file: plain, or packed as its suffix says (``.gz``, ``.zip``).

    Args:
        path: the file.
        headers: names in its header line.
        separator: between the fields.
        line_end: after each row.
        cp1252: whether it is written in that character set instead of UTF-8.
        bom: whether a byte order mark comes first.
    """

    def __init__(
        self,
        path: Path,
        headers: list[str],
        separator: str = ",",
        line_end: str = "\n",
        *,
        cp1252: bool = False,
        bom: bool = False,
    ) -> None:
        self._separator, self._line_end, self._cp1252 = separator, line_end, cp1252
        self._open: list[IO[bytes] | zipfile.ZipFile] = []
        self._file = self._opened(path)
        self._file.write((b"\xef\xbb\xbf" if bom else b"") + header(headers, separator, line_end))

    def _opened(self, path: Path) -> IO[bytes]:
        outer: IO[bytes] = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._open.append(outer)
        if path.suffix == ".gz":
            inner: IO[bytes] = gzip.GzipFile("", "wb", LEVEL, outer, mtime=0)  # type: ignore[assignment]
        elif path.suffix == ".zip":
            archive = zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
            self._open.append(archive)
            member = zipfile.ZipInfo(f"{path.stem}.csv", (CUT_DATE.year, CUT_DATE.month, CUT_DATE.day, 2, 0, 0))
            member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            inner = archive.open(member, "w", force_zip64=True)
        else:
            return outer
        self._open.append(inner)
        return inner

    def add(self, part: pl.DataFrame | bytes) -> None:
        if isinstance(part, pl.DataFrame):
            part = delimited(part, self._separator, self._line_end)
        self._file.write(to_cp1252(part) if self._cp1252 else part)

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


class Parquet:
    """A Parquet file, a row group for each chunk; an empty chunk leaves none."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)

    def add(self, part: pl.DataFrame | bytes) -> None:
        if isinstance(part, pl.DataFrame) and part.height:
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(self._schema)
            self._writer.write_table(table, row_group_size=part.height)

    def close(self) -> None:
        self._writer.close()
