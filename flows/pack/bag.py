"""The form of a pack: BagIt 1.0 (RFC 8493) with SHA-256 manifests, narrowed to one spelling of everything.

Narrowed, since a pack has one writer and any stranger as its reader: paths use a small alphabet,
manifests are sorted, digests are lower case. What this module writes, the Python ``bagit`` tool validates.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import EvidenceError
from contracts.evidence import PackReference
from flows.keys import dsse
from transforms.release.attestation import SUBJECT

DECLARATION = "bagit.txt"
DECLARATION_BYTES = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAGMANIFEST = SUBJECT
EVIDENCE = "evidence/evidence.json"
REPORT = "report/index.html"
SIGNATURE = dsse.SIGNATURE
PAYLOAD = "data"
FEEDBACK = "feedback"
ROOMS = (PAYLOAD, "excluded", "evidence", "report", FEEDBACK)
CUT_LABEL = "Datacut-Cut"

CHUNK = 1 << 20
MAX_MANIFEST = 64 << 20  # bytes; some 500,000 files, far beyond any pack, well within memory
# A pipe must not make a reader wait, a link must not lead it away; Windows knows neither flag, and wants
# a third.
_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, f, 0) for f in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# Device names that Windows finds under any extension: a pack must open everywhere.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
# Times live in the evidence alone: two runs give the same bytes everywhere else, the report included.
_VARYING = {"bagging-date", "bag-size", "payload-oxum"}


@dataclass(frozen=True, slots=True)
class PackFault:
    """One file of a pack that does not hold, and why, in words."""

    file: str
    what: str


@dataclass(slots=True)
class Listing:
    """What lies in a folder: regular files with their bytes, and what must not be there at all."""

    files: dict[str, int] = field(default_factory=dict)
    faults: list[PackFault] = field(default_factory=list)


def shown(name: str) -> str:
    """Return a file name fit for a terminal: printable ASCII, at most 160 characters."""
    safe = "".join(c if c.isascii() and c.isprintable() else f"<{ord(c):04X}>" for c in name)
    return safe if len(safe) <= 160 else f"{safe[:157]}..."


def path_fault(path: str) -> str:
    """Say why a path may not stand in a pack; empty when it may.

    Absolute paths, ``..``, backslashes, drive letters and control characters all fall to the small
    alphabet of a segment: letters, digits, ``.``, ``_`` and ``-``, not beginning with ``.`` or ``-``.
    """
    segments = path.split("/")
    if len(path) > 1000 or len(segments) > 16:
        return "is too long or too deep"
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment.endswith("."):
            return "has an unsafe path"
        if segment.split(".")[0].lower() in _DEVICES:
            return "has a device's name"
    return ""


def clashes(paths: Iterable[str]) -> list[PackFault]:
    """Name every path that differs from another by letter case alone: on many disks they are one file."""
    seen: dict[str, str] = {}
    faults = []
    for path in sorted(paths):
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            faults.append(PackFault(path, f"differs from {shown(other)} by letter case alone"))
    return faults


def listing(folder: Path) -> Listing:
    """List a folder without following a link.

    Faults: symbolic links, sockets, pipes, devices, unsafe names, names equal but for case, empty folders.
    """
    found = Listing()
    pending = [""]
    while pending:
        prefix = pending.pop()
        entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
        if not entries and prefix not in ("", f"{PAYLOAD}/"):
            found.faults.append(PackFault(prefix.rstrip("/"), "is an empty folder that no manifest knows"))
        for entry in entries:
            path = prefix + entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            if trouble := path_fault(path):
                found.faults.append(PackFault(path, trouble))
            elif stat.S_ISDIR(mode):
                pending.append(f"{path}/")
            elif stat.S_ISREG(mode):
                found.files[path] = entry.stat(follow_symlinks=False).st_size
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                found.faults.append(PackFault(path, f"is {kind}"))
    found.faults += clashes(found.files)
    return found


def open_regular(path: Path) -> int:
    """Open a file for reading, refusing links and anything that is not a regular file; return its descriptor.

    Raises:
        OSError: the file cannot be opened, or is a link.
        EvidenceError: it is not a regular file.
    """
    descriptor = os.open(path, _OPEN_FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise EvidenceError("is not a regular file", where=shown(path.name))
    return descriptor


def digest_file(path: Path, *, sync: bool = False, seen: Callable[[int], None] | None = None) -> tuple[str, int]:
    """Read a file once and return its SHA-256 in hex and its size in bytes.

    Args:
        sync: also ask the disk to keep it, through the same descriptor.
        seen: told the number of bytes of each chunk, for a progress bar.
    """
    digest, size = hashlib.sha256(), 0
    with open(open_regular(path), "rb", buffering=0) as file:
        # A pack has hundreds of small files: to clear a large buffer for each took longer than to read it.
        buffer = memoryview(bytearray(min(CHUNK, max(os.fstat(file.fileno()).st_size, 1))))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            size += count
            if seen:
                seen(count)
        if sync:
            os.fsync(file.fileno())
    return digest.hexdigest(), size


class FileDigests:
    """SHA-256 of files, each read once as long as it stays as it is, whatever names it has."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], str] = {}
        self._synced: set[tuple[int, ...]] = set()

    def of(self, path: Path, *, sync: bool = False) -> str:
        """Return the digest of a file.

        Args:
            sync: ask the disk to keep it, unless that was asked already.
        """
        at = path.stat(follow_symlinks=False)
        state = (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns)
        if state not in self._known or (sync and state not in self._synced):
            self._known[state] = digest_file(path, sync=sync)[0]
            if sync:
                self._synced.add(state)
        return self._known[state]


