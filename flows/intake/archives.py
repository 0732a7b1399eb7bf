"""The files in an archive, one after the other: zip, tar or sealed backup, members packed once more at most.

Nothing is extracted, so no name can lead anywhere; what a member is, is told by its first bytes.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from contracts.errors import IntakeError, RefusedError
from flows.intake.files import beside
from flows.intake.gzip_stream import DAMAGED, ByteStream, GzipStream
from flows.intake.raw_file import RawFile
from flows.intake.sealed_stream import AGE, SealedStream
from flows.intake.source import MIB, Limits, safe_name
from flows.intake.zip_stream import ZipStream, judge_name, list_members

ZIP, GZIP = (b"PK\3\4", b"PK\5\6"), b"\x1f\x8b"
TAR, TAR_AT = b"ustar", 257
PEEK = 512
_INNER_LIMIT = 256 * MIB  # an archive within an archive is read in memory
_DEEPEST = 2
SAVE_AS = 'open it, choose Save As "CSV UTF-8 (comma delimited)" with identifiers as text, and send that file'
_LOCAL_HEADER = 30  # bytes before the name of the first member of a zip
_UNPACK = "unpack the outer archive"


class Bytes:
    """Bytes in memory, read like a file and like a stream."""

    def __init__(self, data: bytes, label: str) -> None:
        self._data, self.label, self.size, self._at = data, label, len(data), 0

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        piece = self._data[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def pread(self, count: int, offset: int) -> bytes:
        """Return bytes at a position."""
        return self._data[offset : offset + count]

    @property
    def digests(self) -> bool:
        """Whoever read them took the digest."""
        return False

    def finish(self) -> None:
        """There is nothing to check."""

    def require_unchanged(self) -> None:
        """They cannot change."""


def in_memory(stream: ByteStream, label: str, what: str) -> Bytes:
    """Take in the rest of a member that must be whole to be read.

    Raises:
        RefusedError: it is too large for that.
    """
    parts, size = [], 0
    while part := stream.read(MIB):
        parts.append(part)
        size += len(part)
        if size > _INNER_LIMIT:
            raise RefusedError(f"holds {what} of more than {_INNER_LIMIT // MIB} MB", where=label, remedy=_UNPACK)
    return Bytes(b"".join(parts), label)


class Peeked:
    """A stream whose first bytes have been looked at."""

    def __init__(self, stream: ByteStream, count: int = PEEK) -> None:
        self._stream, self.start = stream, b""
        while len(self.start) < count and (part := stream.read(count - len(self.start))):
            self.start += part
        self._left = self.start

    def read(self, count: int) -> bytes:
        """Return the looked-at bytes first, then the stream's."""
        if not self._left:
            return self._stream.read(count)
        data, self._left = self._left[:count], self._left[count:]
        return data

    def finish(self) -> None:
        """Pass on."""
        self._stream.finish()


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: its name there, and its bytes, to be read before the next entry is asked for.

    Attributes:
        name: path in the archive; of an archive within it, both joined by ``/``.
        stream: its bytes; ``None`` for what lies beside backups and is not read.
    """

    name: str
    stream: ByteStream | None


def refuse_office(raw: RawFile | Bytes, label: str) -> None:
    """Refuse a workbook by the name of the first member of its archive."""
    head = raw.pread(_LOCAL_HEADER + 256, 0)
    if not head.startswith(ZIP):
        return
    length = int.from_bytes(head[26:28], "little")
    name = head[_LOCAL_HEADER : _LOCAL_HEADER + length].decode("utf-8", "replace")
    if name in ("[Content_Types].xml", "_rels/.rels") or name.startswith(("xl/", "docProps/", "customXml/")):
        raise IntakeError("is an Excel workbook (xlsx), not a table", where=label, remedy=SAVE_AS)
    if name == "mimetype" and b"opendocument" in head:
        raise IntakeError("is an OpenDocument file (ods), not a table", where=label, remedy=SAVE_AS)


def is_archive(start: bytes) -> bool:
    """Tell by its first bytes whether a file may hold several."""
    return start.startswith((*ZIP, AGE)) or start[TAR_AT : TAR_AT + len(TAR)] == TAR


def entries(
    raw: RawFile | Bytes,
    limits: Limits,
    *,
    wanted: str | None = None,
    identities: Sequence[object] = (),
    depth: int = 1,
) -> Iterator[Entry]:
    """Yield the files of an archive in its order; of a file that is none, itself under no name.

    Args:
        wanted: the one member to read; ``None`` for all.
        identities: what opens a sealed backup.

    Raises:
        IntakeError: damaged, or the archive has no member of that name.
        RefusedError: a bomb, a path trick, encryption, or archives in archives in archives.
        KeyMaterialError: sealed for somebody else.
    """
    if raw.pread(len(AGE), 0) == AGE:
        yield from _sealed(raw, limits, wanted, identities)
        return
    if raw.pread(4, 0).startswith(ZIP):
        yield from _zip(raw, limits, wanted, depth)
        return
    stream: ByteStream = GzipStream(raw, limits) if raw.pread(2, 0) == GZIP else _Whole(raw)
    peeked = Peeked(stream)
    if is_archive(peeked.start) and not peeked.start.startswith(ZIP):
        yield from _tar(peeked, raw.label, limits, depth)
        peeked.finish()
        return
    yield Entry("", peeked)


def _sealed(raw: RawFile | Bytes, limits: Limits, wanted: str | None, identities: Sequence[object]) -> Iterator[Entry]:
    """Yield the files of a sealed backup; the seal is no packing, so each may be packed as a file on disk may be."""
    with _opened(raw, identities) as peeked:
        yield from _tar(peeked, raw.label, limits, depth=0, wanted=wanted)
        peeked.finish()


def members_of(raw: RawFile, limits: Limits, identities: Sequence[object]) -> Iterator[tuple[str, ByteStream]]:
    """Yield every member of a sealed backup by name, as it was packed; each is to be read before the next.

    Raises:
        IntakeError, RefusedError, KeyMaterialError: as :func:`entries`.
    """
    with _opened(raw, identities) as peeked:
        yield from _tar_members(peeked, raw.label, limits)
        peeked.finish()


@contextmanager
def _opened(raw: RawFile | Bytes, identities: Sequence[object]) -> Iterator[Peeked]:
    stream = SealedStream(raw, identities)
    try:
        peeked = Peeked(stream)
        if peeked.start[TAR_AT : TAR_AT + len(TAR)] != TAR:
            raise IntakeError(
                "is an age file, and no sealed backup", where=raw.label, remedy="seal it with datacut seal"
            )
        yield peeked
    finally:
        stream.close()


class _Whole:
    """The bytes of a file as they stand."""

    def __init__(self, raw: RawFile | Bytes) -> None:
        self._raw = raw

    def read(self, count: int) -> bytes:
        return self._raw.read(count)

    def finish(self) -> None:
        self._raw.finish()


def _zip(raw: RawFile | Bytes, limits: Limits, wanted: str | None, depth: int) -> Iterator[Entry]:
    members = list_members(raw, limits)
    if wanted is not None:
        members = [member for member in members if member.name == wanted]
        if not members:
            raise IntakeError("has no member of that name", where=raw.label, remedy="check `member` of the source")
    alone = sum(not beside(member.name) for member in members) == 1 or wanted is not None
    for member in members:
        if wanted is None and beside(member.name):
            yield Entry(member.name, None)
            continue
        name = "" if alone else member.name
        yield from _member(name, ZipStream(raw, member, limits, whole=False), raw.label, limits, depth)
    raw.finish()


def _member(name: str, stream: ByteStream, label: str, limits: Limits, depth: int) -> Iterator[Entry]:
    """Yield a member, or what it holds where it is packed itself."""
    peeked = Peeked(stream)
    if peeked.start.startswith(AGE):
        raise RefusedError("holds a sealed backup within an archive", where=label, remedy=_UNPACK)
    packed = peeked.start.startswith((*ZIP, GZIP)) or is_archive(peeked.start)
    if not packed:
        yield Entry(name, peeked)
        return
    if depth >= _DEEPEST and not peeked.start.startswith(GZIP):
        raise RefusedError("holds archives within archives within an archive", where=label, remedy=_UNPACK)
    if peeked.start.startswith(GZIP):
        yield from _unzipped(name, peeked, label, limits, depth)
        return
    yield from _in_memory(name, peeked, label, limits, depth)


def _unzipped(name: str, packed: Peeked, label: str, limits: Limits, depth: int) -> Iterator[Entry]:
    """Yield what a gzip member holds; it is inflated as it is read."""
    stream = Peeked(GzipStream(_Labelled(packed, label), limits))
    if stream.start.startswith(ZIP):
        yield from _in_memory(name, stream, label, limits, depth)
    elif is_archive(stream.start):
        if depth >= _DEEPEST:
            raise RefusedError("holds archives within archives within an archive", where=label, remedy=_UNPACK)
        for entry in _tar(stream, label, limits, depth + 1):
            yield Entry("/".join(filter(None, (name, entry.name))), entry.stream)
    else:
        yield Entry(name, stream)


class _Labelled:
    """A stream that errors can name."""

    def __init__(self, stream: Peeked, label: str) -> None:
        self.read, self.finish, self.label = stream.read, stream.finish, label


def _in_memory(name: str, peeked: Peeked, label: str, limits: Limits, depth: int) -> Iterator[Entry]:
    """Yield the files of an archive within the archive, which is read into memory."""
    inner = in_memory(peeked, label, "an archive")
    refuse_office(inner, f"{label}: {safe_name(name)}" if name else label)
    for entry in entries(inner, limits, depth=depth + 1):
        yield Entry("/".join(filter(None, (name, entry.name))), entry.stream)


class _TarSource(io.RawIOBase):
    """A stream as tarfile wants a file."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream, self._last = stream, b""

    def is_ended(self) -> bool:
        """Tell whether the archive ends with a block of zeros (POSIX.1-1988, ustar): else members may be cut off."""
        while self.read(MIB):
            pass
        return len(self._last) == tarfile.BLOCKSIZE and not self._last.strip(b"\0")

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        parts = []
        while count > 0 and (part := self._stream.read(count)):
            parts.append(part)
            count -= len(part)
        data = b"".join(parts)
        self._last = (self._last + data[-tarfile.BLOCKSIZE :])[-tarfile.BLOCKSIZE :]
        return data


