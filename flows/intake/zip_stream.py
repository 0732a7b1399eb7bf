"""One member of a zip archive as a stream of bytes. Nothing is ever extracted, so no name can lead anywhere.

The directory of the archive is read by the standard library out of a bounded window; sizes, offsets and names in it
are claims of the sender, and each is held against the bytes themselves.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from contracts.errors import IntakeError, RefusedError
from flows.intake.gzip_stream import DAMAGED, LESS, RATIO_FLOOR, Budget
from flows.intake.raw_file import RawFile
from flows.intake.source import MIB, Limits

if TYPE_CHECKING:
    from flows.intake.archives import Bytes

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # traditional, strong, masked directory
_DIRECTORY_LIMIT = 32 * MIB
_TOTAL_FLOOR = 64 * MIB  # what the members together may inflate to, however well they were compressed
_CHUNK = MIB
_DEFLATE64 = 9  # APPNOTE.TXT 4.4.5
_REPACK = "pack the table again, by itself"
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".zst", ".lz4", ".cab", ".jar")
_TABLES = (".csv", ".tsv", ".psv", ".txt", ".usr", ".dat")
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,  # what zipfile raises for a packing that it does not know
    struct.error,
    ValueError,
    OverflowError,
    EOFError,
    LookupError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's bytes lie, and what the directory claims about them."""

    name: str
    start: int
    stop: int
    size: int
    crc: int
    deflated: bool


class _Window(io.RawIOBase):
    """The file as the directory reader may see it: seekable, and a bounded number of bytes in all."""

    def __init__(self, raw: RawFile | Bytes) -> None:
        self._raw, self._at, self._left = raw, 0, _DIRECTORY_LIMIT

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, self._raw.size)[whence]
        if base + offset < 0:
            raise OSError
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        wanted = max(self._raw.size - self._at, 0) if count < 0 else count
        if wanted > self._left:
            raise RefusedError("its directory is larger than any extract needs", where=self._raw.label, remedy=_REPACK)
        data = self._raw.pread(wanted, self._at) if wanted else b""
        self._at += len(data)
        self._left -= len(data)
        return data


def list_members(raw: RawFile | Bytes, limits: Limits) -> list[Member]:
    """Return the files of an archive, after the whole directory has been judged.

    Raises:
        IntakeError: the directory is damaged.
        RefusedError: too many members, encryption, overlaps, duplicates, names with a path in them that leads out, or
            declared sizes beyond the ratio.
    """
    try:
        with zipfile.ZipFile(_Window(raw)) as archive:
            entries = archive.infolist()
            start_of_directory = archive.start_dir
    except _BROKEN:
        raise IntakeError("is a damaged zip archive", where=raw.label, remedy=DAMAGED) from None
    if len(entries) > limits.max_members:
        raise RefusedError(f"holds more than {limits.max_members} members", where=raw.label, remedy=_REPACK)
    names: set[str] = set()
    for entry in entries:
        judge_name(entry.orig_filename, names, raw.label)
        _judge_size(entry, limits, raw.label)
    total = sum(entry.file_size for entry in entries)
    if total > _TOTAL_FLOOR and total > limits.max_ratio * raw.size:
        raise RefusedError(f"expands to more than {limits.max_ratio} times its size", where=raw.label, remedy=LESS)
    members = [_locate(raw, entry) for entry in entries]
    _judge_overlaps(raw.label, entries, members, start_of_directory)
    return [m for m, e in zip(members, entries, strict=True) if not e.is_dir()]


def find_member(raw: RawFile | Bytes, wanted: str | None, limits: Limits) -> Member:
    """Return the one member to read.

    Raises:
        IntakeError, RefusedError: as :func:`list_members`, or the archive does not name one table.
    """
    members = list_members(raw, limits)
    if any(member.name.casefold().endswith(_ARCHIVES) for member in members):
        raise RefusedError(
            "holds an archive inside the archive", where=raw.label, remedy="send the tables themselves, one level deep"
        )
    return _choose(members, wanted, raw.label)


def judge_name(name: str, names: set[str], label: str) -> None:
    """Refuse a member whose name leads somewhere or stands twice; ``names`` takes it in.

    Raises:
        RefusedError: the name is absolute, has ``..`` or a drive in it, cannot be printed, or is there already.
    """
    plain = name.replace("\\", "/").removeprefix("./")
    parts = plain.rstrip("/").split("/")
    if not (plain and plain.isprintable()) or plain.startswith("/") or ".." in parts or ":" in plain:
        raise RefusedError("a member has a path outside the archive", where=label, remedy=_REPACK)
    if plain.casefold().rstrip("/") in names:
        raise RefusedError("two members have the same name", where=label, remedy=_REPACK)
    names.add(plain.casefold().rstrip("/"))


