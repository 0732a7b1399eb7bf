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
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from contracts.errors import RingFenceError
from transforms.ringfence.contested import Contested, Problem

MINIMUM_SLICES = 4
REST_SLICES = 8
LEVELS = MINIMUM_SLICES + REST_SLICES

Ints = NDArray[np.int64]


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
    got_base, got_spare = base.copy(), spare.copy()
    classes, asked = np.nonzero(contested.bits)
    amounts = np.zeros(len(classes), dtype=np.int64)
    if len(inside):
        owner, is_spare, units, level = _slices(problem, inside, base, spare)
        cost = level * len(turns) + turns[owner]
        flow = _Flow(contested, classes, asked)
        amounts, taken = flow.solve(asks[owner], units, cost)
        got_base[inside], got_spare[inside] = 0, 0
        np.add.at(got_base, owner[~is_spare], taken[~is_spare])
        np.add.at(got_spare, owner[is_spare], taken[is_spare])
    used = amounts > 0
    return Fill(got_base, got_spare, classes[used], asked[used], amounts[used])


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


class _Flow:
    """Source, classes, specifications, sink; the arcs into the sink are given when solving."""

    def __init__(self, contested: Contested, classes: Ints, asked: Ints) -> None:
        self._supply = contested.supply
        self._classes, self._asked = classes, asked
        self._number = len(contested.specifications)

    def solve(self, owner: Ints, units: Ints, cost: Ints) -> tuple[Ints, Ints]:
        """Return the flow on every (class, specification) arc and on every arc into the sink.

        Args:
            owner: specification of each arc into the sink; ``units`` its capacity; ``cost`` of one unit.
        """
        number = len(self._supply)
        source, sink = 0, number + self._number + 1
        wanted = np.bincount(owner, weights=units, minlength=self._number).astype(np.int64)
        tails = np.concatenate([np.zeros(number, dtype=np.int64), 1 + self._classes, 1 + number + owner])
        heads = np.concatenate(
            [1 + np.arange(number), 1 + number + self._asked, np.full(len(owner), sink, dtype=np.int64)]
        )
        middle = np.minimum(self._supply[self._classes], wanted[self._asked])
        capacity = np.concatenate([self._supply, middle, units])
        prices = np.concatenate([np.zeros(number + len(self._classes), dtype=np.int64), cost])
        return self._run(tails, heads, capacity, prices, (source, sink, int(units.sum())))

    def _run(
        self, tails: Ints, heads: Ints, capacity: Ints, prices: Ints, ends: tuple[int, int, int]
    ) -> tuple[Ints, Ints]:
        solver = SimpleMinCostFlow()
        arcs = solver.add_arcs_with_capacity_and_unit_cost(
            tails.astype(np.int32), heads.astype(np.int32), capacity, prices
        )
        solver.set_nodes_supplies(np.array(ends[:2], dtype=np.int32), np.array([ends[2], -ends[2]], dtype=np.int64))
        status = solver.solve_max_flow_with_min_cost()
        if status != solver.OPTIMAL:
            raise RingFenceError("the flow could not be solved", where="ring-fence", remedy=f"solver status {status}")
        flows = np.asarray(solver.flows(arcs), dtype=np.int64)
        first, middle = len(self._supply), len(self._classes)
        return flows[first : first + middle], flows[first + middle :]
