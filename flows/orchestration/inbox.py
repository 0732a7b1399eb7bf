"""Has everything arrived that a cut waits for? Looked at by a scheduled flow, remembered in a small file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.cut.config import Job, load_cut
from flows.cut.workspace import disk

MEMORY = "inbox.json"


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    Attributes:
        cut: the cut's id.
        arrived: inputs that are new since the last look, as ``participant/extract``.
        missing: inputs that are not there yet.
        complete: nothing is missing, and the last look did not say so of the same inputs.
    """

    cut: str
    arrived: tuple[str, ...]
    missing: tuple[str, ...]
    complete: bool


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
    return Look(
        job.model.cut.id,
        tuple(sorted(settled - known)),
        tuple(sorted(name for name in now if name not in settled)),
        complete,
    )


def _inputs(job: Job) -> dict[str, list[int] | None]:
    """Return the state of each input: a backup, or a participant's submission pack; a database has none.

    Of an input of several files, the files that are there now are its state: it has arrived when none is added.
    """
    states: dict[str, list[int] | None] = {}
    for participant in job.model.participants:
        for extract in participant.extracts:
            source, name = extract.source, f"{participant.mpid}/{extract.contract}"
            places = [job.path(source.pack)] if source.pack else job.files(participant, extract)
            if source.url is None:
                mine = _state(places)
                before = states.get(name, [])
                states[name] = None if mine is None or before is None else [*before, *mine]
    return states


def _state(places: Sequence[Path]) -> list[int] | None:
    """Return what changes when a file or a pack changes: sizes and times; None where nothing is."""
    if not places or not all(place.exists() for place in places):
        return None
    files = [f.stat() for p in places for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.is_file()]
    return [len(files), sum(f.st_size for f in files), max((f.st_mtime_ns for f in files), default=0)]


def _remembered(memory: Path) -> dict[str, object]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
