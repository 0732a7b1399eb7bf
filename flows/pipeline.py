"""The stages of a cut as plain functions of a path and names: the same code under ``--plain`` and under Prefect.

Nothing but paths, ids and counts passes in or out, so an orchestrator that stores parameters and results stores no
row, no identifier and no key. Each stage notes in the work folder what it has done; a run that was killed is run again
and goes on from there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from contracts.errors import (
    ConfigurationError,
    InsufficientDataError,
    IntakeError,
    RefusedError,
    ResidueError,
)
from contracts.evidence import StageSeconds
from flows import align as alignment
from flows.augment.participant_tables import load_mapping
from flows.augment.shared_texts import refuse_shared
from flows.augment.stage import augment_partition, augmentation, resolved
from flows.cleanse.listing import cleanse_file
from flows.cleanse.verdicts import write_cleanse
from flows.cut import partitions
from flows.cut.boundary import is_failure
from flows.cut.config import load_cut
from flows.cut.context import Context, context, cut_signer, forget, now, run_digest, scan_key, work_folder
from flows.cut.deliveries import accept, note, noted_refusal
from flows.cut.estimate import require_disk
from flows.cut.installed import require
from flows.cut.parallel import map_parallel
from flows.cut.partitions import STAGED, ParticipantExtract
from flows.cut.progress import (
    NULL_LISTENER,
    Kind,
    ProgressListener,
    Step,
    StepCounts,
    StepOutcome,
    current_listener,
    listening,
)
from flows.cut.readiness import require_registers, require_there, require_writable
from flows.cut.records import (
    AlignmentCounts,
    AugmentationCounts,
    Begun,
    CoincidentCount,
    CrossPartitionNames,
    RingFenceResult,
    RuleCounts,
    SourceFacts,
)
from flows.cut.run_lock import alone
from flows.cut.stopping import stoppable
from flows.cut.workspace import MARKER, disk
from flows.intake.raw_digests import DigestTaker
from flows.keys.signing_key import load_approver
from flows.leak_scan.canaries import require_canaries
from flows.leak_scan.digests_of_run import digests_file
from flows.pseudonymise.source import pseudonymise_source
from flows.pseudonymise.submission import exclude_submitted, take_submission
from flows.quality import after_augmentation, coincident, exclusions, rule_counts, verdicts
from flows.quality.limits import check_limits, require_enough, require_rows
from flows.release.later_cut import qualification
from flows.release.published import Published
from flows.release.stage import publish
from flows.release.steps import payload_waves


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the pipeline: its name, as README and glossary have it, and its room in ``flows``."""

    name: str
    room: str

    def __str__(self) -> str:
        return self.name


STAGES = (
    INTAKE := Stage("intake", "intake"),  # its last step is conform
    PSEUDONYMISE := Stage("pseudonymise", "pseudonymise"),
    QUALITY := Stage("quality", "quality"),
    ALIGN := Stage("align", "align"),
    AUGMENT := Stage("augment", "augment"),
    RING_FENCE := Stage("ring-fence", "ringfence"),
    RELEASE := Stage("release", "release"),
    LEAK_SCAN := Stage("leak scan", "leak_scan"),
    REPORT := Stage("report", "report"),
)
"""The one list of stages. A participant's own job, a submission, leaves out align, augment and ring-fence."""
MOST_PARTS = 16  # steps that the partitions of a stage are spread over
Result = TypeVar("Result", bound=StepOutcome)
RunWave = Callable[[Sequence[Step]], Sequence[tuple[StepOutcome, float]]]


class RunPlan(StepOutcome):
    """What a run is going to read: participant and extract of each source, in how many partitions.

    ``resumed``: work of the same run was found to go on with.
    """

    sources: tuple[tuple[str, str], ...]
    partitions: int
    resumed: bool


def side_by_side(run_step: Callable[[Step], StepOutcome]) -> RunWave:
    """Return a way to do a wave: its steps side by side in this process; the run's listener hears of each."""

    def timed(step: Step) -> tuple[StepOutcome, float]:
        listener = current_listener()
        listener.begin(step)
        began = time.monotonic()
        result = run_step(step)
        took = round(time.monotonic() - began, 3)
        listener.end(step, took, result)
        return result, took

    return lambda wave: map_parallel(timed, wave)


