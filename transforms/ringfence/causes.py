"""Why units are missing: sets of test cases that together want more than there is (Hall violators), made minimal.

First every demand that wants more than satisfies it alone. Then, for what is still missing, sets of demands from
which none can be left out without the deficit going away (deletion filter over maximum flows; Hall 1935, Dulmage and
Mendelsohn 1958). Each deficit is charged to members that are short, so that the causes account for every missing unit
exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.max_flow import SimpleMaxFlow

from transforms.ringfence.contested import Contested, Problem, closure, distinct_signatures
from transforms.ringfence.max_flow import Fill
from transforms.ringfence.signatures import to_bits, to_words

EFFORT = 40_000_000
"""Arcs that may be looked at in search of minimal sets; work counted, not seconds, so that all machines agree."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ShortageCause:
    """A set of demands that wants more than there is.

    Attributes:
        demands: places in ``Problem.demands``, ascending.
        wanted: units they want together (less what other causes explain); ``eligible``: free units that satisfy any.
        falls_on: by demand, how many of the missing units this cause explains.
        minimal: nothing can be left out of it; False where the search was cut short.
        still: other causes explain a part of what its members lack, so ``wanted`` is what they want beside that.
    """

    demands: tuple[int, ...]
    wanted: int
    eligible: int
    falls_on: dict[int, int]
    minimal: bool = True
    still: bool = False

    @property
    def short(self) -> int:
        """Return the missing units."""
        return sum(self.falls_on.values())


def find_causes(problem: Problem, contested: Contested, filled: Fill) -> list[ShortageCause]:
    """Return the causes of all missing base units.

    Args:
        problem: demands and supply.
        contested: its contested part.
        filled: a maximum flow, without an all-or-nothing decision.
    """
    eligible = contested.eligible[problem.asks]
    alone = np.maximum(problem.base - eligible, 0)
    found = [
        ShortageCause((int(d),), int(problem.base[d]), int(eligible[d]), {int(d): int(alone[d])})
        for d in np.flatnonzero(alone)
    ]
    want = np.minimum(problem.base, eligible)
    if (want > filled.base).any():
        found += _Search(problem, contested, filled, want).run()
    return found


class _Search:
    """Search for minimal sets inside the part of the contested part that is over-demanded."""

    def __init__(self, problem: Problem, contested: Contested, filled: Fill, want: Ints) -> None:
        self._want, self._got, self._base = want, filled.base, problem.base
        self._effort = EFFORT
        place = np.full(len(problem.specifications), -1, dtype=np.int64)
        place[contested.specifications] = np.arange(len(contested.specifications))
        asks = place[problem.asks]
        used = filled.amounts > 0
        held = np.stack([filled.classes[used], filled.specifications[used]], axis=1)
        reached = closure(
            contested.bits, held, np.bincount(asks[want > filled.base], minlength=contested.bits.shape[1]) > 0
        )
        columns = np.flatnonzero(reached)
        near = np.flatnonzero(contested.bits[:, reached].any(axis=1))
        words = to_words(contested.bits[np.ix_(near, columns)])
        first, which = distinct_signatures(words)
        self._bits = to_bits(words[first], len(columns))
        self._supply = np.bincount(which, weights=contested.supply[near], minlength=len(first)).astype(np.int64)
        row_of = np.full(len(contested.bits), -1, dtype=np.int64)
        row_of[near] = which
        column_of = np.full(contested.bits.shape[1], -1, dtype=np.int64)
        column_of[columns] = np.arange(len(columns))
        inside = (row_of[held[:, 0]] >= 0) & (column_of[held[:, 1]] >= 0)
        self._held = np.unique(np.stack([row_of[held[inside, 0]], column_of[held[inside, 1]]], axis=1), axis=0)
        self._asks = np.where(asks >= 0, column_of[np.maximum(asks, 0)], -1)

    def run(self) -> list[ShortageCause]:
        """Return causes until nothing is missing any more."""
        found = []
        while len(short := np.flatnonzero(self._want > self._got)):
            first = np.bincount(self._asks[short[:1]], minlength=self._bits.shape[1]) > 0
            reached = closure(self._bits, self._held, first)
            self._effort -= self._bits.size
            members = np.flatnonzero((self._asks >= 0) & (self._want > 0))
            members = members[reached[self._asks[members]]]
            members, minimal = self._shrink(members)
            found.append(self._charge(members, minimal))
        return found

    def _shrink(self, members: Ints) -> tuple[Ints, bool]:
        """Leave out members, the easiest to satisfy first, while a deficit stays."""
        if self._effort > 0:
            members = self._violators(members)
        room = self._bits.T.astype(np.int64) @ self._supply if self._effort > 0 else np.zeros(0, dtype=np.int64)
        essential: list[int] = []
        while len(loose := np.setdiff1d(members, essential)):
            if self._effort <= 0:
                return members, False
            out = loose[np.lexsort((loose, -room[self._asks[loose]]))[0]]
            rest = self._violators(members[members != out])
            if len(rest):
                members = rest
            else:
                essential.append(int(out))
        return members, True

    def _violators(self, members: Ints) -> Ints:
        """Return those of ``members`` that take part in a deficit; none if all can be served."""
        if not len(members):
            return members
        columns, node = np.unique(self._asks[members], return_inverse=True)
        want = np.bincount(node, weights=self._want[members]).astype(np.int64)
        bits = self._bits[:, columns]
        near = np.flatnonzero(bits.any(axis=1))
        kind, column = np.nonzero(bits[near])
        self._effort -= len(kind) + len(self._bits)
        solver = SimpleMaxFlow()
        sink = 1 + len(columns) + len(near)
        for tails, heads, capacity in (
            (np.zeros(len(columns)), 1 + np.arange(len(columns)), want),
            (1 + column, 1 + len(columns) + kind, np.minimum(want[column], self._supply[near][kind])),
            (1 + len(columns) + np.arange(len(near)), np.full(len(near), sink), self._supply[near]),
        ):
            solver.add_arcs_with_capacity(tails.astype(np.int32), heads.astype(np.int32), capacity)
        solver.solve(0, sink)
        if solver.optimal_flow() == int(want.sum()):
            return members[:0]
        side = np.zeros(sink + 1, dtype=np.bool_)
        side[solver.get_source_side_min_cut()] = True
        return members[side[1 + node]]

    def _charge(self, members: Ints, minimal: bool) -> ShortageCause:
        """Make a cause of ``members`` and take its deficit off the wants of those that are short."""
        near = self._bits[:, np.unique(self._asks[members])].any(axis=1)
        wanted, eligible = int(self._want[members].sum()), int(self._supply[near].sum())
        still = bool((self._want < self._base)[members].any())
        left, falls_on = wanted - eligible, {}
        for member in members[np.argsort(-(self._want - self._got)[members], kind="stable")]:
            units = min(left, int(self._want[member] - self._got[member]))
            if units:
                falls_on[int(member)] = units
                self._want[member] -= units
                left -= units
        return ShortageCause(tuple(int(member) for member in members), wanted, eligible, falls_on, minimal, still)
