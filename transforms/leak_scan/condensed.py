"""Any text as its letters and digits alone, upper case, and where its words and runs of digits stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from transforms.leak_scan.digests import PADDING, Bytes, Ints

Mask = NDArray[np.bool_]
FAR = 1 << 20  # between two cells: nothing is joined over it
_UPPER = np.zeros(256, np.uint8)
for _code in (*range(48, 58), *range(65, 91)):
    _UPPER[_code] = _code
_UPPER[97:123] = np.arange(65, 91)
_LETTER_HEX = np.zeros(256, np.bool_)
_LETTER_HEX[[*range(48, 58), *range(65, 71)]] = True


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of a condensed text, in order.

    Attributes:
        start, length: in letters and digits.
        gap: characters between the span before it and this one; ``FAR`` where more than separators stand between
            them, or another cell begins.
        at: where it stands in the bytes as they are.
    """

    start: Ints
    length: Ints
    gap: Ints
    at: Ints

    def of(self, chosen: Mask | Ints) -> Spans:
        """Return some of them."""
        return Spans(self.start[chosen], self.length[chosen], self.gap[chosen], self.at[chosen])


class Condensed:
    """Letters and digits of some bytes.

    Args:
        raw: the bytes.
        edges: where each cell begins, and the end; nothing for one text.
    """

    def __init__(self, raw: Bytes, edges: Ints | None = None) -> None:
        upper = _UPPER[raw]
        whole = bool(upper.all())  # as most columns of identifiers are
        self.positions = np.arange(raw.size) if whole else np.flatnonzero(upper)
        self.size = self.positions.size
        self.data: Bytes = np.zeros(self.size + PADDING, np.uint8)
        self.data[: self.size] = upper if whole else upper[self.positions]
        self.edges = edges
        self.cell_starts = None if edges is None else self._starts(edges[:-1], whole=whole)

    def _starts(self, edges: Ints, *, whole: bool) -> Ints:
        return edges if whole else np.searchsorted(self.positions, edges)

    @classmethod
    def of_texts(cls, texts: pl.Series) -> Condensed:
        """Condense the cells of a text column without nulls."""
        edges, data = arrow_bytes(texts)
        return cls(data[edges[0] : edges[-1]], edges - edges[0])

    @cached_property
    def word_begins(self) -> Mask:
        """Tell of each letter or digit whether a word begins there."""
        begins = np.ones(self.size + 1, np.bool_)
        np.not_equal(np.diff(self.positions), 1, out=begins[1 : self.size])
        if self.cell_starts is not None:
            begins[self.cell_starts] = True
        return begins

    @cached_property
    def words(self) -> Spans:
        """Runs of letters and digits with nothing between them."""
        starts = np.flatnonzero(self.word_begins[: self.size])
        return self._spans(starts, np.append(starts[1:], self.size))

    @cached_property
    def is_digit(self) -> Mask:
        """Tell of each letter or digit whether it is a digit."""
        return np.less(self.data[: self.size], 58)

    @cached_property
    def digits_before(self) -> Ints:
        """Count the digits before each letter or digit, and at the end."""
        return counted(self.is_digit)

    @cached_property
    def hexes_before(self) -> Ints:
        """Count the hexadecimal digits before each letter or digit, and at the end."""
        return counted(_LETTER_HEX[self.data[: self.size]])

    @cached_property
    def digit_runs(self) -> Spans:
        """Digits that stand side by side."""
        digit = self.is_digit
        if not digit.any():
            return Spans(*(np.zeros(0, np.int64),) * 4)
        begins = digit.copy()
        begins[1:] &= ~digit[:-1] | self.word_begins[1 : self.size]
        ends = digit.copy()
        ends[:-1] &= ~digit[1:] | self.word_begins[1 : self.size]
        return self._spans(np.flatnonzero(begins), np.flatnonzero(ends) + 1)

    def _spans(self, starts: Ints, ends: Ints) -> Spans:
        gap = np.full(starts.size, FAR, np.int64)
        if starts.size > 1:
            between = self.positions[starts[1:]] - self.positions[ends[:-1] - 1] - 1
            gap[1:] = np.where(starts[1:] == ends[:-1], between, FAR)
        if self.cell_starts is not None and starts.size:
            first = np.searchsorted(starts, self.cell_starts)
            gap[first[first < starts.size]] = FAR
        return Spans(starts, ends - starts, gap, self.positions[starts] if starts.size else starts)

    def cell_spans(self) -> tuple[Ints, Ints]:
        """Return where each cell begins among the letters and digits, and how many it has."""
        if self.cell_starts is None:
            return np.zeros(1, np.int64), np.array([self.size])
        return self.cell_starts, np.diff(np.append(self.cell_starts, self.size))

    def cell_of(self, positions: Ints) -> Ints:
        """Return the cell in which each place of the condensed text lies."""
        if self.cell_starts is None:
            return np.zeros(positions.size, np.int64)
        return np.searchsorted(self.cell_starts, positions, side="right") - 1


def counted(marks: Mask) -> Ints:
    """Return how many marks stand before each place, and before the end."""
    before = np.zeros(marks.size + 1, np.int64)
    np.cumsum(marks, out=before[1:])
    return before


def joined(spans: Spans, totals: tuple[int, ...], *, most: int, farthest: int, least: int = 2) -> tuple[Ints, Ints]:
    """Return where neighbouring spans together have one of some lengths: start and length.

    Args:
        most: of how many spans at the most; ``least`` at the least.
        farthest: characters between two of them at the most.
    """
    near = spans.gap <= farthest
    longest = max(totals)
    open_ = np.flatnonzero(spans.length < longest)
    length = spans.length[open_]
    starts, lengths = [], []
    for count in range(2, most + 1):
        last = open_ + count - 1
        inside = last < spans.start.size
        open_, length, last = open_[inside], length[inside], last[inside]
        close = near[last]
        open_, length = open_[close], length[close] + spans.length[last[close]]
        if count >= least:
            for total in totals:
                whole = length == total
                starts.append(spans.start[open_[whole]])
                lengths.append(np.full(starts[-1].size, total, np.int64))
        short = length < longest
        open_, length = open_[short], length[short]
        if not open_.size:
            break
    if not starts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(starts), np.concatenate(lengths)


def arrow_bytes(texts: pl.Series) -> tuple[Ints, Bytes]:
    """Return the offsets (n + 1) and the joined bytes of a text column without nulls."""
    array = texts.to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    positions = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return positions, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
