"""The ledger of a cut as its system of record: the right one, whole and not older than what is known of it.

Every change is noted beside the packs, in a file that only grows: id of the ledger, number and digest of the change.
A ledger that is gone, empty, another or older than that is refused: it would hand the same metering points out again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.errors import EvidenceError, RingFenceError
from flows.cut.config import Job
from flows.cut.context import now
from flows.cut.workspace import disk
from flows.report.formatting import plural
from flows.ringfence.database import place_of
from flows.ringfence.ledger import Ledger, has_ledger
from flows.ringfence.pool import pool_file

RESTORE = "restore it from a backup (datacut ringfence restore), or correct ring_fence.ledger"


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """A change that is known outside the ledger: which ledger, which cut, its number and digest."""

    ledger: str
    cut: str
    number: int
    sha256: str
    at: str


def heads_file(job: Job) -> Path:
    """Return where the heads of a cut are noted: beside its packs."""
    return job.path(job.model.release.folder) / f"{job.model.cut.id}-ledger-heads.jsonl"


def known_heads(job: Job) -> list[LedgerHead]:
    """Return what was noted, the oldest first.

    Raises:
        EvidenceError: the file is damaged.
    """
    file = heads_file(job)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    try:
        return [LedgerHead(**json.loads(line)) for line in lines]
    except (ValueError, TypeError):
        raise EvidenceError(
            "is damaged", where=file.name, remedy="restore it from a copy; it says which ledger is the right one"
        ) from None


def note_head(job: Job, ledger: Ledger) -> None:
    """Note the head of the ledger, unless it is noted already.

    Raises:
        PlaceError: the disk refuses.
    """
    number, sha256 = ledger.last(job.model.cut.id)
    known = known_heads(job)
    if number == 0 or (known and (known[-1].ledger, known[-1].sha256) == (ledger.id, sha256)):
        return
    file = heads_file(job)
    line = json.dumps(asdict(LedgerHead(ledger.id, job.model.cut.id, number, sha256, now())), sort_keys=True)
    with disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(f"{line}\n".encode())
            stream.flush()
            os.fsync(stream.fileno())


def begin_ledger(job: Job) -> Ledger:
    """Make the ledger of a cut that has none yet.

    Raises:
        RingFenceError: there was one, as heads beside the packs or the population of a run say, or there is one.
        PlaceError: the database is unfit.
    """
    if has_ledger(job.ledger_url):
        raise RingFenceError("there is a ledger already", where="ring_fence.ledger", remedy="use it as it is")
    _refuse_traces(job)
    return Ledger(job.ledger_url)


def _refuse_traces(job: Job) -> None:
    known = known_heads(job)
    if known:
        raise RingFenceError(
            f"the ledger is gone: {plural(known[-1].number, 'change')} of {known[-1].ledger[:8]} noted by the packs",
            where="ring_fence.ledger",
            remedy=RESTORE,
        )
    if pool_file(job).exists():
        raise RingFenceError(
            "the ledger is gone: an earlier run of this cut allocated from a population that is still there",
            where="ring_fence.ledger",
            remedy=f"{RESTORE}; if nothing was handed out, remove {pool_file(job).name} and begin anew",
        )


def open_ledger(job: Job, *, begin: bool = False) -> Ledger:
    """Open the ledger of a cut, and see that it is the right one.

    Args:
        begin: make it where the cut has none and nothing says that it had one: the first run of a cut.

    Raises:
        RingFenceError: it is gone, empty, another or older. EvidenceError: it was changed, or a note of it is damaged.
        PlaceError: the database is unfit.
    """
    if not has_ledger(job.ledger_url):
        _refuse_traces(job)
        if not begin:
            raise RingFenceError(
                "there is no ledger yet", where="ring_fence.ledger", remedy="make it with datacut ringfence init"
            )
        return Ledger(job.ledger_url)
    ledger = Ledger(job.ledger_url, make=False)
    try:
        require_right(job, ledger)
    except BaseException:
        ledger.close()
        raise
    return ledger


def require_right(job: Job, ledger: Ledger) -> None:
    """See that a ledger, or a backup of it, is the cut's and not older than what is known of it.

    Raises:
        RingFenceError: it is another or older. EvidenceError: its history is another, or a note of it is damaged.
    """
    where, wanted = place_of(ledger.engine), job.model.ring_fence and job.model.ring_fence.ledger_id
    if wanted and wanted != ledger.id:
        raise RingFenceError(
            f"is ledger {ledger.id[:8]}, and cut.yaml names {wanted[:8]}",
            where=where,
            remedy="correct ring_fence.ledger",
        )
    known = known_heads(job)
    if not known:
        return
    last = known[-1]
    if last.ledger != ledger.id:
        raise RingFenceError(
            f"is ledger {ledger.id[:8]}, and this cut's changes are in ledger {last.ledger[:8]}",
            where=where,
            remedy=RESTORE,
        )
    chain = ledger.digests(job.model.cut.id)
    if len(chain) < last.number:
        has = plural(len(chain), "change")
        raise RingFenceError(
            f"is older than what is known of it: {has}, and {last.number} are noted beside the packs",
            where=where,
            remedy=RESTORE,
        )
    if any(chain[head.number - 1] != head.sha256 for head in known):
        raise EvidenceError("its history is not the one that is noted beside the packs", where=where, remedy=RESTORE)
