"""Has everything arrived that a cut waits for? Looked at by a scheduled flow, remembered in a small file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.json_types import JsonObject
from flows.cut.config import Job, load_cut
from flows.cut.deliveries import input_state
from flows.cut.workspace import disk
from flows.delivery.board import Board, board
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
    """

    cut: str
    arrived: tuple[str, ...]
    missing: tuple[str, ...]
    complete: bool
    board: Board


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
    with disk(memory):
        memory.parent.mkdir(parents=True, exist_ok=True)
        told = len(settled) == len(now)
        memory.write_text(json.dumps({**now, "settled": sorted(settled), "complete": told}), encoding="utf-8")
        standing = board(job, datetime.now(UTC).date())
        with whole(memory.with_name(PAGE)) as growing:
            growing.write_bytes(board_page(standing))
    return Look(
        job.model.cut.id,
        tuple(sorted(settled - known)),
        tuple(sorted(name for name in now if name not in settled)),
        complete,
        standing,
    )


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
