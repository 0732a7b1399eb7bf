"""How representative a choice is: the metering points given out, compared with all that could have been.

Measured for every stage and for every test case with enough units to speak of a distribution.

Distance is the total variation distance: the share of metering points that would have to change their value for the
two distributions to agree. Pairwise coverage is the share of the pairs of values (of two attributes) held by at least
one in a thousand of the eligible metering points that the choice holds at least once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.ringfence.cells import Cells
from transforms.ringfence.kernel import Problem
from transforms.ringfence.population import Population
from transforms.ringfence.signatures import column

ENOUGH_UNITS = 100
"""A test case with fewer units cannot hold most values; its distance would say nothing."""

SHARE_THAT_COUNTS = 0.001
SHOWN_ABSENT = 12

COVERAGE_SCHEMA = {
    "round": pl.Int64,
    "scope": pl.String,
    "name": pl.String,
    "metering_points": pl.Int64,
    "attribute": pl.String,
    "distance": pl.Float64,
    "pairwise": pl.Float64,
    "absent": pl.List(pl.String),
}
"""``scope`` is ``stage`` or ``test case``. Rows with an empty ``attribute`` hold the mean distance and the pairwise
coverage of the scope; the others the distance of one attribute and the values that the choice lacks."""

Ints = NDArray[np.int64]
Counts = NDArray[np.float64]


def coverage(population: Population, cells: Cells, problem: Problem, rows: Ints, demand_of_row: Ints) -> pl.DataFrame:
    """Compare what a round gave out with what was eligible; return ``COVERAGE_SCHEMA``.

    Args:
        population: for the attributes worth comparing.
        cells: member and unit cells.
        problem: demands, and the supply before the round took any.
        rows: rows of the metering points given out; ``demand_of_row`` their demands.
    """
    attributes = [name for name in population.coverage if name in cells.member]
    given = cells.member_cell[rows]
    found = []
    if attributes:
        for scope, name, demands, eligible in _scopes(cells, problem):
            chosen = np.bincount(given[np.isin(demand_of_row, demands)], minlength=cells.singles)
            found += _measure(cells, attributes, (scope, name), chosen.astype(np.float64), eligible)
    return pl.DataFrame([(problem.demands[0].round, *row) for row in found], schema=COVERAGE_SCHEMA, orient="row")


def _scopes(cells: Cells, problem: Problem) -> Iterator[tuple[str, str, list[int], Counts]]:
    """Yield (scope, name, demands, eligible metering points by member cell)."""
    stages: dict[str, list[int]] = {}
    for number, demand in enumerate(problem.demands):
        stages.setdefault(demand.stage or demand.phase, []).append(number)
    everything = _members(cells, problem.free)
    for name in sorted(stages):
        yield "stage", name, stages[name], everything
    last, eligible = -1, everything
    large = [n for n, demand in enumerate(problem.demands) if demand.base + demand.spare >= ENOUGH_UNITS]
    for number in sorted(large, key=lambda n: (int(problem.asks[n]), n)):
        if problem.asks[number] != last:
            last = int(problem.asks[number])
            eligible = _members(cells, np.where(column(problem.signatures, last), problem.free, 0))
        yield "test case", problem.demands[number].label(), [number], eligible


def _members(cells: Cells, units: Ints) -> Counts:
    """Return the number of metering points of each member cell in ``units`` of each unit cell."""
    counts = units[: cells.singles].astype(np.float64)
    sizes = np.diff(np.append(cells.starts, len(cells.members)))
    counts += np.bincount(cells.members, weights=np.repeat(units[cells.singles :], sizes), minlength=cells.singles)
    return counts


def _measure(
    cells: Cells, attributes: list[str], scope: tuple[str, str], chosen: Counts, eligible: Counts
) -> list[tuple[str, str, int, str, float, float | None, list[str]]]:
    total = int(chosen.sum())
    if not total or not eligible.any():
        return []
    here = np.flatnonzero(eligible)
    codes = {name: cells.member[name][here].astype(np.int64) for name in attributes}
    sizes = {name: cells.codings[name].size + 1 for name in attributes}
    some, all_of = chosen[here], eligible[here]
    found, distances = [], []
    for name in attributes:
        mine = np.bincount(codes[name], weights=some, minlength=sizes[name])
        theirs = np.bincount(codes[name], weights=all_of, minlength=sizes[name])
        distance = float(np.abs(mine / some.sum() - theirs / theirs.sum()).sum() / 2) if some.sum() else 1.0
        missing = np.flatnonzero((mine == 0) & (theirs > 0))[:SHOWN_ABSENT]
        distances.append(distance)
        found.append((*scope, total, name, round(distance, 6), None, _values(cells, name, missing)))
    pairwise = _pairwise(codes, sizes, some, all_of)
    return [(*scope, total, "", round(float(np.mean(distances)), 6), pairwise, []), *found]


def _values(cells: Cells, name: str, codes: Ints) -> list[str]:
    coding = cells.codings[name]
    return [", ".join(coding.values_of(int(code))) or "(no value)" for code in codes]


def _pairwise(codes: dict[str, Ints], sizes: dict[str, int], some: Counts, all_of: Counts) -> float | None:
    """Return the share of the pairs of values that count which ``some`` holds."""
    least = all_of.sum() * SHARE_THAT_COUNTS
    counted = held = 0
    for one, other in combinations(codes, 2):
        both = codes[one] * sizes[other] + codes[other]
        room = sizes[one] * sizes[other]
        counts = np.bincount(both, weights=all_of, minlength=room) >= least
        counted += int(counts.sum())
        held += int((counts & (np.bincount(both, weights=some, minlength=room) > 0)).sum())
    return round(held / counted, 6) if counted else None
