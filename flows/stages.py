"""The stages of a cut as plain functions of a path and names: the same code under ``--plain`` and under Prefect.

Nothing but paths, ids and counts passes in or out, so an orchestrator that stores parameters and results stores no
row, no identifier and no key.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from flows import across, quality
from flows.anonymise import anonymise_source, facts_of, silent
from flows.config import Extract, Job, Participant, load_cut
from flows.keyring import read_key
from flows.quality import Held
from flows.reference import Reference, load_reference
from flows.selftest import self_test
from flows.workspace import MARKER, Workspace, partition_count
from transforms.keys import FieldKeys
from transforms.pseudonymise import Pseudonymiser

BYTES_PER_ROW = {".parquet": 60, ".gz": 40, ".zip": 40}
PLAIN_BYTES_PER_ROW = 170
RING_FENCE_FIELD = "ring-fence"
ACTOR = "datacut run"
ALLOCATIONS = "allocations.arrow"


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """What every stage of one cut needs; made anew in each process, never passed between them."""

    job: Job
    keys: FieldKeys
    pseudonymiser: Pseudonymiser
    workspace: Workspace
    reference: Reference

    @property
    def held(self) -> list[Held]:
        """Every extract of every participant, in the order of the file."""
        return [Held(p.mpid, e.contract) for p in self.job.model.participants for e in p.extracts]


@lru_cache(maxsize=1)
def context(cut_file: str) -> Context:
    """Load ``cut.yaml``, the key and the reference data once per process.

    Raises:
        ConfigurationError, KeyMaterialError, IntakeError: one of them is wrong; no row is read then.
    """
    self_test()
    job = load_cut(Path(cut_file))
    cut = job.model.cut
    keys = read_key(job.path(cut.key), cut.id, cut.fingerprint)
    folder = job.model.reference.market_domain_data
    reference = load_reference(job.path(folder) if folder else None, cut.date)
    work = job.path(job.model.work) / cut.id
    return Context(job, keys, Pseudonymiser(keys, cut.policy.postcode), Workspace(work, partitions(job)), reference)


def partitions(job: Job) -> int:
    """Return how many partitions the cut is worked in, from the sizes of its registrations."""
    if job.model.partitions:
        return job.model.partitions
    rows = 0
    for participant in job.model.participants:
        for extract in participant.extracts:
            path = extract.source.path
            if extract.contract == "registration" and path and job.path(path).is_file():
                rows += job.path(path).stat().st_size // BYTES_PER_ROW.get(path.suffix, PLAIN_BYTES_PER_ROW)
    return partition_count(rows)


def prepare(cut_file: str) -> dict[str, Any]:
    """Begin: load and check everything, and clear what a broken run left in the work folder."""
    context.cache_clear()
    job = load_cut(Path(cut_file))
    work = job.path(job.model.work) / job.model.cut.id
    if (work / MARKER).is_file():
        shutil.rmtree(work)
    known = context(cut_file)
    known.workspace.note("begun", {"at": now()})
    return {"sources": [[h.participant, h.extract] for h in known.held], "partitions": known.workspace.partitions}


def now() -> str:
    """Return the time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _find(job: Job, mpid: str, extract: str) -> tuple[Participant, Extract]:
    for participant in job.model.participants:
        for candidate in participant.extracts:
            if (participant.mpid, candidate.contract) == (mpid, extract):
                return participant, candidate
    raise ConfigurationError(f"has no extract {extract!r} of {mpid}", where=str(job.file))


def anonymise(cut_file: str, mpid: str, extract: str, progress: Any = silent) -> dict[str, Any]:
    """Intake, conform and pseudonymise one source; returns its facts."""
    known = context(cut_file)
    participant, source = _find(known.job, mpid, extract)
    facts = anonymise_source(
        known.job,
        participant,
        source,
        keys=known.keys,
        pseudonymiser=known.pseudonymiser,
        workspace=known.workspace,
        progress=progress,
    )
    known.workspace.note(f"sources/{mpid}-{extract}", facts_of(facts))
    return facts_of(facts)


def judge(cut_file: str) -> dict[str, Any]:
    """Judge every rule over every partition; returns how many MPANs are excluded."""
    known = context(cut_file)
    workspace, held = known.workspace, known.held
    tables = {**known.reference.lazy(), **quality.global_tables(workspace, held)}
    for number in range(workspace.partitions):
        quality.judge_partition(workspace, held, number, tables, known.job.model.cut.date)
    names = [*tables, *(f"extract:{h.extract}" for h in held)]
    entries, documents = quality.rule_results(workspace, held, names)
    workspace.note("rules", {"entries": entries, "documents": documents})
    return {"rules": len(entries), "excluded": _excluded(known)}


def _excluded(known: Context) -> int:
    return sum(quality.read_exclusions(known.workspace, n).height for n in range(known.workspace.partitions))


def align(cut_file: str) -> dict[str, Any]:
    """Compare participants with each other, and exclude coincident pseudonyms."""
    known = context(cut_file)
    found = across.coincident(known.workspace, known.held, known.pseudonymiser)
    counts = across.alignment(known.workspace, known.held)
    known.workspace.note("alignment", {"alignment": counts, "coincident": found})
    return {"pairs": len(counts), "coincident": found["count"]}


def augment(cut_file: str) -> dict[str, Any]:
    """Fill the MHHS-only items; returns the counts by item and source."""
    known = context(cut_file)
    counts = across.augmentation(known.workspace, known.held)
    known.workspace.note("augmentation", {"augmentation": counts})
    return {"items": len(counts), "excluded": _excluded(known)}


def ring_fence(cut_file: str) -> dict[str, Any]:
    """Allocate metering points to the plan's test cases and commit them to the ledger."""
    known = context(cut_file)
    plan = known.job.model.ring_fence
    if plan is None:
        return {"allocated": 0}
    from flows.ringfence_stage import plan_and_commit

    path = across.population(known.workspace)
    result = plan_and_commit(
        path,
        known.job.path(plan.plan),
        known.job.ledger_url,
        known.job.model.cut.id,
        known.keys.field(RING_FENCE_FIELD).material(),
        ACTOR,
        now(),
    )
    result.allocations.write_ipc(known.workspace.root / ALLOCATIONS)
    known.workspace.note("ring_fence", ring_fence_evidence(result, known.job.path(plan.plan).name))
    return {"allocated": result.allocations.height, "shortages": len(result.shortages)}


def ring_fence_evidence(result: Any, plan: str) -> dict[str, Any]:
    """Return the ring-fence's section of the evidence."""
    cases = result.fulfilment.to_dicts()
    return {
        "plan": plan,
        "phases": sorted({str(case["phase"]) for case in cases}),
        "test_cases": cases,
        "shortages": result.shortages,
        "ledger_head": result.ledger_head,
    }


def finish(cut_file: str) -> None:
    """End: the work folder goes, the pack stands for itself."""
    context(cut_file).workspace.remove()
    context.cache_clear()
