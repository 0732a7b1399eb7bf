"""STEPS: the waves of steps that write the files of packs, search them, and try what they give away.

Whatever takes time with the size of a cut is a step of an extract, of partitions, of a group of participants or of some
files; what comes after them puts together, reports, seals and publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from flows.cut.context import context
from flows.cut.partitions import ParticipantExtract
from flows.cut.progress import Kind, Step, StepCounts, StepOutcome
from flows.release import intruders, payload, risk, searches
from flows.release.augmented import as_released
from flows.release.feedback import write_feedback
from flows.release.own_forms import recipients


def payload_waves(
    cut_file: str,
    kind: Kind,
    sources: Sequence[tuple[str, str]],
    parts: Sequence[list[int]],
    stages: tuple[str, str],
) -> Iterator[list[Step]]:
    """Yield waves of steps; those of a wave do not depend on each other.

    Args:
        sources: participant and extract of each.
        parts: partitions that are worked on together.
        stages: names of the stages that write and that search.
    """
    release, leak_scan = stages

    def step(call: Callable[[], StepOutcome], detail: str, stage: str = release, participant: str = "") -> Step:
        return Step((stage,), call, detail, participant)

    def searched() -> list[Step]:
        found = searches.parts(payload.noted(context(cut_file), kind))
        calls = (partial(_search, cut_file, kind, n, paths) for n, paths in enumerate(found))
        return [step(call, f"part {n + 1} of {len(found)}", leak_scan) for n, call in enumerate(calls)]

    first = [
        step(partial(_source, cut_file, kind, mpid, extract), f"{mpid}/{extract}", participant=mpid)
        for mpid, extract in sources
    ]
    if kind == "submission":
        yield first
        return (yield searched())
    groups = payload.groups(mpid for mpid, _ in sources)
    yield [
        step(partial(_expected, cut_file, ()), "expected results"),
        *(step(partial(_augmented, cut_file, group), f"augmented of {group[0]}") for group in groups),
        *first,
        *(step(partial(_feedback, cut_file, p), f"feedback, {n + 1} of {len(parts)}") for n, p in enumerate(parts)),
    ]
    yield [
        step(partial(_steps, cut_file), "steps of expected results"),
        *(step(partial(_expected, cut_file, group), f"expected of {group[0]}") for group in groups),
        *(step(partial(_return, cut_file, group), f"own form of {group[0]}") for group in groups),
    ]
    yield [
        step(partial(_intruders, cut_file), "intruders"),
        *searched(),
        *(step(partial(_search_returns, cut_file, group), f"own form of {group[0]}", leak_scan) for group in groups),
        step(partial(_risk, cut_file), "risk"),
    ]


def _source(cut_file: str, kind: Kind, mpid: str, extract: str) -> StepCounts:
    """Write one extract of one participant."""
    done = payload.source(context(cut_file), kind, ParticipantExtract(mpid, extract))
    return StepCounts(rows=done.released, excluded=done.excluded)


def _augmented(cut_file: str, mpids: tuple[str, ...]) -> StepCounts:
    """Write the augmented records and allocations of some participants."""
    payload.augmented(context(cut_file), mpids)
    return StepCounts(items=len(mpids))


def _expected(cut_file: str, mpids: tuple[str, ...]) -> StepCounts:
    """Make the expected results; write those of some participants."""
    payload.expected(context(cut_file), mpids)
    return StepCounts(items=len(mpids))


def _steps(cut_file: str) -> StepCounts:
    """Write the steps of expected results."""
    payload.steps(context(cut_file))
    return StepCounts()


def _feedback(cut_file: str, numbers: list[int]) -> StepCounts:
    """Find what is to be cleansed in some partitions."""
    known = as_released(context(cut_file))
    for number in numbers:
        write_feedback(known, recipients(known), number)
    return StepCounts(partitions=len(numbers))


def _return(cut_file: str, mpids: tuple[str, ...]) -> StepCounts:
    """Write what the return packs of some participants hold beside files of the release."""
    known = context(cut_file)
    mine = [participant for participant in recipients(known) if participant.mpid in mpids]
    files = [payload.returned(known, participant) for participant in mine]
    return StepCounts(bytes=sum(size for written in files for size in written.values()))


def _search(cut_file: str, kind: Kind, number: int, paths: searches.Part) -> StepCounts:
    """Search some files of a pack."""
    known = context(cut_file)
    done = searches.search(known, payload.folder(known, kind), f"{kind}-{number}", paths)
    return StepCounts(bytes=done.bytes)


def _search_returns(cut_file: str, mpids: Sequence[str]) -> StepCounts:
    """Search what the return packs of some participants hold beside files of the release."""
    known = context(cut_file)
    done = searches.of_returns(known, [participant for participant in recipients(known) if participant.mpid in mpids])
    return StepCounts(bytes=sum(part.bytes for part in done))


def _intruders(cut_file: str) -> StepCounts:
    """Play intruders against the files of the release."""
    known = as_released(context(cut_file))
    found = intruders.measure(known, payload.folder(known, "release"))
    return StepCounts(items=len(found.played) if found else 0)


def _risk(cut_file: str) -> StepCounts:
    """Measure the disclosure risk of the release."""
    found = risk.measure(as_released(context(cut_file)))
    return StepCounts(rows=found.metering_points if found else 0)
