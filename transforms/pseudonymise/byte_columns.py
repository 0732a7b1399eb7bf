"""Text columns as byte matrices and back: what lets numpy work on identifiers without a Python loop per row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]


def buffers(values: pl.Series) -> tuple[NDArray[np.int64], Bytes]:
    """Return the offsets (n + 1) and the joined UTF-8 bytes of a text column without nulls."""
    array = values.to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    positions = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    if data is None:
        return positions, np.empty(0, dtype=np.uint8)
    return positions, np.frombuffer(data, dtype=np.uint8)


def by_length(values: pl.Series) -> Iterator[tuple[int, Rows, Bytes]]:
    """Split a text column by byte length.

    Yields:
        ``(length, rows, matrix)``: row numbers of the values of that length, and their bytes as ``(n, length)``.
        Nulls are in no group.
    """
    present = values.is_not_null()
    where = np.flatnonzero(present.to_numpy()) if values.null_count() else None
    solid = values.filter(present) if where is not None else values
    if solid.len() == 0:
        return
    offsets, data = buffers(solid)
    lengths = np.diff(offsets)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        rows = np.arange(solid.len()) if where is None else where
        matrix = data[offsets[0] : offsets[-1]].reshape(-1, longest) if longest else data[:0].reshape(rows.size, 0)
        yield longest, rows, matrix
        return
    for length in np.flatnonzero(np.bincount(lengths)):
        chosen = np.flatnonzero(lengths == length)
        edges, data = buffers(solid.gather(chosen))
        matrix = data[edges[0] : edges[-1]].reshape(-1, length) if length else data[:0].reshape(chosen.size, 0)
        yield int(length), (chosen if where is None else where[chosen]), matrix


def distinct(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return a text column as row numbers into its different values (null for null), and those values."""
    array = values.to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    encoded = array.dictionary_encode()
    return pl.Series("index", encoded.indices), pl.Series(values.name, encoded.dictionary, dtype=pl.String)


def to_series(matrix: Bytes, name: str = "") -> pl.Series:
    """Return the rows of an ``(n, length)`` byte matrix of valid UTF-8 as a text column."""
    count, length = matrix.shape
    offsets = np.arange(count + 1, dtype=np.int64) * length
    data = np.ascontiguousarray(matrix)
    array = pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    series = pl.from_arrow(array)
    if not isinstance(series, pl.Series):
        raise TypeError("an Arrow text array becomes a Series")
    return series.alias(name)


def scatter(size: int, parts: list[tuple[Rows, pl.Series]], name: str = "") -> pl.Series:
    """Put the values of ``parts`` at their rows of a column of ``size`` rows; all other rows are null."""
    if len(parts) == 1 and parts[0][0].size == size:
        return parts[0][1].alias(name)  # one group that covers every row stands in row order already
    if not parts:
        return pl.Series(name, [None] * size, dtype=pl.String)
    joined = pl.concat([series for _, series in parts], rechunk=True)
    source = np.full(size, -1, dtype=np.int64)
    source[np.concatenate([rows for rows, _ in parts])] = np.arange(joined.len())
    index = pl.Series("i", source)
    return joined.gather(index.replace(-1, None)).alias(name)
