"""Lines of a flow as arrays: where each record and each of its fields begins and ends. No byte is decoded.

A record is its group id and its fields, divided by ``|``, with one ``|`` after the last. What real files have besides
is kept: line ends of either kind, blank lines, blanks after the last ``|``, a last field without its ``|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.pseudonymise.byte_columns import Bytes

Ints = NDArray[np.int32]
Marks = NDArray[np.bool_]

PIPE, LINE_FEED, BLANK = np.uint8(0x7C), np.uint8(0x0A), np.uint8(0x20)
_ID_LENGTHS = (2, 3)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a text and their fields.

    Attributes:
        data: the bytes.
        starts, ends: of each line; the end is before the line feed.
        codes: group id of each line as a number (``group_code``); 0 where a line is no record, -1 where it is blank.
        first: number of the first field of each line, and one more entry for the end; the group id is no field.
        field_starts, field_ends: of each field of all lines.
    """

    data: Bytes
    starts: Ints
    ends: Ints
    codes: Ints
    first: Ints
    field_starts: Ints
    field_ends: Ints

    @property
    def count(self) -> int:
        """Number of lines."""
        return self.starts.size

    def line_of(self, fields: Ints) -> Ints:
        """Return the line that each of these fields is of; they are in order."""
        return np.searchsorted(self.first, fields, side="right").astype(np.int32) - np.int32(1)

    def fields(self, line: int) -> list[bytes]:
        """Return the fields of one line."""
        chosen = range(self.first[line], self.first[line + 1])
        return [self.data[self.field_starts[i] : self.field_ends[i]].tobytes() for i in chosen]


def group_code(name: str) -> int:
    """Return a group id of two or three characters as one number."""
    code = name.encode("ascii").ljust(3, b"\0")
    return code[0] << 16 | code[1] << 8 | code[2]


def split(text: bytes) -> Lines:
    """Find lines and fields of a text of whole lines."""
    data = np.frombuffer(text, np.uint8)
    found = np.flatnonzero((data == PIPE) | (data == LINE_FEED)).astype(np.int32)
    piped = data.take(found, mode="clip") == PIPE  # without a look at the bounds: half the time
    if data.size and data[-1] != LINE_FEED:
        found, piped = np.append(found, np.int32(data.size)), np.append(piped, False)
    last = np.flatnonzero(~piped).astype(np.int32)  # of each line, its line feed among the marks
    head = np.empty_like(last)
    head[:1], head[1:] = 0, last[:-1] + 1  # its first mark
    ends = found[last]
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 0, ends[:-1] + 1
    codes = _codes(data, starts, found[head])
    trimmed = trim(data, starts, ends)
    codes[trimmed == starts] = -1
    # fields lie between neighbouring pipes; what follows the last pipe of a line is one only where it is no blank
    pipes = last - head
    open_end = (pipes > 0) & (codes > 0)
    open_end &= trimmed > found[np.maximum(last - 1, 0)] + 1
    before = np.zeros(found.size, dtype=np.bool_)  # marks that a field follows
    before[:-1] = piped[:-1] & piped[1:]
    before[last[open_end] - 1] = True
    counts = np.maximum(pipes - 1, 0) + open_end
    if (codes <= 0).any():
        counts[codes <= 0] = 0
        before &= np.repeat(codes > 0, pipes + 1)
    first = np.zeros(last.size + 1, dtype=np.int32)
    np.cumsum(counts, out=first[1:])
    mark = np.flatnonzero(before)
    field_ends = found.take(mark + 1)
    field_ends[first[1:][open_end] - 1] = trimmed[open_end]
    return Lines(data, starts, ends, codes, first, found.take(mark) + np.int32(1), field_ends)


def _codes(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """Return the group ids of lines, 0 where what stands before the first pipe is none."""
    codes = np.zeros(starts.size, dtype=np.int32)
    for length in _ID_LENGTHS:
        rows = np.flatnonzero((ends - starts) == length)
        good = np.ones(rows.size, dtype=np.bool_)
        code = np.zeros(rows.size, dtype=np.int32)
        for place in range(3):
            if place < length:
                byte = data[starts[rows] + place]
                good &= ((byte - np.uint8(48)) < 10) | ((byte - np.uint8(65)) < 26)
                code = (code << 8) | byte
            else:
                code = code << 8
        codes[rows[good]] = code[good]
    return codes


def trim(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """Return where texts end without the blanks behind them (spaces and control characters)."""
    out = ends.copy()
    rows = np.flatnonzero(out > starts)
    while rows.size:
        rows = rows[data[out[rows] - 1] <= BLANK]
        out[rows] -= 1
        rows = rows[out[rows] > starts[rows]]
    return out


def blank(data: Bytes, starts: Ints, ends: Ints) -> Marks:
    """Tell which texts hold nothing but blanks."""
    marks: Marks = trim(data, starts, ends) == starts
    return marks
