"""The allocation of one or more rounds, from frames to frames.

Steps of a round: judge the free units, find the contested part, fill (who gets how many), spread (from which
classes), pick (which units), prove, explain. Issued units are taken out of the supply and never looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import ConfigurationError
from contracts.evidence_results import Shortage
from contracts.ringfence.model import HAS_LINK, AllocationPolicy, Demand, Pick, UnitKind
from transforms.ringfence.all_or_nothing import decide_all_or_nothing
from transforms.ringfence.contested import Contested, Problem, find_contested
from transforms.ringfence.coverage import coverage
from transforms.ringfence.encoding import tests_by_attribute
from transforms.ringfence.max_flow import Fill, fill, keyed_turns
from transforms.ringfence.population import Population, read_population
from transforms.ringfence.profiles import Profiles, build_profiles, recount
from transforms.ringfence.prove import prove_allocation
from transforms.ringfence.representative import choose_representative
from transforms.ringfence.result_frames import ALLOCATION_SCHEMA, allocation_rows, fulfilment_rows
from transforms.ringfence.selection import Picks, draws_of, interleave, keyed_order, pick_aside, pick_contested
from transforms.ringfence.shortages import explain
from transforms.ringfence.signatures import build_signatures, specifications
from transforms.ringfence.unit_members import expand
from transforms.ringfence.units import FREE, Units, build_units, limit, take, take_units

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """Counts of the population and of the solution of one round."""

    round: int
    metering_points: int
    units: int
    free_units: int
    unit_profiles: int
    contested_specifications: int
    contested_classes: int
    wanted: int
    allocated: int
    spares_wanted: int
    spares_allocated: int
    pairs_on_singles: int
    undecided_groups: int


@dataclass(frozen=True)
class Allocation:
    """What the rounds give out.

    Attributes:
        rows: one row for each allocated metering point, see ``frames.ALLOCATION_SCHEMA``; sorted.
        fulfilment: one row for each demand: wanted, got, eligible, whether it can run.
        shortages: one entry for each cause of missing units, see ``shortages.explain``.
        coverage: how representative the choice is, see ``coverage.coverage``.
        facts: counts of the population and of the solution, by round.
    """

    rows: pl.DataFrame
    fulfilment: pl.DataFrame
    shortages: list[Shortage]
    coverage: pl.DataFrame
    facts: list[RoundFacts]


@dataclass(frozen=True)
class Pool:
    """A population made ready for any number of rounds."""

    population: Population
    units: Units
    profiles: Profiles
    order: NDArray[np.int32]
    profiles_in_order: NDArray[np.int32]
    strata: tuple[str, ...] = ()

    def profile_rank(self) -> Ints | None:
        """Return the order of unit profiles that keeps each stratum together; None without strata."""
        if not self.strata:
            return None
        first = np.concatenate([np.arange(self.profiles.singles), self.profiles.members[self.profiles.starts]])
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.lexsort([self.profiles.member[name][first] for name in reversed(self.strata)])] = np.arange(len(first))
        return rank


@dataclass(frozen=True)
class Round:
    """Units given in one round: for each its place in the pool's order, its demand, and whether it is a spare.

    ``plain`` is what could be filled, ``filled`` what was, after any all-or-nothing decision.
    """

    problem: Problem
    contested: Contested
    plain: Fill
    filled: Fill
    at: Ints
    demand: Ints
    spare: NDArray[np.bool_]
    unproven: int


def allocate(
    population: pl.LazyFrame | pl.DataFrame,
    demands: Sequence[Demand],
    key: bytes,
    policy: AllocationPolicy | None = None,
    *,
    taken: pl.Series | None = None,
    histories: pl.DataFrame | None = None,
    with_coverage: bool = True,
) -> Allocation:
    """Allocate units of ``population`` to ``demands``, round after round.

    Args:
        population: columns mpan, linked_mpan, conforming, direction and attributes, see ``population``.
        demands: the demand book; their order does not matter.
        key: the 32 bytes of the ring-fence key.
        policy: choices; the default penalises pairs spent on singles.
        taken: MPANs that are issued already, in this or any other campaign of the cut.
        histories: columns mpan, phase, stage: MPANs given back for reuse, and what they served.
        with_coverage: also measure how representative the choice is.

    Raises:
        ConfigurationError: a demand comes twice, or asks for an attribute that does not exist.
        IntakeError: the population is not what it should be.
        RingFenceError: the result did not pass its proof.
    """
    policy = policy or AllocationPolicy()
    pool = prepare(population, check_demands(demands), key, policy)
    return solve(pool, demands, key, policy, taken=taken, histories=histories, with_coverage=with_coverage)


def solve(
    pool: Pool,
    demands: Sequence[Demand],
    key: bytes,
    policy: AllocationPolicy,
    *,
    taken: pl.Series | None = None,
    histories: pl.DataFrame | None = None,
    with_coverage: bool = True,
) -> Allocation:
    """Allocate units of a prepared population; arguments and errors as ``allocate``.

    The criteria of ``demands`` must be among those that the pool was prepared for.
    """
    book = check_demands(demands)
    units = pool.units
    if taken is not None:
        units = take(units, pool.population, taken)
    if histories is not None:
        units = limit(units, pool.population, histories)
    parts: list[Allocation] = []
    for number in sorted({demand.round for demand in book}):
        wanted = [demand for demand in book if demand.round == number]
        pool = replace(pool, units=units, profiles=recount(pool.profiles, units))
        pool = replace(pool, profiles_in_order=pool.profiles.unit_profile[pool.order])
        solved = solve_round(pool, wanted, key, policy)
        parts.append(_report(pool, solved, with_coverage))
        units = take_units(units, pool.order[solved.at])
    return _joined(parts)


def check_demands(demands: Sequence[Demand]) -> list[Demand]:
    """Return the demands in their own order.

    Raises:
        ConfigurationError: two have the same identity.
    """
    book = sorted(demands, key=lambda demand: demand.key)
    for one, other in pairwise(book):
        if one.key == other.key:
            raise ConfigurationError(f"test case {one.label()} is listed twice in round {one.round}", where=other.where)
    return book


def prepare(
    population: pl.LazyFrame | pl.DataFrame, book: Sequence[Demand], key: bytes, policy: AllocationPolicy
) -> Pool:
    """Read a population once: units, profiles, keyed order."""
    criteria = [demand.criteria for demand in book] + [demand.export_criteria for demand in book]
    strata = policy.strata if policy.pick is Pick.STRATIFIED else ()
    people = read_population(population, criteria, strata=strata, keep_together=policy.keep_together or ())
    units = build_units(people, absent_partner=policy.absent_partner)
    link_tests = tuple(tests_by_attribute(criteria).get(HAS_LINK, ()))
    profiles = build_profiles(people, units, link_tests)
    roots = np.flatnonzero(units.is_root() & (units.status == FREE)).astype(np.int32)
    order = keyed_order(people.ids, roots, people.names, key)
    if strata:
        stratum = np.zeros(len(order), dtype=np.int64)
        for name in strata:
            stratum = stratum * (profiles.codings[name].size + 1) + people.codes[name][order]
        order = interleave(order, stratum)
    return Pool(people, units, profiles, order, profiles.unit_profile[order], tuple(strata))


def solve_round(pool: Pool, demands: Sequence[Demand], key: bytes, policy: AllocationPolicy) -> Round:
    """Solve one round on the free units of ``pool``."""
    asked, asks = specifications(demands, with_history=bool(pool.units.histories))
    signatures = build_signatures(
        pool.profiles, asked, single_on_pair=policy.single_on_pair, histories=pool.units.histories
    )
    free, several = pool.profiles.counts[:, FREE], pool.profiles.several
    problem = Problem(demands, asks, asked, signatures, free, several, policy.single_on_pair)
    contested = find_contested(problem)
    base, spare, unproven = problem.base, problem.spare, 0
    turns = keyed_turns(problem, key)
    plain = None
    if policy.whole_test_cases:
        plain = fill(problem, contested, base=base, spare=spare * 0, turns=turns)
        decision = decide_all_or_nothing(problem, contested, plain)
        base, unproven = decision.base, decision.unproven
        spare = np.where(base < problem.base, 0, spare)
    filled = fill(problem, contested, base=base, spare=spare, turns=turns)
    picks = _in_turn(pool, _pick(pool, problem, contested, filled, key))
    demand, is_spare = _slots(problem, filled)
    prove_allocation(
        problem, base=base, spare=spare, profiles=pool.profiles_in_order[picks.at], demands=demand, spares=is_spare
    )  # fmt: skip
    return Round(problem, contested, plain or filled, filled, picks.at, demand, is_spare, unproven)


def _pick(pool: Pool, problem: Problem, contested: Contested, filled: Fill, key: bytes) -> Picks:
    choice = choose_representative(problem, contested, filled, key)
    free = pool.units.status[pool.order] == FREE
    inside = pick_contested(pool.profiles_in_order, contested, choice, free)
    got = np.bincount(problem.asks, weights=filled.base + filled.spare, minlength=len(problem.specifications))
    draws = draws_of(problem, contested, got.astype(np.int64), key)
    outside = pick_aside(pool.profiles_in_order, contested, draws, free, pool.profile_rank())
    at = np.concatenate([inside.at, outside.at])
    asked = np.concatenate([inside.specification, outside.specification])
    order = np.lexsort((at, asked))
    return Picks(at[order], asked[order])


def _in_turn(pool: Pool, picks: Picks) -> Picks:
    """Return the picks of each specification profile by profile, so that dealing them out in turn is fair."""
    profiles, rank = pool.profiles_in_order[picks.at], pool.profile_rank()
    order = np.lexsort((picks.at, profiles if rank is None else rank[profiles], picks.specification))
    return Picks(picks.at[order], picks.specification[order])


def _slots(problem: Problem, filled: Fill) -> tuple[Ints, NDArray[np.bool_]]:
    """Return demand and role of every picked unit.

    Demands that ask the same take turns in proportion to what they get, base and spare apart, so that none of them
    gets the leavings of another.
    """
    number = len(problem.asks)
    sizes = np.stack([filled.base, filled.spare], axis=1).reshape(-1)
    owner = np.repeat(np.arange(2 * number), sizes)
    turn = (np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 0.5) / sizes[owner]
    owner = owner[np.lexsort((owner, turn, problem.asks[owner // 2]))]
    return owner // 2, owner % 2 == 1


def _report(pool: Pool, solved: Round, with_coverage: bool) -> Allocation:
    roots = pool.order[solved.at]
    problem = solved.problem
    owner, rows, serves = expand(
        pool.profiles, pool.units, list(problem.specifications), roots, problem.asks[solved.demand]
    )
    allocated = allocation_rows(
        pool.population, problem.demands, (solved.demand, solved.spare, roots), (owner, rows, serves)
    )
    filled = fulfilment_rows(problem, solved.contested, solved.filled)
    facts = RoundFacts(
        round=problem.demands[0].round,
        metering_points=len(pool.population.ids),
        units=int(pool.profiles.counts.sum()),
        free_units=int(problem.free.sum()),
        unit_profiles=pool.profiles.size,
        contested_specifications=len(solved.contested.specifications),
        contested_classes=len(solved.contested.supply),
        wanted=int(problem.base.sum()),
        allocated=int(solved.filled.base.sum()),
        spares_wanted=int(problem.spare.sum()),
        spares_allocated=int(solved.filled.spare.sum()),
        pairs_on_singles=_pairs_on_singles(pool, solved),
        undecided_groups=solved.unproven,
    )
    given = pool.profiles_in_order[solved.at]
    causes = explain(pool.profiles, problem, solved.contested, solved.plain, solved.filled, given)
    measured = (
        coverage(pool.population, pool.profiles, problem, rows, solved.demand[owner])
        if with_coverage
        else pl.DataFrame()
    )
    return Allocation(allocated, filled, causes, measured, [facts])


def _pairs_on_singles(pool: Pool, solved: Round) -> int:
    single = np.array([specification.kind is UnitKind.SINGLE for specification in solved.problem.specifications])
    profiles = pool.profiles_in_order[solved.at]
    return int((single[solved.problem.asks[solved.demand]] & solved.problem.several[profiles]).sum())


def _joined(parts: list[Allocation]) -> Allocation:
    if not parts:
        empty = pl.DataFrame(schema=ALLOCATION_SCHEMA)
        return Allocation(empty, pl.DataFrame(), [], pl.DataFrame(), [])
    return Allocation(
        pl.concat([part.rows for part in parts]),
        pl.concat([part.fulfilment for part in parts]),
        [cause for part in parts for cause in part.shortages],
        pl.concat([part.coverage for part in parts]),
        [fact for part in parts for fact in part.facts],
    )
