"""RING-FENCE STAGE: the population of a cut, its plan, and the commitment to the ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from contracts.errors import RingFenceError
from contracts.evidence_results import CaseCounts, RingFenceEvidence
from flows.cut.context import Context, now
from flows.cut.partitions import ALLOCATIONS
from flows.cut.records import RingFenceResult
from flows.cut.workspace import disk
from flows.keys.cut_key import RING_FENCE_FIELD
from flows.ringfence.allocation import AllocationOutcome, commit_request, make_request
from flows.ringfence.plan import attributes_of, left_out_of, processes_by_case, read_plan
from flows.ringfence.pool import keep_pool
from flows.ringfence.population import population
from flows.ringfence.system_of_record import note_head, open_ledger
from transforms.ringfence.separation import faults, separation

ACTOR = "datacut run"


def run_ring_fence(known: Context, plan: Path) -> RingFenceResult:
    """Allocate the cut's metering points to the plan's test cases, commit them to the ledger, and record the result."""
    path = population(known, attributes_of(read_plan(plan)))
    key, left_out = known.keys.field(RING_FENCE_FIELD).material(), left_out_of(known.job)
    request = make_request(path, plan, known.job.model.cut.id, key, left_out)
    with open_ledger(known.job, begin=True) as ledger:
        keep_pool(path, known.job)
        result = commit_request(ledger, request, ACTOR, now())
        note_head(known.job, ledger)
        ledger_id = ledger.id
    apart = separation(result.allocations.rename({"mpan_core": "mpan"}), pl.scan_parquet(path))
    if wrong := faults(apart):
        raise RingFenceError(", ".join(wrong), where="ring-fence", remedy="please report it; nothing is published")
    with disk(known.workspace.root):
        result.allocations.write_ipc(known.workspace.root / ALLOCATIONS)
    done = RingFenceResult(
        allocated=result.allocations.height,
        evidence=ring_fence_evidence(result, plan, apart, ledger_id),
        processes=processes_by_case(read_plan(plan)),
    )
    known.workspace.record(done)
    return done


def ring_fence_evidence(
    result: AllocationOutcome, plan: Path, apart: dict[str, int], ledger_id: str
) -> RingFenceEvidence:
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
        ledger_id=ledger_id,
    )