class _TarMember:
    """The bytes of one member of a tar."""

    def __init__(self, file: io.BufferedReader, size: int, label: str) -> None:
        self._file, self._left, self._label = file, size, label

    def read(self, count: int) -> bytes:
        try:
            data = self._file.read(count)
        except tarfile.TarError:
            data = b""
        if not data and self._left:
            raise IntakeError("ends in the middle of a member", where=self._label, remedy=DAMAGED)
        self._left -= len(data)
        return data

    def finish(self) -> None:
        """There is nothing to check: the archive goes on."""


def _tar(stream: ByteStream, label: str, limits: Limits, depth: int, wanted: str | None = None) -> Iterator[Entry]:
    for name, member in _tar_members(stream, label, limits, wanted):
        if wanted is None and beside(name):
            yield Entry(name, None)
        else:
            yield from _member(name if wanted is None else "", member, label, limits, depth)


def _tar_members(
    stream: ByteStream, label: str, limits: Limits, wanted: str | None = None
) -> Iterator[tuple[str, _TarMember]]:
    names: set[str] = set()
    source = _TarSource(stream)
    try:
        with tarfile.open(fileobj=source, mode="r|", errorlevel=0) as archive:
            while (member := archive.next()) is not None:
                vars(archive)["members"].clear()  # it would keep them all
                if len(names) >= limits.max_members:
                    raise RefusedError(f"holds more than {limits.max_members} members", where=label, remedy=_UNPACK)
                judge_name(member.name, names, label)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise RefusedError("a member is a link or device", where=label, remedy="pack the tables alone")
                if wanted is not None and member.name.removeprefix("./") != wanted.removeprefix("./"):
                    continue
                file = archive.extractfile(member)
                if file is None:
                    raise IntakeError("is a damaged tar archive", where=label, remedy=DAMAGED)
                yield member.name, _TarMember(file, member.size, label)  # type: ignore[arg-type]
        if wanted is not None and wanted.casefold().removeprefix("./") not in names:
            raise IntakeError("has no member of that name", where=label, remedy="check `member` of the source")
        if not source.is_ended():
            raise IntakeError("ends before the end of its archive", where=label, remedy=DAMAGED)
    except (tarfile.TarError, zlib.error, EOFError, OSError):
        raise IntakeError("is a damaged tar archive", where=label, remedy=DAMAGED) from None
