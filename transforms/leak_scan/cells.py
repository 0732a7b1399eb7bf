"""Cells of a table as bytes: where they lie, which were searched before, and what neighbours say together.

A value that stood in a thousand cells is searched once, and a line that several participants get is searched with the
first of them: cells and lines whose hash is known are left out. The hash is for that alone, lives as long as the
process and is of 64 bits; two cells of up to eight bytes never share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from transforms.leak_scan.condensed import FAR, Condensed, Spans, joined
from transforms.leak_scan.digests import PADDING, Bytes, Digests, Ints, words

Mask = NDArray[np.bool_]
QUOTE, NEWLINE, RETURN = ord('"'), ord("\n"), ord("\r")
LONGEST_HASHED = 256  # bytes of a cell that its hash tells from others
CACHED_BITS = 21  # of the table of clean cells: 16 MiB
MPAN_LENGTHS = (12, 13, 21)
REACH = 6  # characters between two neighbours at the most
_WORD = 8
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(_WORD)] + [2**64 - 1], np.uint64)
_FIRST, _NEXT, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(32)
_ODD = np.ones(256, np.bool_)
_ODD[32:127] = False
_ODD[[ord(c) for c in "&%\\=<"]] = True
_CONTROL = np.zeros(256, np.bool_)
_CONTROL[:32] = True
_CONTROL[[ord("\t"), NEWLINE, RETURN]] = False


@dataclass(frozen=True, slots=True)
class Cells:
    """Some cells of a buffer.

    Attributes:
        data: with ``PADDING`` bytes after the last that counts.
        start, length: of each cell, in bytes.
    """

    data: Bytes
    start: Ints
    length: Ints

    @classmethod
    def of_array(cls, array: pa.Array) -> Cells:
        """Return the cells of a column of texts; one without a value is empty."""
        if pa.types.is_string_view(array.type):
            array = array.cast(pa.large_string())
        _, offsets, held = array.buffers()
        wide = np.int64 if pa.types.is_large_string(array.type) else np.int32
        edges = np.frombuffer(offsets, wide)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        if not edges.size:
            edges = np.zeros(1, np.int64)
        data = np.zeros(int(edges[-1] - edges[0]) + PADDING, np.uint8)
        if held is not None:
            data[: edges[-1] - edges[0]] = np.frombuffer(held, np.uint8)[edges[0] : edges[-1]]
        length = np.diff(edges)
        if array.null_count:
            bits = np.frombuffer(array.buffers()[0], np.uint8)
            valid = np.unpackbits(bits, bitorder="little")[array.offset : array.offset + len(array)]
            length[valid == 0] = 0
        return cls(data, edges[:-1] - edges[0], length)

    @property
    def widest(self) -> int:
        """Bytes of the longest cell."""
        return int(self.length.max()) if self.length.size else 0

    @property
    def only_digits(self) -> bool:
        """Whether no byte of the buffer is anything but a digit."""
        data = self.data[:-PADDING]
        return bool(data.size) and bool(((data - np.uint8(48)) < 10).all())

    def of(self, chosen: Mask | Ints) -> Cells:
        """Return some of them."""
        return Cells(self.data, self.start[chosen], self.length[chosen])

    def hashes(self) -> Digests:
        """Return a hash of the first ``LONGEST_HASHED`` bytes of each cell, never 0."""
        data = words(self.data, self.start)
        data &= _MASKS[np.minimum(self.length, _WORD)]
        data *= _FIRST
        data ^= data >> _HALF
        at = _WORD
        more = np.flatnonzero(self.length > at)
        while more.size and at < LONGEST_HASHED:
            beyond = data[more]
            rest = self.length[more] - at
            beyond += words(self.data, self.start[more] + at) & _MASKS[np.minimum(rest, _WORD)]
            beyond *= _NEXT
            beyond ^= beyond >> _HALF
            data[more] = beyond
            at += _WORD
            more = more[rest > _WORD]
        data *= _FIRST
        return data | np.uint64(1)

    def joined(self) -> tuple[Bytes, Ints]:
        """Return the bytes of all cells, one after another, and where each begins, and the end."""
        edges = np.zeros(self.length.size + 1, np.int64)
        np.cumsum(self.length, out=edges[1:])
        at = np.arange(edges[-1])
        at += np.repeat(self.start - edges[:-1], self.length)
        return self.data[at], edges

    def condensed(self) -> Condensed:
        """Return their letters and digits."""
        return Condensed(*self.joined())


def odd_cells(data: Bytes, edges: Ints) -> Ints:
    """Return which cells hold a character that most ways of writing need."""
    at = np.flatnonzero(_ODD[data])
    cells: Ints = np.unique(np.searchsorted(edges, at, side="right") - 1)
    return cells


class Seen:
    """Hashes of cells or lines that need no second search; of those that share a place, the newest two."""

    def __init__(self, bits: int = CACHED_BITS) -> None:
        self._newest, self._older = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.uint64)
        self._shift = np.uint64(64 - bits)

    def fresh(self, hashes: Digests) -> Mask:
        """Tell which are not known."""
        places = (hashes >> self._shift).astype(np.int64)
        unknown: Mask = self._newest[places] != hashes
        rest = np.flatnonzero(unknown)
        unknown[rest] = self._older[places[rest]] != hashes[rest]
        return unknown

    def note(self, hashes: Digests) -> None:
        """Note some."""
        places = (hashes >> self._shift).astype(np.int64)
        held = self._newest[places]
        other = held != hashes
        self._older[places[other]] = held[other]
        self._newest[places] = hashes


@dataclass(frozen=True)
class WholeLines:
    """The lines of some bytes; the last may have no end."""

    data: Bytes
    edges: Ints

    @classmethod
    def of(cls, data: Bytes) -> WholeLines:
        """Find the lines of some bytes."""
        ends = np.flatnonzero(data == NEWLINE) + 1
        open_end = [data.size] if not ends.size or ends[-1] < data.size else []
        return cls(data, np.concatenate([[0], ends, open_end]).astype(np.int64))

    @cached_property
    def _texts(self) -> pa.LargeBinaryArray:
        parts = [None, pa.py_buffer(self.edges), pa.py_buffer(self.data)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), self.edges.size - 1, parts)

    def hashes(self, mark: int) -> Digests:
        """Return a hash of each line, never 0; the same line in a table with another mark has another."""
        found = pl.Series(self._texts).hash(seed=mark).to_numpy()
        return found | np.uint64(1)

    def some(self, chosen: Ints) -> Bytes:
        """Return some of the lines, one after another."""
        if chosen.size == self.edges.size - 1:
            return self.data
        _, edges, data = self._texts.take(pa.array(chosen)).buffers()
        end = int(np.frombuffer(edges, np.int64)[chosen.size])
        return np.frombuffer(data, np.uint8, end)


def with_neighbours(chosen: Mask) -> Mask:
    """Return a choice of lines with the line before and after each: what stands across two of them stays together."""
    wide = chosen.copy()
    wide[1:] |= chosen[:-1]
    wide[:-1] |= chosen[1:]
    return wide


@dataclass(frozen=True)
class PartedLines:
    """Whole lines of a text table, parted at its delimiter, at quotes and at ends of lines.

    Attributes:
        cells: every part, empty ones too.
        end: the byte after each part.
    """

    cells: Cells
    end: Bytes
    delimiter: int

    @classmethod
    def of(cls, data: Bytes, delimiter: int) -> PartedLines:
        """Part some bytes."""
        cuts = np.flatnonzero((data == delimiter) | (data == NEWLINE) | (data == QUOTE) | (data == RETURN))
        padded = np.zeros(data.size + PADDING, np.uint8)
        padded[: data.size] = data
        start = np.zeros(cuts.size + 1, np.int64)
        np.add(cuts, 1, out=start[1:])
        length = np.empty(start.size, np.int64)
        np.subtract(cuts, start[:-1], out=length[:-1])
        length[-1] = data.size - start[-1]
        return cls(Cells(padded, start, length), padded[start + length], delimiter)

    @property
    def plain(self) -> bool:
        """Whether it is text of one byte a character, as most are; else its parts may not be what they look like."""
        return not _CONTROL[self.cells.data[:-PADDING]].any()

    @cached_property
    def number(self) -> Ints:
        """Which line each part is of, from 0."""
        return np.append(0, np.cumsum(self.end == NEWLINE)[:-1])

    @cached_property
    def place(self) -> Ints:
        """Which of its line each part is of, by delimiters, from 0."""
        before = np.append(0, np.cumsum(self.end == self.delimiter)[:-1])
        first = np.flatnonzero(np.append(True, np.diff(self.number) != 0))
        place: Ints = before - before[first][self.number]
        return place

    @property
    def quoted(self) -> Bytes:
        """The lines that hold a quote: their cells may hold delimiters."""
        lines = np.unique(self.number[self.end == QUOTE])
        if not lines.size:
            return np.zeros(0, np.uint8)
        inside = np.flatnonzero(np.isin(self.number, lines))
        size = self.cells.length[inside] + 1
        text, _ = Cells(self.cells.data, self.cells.start[inside], size).joined()
        return text


def neighbours(lines: PartedLines) -> Condensed | None:
    """Return what neighbouring cells say together that none says alone, a text each; nothing where none could.

    Digits of several cells that have the length of an MPAN, pairs of hexadecimal of eight cells, the halves of a
    postcode, and a house number before the cell of a street.
    """
    cells = lines.cells
    full = np.flatnonzero(cells.length > 0)
    start, length = cells.start[full], cells.length[full]
    if full.size < 2:
        return None
    end = start + length
    gap = np.full(full.size, FAR, np.int64)
    gap[1:] = start[1:] - end[:-1]
    begins, ends = [], []
    for found in (_digits, _hexes, _postcodes, _houses):
        first, last = found(cells.data, start, length, gap)
        begins.append(start[first])
        ends.append(end[last])
    begin = np.concatenate(begins)
    if not begin.size:
        return None
    return Cells(cells.data, begin, np.concatenate(ends) - begin).condensed()


def _digit(data: Bytes) -> Mask:
    return (data - np.uint8(48)) < 10


def _letter(data: Bytes) -> Mask:
    return ((data | np.uint8(32)) - np.uint8(97)) < 26


def _digits(data: Bytes, start: Ints, length: Ints, gap: Ints) -> tuple[Ints, Ints]:
    short = np.flatnonzero((length < MPAN_LENGTHS[-1]) & _digit(data[start]))
    short = short[_digit(data[start[short] + np.minimum(length[short] - 1, 4)])]  # no date
    before = np.append(-2, short[:-1])
    beside = (short == before + 1) & (gap[short] <= REACH)
    some = np.flatnonzero(beside | np.append(beside[1:], False))  # alone, none says anything together
    chosen = short[some]
    if not chosen.size:
        return chosen, chosen
    inside = np.ones(chosen.size, np.bool_)
    for at in range(1, int(length[chosen].max()) - 1):
        inside &= _digit(data[start[chosen] + np.minimum(at, length[chosen] - 1)])
    chosen, beside = chosen[inside], beside[some][inside]
    near = np.where(beside & (np.diff(chosen, prepend=-2) == 1), gap[chosen], FAR)
    spans = Spans(np.arange(chosen.size), length[chosen], near, start[chosen])
    first, total = joined(spans, MPAN_LENGTHS, most=MPAN_LENGTHS[-1], farthest=REACH)
    reach = np.cumsum(length[chosen])
    wanted = reach[first] - length[chosen][first] + total
    return chosen[first], chosen[np.searchsorted(reach, wanted)]


def _hexes(data: Bytes, start: Ints, length: Ints, gap: Ints) -> tuple[Ints, Ints]:
    two = (length == 2) & (gap == 1)
    count = np.append(0, np.cumsum(two))
    last = np.flatnonzero(count[7:] - count[:-7] == 7) + 6
    last = last[last >= 7]
    first = last - 7
    good = length[first] == 2
    return first[good], last[good]


def _postcodes(data: Bytes, start: Ints, length: Ints, gap: Ints) -> tuple[Ints, Ints]:
    last = np.flatnonzero((length == 3) & (gap <= 2))
    at = start[last]
    last = last[_digit(data[at]) & _letter(data[at + 1]) & _letter(data[at + 2])]
    before = length[last - 1]
    last = last[(before >= 2) & (before <= 4) & _letter(data[start[last - 1]])]
    return last - 1, last


def _houses(data: Bytes, start: Ints, length: Ints, gap: Ints) -> tuple[Ints, Ints]:
    number = np.flatnonzero((length[:-1] <= 4) & (gap[1:] <= REACH) & (length[1:] >= 6))
    number = number[_digit(data[start[number]]) & _letter(data[start[number + 1]])]
    street = number + 1
    spaced = np.zeros(number.size, np.bool_)
    for at in range(3, 24):
        spaced |= (data[start[street] + at] == 32) & (length[street] > at + 1)
    return number[spaced], street[spaced]
