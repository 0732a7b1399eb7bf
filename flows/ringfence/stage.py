"""RING-FENCE STAGE: the population of a cut, its plan, and the commitment to the ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from contracts.errors import RingFenceError
from contracts.evidence_results import CaseCounts, RingFenceEvidence
from flows.cut.config import Job
from flows.cut.context import Context, now
from flows.cut.partitions import ALLOCATIONS
from flows.cut.records import RingFenceResult
from flows.cut.workspace import disk, second_name
from flows.keys.cut_key import RING_FENCE_FIELD
from flows.ringfence.allocation import AllocationOutcome, plan_and_commit
from flows.ringfence.population import population
from transforms.ringfence.separation import faults, separation

__all__ = ["keep_pool", "plan_and_commit", "pool_file"]


def pool_file(job: Job) -> Path:
    """Return where the population of a cut's last run is kept: pseudonyms only, readable by its owner alone."""
    return job.path(job.model.work) / f"{job.model.cut.id}.pool.parquet"


def keep_pool(population: Path, job: Job) -> None:
    """Keep the population of a run for top-ups after the work folder is gone.

    Raises:
        PlaceError: the disk is unfit.
    """
    kept = pool_file(job)
    aside = kept.with_suffix(".new")
    with disk(kept):
        aside.unlink(missing_ok=True)
        second_name(population, aside)
        aside.chmod(0o600)
        aside.replace(kept)
        aside.unlink(missing_ok=True)  # two names of one file stay two names: a killed run had kept this population


ACTOR = "datacut run"


def run_ring_fence(known: Context, plan: Path) -> RingFenceResult:
    """Allocate the cut's metering points to the plan's test cases, commit them to the ledger, and record the result."""
    path = population(known)
    keep_pool(path, known.job)
    result = plan_and_commit(
        path,
        plan,
        known.job.ledger_url,
        known.job.model.cut.id,
        known.keys.field(RING_FENCE_FIELD).material(),
        ACTOR,
        now(),
    )
    apart = separation(result.allocations.rename({"mpan_core": "mpan"}), pl.scan_parquet(path))
    if wrong := faults(apart):
        raise RingFenceError(", ".join(wrong), where="ring-fence", remedy="please report it; nothing is published")
    with disk(known.workspace.root):
        result.allocations.write_ipc(known.workspace.root / ALLOCATIONS)
    done = RingFenceResult(allocated=result.allocations.height, evidence=ring_fence_evidence(result, plan, apart))
    known.workspace.record(done)
    return done


def ring_fence_evidence(result: AllocationOutcome, plan: Path, apart: dict[str, int]) -> RingFenceEvidence:
    """Return the ring-fence's section of the evidence."""
    cases = tuple(CaseCounts.model_validate(row) for row in result.fulfilment.to_dicts())
    return RingFenceEvidence(
        plan=plan.name,
        plan_sha256=hashlib.sha256(plan.read_bytes()).hexdigest(),
        undecided=sum(fact.undecided_groups for fact in result.facts),
        separation=apart,
        phases=tuple(sorted({case.phase for case in cases})),
        test_cases=cases,
        shortages=tuple(result.shortages),
        coverage=tuple(row for row in result.coverage if row.scope == "stage"),
        ledger_head=result.ledger_head,
    )
