"""Frames and text columns as the bytes of a file: delimiter, line end and character set."""

from __future__ import annotations

import io

import polars as pl
import pyarrow as pa


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