def run(cut_file: str, kind: Kind, *, run_wave: RunWave, ignore_disk: bool = False) -> Published:
    """Take a cut through its stages, wave by wave; the steps of a wave do not depend on each other.

    Args:
        cut_file: path of ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        run_wave: does the steps of one wave and returns what each found and how many seconds it took.
        ignore_disk: begin even where the disk cannot hold what is expected.

    Raises:
        IntakeError, RefusedError, ResidueError, InsufficientDataError: the data is refused. The work folder goes then:
            nothing is gone on with until a backup or the configuration is another, and columns that pass as they are
            may hold what they should not.
        PlaceError: the same cut is being run already.
        DataCutError: any other failure; the work folder stays for the next run to go on with.
    """
    with alone(load_cut(Path(cut_file))):
        return _run(cut_file, kind, run_wave, ignore_disk)


def _run(cut_file: str, kind: Kind, run_wave: RunWave, ignore_disk: bool) -> Published:
    stages: list[StageSeconds] = []

    def timed(wave: Sequence[Step]) -> Sequence[StepOutcome]:
        done = run_wave(wave)
        stages.extend(StageSeconds(stage=step.name, seconds=took) for step, (_, took) in zip(wave, done, strict=True))
        return [result for result, _ in done]

    published: list[Published] = []

    def conclude() -> Published:
        done = publish(cut_file, kind=kind, stages=stages)
        published.append(done)
        accept(load_cut(Path(cut_file)))
        finish(cut_file)
        return done

    begin = partial(prepare, cut_file, kind, ignore_disk=ignore_disk)
    first = _step(INTAKE, call=begin, detail="look at keys, plan and places")
    plan = _only(RunPlan, timed([first]))
    try:
        with stoppable():
            for wave in _waves(cut_file, kind, plan):
                timed(wave)
            return _only(Published, timed([_step(RELEASE, LEAK_SCAN, REPORT, call=conclude)]))
    except (IntakeError, RefusedError, ResidueError, InsufficientDataError):
        finish(cut_file)
        raise
    except BaseException as fault:
        if published and not is_failure(fault):  # asked to stop when the packs were out already: it has ended well
            return published[0]
        raise


def _only(kind: type[Result], results: Sequence[StepOutcome]) -> Result:
    """Return the result of a wave of one step."""
    (found,) = results
    if not isinstance(found, kind):
        raise TypeError(f"a step returned {type(found).__name__}, not {kind.__name__}")
    return found


def _waves(cut_file: str, kind: Kind, plan: RunPlan) -> Iterator[list[Step]]:
    yield [
        _step(
            INTAKE,
            PSEUDONYMISE,
            call=partial(pseudonymise, cut_file, mpid, extract),
            detail=f"{mpid}/{extract}",
            participant=mpid,
        )
        for mpid, extract in plan.sources
    ]
    yield [_step(QUALITY, call=partial(tabulate, cut_file), detail="tables to look things up in")]
    parts = _parts(plan.partitions)
    yield _each_part(parts, QUALITY, partial(judge_part, cut_file))
    yield [
        *_each_source(plan, QUALITY, partial(count, cut_file), "second count of "),
        *(_each_part(parts, ALIGN, partial(align_part, cut_file)) if kind == "release" else ()),
        _step(QUALITY, call=partial(exclude, cut_file), detail="exclusions"),
    ]
    yield [_step(QUALITY, call=partial(judge, cut_file, kind), detail="counts and exclusions")]
    if kind == "release":
        yield [_step(ALIGN, call=partial(align, cut_file))]
        yield [_step(AUGMENT, call=partial(associate, cut_file), detail="associations")]
        yield _each_part(parts, AUGMENT, partial(augment_part, cut_file))
        yield [_step(AUGMENT, call=partial(augment, cut_file), detail="relationships")]
        yield [_step(RING_FENCE, call=partial(ring_fence, cut_file))]
    yield from payload_waves(cut_file, kind, plan.sources, parts, (RELEASE.name, LEAK_SCAN.name))


def _each_source(plan: RunPlan, stage: Stage, call: Callable[[str, str], StepOutcome], detail: str) -> list[Step]:
    return [
        _step(stage, call=partial(call, mpid, extract), detail=f"{detail}{mpid}/{extract}", participant=mpid)
        for mpid, extract in plan.sources
    ]


def _each_part(parts: Sequence[list[int]], stage: Stage, call: Callable[[list[int]], StepOutcome]) -> list[Step]:
    return [_step(stage, call=partial(call, p), detail=f"part {n + 1} of {len(parts)}") for n, p in enumerate(parts)]


def _step(*stages: Stage, call: Callable[[], StepOutcome], detail: str = "", participant: str = "") -> Step:
    return Step(tuple(stage.name for stage in stages), call, detail, participant)


def _parts(partitions: int) -> list[list[int]]:
    """Spread the partitions over no more steps than a person wants to see."""
    count = min(partitions, MOST_PARTS)
    return [list(range(n, partitions, count)) for n in range(count)]


