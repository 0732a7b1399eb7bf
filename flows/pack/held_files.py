"""Files of a verified pack, read through the descriptor that was held against the signed digest.

A pack that somebody can still write to may hold another file by the time it is read. What is parsed here is what was
verified: the digest is taken of the open file, and the file must be as it was then once it has been read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contracts.errors import EvidenceError
from flows.pack import bag
from flows.pack.bag import CHUNK, open_regular, parse_manifest, read_small, shown


@dataclass(frozen=True)
class HeldFiles:
    """The files that a pack's signed manifests list.

    Attributes:
        digests: path -> SHA-256.
    """

    root: Path
    digests: Mapping[str, str]

    @classmethod
    def of(cls, root: Path, tagmanifest_sha256: str) -> HeldFiles:
        """Read the manifests of a verified pack.

        Raises:
            EvidenceError: they are not those that were verified.
        """
        digests = _listed(root, bag.TAGMANIFEST, tagmanifest_sha256)
        return cls(root, digests | _listed(root, bag.MANIFEST, digests[bag.MANIFEST]))

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open a file that the manifests list, and see that it stays as it is until it was read.

        Raises:
            EvidenceError: it is not the one that was verified, or changed while it was read.
        """
        where = f"{self.root.name}, {shown(path)}"
        with open(open_regular(self.root / path), "rb") as file:
            before = _state(file)
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            if digest.hexdigest() != self.digests[path]:
                raise EvidenceError("is not the file that was verified", where=where, remedy=REMEDY)
            file.seek(0)
            yield file
            if _state(file) != before:
                raise EvidenceError("changed while it was read", where=where, remedy=REMEDY)

    def __contains__(self, path: str) -> bool:
        return path in self.digests


class StillPack:
    """A pack as it lay before it was verified; whoever reads it afterwards asks whether it still does.

    A file that is renamed over another, or back again, has another inode or time of change; both are the kernel's.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._before = root, _states(root)

    def require(self) -> None:
        """See that nothing of the pack changed while it was verified and read.

        Raises:
            EvidenceError: something did: what was read may not be what was verified.
        """
        if _states(self._root) != self._before:
            raise EvidenceError("changed while it was read", where=self._root.name, remedy=REMEDY)


def _states(root: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in (root, *root.rglob("*")):
        try:
            state = path.lstat()
        except OSError:  # not there, or gone since: whoever verifies or reads it says so
            continue
        found[str(path)] = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    return found


REMEDY = "let nobody write to the pack, and run again"


def _listed(root: Path, name: str, digest: str) -> dict[str, str]:
    data = read_small(root / name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise EvidenceError("is not the file that was verified", where=f"{root.name}, {name}", remedy=REMEDY)
    return parse_manifest(data, where=name)


def _state(file: BinaryIO) -> tuple[int, int, int]:
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns
