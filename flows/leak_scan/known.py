"""The digests that intake took of every source, loaded for a search."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from contracts.errors import ResidueError
from transforms.leak_scan.digests import Digester, Digests, DigestSet, Kind
from transforms.leak_scan.known import Known, Sorts

SEARCHED = tuple(kind for kind in Kind if kind is not Kind.PAIR)


def load_known(key: bytes, files: Iterable[tuple[str, Path]]) -> Known:
    """Load the digests of some sources.

    Args:
        key: the run's key.
        files: extract and file of each source.

    Raises:
        ResidueError: a file is missing: the scan would not know what to look for.
    """
    digests: dict[Kind, list[Digests]] = {kind: [] for kind in Kind}
    by_extract: dict[tuple[Kind, str], list[Sorts]] = {}
    for extract, path in files:
        if not path.is_file():
            raise ResidueError(
                "the digests of raw identifiers are missing, so nothing could be searched for",
                where=path.stem,
                remedy="remove the work folder and run again",
            )
        with np.load(path, allow_pickle=False) as held:
            for kind in Kind:
                if kind.word in held:
                    digests[kind].append(held[kind.word])
                if f"{kind.word}-sorts" in held:
                    sorts = Sorts(held[f"{kind.word}-sorts"], held[f"{kind.word}-counts"])
                    by_extract.setdefault((kind, extract), []).append(sorts)
    nothing = np.zeros(0, np.uint64)
    sets: dict[Kind, DigestSet] = {kind: DigestSet(np.concatenate([nothing, *digests.pop(kind)])) for kind in SEARCHED}
    pairs = DigestSet(np.concatenate([nothing, *digests.pop(Kind.PAIR)]))
    return Known(Digester(key), sets, {kind: _most(by_extract, kind) for kind in SEARCHED}, pairs)


def mpans_of(path: Path) -> int:
    """Return how many raw MPANs the digests of a source know."""
    with np.load(path, allow_pickle=False) as held:
        return int(held[Kind.MPAN.word].size) if Kind.MPAN.word in held else 0


def _most(by_extract: dict[tuple[Kind, str], list[Sorts]], kind: Kind) -> Sorts:
    """Return how many identifiers there are of each sort: participants add up, extracts hold the same ones again."""
    found: dict[int, int] = {}
    for (held, _), sources in by_extract.items():
        if held is not kind:
            continue
        sums: dict[int, int] = {}
        for sorts in sources:
            for name, count in zip(sorts.names.tolist(), sorts.counts.tolist(), strict=True):
                sums[name] = sums.get(name, 0) + count
        for name, count in sums.items():
            found[name] = max(found.get(name, 0), count)
    names = np.array(sorted(found), np.uint64)
    return Sorts(names, np.array([found[int(n)] for n in names], np.int64))