def run_plain(
    cut_file: Path, *, kind: Kind = "release", listener: ProgressListener = NULL_LISTENER, ignore_disk: bool = False
) -> Published:
    """Run all stages in this process, without an orchestrator.

    Args:
        cut_file: ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        listener: hears of each step, and of rows read.
        ignore_disk: begin even where the disk cannot hold what is expected.
    """
    with listening(listener):
        run_wave = side_by_side(lambda step: step.call())
        return run(str(cut_file), kind, run_wave=run_wave, ignore_disk=ignore_disk)


def prepare(cut_file: str, kind: Kind = "release", *, ignore_disk: bool = False) -> RunPlan:
    """Begin: load and check everything; go on with the work of the same run, clear that of any other.

    Raises:
        ConfigurationError, KeyMaterialError, PlaceError: what the last stage needs is not there; better told now.
    """
    forget()
    work = work_folder(load_cut(Path(cut_file)))
    if work.exists() and not (work / MARKER).is_file() and any(work.iterdir()):
        raise ConfigurationError("the work folder holds other files", where=str(work), remedy="set work: in cut.yaml")
    known = context(cut_file)
    if kind == "submission":
        with disk(cleanse_file(known.job)):
            cleanse_file(known.job).unlink(missing_ok=True)  # what an earlier run found
    require_ready(known, kind)
    if not ignore_disk:
        require_disk(known.job, kind)
    digest = run_digest(known)
    begun = known.workspace.recorded(Begun)
    resumed = begun is not None and begun.digest == digest
    if not resumed:
        with disk(work):
            known.workspace.remove()
        forget()
        known = context(cut_file)
        known.workspace.record(
            Begun(at=now(), digest=digest, fingerprint=known.keys.fingerprint(), salt=secrets.token_hex(16))
        )
    return RunPlan(
        sources=tuple((h.participant, h.extract) for h in known.extracts),
        partitions=known.workspace.partitions,
        resumed=resumed,
    )


def require_ready(known: Context, kind: Kind) -> None:
    """Look at signing keys, mapping tables, plan and the place of the packs before anything is done."""
    job, release = known.job, known.job.model.release
    require_registers(job)
    qualification(known)
    require_there(job)
    check_limits(job.model, known.contracts)
    cut_signer(job)
    if release.approver:
        load_approver(job.path(release.approver))
    if kind == "submission":
        refuse_shared(known)
    if kind == "release":
        load_mapping(job)
    if kind == "release" and job.model.ring_fence is not None:
        require("ortools", "sqlalchemy")
        from flows.ringfence.plan import refuse_strangers

        refuse_strangers(job.path(job.model.ring_fence.plan), {p.mpid for p in job.everyone})
    require_writable(job.path(release.folder))


def pseudonymise(cut_file: str, mpid: str, extract: str) -> StepCounts:
    """Intake, conform and pseudonymise one source."""
    known = context(cut_file)
    if done := known.workspace.recorded(SourceFacts, mpid, extract):
        return StepCounts(rows=done.rows, bytes=done.bytes)
    participant, source = known.job.find(mpid, extract)
    read = take_submission if source.source.pack else pseudonymise_source
    taker = DigestTaker(scan_key(known), digests_file(known.workspace, mpid, extract))
    if not source.source.pack:
        require_canaries(known, known.contracts[extract], taker, f"{mpid}/{extract}")
    with noted_refusal(known.job, participant, extract):
        facts = read(
            known.job,
            participant,
            source,
            keys=known.keys,
            pseudonymiser=known.pseudonymiser,
            workspace=known.workspace,
            contract=known.contracts[extract],
            progress=current_listener().rows,
            taker=taker,
        )
    note(known.job, participant, extract, "read", rows=facts.rows)
    known.workspace.record(facts, mpid, extract)  # last: what is recorded is not done again, nor noted
    return StepCounts(rows=facts.rows, bytes=facts.bytes)


def tabulate(cut_file: str) -> StepCounts:
    """Gather the tables that rules look things up in and that span partitions, for whoever judges one."""
    known = context(cut_file)
    require_rows(known)
    done = known.workspace.recorded(CrossPartitionNames)
    if done is None:
        done = verdicts.write_tables(known.workspace, known.extracts, known.reference.tables, known.job.model.cut.date)
        known.workspace.record(done)
    return StepCounts(tables=len(done.names))


def judge_part(cut_file: str, numbers: list[int]) -> StepCounts:
    """Judge every rule over some partitions; those that are judged already are left as they are."""
    known = context(cut_file)
    shared = verdicts.read_tables(known.workspace, known.reference.tables)
    for number in numbers:
        if not partitions.is_judged(known.workspace, number):
            verdicts.judge_partition(known.workspace, known.extracts, number, shared, known.job.model.cut.date)
        known.workspace.discard(STAGED, number)
    return StepCounts(partitions=len(numbers))


