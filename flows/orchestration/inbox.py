"""Has everything arrived that a cut waits for? Looked at by a scheduled flow, remembered in a small file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from contracts.json_types import JsonObject
from flows.cut.config import Job, load_cut
from flows.cut.deliveries import input_state
from flows.cut.workspace import disk
from flows.delivery.board import Board, Delivery, DeliveryState, board
from flows.delivery.pages import board_page
from flows.files import whole

MEMORY, PAGE = "inbox.json", "deliveries.html"


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    Attributes:
        cut: the cut's id.
        arrived: inputs that are new since the last look, as ``participant/extract``.
        missing: inputs that are not there yet.
        complete: nothing is missing, and the last look did not say so of the same inputs.
        board: where each input stands; its page is kept beside the work folder.
        changed: the board shows other states than at the last look.
        late: inputs whose day has passed, and of which the last look did not say so.
        overdue: days since the release was due, if there is none and the last look did not say so; else 0.
    """

    cut: str
    arrived: tuple[str, ...]
    missing: tuple[str, ...]
    complete: bool
    board: Board
    changed: bool
    late: tuple[Delivery, ...]
    overdue: int


def look(cut_file: Path) -> Look:
    """Look at the inputs of a cut and remember what was seen.

    An input counts as arrived when it did not change between two looks: a file that is still being copied grows.

    Raises:
        ConfigurationError: the cut's configuration is wrong. PlaceError: the memory cannot be written.
    """
    job = load_cut(cut_file)
    memory = job.path(job.model.work) / MEMORY
    before = _remembered(memory)
    now = _inputs(job)
    settled = {name for name, state in now.items() if state is not None and before.get(name) == state}
    known = set(settled_before if isinstance(settled_before := before.get("settled"), list) else ())
    complete = bool(now) and len(settled) == len(now) and (known != settled or not before.get("complete"))
    today = datetime.now(UTC).date()
    standing = board(job, today)
    late = [d for d in standing.deliveries if d.state is DeliveryState.LATE]
    overdue = _overdue(job, today)
    states = [f"{d.participant}/{d.extract} {d.state.value} {d.rows} {d.detail}" for d in standing.deliveries]
    remembered = {
        **now,
        "settled": sorted(settled),
        "complete": len(settled) == len(now),
        "late": sorted(map(_name, late)),
        "overdue": bool(overdue),
        "board": states,
    }
    with disk(memory):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with whole(memory) as growing:
            growing.write_text(json.dumps(remembered), encoding="utf-8")
        with whole(memory.with_name(PAGE)) as growing:
            growing.write_bytes(board_page(standing))
    told = before.get("late")
    return Look(
        job.model.cut.id,
        tuple(sorted(settled - known)),
        tuple(sorted(name for name in now if name not in settled)),
        complete,
        standing,
        changed=before.get("board") != states,
        late=tuple(d for d in late if not isinstance(told, list) or _name(d) not in told),
        overdue=0 if before.get("overdue") else overdue,
    )


def _name(delivery: Delivery) -> str:
    return f"{delivery.participant}/{delivery.extract}"


def _overdue(job: Job, today: date) -> int:
    """Return how many days ago the release was due, if there is none."""
    due, release = job.model.release.due, job.model.release
    there = (job.path(release.folder) / f"{job.model.cut.id}-release").exists()
    return 0 if due is None or there else max(0, (today - due).days)


def _inputs(job: Job) -> dict[str, list[int] | None]:
    """Return the state of each input: a backup, or a participant's submission pack; a database has none.

    Of an input of several files, the files that are there now are its state: it has arrived when none is added.
    """
    states: dict[str, list[int] | None] = {}
    for participant in job.model.participants:
        for extract in dict.fromkeys(entry.contract for entry in participant.extracts):
            if all(entry.source.url is None for entry in job.entries(participant, extract)):
                state = input_state(job, participant, extract)
                states[f"{participant.mpid}/{extract}"] = None if state is None else list(state)
    return states


def _remembered(memory: Path) -> JsonObject:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
