"""Who gets how many: one minimum-cost maximum flow over the contested part.

Costs stand only on the arcs from demands to the sink. The amounts that demands can receive together form a
polymatroid, so a flow that is a maximum and, among the maxima, the cheapest is also the best for every prefix of the
cost order: tier 1 gets as much as it could get alone, then tier 2 without costing tier 1 a unit, and so on, base of
every tier before any spare. Small whole costs are enough. Inside a tier the minimum that a test case needs comes
first, and each want is cut into slices of rising cost, so a shortage is spread instead of falling on one test case.
Where two demands are still alike, a keyed order decides; no two costs are equal, so the amounts are unique: they do
not depend on the solver.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.max_flow import SimpleMaxFlow
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from contracts.errors import RingFenceError
from transforms.ringfence.contested import Contested, Problem, closure, distinct_signatures
from transforms.ringfence.signatures import to_words

MINIMUM_SLICES = 4
REST_SLICES = 8
LEVELS = MINIMUM_SLICES + REST_SLICES

Ints = NDArray[np.int64]
Numbers = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Fill:
    """Units for each demand of a problem, and a flow over the contested part that provides them.

    Attributes:
        base, spare: units by demand.
        classes, specifications, amounts: the flow, by (class, place in ``Contested.specifications``).
    """

    base: Ints
    spare: Ints
    classes: Ints
    specifications: Ints
    amounts: Ints


def fill(problem: Problem, contested: Contested, *, base: Ints, spare: Ints, turns: Ints) -> Fill:
    """Find how many units every demand gets.

    A plain maximum flow tells where anything is short. Whatever holds no unit that a short specification could have,
    directly or by exchange, gets all it wants in every maximum (Dulmage and Mendelsohn 1958); costs decide over the
    rest alone, which is small.

    Args:
        problem: demands and supply.
        contested: its contested part; demands outside it get all they want.
        base, spare: units wanted by demand (``whole_test_cases`` may have lowered them).
        turns: place of each demand in the keyed order that decides between equals, see ``keyed_turns``.
    """
    place = np.full(len(problem.specifications), -1, dtype=np.int64)
    place[contested.specifications] = np.arange(len(contested.specifications))
    asks = place[problem.asks]
    inside = np.flatnonzero(asks >= 0)
    wanted = np.zeros(len(contested.specifications), dtype=np.int64)
    np.add.at(wanted, asks[inside], (base + spare)[inside])
    flow = _largest(contested, wanted)
    got_base, got_spare = base.copy(), spare.copy()
    short = np.bincount(flow.specifications, weights=flow.amounts, minlength=len(wanted)) < wanted
    if short.any():
        reached = closure(contested.bits, np.stack([flow.classes, flow.specifications], axis=1), short)
        rationed = inside[reached[asks[inside]]]
        owner, is_spare, units, level = _slices(problem, rationed, base, spare)
        part = _Rationed(contested, np.flatnonzero(reached))
        within, taken = part.solve(asks[owner], units, level * len(turns) + turns[owner])
        got_base[rationed], got_spare[rationed] = 0, 0
        np.add.at(got_base, owner[~is_spare], taken[~is_spare])
        np.add.at(got_spare, owner[is_spare], taken[is_spare])
        flow = flow.only(~reached[flow.specifications]).joined(within)
    return Fill(got_base, got_spare, flow.classes, flow.specifications, flow.amounts)


def keyed_turns(problem: Problem, key: bytes) -> Ints:
    """Return the place of each demand in an order that nobody can predict without the key."""
    marks = [hmac.digest(key, b"turn/" + repr(demand.key).encode(), "sha256") for demand in problem.demands]
    turns = np.empty(len(marks), dtype=np.int64)
    turns[sorted(range(len(marks)), key=marks.__getitem__)] = np.arange(len(marks))
    return turns


def _slices(problem: Problem, inside: Ints, base: Ints, spare: Ints) -> tuple[Ints, NDArray[np.bool_], Ints, Ints]:
    """Cut every want into slices: (demand, is it spare, units, level); the first unit of each is in its first slice."""
    priorities = np.array([demand.priority for demand in problem.demands], dtype=np.int64)
    minimum = np.minimum([demand.minimum for demand in problem.demands], base)
    tiers, tier = np.unique(priorities, return_inverse=True)
    parts = (
        (minimum, MINIMUM_SLICES, tier * LEVELS, False),
        (base - minimum, REST_SLICES, tier * LEVELS + MINIMUM_SLICES, False),
        (spare, REST_SLICES, (len(tiers) + tier) * LEVELS, True),
    )
    owner, is_spare, units, cost = [], [], [], []
    for wanted, number, level, spares in parts:
        for each in range(number):
            size = -(-wanted[inside] * (each + 1) // number) + (-wanted[inside] * each // number)
            owner.append(inside)
            is_spare.append(np.full(len(inside), spares))
            units.append(size)
            cost.append(level[inside] + each)
    joined = [np.concatenate(part) for part in (owner, is_spare, units, cost)]
    kept = joined[2] > 0
    return joined[0][kept], joined[1][kept], joined[2][kept], joined[3][kept]


@dataclass(frozen=True)
class _Flow:
    """Units, more than none, that go from a class to a specification."""

    classes: Ints
    specifications: Ints
    amounts: Ints

    def only(self, kept: NDArray[np.bool_]) -> _Flow:
        """Return the arcs that are kept."""
        return _Flow(self.classes[kept], self.specifications[kept], self.amounts[kept])

    def joined(self, other: _Flow) -> _Flow:
        """Return both, by class and specification."""
        parts = [np.concatenate(pair) for pair in (
            (self.classes, other.classes),
            (self.specifications, other.specifications),
            (self.amounts, other.amounts),
        )]  # fmt: skip
        order = np.lexsort((parts[1], parts[0]))
        return _Flow(*(part[order] for part in parts))


def _largest(contested: Contested, wanted: Ints) -> _Flow:
    """Return a maximum flow, whoever gets it: source, specifications, classes, sink."""
    classes, asked = contested.arcs
    number, sink = len(wanted), 1 + len(wanted) + len(contested.supply)
    every, each = np.arange(len(contested.supply)), np.arange(number)
    solver = SimpleMaxFlow()
    middle = _add(solver, 1 + asked, 1 + number + classes, np.minimum(wanted[asked], contested.supply[classes]))
    _add(solver, np.zeros(number), 1 + each, wanted)
    _add(solver, 1 + number + every, np.full(len(every), sink), contested.supply)
    _require(solver.solve(0, sink) == solver.OPTIMAL)
    amounts = np.asarray(solver.flows(middle), dtype=np.int64)
    return _Flow(classes, asked, amounts).only(amounts > 0)


def _add(solver: SimpleMaxFlow, tails: Numbers, heads: Numbers, capacity: Ints) -> NDArray[np.int32]:
    arcs: NDArray[np.int32] = solver.add_arcs_with_capacity(tails.astype(np.int32), heads.astype(np.int32), capacity)
    return arcs


def _require(solved: bool) -> None:
    if not solved:
        raise RingFenceError("the flow could not be solved", where="ring-fence", remedy="please report it")


class _Rationed:
    """The part where units are short: some specifications, and classes that these alone can tell apart.

    Args:
        contested: the contested part.
        columns: places of the specifications.
    """

    def __init__(self, contested: Contested, columns: Ints) -> None:
        self._columns, self._width = columns, contested.bits.shape[1]
        near = contested.bits[:, columns]
        self._near = np.flatnonzero(near.any(axis=1))
        words = to_words(near[self._near])
        first, self._kind = distinct_signatures(words)
        self._bits = near[self._near[first]]
        self._units = contested.supply[self._near]
        self._supply = np.bincount(self._kind, weights=self._units, minlength=len(first)).astype(np.int64)

    def solve(self, asks: Ints, units: Ints, cost: Ints) -> tuple[_Flow, Ints]:
        """Return the cheapest of the largest flows, and the flow on every arc into the sink.

        Args:
            asks: specification of each arc into the sink; ``units`` its capacity; ``cost`` of one unit.
        """
        column_of = np.zeros(self._width, dtype=np.int64)
        column_of[self._columns] = np.arange(len(self._columns))
        owner, number = column_of[asks], len(self._supply)
        kinds, asked = np.nonzero(self._bits)
        sink = number + len(self._columns) + 1
        wanted = np.bincount(owner, weights=units, minlength=len(self._columns)).astype(np.int64)
        tails = np.concatenate([np.zeros(number, dtype=np.int64), 1 + kinds, 1 + number + owner])
        heads = np.concatenate([1 + np.arange(number), 1 + number + asked, np.full(len(owner), sink, dtype=np.int64)])
        capacity = np.concatenate([self._supply, np.minimum(self._supply[kinds], wanted[asked]), units])
        prices = np.concatenate([np.zeros(number + len(kinds), dtype=np.int64), cost])
        solver = SimpleMinCostFlow()
        arcs = solver.add_arcs_with_capacity_and_unit_cost(
            tails.astype(np.int32), heads.astype(np.int32), capacity, prices
        )
        total = int(units.sum())
        solver.set_nodes_supplies(np.array([0, sink], dtype=np.int32), np.array([total, -total], dtype=np.int64))
        _require(solver.solve_max_flow_with_min_cost() == solver.OPTIMAL)
        flows = np.asarray(solver.flows(arcs), dtype=np.int64)
        middle, last = flows[number : number + len(kinds)], flows[number + len(kinds) :]
        used = middle > 0
        return self._by_class(kinds[used], asked[used], middle[used]), last

    def _by_class(self, kinds: Ints, asked: Ints, amounts: Ints) -> _Flow:
        """Deal out what comes of like classes: laid end to end, the first specification takes from the first."""
        order = np.argsort(self._kind, kind="stable")
        ends = np.cumsum(self._units[order])
        before = np.cumsum(amounts) - amounts
        firsts = np.flatnonzero(np.diff(kinds, prepend=-1))
        of_kind = np.repeat(before[firsts], np.diff(np.append(firsts, len(kinds))))
        starts = (np.cumsum(self._supply) - self._supply)[kinds] + before - of_kind
        cuts = np.unique(np.concatenate([np.zeros(1, np.int64), ends, starts, starts + amounts]))
        begin, size = cuts[:-1], np.diff(cuts)
        taker = np.searchsorted(starts, begin, side="right") - 1
        given = (taker >= 0) & (begin < (starts + amounts)[np.maximum(taker, 0)])
        begin, size, taker = begin[given], size[given], taker[given]
        giver = np.searchsorted(ends, begin, side="right")
        return _Flow(self._near[order[giver]], self._columns[asked[taker]], size)