def _judge_size(entry: zipfile.ZipInfo, limits: Limits, label: str) -> None:
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise RefusedError("a member is a link or device", where=label, remedy=_REPACK)
    if entry.flag_bits & _ENCRYPTED:
        raise RefusedError("a member is encrypted", where=label, remedy="send it without a password")
    if entry.compress_type == _DEFLATE64:
        raise IntakeError(
            "was packed with Deflate64, as Windows Explorer does with large files",
            where=label,
            remedy="pack it again with 7-Zip as zip with method Deflate, or send the file unpacked",
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise IntakeError("a member is compressed in an unusual way", where=label, remedy="use plain deflate")
    if entry.file_size > RATIO_FLOOR and entry.file_size > limits.max_ratio * max(entry.compress_size, 1):
        raise RefusedError(f"a member expands to more than {limits.max_ratio} times its size", where=label, remedy=LESS)


def _locate(raw: RawFile | Bytes, entry: zipfile.ZipInfo) -> Member:
    """Find the bytes of ``entry``, holding its local header against the directory."""
    header = raw.pread(_LOCAL_HEADER.size, max(entry.header_offset, 0))
    if entry.header_offset < 0 or len(header) < _LOCAL_HEADER.size:
        raise IntakeError("a member lies outside the archive", where=raw.label, remedy=DAMAGED)
    magic, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    name = raw.pread(name_length, entry.header_offset + _LOCAL_HEADER.size)
    encoding = "utf-8" if flags & 0x800 else "cp437"
    agrees = magic == b"PK\3\4" and method == entry.compress_type and not flags & _ENCRYPTED
    if not agrees or name.decode(encoding, errors="replace") != entry.orig_filename:
        raise RefusedError("a member's header contradicts the directory", where=raw.label, remedy=_REPACK)
    start = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    return Member(
        name=entry.filename,
        start=start,
        stop=start + entry.compress_size,
        size=entry.file_size,
        crc=entry.CRC,
        deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
    )


def _judge_overlaps(label: str, entries: list[zipfile.ZipInfo], members: list[Member], end: int) -> None:
    spans = sorted((e.header_offset, m.stop) for e, m in zip(entries, members, strict=True))
    if any(stop > limit for (_, stop), (limit, _) in pairwise([*spans, (end, end)])):
        raise RefusedError("members overlap", where=label, remedy=_REPACK)


def _choose(members: list[Member], wanted: str | None, label: str) -> Member:
    if wanted is not None:
        members = [m for m in members if m.name == wanted]
        if not members:
            raise IntakeError("has no member of that name", where=label, remedy="check `member` of the source")
        return members[0]
    members = [m for m in members if not m.name.startswith("__MACOSX/")]
    tables = [m for m in members if m.name.casefold().endswith(_TABLES)]
    if len(members) > 1 and len(tables) == 1:
        return tables[0]
    if len(members) != 1:
        found = "no file" if not members else f"{len(members)} files"
        raise IntakeError(f"holds {found}", where=label, remedy="name one as `member` of the source")
    return members[0]


class ZipStream:
    """The content of one member.

    Args:
        whole: whether the rest of the archive passes by, so that the digest covers it all; else the member is read
            where it lies, as one of several.
    """

    def __init__(self, raw: RawFile | Bytes, member: Member, limits: Limits, *, whole: bool = True) -> None:
        self._raw, self._member, self._whole = raw, member, whole
        self._budget = Budget(raw.label, limits)
        self._inflate = zlib.decompressobj(wbits=-15) if member.deflated else None
        self._at = self._crc = 0
        self._pending = b""

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes of the member.

        Raises:
            IntakeError: length or CRC differ from what the archive states.
            RefusedError: a bomb.
        """
        data = self._inflated(count) if self._inflate else self._raw_bytes(count)
        self._budget.give(len(data))
        self._crc = zlib.crc32(data, self._crc)
        if not data and (self._budget.given != self._member.size or self._crc != self._member.crc):
            raise IntakeError("does not match the checksum of its archive", where=self._raw.label, remedy=DAMAGED)
        return data

    def finish(self) -> None:
        """Let the rest of the archive pass, and see that the file did not change."""
        if self._whole:
            self._raw.finish()

    def _raw_bytes(self, count: int) -> bytes:
        """Return up to ``count`` bytes of the member as packed, passing over what lies before it."""
        if not self._whole:
            self._at = max(self._at, self._member.start)
            data = self._raw.pread(min(count, self._member.stop - self._at), self._at)
            self._at += len(data)
            self._budget.taken += len(data)
            return data
        while self._at < self._member.start:
            skipped = self._raw.read(min(_CHUNK, self._member.start - self._at))
            if not skipped:
                raise IntakeError("ends before its member", where=self._raw.label, remedy=DAMAGED)
            self._at += len(skipped)
        data = self._raw.read(min(count, self._member.stop - self._at))
        self._at += len(data)
        self._budget.taken += len(data)
        return data

    def _inflated(self, count: int) -> bytes:
        inflate = self._inflate
        assert inflate is not None  # noqa: S101 - called for deflated members only
        while not inflate.eof:
            if not self._pending:
                self._pending = self._raw_bytes(_CHUNK)
            starved = not self._pending
            try:
                data = inflate.decompress(self._pending, count)
            except zlib.error:
                raise IntakeError("holds damaged deflate data", where=self._raw.label, remedy=DAMAGED) from None
            self._pending = inflate.unconsumed_tail
            if data:
                return data
            if starved and not inflate.eof:
                raise IntakeError("ends in the middle of a member", where=self._raw.label, remedy=DAMAGED)
        if inflate.unused_data or self._at < self._member.stop:
            raise IntakeError("a member is longer than its data", where=self._raw.label, remedy=DAMAGED)
        return b""
