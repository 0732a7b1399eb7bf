"""Has everything arrived that a cut waits for? Looked at by a scheduled flow, remembered in a small file."""

from __future__ import annotations

import json
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
    now = {name: _state(path) for name, path in _inputs(job).items()}
    settled = {name for name, state in now.items() if state is not None and before.get(name) == state}
    known = set(before.get("settled") or ())
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


def _inputs(job: Job) -> dict[str, Path]:
    """Return where each input will lie: a backup, or a participant's submission pack; a database lies nowhere."""
    places = {
        f"{participant.mpid}/{extract.contract}": extract.source.path or extract.source.pack
        for participant in job.model.participants
        for extract in participant.extracts
    }
    return {name: job.path(place) for name, place in places.items() if place is not None}


def _state(path: Path) -> list[int] | None:
    """Return what changes when a file or a pack changes: sizes and times; None where nothing is."""
    if path.is_dir():
        files = [p.stat() for p in sorted(path.rglob("*")) if p.is_file()]
        return [len(files), sum(f.st_size for f in files), max((f.st_mtime_ns for f in files), default=0)]
    if not path.exists():
        return None
    found = path.stat()
    return [1, found.st_size, found.st_mtime_ns]


def _remembered(memory: Path) -> dict[str, object]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
