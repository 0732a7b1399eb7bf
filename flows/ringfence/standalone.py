"""The allocator alone, from files to a file: no cut, no ledger, no key needed.

Population (Parquet or CSV): ``mpan, linked_mpan, conforming, direction`` and attributes. Demands: a CSV demand-plan or
a YAML plan. Out: CSV with ``round, test_case, role, unit, mpan``; ``unit`` is the lowest MPAN of the unit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, IntakeError
from flows.cut.workspace import disk
from flows.files import whole
from flows.keys.cut_key import RING_FENCE_FIELD, read_key
from flows.ringfence.plan import AllocationPlan, check_attributes, read_plan, read_policy
from transforms.ringfence.allocate import Allocation, allocate
from transforms.ringfence.outstanding import CASE, Have, fulfilment, missing, units_had
from transforms.ringfence.population import RESERVED

PUBLIC_KEY = hashlib.sha256(b"datacut ringfence: the public key of the direct mode").digest()
"""Orders equally eligible units where no key is given: fair, but anybody can predict it."""

COLUMNS = ("round", "test_case", "role", "unit", "mpan")


@dataclass(frozen=True, slots=True)
class AllocationOptions:
    """What the allocator is asked.

    Attributes:
        round: solve this round alone; None: all rounds in turn, each frozen before the next.
        frozen: a file whose column ``mpan`` lists what is issued already.
        key: a cut key file; None: the public key above.
        policy: a YAML file with the ``policy`` section of a plan.
    """

    population: Path
    demands: Path
    out: Path
    round: int | None = None
    frozen: Path | None = None
    key: Path | None = None
    policy: Path | None = None
    coverage: bool = True


@dataclass(frozen=True, slots=True)
class Solved:
    """What the allocator gave in this call, and how far the demands are served with what was frozen."""

    name: str
    allocation: Allocation
    fulfilment: pl.DataFrame


def allocate_files(terms: AllocationOptions) -> Solved:
    """Read, allocate, write ``terms.out``.

    Frozen units of a test case and round that are asked for again count for them: only the rest is solved.

    Raises:
        ConfigurationError, IntakeError, KeyMaterialError: an input is not what it should be.
        RingFenceError: the result did not pass its proof. PlaceError: the disk is unfit.
    """
    plan = _plan(terms)
    people = _scan(terms.population, "population")
    columns = _columns(people, terms.population)
    check_attributes(plan, [name for name in columns if name not in RESERVED])
    taken: pl.Series | None = None
    have: Have = {}
    if terms.frozen is not None:
        taken, have = _frozen(terms.frozen, plan)
    key = PUBLIC_KEY if terms.key is None else read_key(terms.key, "direct").field(RING_FENCE_FIELD).material()
    lacking = missing(plan.demands, have)
    solved = allocate(people, lacking, key, plan.policy, taken=taken, with_coverage=terms.coverage)
    _write(terms.out, lambda aside: _sink(solved.rows.select(COLUMNS), aside, terms.out.suffix))
    now = units_had(solved.rows)
    total = {d.key: _sum(have.get(d.key, (0, 0)), now.get(d.key, (0, 0))) for d in plan.demands}
    seen = {row[:-1]: row[-1] for row in solved.fulfilment.select(*CASE, "eligible").rows()} if lacking else {}
    return Solved(plan.name, solved, fulfilment(plan.demands, total, seen))


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _frozen(path: Path, plan: AllocationPlan) -> tuple[pl.Series, dict[tuple[object, ...], tuple[int, int]]]:
    """Return the MPANs that are issued, and what of them serves demands of the plan already."""
    lazy = _scan(path, "frozen allocation")
    names = _columns(lazy, path)
    if "mpan" not in names:
        raise IntakeError("has no column mpan", where=str(path))
    frame = lazy.select(pl.col(name).cast(pl.String) for name in COLUMNS if name in names).collect()
    have: dict[tuple[object, ...], tuple[int, int]] = {}
    if set(COLUMNS) <= set(names):
        units = frame.group_by("round", "test_case", "role").agg(pl.col("unit").n_unique())
        counts = {tuple(row[:-1]): row[-1] for row in units.rows()}
        twice = Counter((demand.round, demand.test_case) for demand in plan.demands)
        for demand in plan.demands:
            if twice[demand.round, demand.test_case] == 1:
                base, spare = (counts.get((str(demand.round), demand.test_case, role), 0) for role in ("BASE", "SPARE"))
                have[demand.key] = (base, spare)
    return frame["mpan"], have


def _plan(terms: AllocationOptions) -> AllocationPlan:
    plan = read_plan(terms.demands)
    policy = read_policy(terms.policy) if terms.policy else plan.policy
    if terms.round is not None:
        wanted = tuple(demand for demand in plan.demands if demand.round == terms.round)
        if not wanted:
            raise ConfigurationError(f"has no demand of round {terms.round}", where=plan.name)
        plan = replace(plan, demands=wanted)
    return replace(plan, policy=policy)


def _scan(path: Path, what: str) -> pl.LazyFrame:
    if not path.is_file():
        raise ConfigurationError(f"there is no such {what}", where=str(path))
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    return pl.scan_csv(path, infer_schema=False, encoding="utf8")


def _columns(frame: pl.LazyFrame, path: Path) -> list[str]:
    try:
        return frame.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError):
        raise IntakeError("is neither Parquet nor CSV", where=str(path)) from None


def _sink(rows: pl.DataFrame, aside: Path, suffix: str) -> None:
    if suffix == ".parquet":
        rows.write_parquet(aside)
    else:
        rows.write_csv(aside)


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file aside and rename it: whole or absent."""
    with disk(path), whole(path) as growing:
        write(growing)
