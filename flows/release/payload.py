"""PAYLOAD: the files of packs, written in the work folder by whoever has the time; the pack takes them from there.

Each piece of work writes files of its own and notes them with their sizes: what is noted is done, in this run or in one
that was killed, and is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from contracts.errors import PlaceError
from contracts.evidence import Accounting
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.parallel import map_parallel
from flows.cut.partitions import ALLOCATIONS, ParticipantExtract
from flows.cut.progress import Kind
from flows.cut.records import Payload, ReturnForms, RingFenceResult, SourceFacts
from flows.cut.workspace import disk, second_name
from flows.pack.writer import PackWriter
from flows.release import augmented as released
from flows.release import expected_results, expected_steps
from flows.release.extracts import release_extract
from flows.release.feedback import join_feedback
from flows.release.own_forms import own_forms

ROOM = "payload_files"
SOURCE, AUGMENTED, RECORDS, EXPECTED, STEPS = "source", "augmented", "records", "expected", "steps"
RETURN = "return"
TOGETHER = 10  # participants whose files are written in one reading of the records: as many as fill row groups at once


def groups(mpids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the participants whose files are written together, in their order."""
    every = list(dict.fromkeys(mpids))
    return [tuple(every[at : at + TOGETHER]) for at in range(0, len(every), TOGETHER)]


def source(known: Context, kind: Kind, extract: ParticipantExtract) -> Accounting:
    """Write one extract of one participant; return what became of its rows."""
    if kind == "release":  # a submission pack is exact: who reads it holds the key and judges it again
        known = released.as_released(known)
    facts = known.workspace.recorded(SourceFacts, extract.participant, extract.extract)
    rows, formats = facts.rows if facts else 0, known.job.model.release.formats

    def write(place: Callable[[str], Path]) -> Accounting:
        return release_extract(known, extract, rows, place, formats)

    done = _once(known, kind, (SOURCE, extract.participant, extract.extract), write)
    if done.accounting is None:
        raise TypeError("an extract was released without its accounting")
    return done.accounting


def augmented(known: Context, mpids: Sequence[str]) -> None:
    """Write the augmented records of participants, and which of their metering points are allocated."""
    known, allocations = released.as_released(known), _allocations(known)
    mine = _participants(known, mpids)

    def write(place: Callable[[str], Path]) -> None:
        released.release_augmented(known, mine, place)
        if allocations is not None:
            for participant in mine:
                released.release_allocations(known, participant, allocations, place)

    _once(known, "release", (AUGMENTED, mpids[0]), write)


def expected(known: Context, mpids: Sequence[str]) -> None:
    """Make the expected results of all allocated metering points; write those of some participants."""
    known, allocations = released.as_released(known), _allocations(known)
    if allocations is None:
        return
    _once(known, "release", (RECORDS,), lambda _place: expected_results.build_expected(known, allocations))
    if mpids:
        mine = _participants(known, mpids)

        def write(place: Callable[[str], Path]) -> None:
            expected_results.release_expected(known, mine, place)

        _once(known, "release", (EXPECTED, mpids[0]), write)


def steps(known: Context) -> None:
    """Write the steps of expected results of all participants."""
    known, allocations = released.as_released(known), _allocations(known)
    if allocations is not None:
        expected(known, ())

        def write(place: Callable[[str], Path]) -> None:
            expected_steps.release_steps(known, allocations, planned_processes(known), place)

        _once(known, "release", (STEPS,), write)


def returned(known: Context, participant: Participant) -> dict[str, int]:
    """Write what a return pack holds beside files of the release: the participant's own form, and its feedback.

    Returns:
        The files by path in the pack, and their bytes.
    """
    known = released.as_released(known)

    def write(place: Callable[[str], Path]) -> None:
        flows = own_forms(known, folder(known, "release"), participant, place)
        known.workspace.record(ReturnForms(flows=flows), participant.mpid)
        join_feedback(known, participant, place)

    return dict(_once(known, RETURN, (participant.mpid,), write, folder(known, RETURN, participant.mpid)).files)


