"""Texts out of a block of bytes, and other texts put in their places, without a loop over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from transforms.dtc.records import Ints, Marks
from transforms.pseudonymise.byte_columns import Bytes, Rows, buffers

FEW_LENGTHS = 24  # of pieces; above it a pass for each length costs more than a look at each byte
SPARSE = 400  # bytes for each replacement of another length, above which runs are copied one by one


@dataclass(frozen=True, slots=True)
class Edits:
    """Pieces of a block and what replaces them; none overlapping, no null."""

    starts: Ints
    ends: Ints
    texts: pl.Series

    @classmethod
    def joined(cls, parts: list[Edits]) -> Edits:
        """Return several edits as one, in order of place."""
        starts = np.concatenate([np.zeros(0, dtype=np.int32), *(p.starts for p in parts)])
        ends = np.concatenate([np.zeros(0, dtype=np.int32), *(p.ends for p in parts)])
        texts = pl.concat([pl.Series("", [], dtype=pl.String), *(p.texts.alias("") for p in parts)], rechunk=True)
        order = np.argsort(starts, kind="stable")
        if (order[1:] > order[:-1]).all():
            return cls(starts, ends, texts)
        return cls(starts[order], ends[order], texts.gather(order))

    def chosen(self, marks: Marks) -> Edits:
        """Return some of them."""
        return Edits(self.starts[marks], self.ends[marks], self.texts.filter(pl.Series(marks)))


def take(data: Bytes, starts: Ints, ends: Ints) -> pl.Series:
    """Return pieces of a block as texts; pieces that are not UTF-8 are read as cp1252."""
    lengths = ends - starts
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    joined = np.empty(int(offsets[-1]), dtype=np.uint8)
    _copy(data, starts, joined, offsets[:-1], lengths)
    if (joined >= 0x80).any():
        return pl.Series([_decoded(data[a:b].tobytes()) for a, b in zip(starts, ends, strict=True)], dtype=pl.String)
    array = pa.Array.from_buffers(pa.large_string(), lengths.size, [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
    return pl.Series("", array, dtype=pl.String)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def splice(data: Bytes, parts: list[Edits]) -> tuple[bytes, Edits]:
    """Return a block with pieces replaced, and those edits, in order, that changed its length."""
    out = data.copy()
    changing: list[Edits] = []
    for part in parts:
        offsets, joined = buffers(part.texts)
        lengths = np.diff(offsets)
        same = lengths == part.ends - part.starts
        if same.all():
            _overwrite(out, part.starts, lengths, joined[offsets[0] : offsets[-1]])
            continue
        kept = part.chosen(same)
        offsets, joined = buffers(kept.texts)
        _overwrite(out, kept.starts, np.diff(offsets), joined[offsets[0] : offsets[-1]])
        changing.append(part.chosen(~same))
    other = Edits.joined(changing)
    return (_moved if other.starts.size * SPARSE > data.size else _joined)(out, other), other


def _overwrite(out: Bytes, starts: Ints, lengths: Rows, text: Bytes) -> None:
    """Put texts in the place of pieces of their own lengths."""
    _copy(text, np.cumsum(lengths) - lengths, out, starts, lengths)


def pieces(data: Bytes, length: int) -> NDArray[np.void]:
    """Return every piece of that length (from 1) that a block has, by where it begins: a view, nothing is copied."""
    count = max(data.size - length + 1, 0)
    return np.ndarray((count,), dtype=f"V{length}", buffer=data.data, strides=(1,))


def _copy(source: Bytes, starts: Ints | Rows, target: Bytes, places: Ints | Rows, lengths: Ints | Rows) -> None:
    """Copy pieces of one block into another: where they are of few lengths, whole pieces at once."""
    sizes = np.flatnonzero(np.bincount(lengths))
    if sizes.size > FEW_LENGTHS:
        wide = lengths.astype(np.int64)
        target[_places(places.astype(np.int64), wide)] = source[_places(starts.astype(np.int64), wide)]
        return
    for size in sizes[sizes > 0].tolist():
        rows: slice | Rows = slice(None) if sizes.size == 1 else np.flatnonzero(lengths == size)
        pieces(target, size)[places[rows]] = pieces(source, size)[starts[rows]]


def _moved(data: Bytes, edits: Edits) -> bytes:
    """Return a block with many pieces of other lengths replaced: every byte by its new place."""
    offsets, joined = buffers(edits.texts)
    both = np.concatenate([data, joined])
    size = edits.starts.size
    begin, length = np.empty(2 * size + 1, dtype=np.int64), np.empty(2 * size + 1, dtype=np.int64)
    begin[0], begin[2::2] = 0, edits.ends
    begin[1::2] = offsets[:-1] + data.size
    length[:-1:2] = edits.starts - begin[:-1:2]
    length[-1] = data.size - begin[-1]
    length[1::2] = np.diff(offsets)
    spliced: Bytes = both[_places(begin, length)]
    return spliced.tobytes()


def _joined(data: Bytes, edits: Edits) -> bytes:
    """Return a block with few pieces of other lengths replaced: copying runs beats moving every byte."""
    whole = data.tobytes()
    parts: list[bytes | memoryview] = []
    block, at = memoryview(whole), 0
    for start, end, text in zip(edits.starts.tolist(), edits.ends.tolist(), edits.texts.to_list(), strict=True):
        parts += [block[at:start], text.encode()]
        at = end
    return b"".join([*parts, block[at:]]) if parts else whole


def _places(begin: Rows, length: Rows) -> Rows:
    """Return the places of all bytes of pieces, one piece after the other."""
    before = np.cumsum(length) - length
    total = int(length.sum())
    places: Rows = np.arange(total, dtype=np.int64) + np.repeat(begin - before, length)
    return places
