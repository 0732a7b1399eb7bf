"""How representative a choice is: the metering points given out, compared with all that could have been.

Measured for every stage and for every test case with enough units to speak of a distribution.

Distance is the total variation distance: the share of metering points that would have to change their value for the
two distributions to agree. Pairwise coverage is the share of the pairs of values (of two attributes) held by at least
one in a thousand of the eligible metering points that the choice holds at least once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.ringfence.contested import Problem
from transforms.ringfence.population import Population
from transforms.ringfence.profiles import Profiles
from transforms.ringfence.signatures import column

ENOUGH_UNITS = 100
"""A test case with fewer units cannot hold most values; its distance would say nothing."""

SHARE_THAT_COUNTS = 0.001
SHOWN_ABSENT = 12

COVERAGE_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
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


def coverage(
    population: Population, profiles: Profiles, problem: Problem, rows: Ints, demand_of_row: Ints
) -> pl.DataFrame:
    """Compare what a round gave out with what was eligible; return ``COVERAGE_SCHEMA``.

    Args:
        population: for the attributes worth comparing.
        profiles: member and unit profiles.
        problem: demands, and the supply before the round took any.
        rows: rows of the metering points given out; ``demand_of_row`` their demands.
    """
    attributes = [name for name in population.coverage if name in profiles.member]
    given = profiles.member_profile[rows]
    found = []
    if attributes:
        for scope, name, demands, eligible in _scopes(profiles, problem):
            chosen = np.bincount(given[np.isin(demand_of_row, demands)], minlength=profiles.singles)
            found += _measure(profiles, attributes, (scope, name), chosen.astype(np.float64), eligible)
    return pl.DataFrame([(problem.demands[0].round, *row) for row in found], schema=COVERAGE_SCHEMA, orient="row")


def _scopes(profiles: Profiles, problem: Problem) -> Iterator[tuple[str, str, list[int], Counts]]:
    """Yield (scope, name, demands, eligible metering points by member profile)."""
    stages: dict[str, list[int]] = {}
    for number, demand in enumerate(problem.demands):
        stages.setdefault(demand.stage or demand.phase, []).append(number)
    everything = _members(profiles, problem.free)
    for name in sorted(stages):
        yield "stage", name, stages[name], everything
    last, eligible = -1, everything
    large = [n for n, demand in enumerate(problem.demands) if demand.base + demand.spare >= ENOUGH_UNITS]
    for number in sorted(large, key=lambda n: (int(problem.asks[n]), n)):
        if problem.asks[number] != last:
            last = int(problem.asks[number])
            eligible = _members(profiles, np.where(column(problem.signatures, last), problem.free, 0))
        yield "test case", problem.demands[number].label(), [number], eligible


def _members(profiles: Profiles, units: Ints) -> Counts:
    """Return the number of metering points of each member profile in ``units`` of each unit profile."""
    counts = units[: profiles.singles].astype(np.float64)
    sizes = np.diff(np.append(profiles.starts, len(profiles.members)))
    counts += np.bincount(
        profiles.members, weights=np.repeat(units[profiles.singles :], sizes), minlength=profiles.singles
    )
    return counts


def _measure(
    profiles: Profiles, attributes: list[str], scope: tuple[str, str], chosen: Counts, eligible: Counts
) -> list[tuple[str, str, int, str, float, float | None, list[str]]]:
    total = int(chosen.sum())
    if not total or not eligible.any():
        return []
    here, mine = np.flatnonzero(eligible), np.flatnonzero(chosen)
    sizes = {name: profiles.codings[name].size + 1 for name in attributes}
    all_of = _Weighed(
        {name: profiles.member[name][here].astype(np.int64) for name in attributes}, sizes, eligible[here]
    )
    some = _Weighed({name: profiles.member[name][mine].astype(np.int64) for name in attributes}, sizes, chosen[mine])
    found, distances = [], []
    for name in attributes:
        ours, theirs = some.counts(name), all_of.counts(name)
        distances.append(float(np.abs(ours / ours.sum() - theirs / theirs.sum()).sum() / 2))
        missing = np.flatnonzero((ours == 0) & (theirs > 0))[:SHOWN_ABSENT]
        found.append((*scope, total, name, round(distances[-1], 6), None, _values(profiles, name, missing)))
    pairwise = _pairwise(attributes, some, all_of)
    return [(*scope, total, "", round(float(np.mean(distances)), 6), pairwise, []), *found]


@dataclass(frozen=True)
class _Weighed:
    """Codes by attribute of some member profiles, and how many metering points each stands for."""

    codes: dict[str, Ints]
    sizes: dict[str, int]
    weights: Counts

    def counts(self, name: str) -> Counts:
        return np.bincount(self.codes[name], weights=self.weights, minlength=self.sizes[name]).astype(np.float64)

    def both(self, one: str, other: str) -> Counts:
        codes = self.codes[one] * self.sizes[other]
        codes += self.codes[other]
        room = self.sizes[one] * self.sizes[other]
        return np.bincount(codes, weights=self.weights, minlength=room).astype(np.float64)


def _values(profiles: Profiles, name: str, codes: Ints) -> list[str]:
    coding = profiles.codings[name]
    return [", ".join(coding.values_of(int(code))) or "(no value)" for code in codes]


def _pairwise(attributes: list[str], some: _Weighed, all_of: _Weighed) -> float | None:
    """Return the share of the pairs of values that count which ``some`` holds."""
    least = float(all_of.weights.sum()) * SHARE_THAT_COUNTS
    counted = held = 0
    for one, other in combinations(attributes, 2):
        frequent = all_of.both(one, other) >= least
        counted += int(frequent.sum())
        held += int((frequent & (some.both(one, other) > 0)).sum())
    return round(held / counted, 6) if counted else None
