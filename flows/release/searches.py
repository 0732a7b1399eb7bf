"""SEARCHES: the leak scan of files that wait in the work folder, by whoever has the time, before they are in a pack.

A search notes what it found and the SHA-256 of the bytes that it searched. When a file has its place in a pack its
bytes are read once more: only those that were searched are taken over as searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from contracts.errors import ResidueError
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.parallel import map_parallel
from flows.cut.progress import Kind
from flows.cut.records import LookedUp, SearchedFiles
from flows.leak_scan.digests_of_run import forget_scanner, scanner_of_run
from flows.leak_scan.findings import LeakFindings, Tally
from flows.leak_scan.scan import Scanner
from flows.pack.bag import FileDigests
from flows.release import payload

PART_BYTES = 8 << 20  # about so many bytes are a piece of work
MOST_PARTS = 16

Part = tuple[str, ...]  # paths in a pack


def parts(sizes: Mapping[str, int]) -> list[Part]:
    """Deal out files to pieces of work that are about as large as each other.

    Args:
        sizes: bytes of each file by its path in the pack.
    """
    count = max(1, min(MOST_PARTS, sum(sizes.values()) // PART_BYTES))
    held: list[list[str]] = [[] for _ in range(count)]
    filled = [0] * count
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        least = filled.index(min(filled))
        held[least].append(path)
        filled[least] += sizes[path]
    return [tuple(sorted(part)) for part in held if part]


def of_pack(known: Context, kind: Kind) -> list[SearchedFiles]:
    """Search the files of a pack, whatever of them is not searched yet as well."""
    return [
        search(known, payload.folder(known, kind), f"{kind}-{number}", paths)
        for number, paths in enumerate(parts(payload.noted(known, kind)))
    ]


def of_returns(known: Context, participants: Sequence[Participant]) -> list[SearchedFiles]:
    """Search what the return packs of participants hold beside files of the release."""
    return [
        search(
            known,
            payload.folder(known, payload.RETURN, participant.mpid),
            f"{payload.RETURN}-{participant.mpid}",
            tuple(payload.returned(known, participant)),
        )
        for participant in participants
    ]


def search(known: Context, root: Path, key: str, paths: Part) -> SearchedFiles:
    """Search files, unless it is noted that they were; note what was found.

    Args:
        root: what the paths begin at.
        key: of the note.

    Raises:
        ResidueError: a file changed while it was searched.
    """
    done = known.workspace.recorded(SearchedFiles, key)
    if done is not None and set(done.digests) == set(paths):
        return done
    found, digests = LeakFindings(), dict[str, str]()
    one = partial(_search_one, scanner_of_run(known), FileDigests(), root)
    try:
        for path, (digest, inside) in zip(paths, map_parallel(one, paths), strict=True):
            found.add(inside)
            digests[path] = digest
        noted = _noted(found, digests)
        known.workspace.record(noted, key)
    except BaseException:
        forget_scanner(known)
        raise
    return noted


def _search_one(scanner: Scanner, digests: FileDigests, root: Path, path: str) -> tuple[str, LeakFindings]:
    digest = digests.of(root / path)
    found = scanner.file(root / path, path)
    if digest != digests.of(root / path):
        raise ResidueError(
            "a file changed while it was searched", where=f"leak scan, {path}", remedy="see who writes there"
        )
    return digest, found


def take_over(
    scanner: Scanner, root: Path, digests: FileDigests, searched: Sequence[SearchedFiles], files: Iterable[str]
) -> None:
    """Add what searches found to a scanner's findings, and hold the files in a pack against what they searched.

    Args:
        root: the pack's folder.
        digests: of the files that lie there.
        files: paths of the files that must have been searched.

    Raises:
        ResidueError: a file is another than the one that was searched, or was not searched.
    """
    of_path: dict[str, str] = {}
    found = LeakFindings()
    for part in searched:
        found.add(_findings(part))
        of_path |= part.digests
    paths = sorted(files)
    now = map_parallel(lambda path: digests.of(root / path), paths)
    wrong = [path for path, digest in zip(paths, now, strict=True) if digest != of_path.get(path)]
    if wrong:
        raise ResidueError(
            f"{len(wrong)} files are not those that were searched",
            where=f"leak scan, {wrong[0]}",
            remedy="nothing was published; see who writes to the work folder, delete it and run again",
        )
    scanner.vouch((root / path for path in paths), found)


def _noted(found: LeakFindings, digests: Mapping[str, str]) -> SearchedFiles:
    tallies = tuple(
        LookedUp(
            kind=kind,
            form=form,
            where=where,
            candidates=tally.candidates,
            values=tuple(tally.values.tolist()),
            expected=tally.expected,
            first=tally.first,
        )
        for (kind, form, where), tally in sorted(found.tallies.items())
        if tally.hits or tally.expected
    )
    looked = found.looked.copy()
    for (kind, _, _), tally in found.tallies.items():
        if not (tally.hits or tally.expected):
            looked[kind] += tally.candidates
    return SearchedFiles(
        digests=dict(digests),
        files=found.files,
        bytes=found.bytes,
        cells=found.cells,
        tallies=tallies,
        looked=dict(sorted(looked.items())),
    )


def _findings(noted: SearchedFiles) -> LeakFindings:
    found = LeakFindings(files=noted.files, bytes=noted.bytes, cells=noted.cells)
    for one in noted.tallies:
        found.tallies[one.kind, one.form, one.where] = Tally(
            one.candidates, np.array(one.values, np.uint64), one.expected, one.first
        )
    found.looked.update(noted.looked)
    return found