def folder(known: Context, *room: str) -> Path:
    """Return where the files of a pack are written: ``release``, ``submission``, or ``return`` and an MPID."""
    return known.workspace.root.joinpath(ROOM, *room)


def whole(known: Context, kind: Kind, pack: PackWriter) -> list[Accounting]:
    """Put the payload into a pack, whatever of it is not written yet as well; return what became of all rows.

    Raises:
        PlaceError: a file that was written is gone, or is another.
    """
    accounting = map_parallel(partial(source, known, kind), known.extracts)
    if kind == "release":
        expected(known, ())
        work: list[Callable[[], None]] = [partial(steps, known)]
        work += [partial(call, known, mpids) for mpids in _groups(known) for call in (augmented, expected)]
        map_parallel(lambda call: call(), work)
    place(folder(known, kind), noted(known, kind), pack)
    return accounting


def place(room: Path, files: Mapping[str, int], pack: PackWriter) -> None:
    """Put files that were written into a pack: where the disk can, by a second name.

    Args:
        room: where they lie; ``files``: their paths there and in the pack, and their bytes.

    Raises:
        PlaceError: a file that was written is gone, or is another.
    """
    for path, size in sorted(files.items()):
        there = room / path
        if not there.is_file() or there.stat().st_size != size:
            raise PlaceError(
                f"a file of the pack that was written is gone or another ({path})",
                where=str(room),
                remedy="see who removes files there, delete the work folder and run again",
            )
        target = pack.path(path)
        with disk(target):
            second_name(there, target)


def _groups(known: Context) -> list[tuple[str, ...]]:
    return groups(extract.participant for extract in known.extracts)


def noted(known: Context, kind: Kind) -> dict[str, int]:
    """Return the files of a pack that are written so far, by path, and their bytes."""
    keys: list[tuple[str, ...]] = [(SOURCE, h.participant, h.extract) for h in known.extracts]
    if kind == "release":
        keys += [(name, mpids[0]) for mpids in _groups(known) for name in (AUGMENTED, EXPECTED)]
        keys += [(STEPS,)]
    found = [known.workspace.recorded(Payload, kind, *key) for key in keys]
    return {path: size for done in found if done for path, size in done.files.items()}


def _once(
    known: Context,
    kind: str,
    key: tuple[str, ...],
    write: Callable[[Callable[[str], Path]], Accounting | None],
    room: Path | None = None,
) -> Payload:
    """Do a piece of work, unless it is noted as done; note its files.

    Those of a submission, which is exact, and of a release lie apart: one is never taken for the other.

    Args:
        room: where its files go; otherwise those of its kind of pack.
    """
    workspace = known.workspace
    done = workspace.recorded(Payload, kind, *key)
    if done is not None:
        return done
    written: dict[str, Path] = {}

    def place_of(relpath: str) -> Path:
        path = (room or folder(known, kind)) / relpath
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        written[relpath] = path
        return path

    accounting = write(place_of)
    files = {relpath: path.stat().st_size for relpath, path in sorted(written.items()) if path.is_file()}
    done = Payload(files=files, accounting=accounting)
    workspace.record(done, kind, *key)
    return done


def _participants(known: Context, mpids: Sequence[str]) -> list[Participant]:
    return [participant for participant in known.job.model.participants if participant.mpid in mpids]


def _allocations(known: Context) -> pl.DataFrame | None:
    path = known.workspace.root / ALLOCATIONS
    return pl.read_ipc(path) if path.is_file() else None


def planned_processes(known: Context) -> dict[str, tuple[str, ...]]:
    """Return the processes that the plan names, by test case."""
    recorded = known.workspace.recorded(RingFenceResult) if known.job.model.ring_fence is not None else None
    return dict(recorded.processes) if recorded else {}
