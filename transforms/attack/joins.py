"""Plain joins of two cuts: who is linked by equal values in some columns, uniquely and rightly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from transforms.attack.blocks import firsts
from transforms.attack.facts import Column, Values, known_cells
from transforms.attack.search import ReleasedPart

Flags = NDArray[np.bool_]
GRID = 1e6  # scaled amounts are compared to the millionth
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class Join:
    """Counts, for each person, the records with the same values; and whether its own is one of them.

    Attributes:
        columns: facts joined on.
    """

    columns: tuple[str, ...]
    points: NDArray[np.uint64]
    known: Values
    equal: NDArray[np.int64] = field(init=False)
    own: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.equal = np.zeros(self.points.size, np.int64)
        self.own = np.zeros(self.points.size, np.bool_)

    def add(self, chunk: ReleasedPart) -> None:
        """Take in a chunk of the release."""
        records = firsts(chunk.values)
        if any(name not in records or name not in self.known for name in self.columns):
            return
        keys, there = digest(records, self.columns, chunk.points.size)
        sought, known = digest(self.known, self.columns, self.points.size)
        column = np.sort(keys[there])
        count = np.searchsorted(column, sought, "right") - np.searchsorted(column, sought, "left")
        self.equal += np.where(known, count, 0)
        order = np.argsort(chunk.points, kind="stable")
        at = np.minimum(np.searchsorted(chunk.points[order], self.points), max(chunk.points.size - 1, 0))
        mine = order[at] if chunk.points.size else at
        self.own |= (chunk.points[mine] == self.points) & known & there[mine] & (keys[mine] == sought)

    @property
    def linked(self) -> Flags:
        """Who is linked to the own record and to no other."""
        found: Flags = self.own & (self.equal == 1)
        return found

    @property
    def wrong(self) -> Flags:
        """Who is linked to somebody else's record alone."""
        found: Flags = ~self.own & (self.equal == 1)
        return found


def digest(values: Mapping[str, Column], names: Sequence[str], n: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return one digest of several values, and where all of them are known."""
    made, there = np.zeros(n, np.uint64), np.ones(n, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for name in names:
            column = values[name]
            there &= known_cells(column)
            if column.dtype != np.uint64:
                column = np.round(np.nan_to_num(column) * GRID).astype(np.int64).view(np.uint64)
            made = (made ^ (made >> np.uint64(29))) * _ODD + (column ^ (column >> np.uint64(32))) * _ODD
    return made, there


def combinations(public: Sequence[str], released: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the columns of every join: public ones alone, each released one alone, and with more and more public."""
    first = [tuple(public[:n]) for n in range(1, len(public) + 1)]
    return first + [(name, *public[:n]) for name in released for n in range(len(public) + 1)]
