"""From which classes: a second minimum-cost flow, with what every specification gets already fixed.

A maximum flow alone is a corner: half of a bulk test can come out of one GSP group. This flow draws each
specification towards a share of every eligible class in proportion to its size, prefers classes that few others need
(so that later top-ups find something), and spends a linked pair on a single only where no single is left. Only the
first of these is a wish; the last weighs more than all others together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from contracts.errors import RingFenceError
from transforms.ringfence.contested import Contested, Problem
from transforms.ringfence.max_flow import Fill
from transforms.ringfence.selection import keyed_starts

ON_TARGET, NEAR_TARGET, BEYOND_TARGET = 0, 6, 12
SCARCITY_LEVELS = 6
CHUNK = 1024
FINE = 2**24
MOST_ARCS = 4_000_000
"""Above this, only target arcs and those of the first flow are offered: still feasible, less freedom."""

Ints = NDArray[np.int64]


def choose_representative(problem: Problem, contested: Contested, filled: Fill, key: bytes) -> tuple[Ints, Ints, Ints]:
    """Choose classes for what ``filled`` gives out; return (class, place in ``Contested.specifications``, units).

    Args:
        problem: demands and supply.
        contested: its contested part.
        filled: the first flow; its totals by specification do not change.
        key: the ring-fence key; places the start of each systematic sample.
    """
    number = len(contested.specifications)
    got = np.bincount(filled.specifications, weights=filled.amounts, minlength=number).astype(np.int64)
    if not got.sum():
        return filled.classes, filled.specifications, filled.amounts
    classes, asked = contested.arcs
    served = got[asked] > 0
    classes, asked = classes[served], asked[served]
    target = _targets(contested, classes, asked, got, keyed_starts(problem, contested.specifications, key))
    if len(classes) > MOST_ARCS:
        classes, asked, target = _fewer(contested, filled, classes, asked, target)
    tails, heads, capacity, cost = _slices(problem, contested, got, (classes, asked, target))
    amounts = _solve(contested, got, (tails, heads, capacity, cost))
    pair = tails * number + heads
    distinct, which = np.unique(pair, return_inverse=True)
    total = np.bincount(which, weights=amounts, minlength=len(distinct)).astype(np.int64)
    used = total > 0
    return distinct[used] // number, distinct[used] % number, total[used]


def _targets(contested: Contested, classes: Ints, asked: Ints, got: Ints, starts: NDArray[np.float64]) -> Ints:
    """Return a systematic sample of size ``got`` over the eligible classes of each specification, by arc.

    Arcs come sorted by class; for each specification the classes are laid end to end, each as long as its supply,
    and a ruler with ``got`` equally spaced marks is put on them at a keyed place.
    """
    order = np.lexsort((classes, asked))
    supply = contested.supply[classes[order]].astype(np.float64)
    ends = np.cumsum(supply)
    begin = np.searchsorted(asked[order], np.arange(len(got)))
    before = np.where(begin > 0, ends[np.maximum(begin - 1, 0)], 0.0)
    whole = np.bincount(asked, weights=contested.supply[classes], minlength=len(got))
    pace = np.divide(got, whole, out=np.zeros(len(got)), where=whole > 0)
    which = asked[order]
    after = np.floor((ends - before[which]) * pace[which] + starts[which])
    first = np.floor((ends - supply - before[which]) * pace[which] + starts[which])
    marks = np.empty(len(order), dtype=np.int64)
    marks[order] = np.minimum(np.rint(after - first), supply).astype(np.int64)
    return marks


def _fewer(contested: Contested, filled: Fill, classes: Ints, asked: Ints, target: Ints) -> tuple[Ints, Ints, Ints]:
    """Keep the arcs with a target and those the first flow used."""
    number = len(contested.specifications)
    used = np.isin(classes * number + asked, filled.classes * number + filled.specifications)
    kept = used | (target > 0)
    return classes[kept], asked[kept], target[kept]


def _slices(
    problem: Problem, contested: Contested, got: Ints, arcs: tuple[Ints, Ints, Ints]
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return (class, specification, capacity, cost) of up to three slices for each arc."""
    classes, asked, target = arcs
    most = np.minimum(contested.supply[classes], got[asked])
    near = np.minimum(target + 1, most - target)
    beyond = most - target - near
    scarcity = _scarcity(contested, got)[classes]
    saved = problem.spares_pairs()[contested.specifications][asked] & contested.several[classes]
    # Re-routing to save one pair touches each specification at most once, so this outweighs any number of wishes.
    price = scarcity + saved * (BEYOND_TARGET + SCARCITY_LEVELS) * (len(got) + 1)
    parts = ((target, ON_TARGET), (near, NEAR_TARGET), (beyond, BEYOND_TARGET))
    kept = [size > 0 for size, _ in parts]
    return (
        np.concatenate([classes[keep] for keep in kept]),
        np.concatenate([asked[keep] for keep in kept]),
        np.concatenate([size[keep] for (size, _), keep in zip(parts, kept, strict=True)]),
        np.concatenate([price[keep] + cost for (_, cost), keep in zip(parts, kept, strict=True)]),
    )


def _scarcity(contested: Contested, got: Ints) -> Ints:
    """Return a small price for each class: how hard the demands that could use it press on their supply."""
    eligible = np.maximum(contested.eligible[contested.specifications], 1)
    # AllOrNothing numbers, so that the sum is exact whatever order a machine adds in.
    weight = np.rint(np.minimum(got / eligible, 1.0) * FINE)
    pressure = np.empty(len(contested.bits), dtype=np.float64)
    for begin in range(0, len(pressure), CHUNK):
        part = contested.bits[begin : begin + CHUNK].astype(np.float64)
        pressure[begin : begin + CHUNK] = np.einsum("cs,s->c", part, weight)
    positive = pressure[pressure > 0]
    if not len(positive):
        return np.zeros(len(pressure), dtype=np.int64)
    steps = np.quantile(positive, np.linspace(0, 1, SCARCITY_LEVELS + 1)[1:-1])
    return np.searchsorted(steps, pressure).astype(np.int64)


def _solve(contested: Contested, got: Ints, arcs: tuple[Ints, Ints, Ints, Ints]) -> Ints:
    tails, heads, capacity, cost = arcs
    number, asked = len(contested.supply), len(got)
    solver = SimpleMinCostFlow()
    sink = number + asked + 1
    every, each = np.arange(number), np.arange(asked)
    middle = solver.add_arcs_with_capacity_and_unit_cost(
        (1 + tails).astype(np.int32), (1 + number + heads).astype(np.int32), capacity, cost
    )
    for tail, head, room in (
        (np.zeros(number), 1 + every, contested.supply),
        (1 + number + each, np.full(asked, sink), got),
    ):
        solver.add_arcs_with_capacity_and_unit_cost(
            tail.astype(np.int32), head.astype(np.int32), room, np.zeros(len(room), dtype=np.int64)
        )
    total = int(got.sum())
    solver.set_nodes_supplies(np.array([0, sink], dtype=np.int32), np.array([total, -total], dtype=np.int64))
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise RingFenceError("the spread could not be solved", where="ring-fence", remedy=f"solver status {status}")
    return np.asarray(solver.flows(middle), dtype=np.int64)
