"""Plan and commit: what the demands still lack is solved on what the ledger has left, and written down.

What the ledger holds is never solved again. The same request (population, plan, policy, key) is committed once: a run
that was killed and started again finds its own batch and returns what stands in it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from contracts.errors import ConfigurationError, RingFenceError
from contracts.evidence_results import Coverage, Shortage
from contracts.ringfence.model import Demand, State
from flows.ringfence.hash_chain import canonical
from flows.ringfence.ledger import COMMIT, PLAN, Change, Ledger, Receipt
from flows.ringfence.plan import AllocationPlan, check_attributes, read_plan
from flows.ringfence.schema import ROW
from transforms.ringfence.allocate import Allocation, Pool, RoundFacts, check_demands, prepare, solve
from transforms.ringfence.outstanding import CASE, fulfilment, lost, missing, serving, units_had
from transforms.ringfence.population import RESERVED, population_digest
from transforms.ringfence.result_frames import demand_columns
from transforms.ringfence.shortages import left_out_cases

ALGORITHM = "ringfence/1"
KEEP_TOGETHER = ("meter_serial_number", "premises")
"""Columns whose equal values make one unit in a cut, unless its plan says otherwise: CIT and SIT share none of them."""

ATTEMPTS = 5
ALLOCATION_COLUMNS = (
    "mpan_core", "phase", "stage", "test_case", "participant", "participant_role", "role", "unit", "round",
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class AllocationRequest:
    """A plan on a population, made ready to be solved. Holds the ring-fence key: never printed, never stored.

    Attributes:
        digest: of everything an allocation is computed from, beside the ledger.
        left_out: why participants are left out of the cut, by MPID; their test cases get nothing new.
    """

    cut: str
    plan: AllocationPlan
    demands: list[Demand]
    pool: Pool
    key: bytes
    digest: str
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AllocationOutcome:
    """What the ring-fence of a cut is, after planning or committing.

    Attributes:
        allocations: one row for each metering point that serves or accompanies (``ALLOCATION_COLUMNS``); sorted.
        fulfilment: one row for each demand, see ``transforms.ringfence.outstanding.fulfilment``.
        shortages: why units are missing, in words and as data.
        coverage: how representative the choice is.
        facts: counts of the population and of the solution, by round.
        ledger_head: digest of the ledger's last batch of this cut.
        batch: number of the batch; ``replayed``: it stood there already.
    """

    allocations: pl.DataFrame
    fulfilment: pl.DataFrame
    shortages: Sequence[Shortage]
    coverage: Sequence[Coverage]
    facts: Sequence[RoundFacts]
    ledger_head: str
    batch: int
    replayed: bool


class Solution(BaseModel):
    """What the ledger keeps of an allocation beside its events: why units are missing, and how good the choice is.

    Attributes:
        eligible: per demand, its key and how many units satisfy it.
        short: units missing over all demands.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: str = ALGORITHM
    request: str = ""
    eligible: tuple[tuple[int, str, str, str, str, str, int | None], ...] = ()
    short: int = 0
    shortages: tuple[Shortage, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    facts: tuple[RoundFacts, ...] = ()


def make_request(
    population: Path, plan_file: Path, cut_id: str, key: bytes, left_out: Mapping[str, str] | None = None
) -> AllocationRequest:
    """Read plan and population.

    Args:
        left_out: participants of the plan that the cut goes on without, and why.

    Raises:
        ConfigurationError, IntakeError: one of them is not what it should be. KeyMaterialError: an unfit key.
    """
    plan = read_plan(plan_file)
    if plan.cut not in ("", cut_id):
        raise ConfigurationError(f"is a plan for cut {plan.cut}, not {cut_id}", where=plan.name)
    people = pl.scan_parquet(population)
    columns = people.collect_schema().names()
    if plan.policy.keep_together is None:
        linked = tuple(name for name in KEEP_TOGETHER if name in columns)
        plan = replace(plan, policy=replace(plan.policy, keep_together=linked))
    check_attributes(plan, [name for name in columns if name not in RESERVED])
    demands = check_demands(plan.demands)
    pool = prepare(people, demands, key, plan.policy)
    parts = {
        "algorithm": ALGORITHM,
        "population": population_digest(pool.population),
        "book": plan.digest(),
        "key": hmac.digest(key, b"fingerprint", "sha256").hex(),
        **({"left_out": sorted(left_out)} if left_out else {}),
    }
    digest = hashlib.sha256(canonical(parts).encode()).hexdigest()
    return AllocationRequest(cut_id, plan, demands, pool, key, digest, left_out or {})


def plan_and_commit(  # noqa: PLR0917 - as ``flows.pipeline`` calls it
    population: Path, plan_file: Path, ledger_url: str, cut_id: str, key: bytes, actor: str, at: str
) -> AllocationOutcome:
    """Allocate metering points of a population to a plan's test cases and commit them to the ledger.

    Args:
        population: Parquet, columns as ``transforms.ringfence.population``.
        plan_file: YAML plan or CSV demand-plan.
        ledger_url: ``sqlite:///FILE`` or ``postgresql://...``.
        cut_id: the campaign in the ledger.
        key: 32 bytes of the ring-fence key.
        actor: who does it; ``at``: when (UTC, ISO 8601).

    Raises:
        ConfigurationError, IntakeError: plan or population are not what they should be.
        RingFenceError: the allocation did not pass its proof, or the ledger moved on again and again.
        PlaceError: the ledger's database is unfit.
    """
    with Ledger(ledger_url) as ledger:
        return commit_request(ledger, make_request(population, plan_file, cut_id, key), actor, at)


def commit_request(ledger: Ledger, request: AllocationRequest, actor: str, at: str) -> AllocationOutcome:
    """Allocate what a request asks for and commit it; the same request is committed once.

    Raises:
        RingFenceError: the allocation did not pass its proof, or the ledger moved on again and again.
    """
    change = Change(request.cut, f"run/{request.digest}", request.digest, actor, at, f"plan {request.plan.name}")
    receipt = ledger.find(request.cut, change.idempotency_key) or top_up(ledger, change, request)
    return outcome(ledger, receipt, request)


def top_up(ledger: Ledger, change: Change, request: AllocationRequest) -> Receipt:
    """Solve what the ledger does not hold yet and commit it; solved anew where somebody else was faster.

    Raises:
        RingFenceError: the ledger moved on each time.
    """
    return _until_fresh(ledger, change, request, ledger.commit)


def propose(ledger: Ledger, change: Change, request: AllocationRequest) -> Receipt:
    """Solve what the ledger does not hold yet and write it down as a plan, which holds nothing."""
    return _until_fresh(ledger, change, request, ledger.propose)


def commit_plan(ledger: Ledger, change: Change, number: int | None = None) -> Receipt:
    """Commit a plan as it stands: the last one, or the one with a number.

    Raises:
        RingFenceError: there is none, or the ledger has changed since it was made.
    """
    plan = ledger.latest(change.campaign, PLAN, number=number)
    if plan is None:
        raise RingFenceError("there is no such plan", where="ledger", remedy="make one with datacut ringfence plan")
    rows = ledger.events(change.campaign, number=plan.number).select(ROW)
    key = f"commit of plan {plan.number}"
    bound = replace(change, idempotency_key=key, request_sha256=plan.request_sha256, base=plan.base, body=plan.body)
    return ledger.commit(bound, rows)


def _until_fresh(
    ledger: Ledger, change: Change, request: AllocationRequest, write: Callable[[Change, pl.DataFrame], Receipt]
) -> Receipt:
    for _ in range(ATTEMPTS):
        version = ledger.version(change.campaign)
        solution, rows = solve_missing(ledger, request)
        if ledger.version(change.campaign) == version:
            try:
                return write(replace(change, base=version, body=solution.model_dump(mode="json")), rows)
            except RingFenceError:
                if ledger.version(change.campaign) == version:
                    raise
    raise RingFenceError("the ledger keeps changing during planning", where="ledger", remedy="try again later")


def solve_missing(ledger: Ledger, request: AllocationRequest) -> tuple[Solution, pl.DataFrame]:
    """Return what gives the demands what they lack, and its rows for the ledger."""
    held, back = ledger.reservations(request.cut), ledger.given_back(request.cut)
    asked = [demand for demand in request.demands if demand.participant not in request.left_out]
    lacking = missing(asked, units_had(_usable(request, serving(held, back))))
    used = back.filter(pl.col("was") != State.COMMITTED.value)
    solved = solve(
        request.pool,
        lacking,
        request.key,
        request.plan.policy,
        taken=held["mpan"],
        histories=used.select("mpan", "phase", "stage"),
    )
    solution = Solution(
        request=request.digest,
        eligible=_eligible(solved),
        short=0 if solved.fulfilment.is_empty() else int(solved.fulfilment["short"].sum()),
        shortages=tuple(solved.shortages),
        coverage=tuple(coverage_rows(solved.coverage)),
        facts=tuple(solved.facts),
    )
    return solution, reservation_rows(solved, request.demands)


def coverage_rows(coverage: pl.DataFrame) -> list[Coverage]:
    """Return how representative a choice is, as the evidence has it."""
    return [Coverage.model_validate(row) for row in coverage.to_dicts()]


def _eligible(solved: Allocation) -> tuple[tuple[int, str, str, str, str, str, int | None], ...]:
    if solved.fulfilment.is_empty():
        return ()
    return tuple(solved.fulfilment.select(*CASE, "eligible").rows())


def _usable(request: AllocationRequest, held: pl.DataFrame) -> pl.DataFrame:
    """Leave out units with a member that has left the population, or does not conform any more."""
    gone = held.filter(lost(request.pool.population, request.pool.units, held["mpan"]))
    return held.join(gone.select("unit", *CASE).unique(), on=["unit", *CASE], how="anti")


def reservation_rows(solved: Allocation, demands: list[Demand]) -> pl.DataFrame:
    """Return the rows of the ledger for what was solved."""
    reuse = demand_columns(demands).with_columns(
        pl.Series("reuse", [int(demand.reuse and not demand.mutates) for demand in demands], dtype=pl.Int64)
    )
    return solved.rows.join(reuse, on=list(CASE), how="left", maintain_order="left").select(ROW)


def outcome(ledger: Ledger, receipt: Receipt, request: AllocationRequest) -> AllocationOutcome:
    """Return what the ledger now holds for the demands, with the reasons found when it was last solved."""
    held, back = ledger.reservations(request.cut), ledger.given_back(request.cut)
    if receipt.kind == PLAN:
        planned = ledger.events(request.cut, number=receipt.number).select(ROW)
        held = pl.concat(
            [held, planned.with_columns(state=pl.lit("committed"), batch=pl.lit(receipt.number, pl.Int64))]
        )
    elif (last := ledger.latest(request.cut, COMMIT)) is not None:
        receipt = replace(last, replayed=receipt.replayed)
    solution = Solution.model_validate(receipt.body)
    counted = serving(held, back)
    usable = _usable(request, counted)
    live = usable.join(held, on=["mpan", *CASE], how="semi").rename({"mpan": "mpan_core"})
    eligible = {row[:6]: row[6] for row in solution.eligible}
    filled = fulfilment(request.demands, units_had(usable), eligible)
    absent = left_out_cases(filled, request.left_out)
    told = solution.short + sum(shortage.short or 0 for shortage in absent)
    return AllocationOutcome(
        live.select(ALLOCATION_COLUMNS).sort(
            "round", "test_case", "participant", "participant_role", "unit", "mpan_core"
        ),
        filled,
        [
            *_not_applicable(request.plan),
            *absent,
            *solution.shortages,
            *_since(int(filled["short"].sum()) - told, counted.height - usable.height),
        ],
        solution.coverage,
        solution.facts,
        ledger.head(request.cut),
        receipt.number,
        receipt.replayed,
    )


def _not_applicable(plan: AllocationPlan) -> list[Shortage]:
    """Name the test cases that their participant need not run: no shortage, and no silence either (Q19)."""
    return [Shortage(text=words, kind="not applicable", short=0) for words in plan.not_applicable]


def _since(short: int, gone: int) -> list[Shortage]:
    """Say what came to be missing after the last solution: reservations given back, or lost to the population."""
    found = []
    if gone:
        text = (
            f"{gone:,} reserved metering points are not usable in the population any more and do not count: "
            "quarantine them with datacut ringfence release --quarantine."
        )
        found.append(Shortage(text=text, kind="lost", short=gone))
    if short > 0:
        text = (
            f"{short:,} units were given back, withdrawn or lost since the allocation was last solved: "
            "replace them with datacut ringfence top-up."
        )
        found.append(Shortage(text=text, kind="since", short=short))
    return found