def read_small(path: Path, limit: int = MAX_MANIFEST) -> bytes:
    """Read a whole file of at most ``limit`` bytes.

    Raises:
        EvidenceError: it is larger.
    """
    with open(open_regular(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise EvidenceError(f"is larger than {limit} bytes", where=shown(path.name))
    return data


def manifest_bytes(digests: Mapping[str, str]) -> bytes:
    """Return a manifest: one ``<sha256>  <path>`` a line, sorted by path (RFC 8493 section 2.1.3)."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()


def parse_manifest(data: bytes, *, where: str) -> dict[str, str]:
    """Read a manifest back as path -> SHA-256.

    Raises:
        EvidenceError: a line is malformed, or a path unsafe, repeated, or equal to another but for case.
    """
    digests: dict[str, str] = {}
    lines = data.decode("ascii", "replace").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        match = _LINE.fullmatch(line)
        if not match:
            raise EvidenceError(f"line {number} is not a digest and a path", where=where)
        digest, path = match.groups()
        trouble = path_fault(path) or ("is listed twice" if path in digests else "")
        if trouble:
            raise EvidenceError(f"line {number}: {shown(path)} {trouble}", where=where)
        digests[path] = digest
    if clash := clashes(digests):
        raise EvidenceError(f"{shown(clash[0].file)} {clash[0].what}", where=where)
    if manifest_bytes(digests) != data:
        raise EvidenceError("is not sorted, or does not end with a line feed", where=where)
    return digests


def info_bytes(info: Mapping[str, str], *, octets: int, files: int) -> bytes:
    """Return ``bag-info.txt``: sorted labels, then Payload-Oxum (RFC 8493 section 2.2.2).

    Raises:
        EvidenceError: a label or value does not fit on one line, or would vary between two equal runs.
    """
    for label, value in info.items():
        if not _LABEL.fullmatch(label) or not value.isprintable() or value != value.strip() or not value:
            raise EvidenceError(f"the entry {shown(label)!r} does not fit on one line", where=INFO)
        if label.lower() in _VARYING:
            raise EvidenceError(f"the entry {label!r} is not the caller's", where=INFO, remedy="leave it out")
    lines = [f"{label}: {info[label]}\n" for label in sorted(info)]
    return "".join([*lines, f"Payload-Oxum: {octets}.{files}\n"]).encode()


def parse_info(data: bytes) -> dict[str, str]:
    """Read ``bag-info.txt`` back.

    Raises:
        EvidenceError: a line is not ``Label: value``, or a label is repeated.
    """
    info: dict[str, str] = {}
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise EvidenceError("is not UTF-8", where=INFO) from None
    for number, line in enumerate(lines[:-1], start=1):
        label, colon, value = line.partition(": ")
        if not colon or not _LABEL.fullmatch(label) or not value or label in info:
            raise EvidenceError(f"line {number} is not one new label and its value", where=INFO)
        info[label] = value
    if lines[-1]:
        raise EvidenceError("does not end with a line feed", where=INFO)
    return info


def pack_reference(pack: Path) -> PackReference:
    """Return the ``previous`` entry of a pack made from this one: its name and its tag manifest's digest.

    Raises:
        EvidenceError: the folder has no readable tag manifest.
    """
    try:
        digest, _ = digest_file(pack / TAGMANIFEST)
    except OSError as fault:
        raise EvidenceError(f"cannot be read: {fault.strerror}", where=TAGMANIFEST) from None
    return PackReference(pack=Path(os.path.abspath(pack)).name, tagmanifest_sha256=digest)
