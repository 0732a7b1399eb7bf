"""DELIVERIES: what became of each input of a cut, kept beside the work folder from run to run.

A note is a small JSON file per input: read, checked, or refused and why. It holds counts and the line that was said,
never a value of a row; an input that changed since is a new delivery.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import DataCutError
from flows.cut.config import Job, Participant
from flows.cut.workspace import disk
from flows.files import whole

FOLDER = ".deliveries"  # no cut can have this name
Outcome = Literal["read", "accepted", "checked", "refused"]
State = tuple[int, int, int]  # files, bytes, latest change in nanoseconds


class DeliveryNote(BaseModel):
    """What became of an input.

    Attributes:
        state: files, bytes and latest change of the input that it was said of; nothing of a database.
        outcome: ``read``: a run read it, and published nothing; ``accepted``: a run published what it made of it;
            ``checked``: ``datacut check`` could read it; ``refused``.
        line: why it was refused. rows: how many were read.
        at: when (UTC).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    state: State | None
    outcome: Outcome
    line: str = ""
    rows: int = 0
    at: str


def input_state(job: Job, participant: Participant, extract: str) -> State | None:
    """Return what changes when an input changes; ``None`` where a part of it is not there yet, or for a database."""
    places: list[Path] = []
    for entry in job.entries(participant, extract):
        mine = [job.path(entry.source.pack)] if entry.source.pack else job.files(participant, entry)
        if not mine or not all(place.exists() for place in mine):
            return None
        places += mine
    return state_of(places)


def state_of(places: Sequence[Path]) -> State:
    """Return number, bytes and latest change of files, and of the files in folders."""
    files = [f.stat() for p in places for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.is_file()]
    return len(files), sum(f.st_size for f in files), max((f.st_mtime_ns for f in files), default=0)


def _file(job: Job, mpid: str, extract: str) -> Path:
    return job.path(job.model.work) / FOLDER / job.model.cut.id / f"{mpid}-{extract}.json"


def read_note(job: Job, mpid: str, extract: str) -> DeliveryNote | None:
    """Return what is known of an input, nothing where nobody looked at it."""
    try:
        return DeliveryNote.model_validate_json(_file(job, mpid, extract).read_bytes())
    except (OSError, ValidationError):
        return None


def note(
    job: Job, participant: Participant, extract: str, outcome: Outcome,
    *, line: str = "", rows: int = 0,
) -> None:  # fmt: skip
    """Write down what became of an input.

    Raises:
        PlaceError: the disk refuses.
    """
    path = _file(job, participant.mpid, extract)
    found = DeliveryNote(
        state=input_state(job, participant, extract),
        outcome=outcome,
        line=line,
        rows=rows,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as growing:
            growing.write_text(found.model_dump_json(), encoding="utf-8")


def accept(job: Job) -> None:
    """Write down that what was made of every input was published.

    Raises:
        PlaceError: the disk refuses.
    """
    for participant in job.model.participants:
        for extract in dict.fromkeys(entry.contract for entry in participant.extracts):
            known = read_note(job, participant.mpid, extract)
            if known is not None and known.outcome == "read":
                note(job, participant, extract, "accepted", rows=known.rows)


@contextlib.contextmanager
def noted_refusal(job: Job, participant: Participant, extract: str) -> Iterator[None]:
    """Write down why an input is refused, where what happens inside refuses it."""
    try:
        yield
    except DataCutError as fault:
        if fault.exit_code in (11, 12, 18):
            note(job, participant, extract, "refused", line=fault.line())
        raise
