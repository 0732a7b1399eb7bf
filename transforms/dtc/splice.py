"""Texts out of a block of bytes, and other texts put in their places, without a loop over rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from transforms.dtc.records import Ints
from transforms.pseudonymise.byte_columns import Bytes, Rows, buffers, to_series

SPARSE = 400  # bytes for each replacement of another length, above which runs are copied one by one


def take(data: Bytes, starts: Ints, ends: Ints) -> pl.Series:
    """Return pieces of a block as texts; pieces that are not UTF-8 are read as cp1252."""
    lengths = ends - starts
    if lengths.size and (lengths == lengths[0]).all():
        matrix = data[starts[:, None] + np.arange(lengths[0], dtype=np.int32)]
        if not (matrix >= 0x80).any():
            return to_series(matrix)
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    places = np.arange(offsets[-1], dtype=np.int64) + np.repeat(starts - offsets[:-1], lengths)
    joined = data[places]
    if (joined >= 0x80).any():
        return pl.Series([_decoded(data[a:b].tobytes()) for a, b in zip(starts, ends, strict=True)], dtype=pl.String)
    array = pa.Array.from_buffers(
        pa.large_string(), lengths.size, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(joined))]
    )
    return pl.Series("", array, dtype=pl.String)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def splice(data: Bytes, starts: Ints, ends: Ints, texts: pl.Series) -> bytes:
    """Return a block with pieces replaced.

    Args:
        data: the block.
        starts, ends: of the pieces, in order, none overlapping.
        texts: what stands in their places; no null.
    """
    if not starts.size:
        return data.tobytes()
    offsets, joined = buffers(texts)
    lengths = np.diff(offsets)
    same = lengths == ends - starts
    out = data.copy()
    out[_places(starts[same].astype(np.int64), lengths[same])] = joined[_places(offsets[:-1][same], lengths[same])]
    if same.all():
        return out.tobytes()
    other = np.flatnonzero(~same)
    if other.size * SPARSE < data.size:
        return _joined(out, starts[other], ends[other], texts.gather(other))
    both = np.concatenate([out, joined])
    size = other.size
    begin, length = np.empty(2 * size + 1, dtype=np.int64), np.empty(2 * size + 1, dtype=np.int64)
    begin[0], begin[2::2] = 0, ends[other]
    begin[1::2] = offsets[:-1][other] + data.size
    length[:-1:2] = starts[other] - begin[:-1:2]
    length[-1] = data.size - begin[-1]
    length[1::2] = lengths[other]
    spliced: Bytes = both[_places(begin, length)]
    return spliced.tobytes()


def _joined(data: Bytes, starts: Ints, ends: Ints, texts: pl.Series) -> bytes:
    """Return a block with few pieces of other lengths replaced: copying runs beats moving every byte."""
    parts: list[bytes | memoryview] = []
    block, at = memoryview(data.tobytes()), 0
    for start, end, text in zip(starts.tolist(), ends.tolist(), texts.to_list(), strict=True):
        parts += [block[at:start], text.encode()]
        at = end
    return b"".join([*parts, block[at:]])


def _places(begin: Rows, length: Rows) -> Rows:
    """Return the places of all bytes of pieces, one piece after the other."""
    before = np.cumsum(length) - length
    total = int(length.sum())
    places: Rows = np.arange(total, dtype=np.int64) + np.repeat(begin - before, length)
    return places
