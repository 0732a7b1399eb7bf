"""All or nothing: which test cases to run when not all can, so that no unit is wasted on one that cannot.

Maximising fully served test cases is hard in general. But every demand outside the groups that compete for exhausted
classes is served in full anyway, so an exact search is needed inside those groups only, and they are small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from transforms.connected_components import smallest_connected
from transforms.ringfence.contested import Contested, Problem
from transforms.ringfence.max_flow import Fill

EFFORT = 20.0
"""Deterministic time for each search: work counted, not seconds, so that the answer does not depend on the machine."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AllOrNothing:
    """Decision on a problem.

    Attributes:
        base: units each demand is to get: at least its minimum (its base where none is stated), or nothing.
        groups: conflict groups searched; ``unproven`` of them ended without proof that no better choice exists.
    """

    base: Ints
    groups: int
    unproven: int


def needed(problem: Problem) -> Ints:
    """Return the units with which each test case can run."""
    return np.array([demand.minimum or demand.base for demand in problem.demands], dtype=np.int64)


def decide_all_or_nothing(problem: Problem, contested: Contested, filled: Fill) -> AllOrNothing:
    """Choose the test cases that run, tier by tier as many as can be, then as many units as can be.

    Args:
        problem: demands and supply.
        contested: its contested part.
        filled: the flow without spares.
    """
    base = filled.base.copy()
    if not ((filled.base < problem.base) & (filled.base < needed(problem))).any():
        return AllOrNothing(base, 0, 0)
    groups = conflict_groups(problem, contested, filled)
    proven = [_search(problem, contested, group, base) for group in groups]
    return AllOrNothing(base, len(groups), proven.count(False))


def conflict_groups(problem: Problem, contested: Contested, filled: Fill) -> list[Ints]:
    """Return the groups of contested specifications (places in it) that compete for exhausted classes."""
    place = np.full(len(problem.specifications), -1, dtype=np.int64)
    place[contested.specifications] = np.arange(len(contested.specifications))
    reached = np.zeros(len(contested.specifications), dtype=np.bool_)
    reached[place[problem.asks[filled.base < problem.base]]] = True
    while True:
        classes: NDArray[np.bool_] = np.any(contested.bits[:, reached], axis=1)
        further = reached.copy()
        further[filled.specifications[classes[filled.classes]]] = True
        if np.array_equal(further, reached):
            break
        reached = further
    rows, columns = np.nonzero(contested.bits & reached[None, :])
    size = len(contested.specifications)
    label = smallest_connected(size + len(contested.bits), columns, size + rows)[:size]
    return [np.flatnonzero(reached & (label == first)) for first in np.unique(label[reached])]


def _search(problem: Problem, contested: Contested, group: Ints, base: Ints) -> bool:
    """Decide one group, writing into ``base``; return whether the choice is proven best."""
    bits = contested.bits[:, group]
    used = bits.any(axis=1)
    kinds, which = np.unique(bits[used], axis=0, return_inverse=True)
    supply = np.bincount(which.reshape(-1), weights=contested.supply[used]).astype(np.int64)
    demands = np.flatnonzero(np.isin(problem.asks, contested.specifications[group]))
    model = cp_model.CpModel()
    runs = {int(d): model.new_bool_var(f"runs{d}") for d in demands}
    gets = {int(d): model.new_int_var(0, int(problem.base[d]), f"gets{d}") for d in demands}
    least = needed(problem)
    for demand, run in runs.items():
        model.add(gets[demand] <= int(problem.base[demand]) * run)
        model.add(gets[demand] >= int(least[demand]) * run)
    _supply_constraints(model, problem, (kinds, supply, contested.specifications[group]), gets)
    proven = True
    tiers = sorted({problem.demands[demand].priority for demand in runs})
    goals = [[runs[d] for d in runs if problem.demands[d].priority == tier] for tier in tiers]
    goals += [[gets[d] for d in gets if problem.demands[d].priority == tier] for tier in tiers]
    solver = _solver()
    for goal in goals:
        model.maximize(sum(goal))
        status = solver.solve(model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return False
        proven &= status == cp_model.OPTIMAL
        model.add(sum(goal) >= round(solver.objective_value))
        model.clear_hints()
        for variable in (*runs.values(), *gets.values()):
            model.add_hint(variable, solver.value(variable))
    for demand, variable in gets.items():
        base[demand] = solver.value(variable)
    return proven


def _supply_constraints(
    model: cp_model.CpModel,
    problem: Problem,
    shape: tuple[NDArray[np.bool_], Ints, Ints],
    gets: dict[int, cp_model.IntVar],
) -> None:
    """Say that what the demands get comes out of the classes that satisfy them."""
    kinds, supply, specifications = shape
    flows: dict[tuple[int, int], cp_model.IntVar] = {}
    for kind, column in zip(*np.nonzero(kinds), strict=True):
        flows[int(kind), int(column)] = model.new_int_var(0, int(supply[kind]), f"flow{kind}_{column}")
    for kind in range(len(kinds)):
        model.add(sum(flow for (row, _), flow in flows.items() if row == kind) <= int(supply[kind]))
    for column, specification in enumerate(specifications):
        wanted = [gets[demand] for demand in gets if problem.asks[demand] == specification]
        model.add(sum(wanted) == sum(flow for (_, at), flow in flows.items() if at == column))


def _solver() -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = EFFORT
    return solver