def count(cut_file: str, mpid: str, extract: str) -> StepCounts:
    """Count the rules of one source anew by Great Expectations, and hold them against the verdicts."""
    known = context(cut_file)
    source = ParticipantExtract(mpid, extract)
    done = rule_counts.count_source(known.workspace, known.extracts, source, verdicts.table_names(known))
    return StepCounts(rules=len(done.entries))


def exclude(cut_file: str) -> StepCounts:
    """Exclude what submissions excluded, coincident pseudonyms, and whoever belongs to an excluded metering point."""
    known = context(cut_file)
    workspace, extracts = known.workspace, known.extracts
    if workspace.recorded(CoincidentCount) is None:
        exclude_submitted(workspace, extracts)
        met = coincident.exclude(workspace, extracts, known.pseudonymiser)
        coincident.require_chance(met)
        exclusions.cascade(workspace, exclusions.stated_links(workspace, extracts))
        workspace.record(met)
    return StepCounts(excluded=_excluded(known))


def judge(cut_file: str, kind: Kind = "release") -> StepCounts:
    """Sum up the verdicts and both counts of every rule; find who is excluded, where no step before it did.

    A participant's own job lists its rows by real MPAN then, whether or not the run goes on (:mod:`flows.cleanse`).

    Returns:
        How many rules there are, and how many MPANs are excluded.
    """
    exclude(cut_file)
    known = context(cut_file)
    done = known.workspace.recorded(RuleCounts)
    if done is None:
        done = rule_counts.count_rules(known.workspace, known.extracts, verdicts.table_names(known))
        known.workspace.record(done)
    if kind == "submission":
        write_cleanse(known)
    require_enough(known)
    return StepCounts(rules=len(done.entries), excluded=_excluded(known))


def _excluded(known: Context) -> int:
    return sum(partitions.read_exclusions(known.workspace, n).height for n in range(known.workspace.partitions))


def align_part(cut_file: str, numbers: list[int]) -> StepCounts:
    """Compare participants with each other in some partitions."""
    known = context(cut_file)
    for number in numbers:
        alignment.compare_partition(known.workspace, known.extracts, number)
    return StepCounts(partitions=len(numbers))


def align(cut_file: str) -> StepCounts:
    """Sum up how far participants agree.

    Raises:
        AlignmentError: they disagree beyond what the policy bears.
    """
    known = context(cut_file)
    done = known.workspace.recorded(AlignmentCounts)
    if done is None:
        done = AlignmentCounts(pairs=tuple(alignment.alignment(known.workspace, known.extracts)))
        known.workspace.record(done)
    alignment.require_alignment(done.pairs)
    return StepCounts(pairs=len(done.pairs))


def associate(cut_file: str) -> StepCounts:
    """Find which metering points belong together: imports and exports, primaries and secondaries."""
    return StepCounts(pairs=resolved(context(cut_file)).together.height)


def augment_part(cut_file: str, numbers: list[int]) -> StepCounts:
    """Fill the MHHS-only items of some partitions."""
    known = context(cut_file)
    for number in numbers:
        augment_partition(known, number)
    return StepCounts(partitions=len(numbers))


def augment(cut_file: str) -> StepCounts:
    """Fill what items are not filled yet, and judge the result; returns the counts by item and source."""
    known = context(cut_file)
    done = known.workspace.recorded(AugmentationCounts)
    if done is None:
        done = augmentation(known)
        known.workspace.record(
            after_augmentation.judge_after_augmentation(
                known.workspace, known.extracts, known.job.model.cut.date, known.results[after_augmentation.NAME]
            ),
        )
        known.workspace.record(done)
    require_enough(known)
    return StepCounts(items=len(done.items), excluded=_excluded(known))


def ring_fence(cut_file: str) -> StepCounts:
    """Allocate metering points to the plan's test cases and commit them to the ledger."""
    known = context(cut_file)
    plan = known.job.model.ring_fence
    if plan is None:
        return StepCounts(allocated=0, shortages=0)
    done = known.workspace.recorded(RingFenceResult)
    if done is None:
        from flows.ringfence.stage import run_ring_fence  # with what only an SI installs

        done = run_ring_fence(known, known.job.path(plan.plan))
    return StepCounts(allocated=done.allocated, shortages=len(done.evidence.shortages or ()))


def finish(cut_file: str) -> None:
    """End: the work folder goes; a pack stands for itself, and what was refused is not gone on with."""
    context(cut_file).workspace.remove()
    forget()
