"""Every file of a source, one after the other: thousands of small ones as fast as one large one.

Large files are read by themselves, in the order of their names; small ones of one form are gathered and read together
(:mod:`flows.intake.joined`). Which row is of which file is known throughout.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from contracts.dtc.layout import DtcLayout
from contracts.errors import ConfigurationError, IntakeError
from contracts.model import Contract
from flows.intake.across_files import AcrossFiles
from flows.intake.archives import GZIP, Bytes, Peeked, entries, is_archive, refuse_office
from flows.intake.csv_reader import DelimitedReader
from flows.intake.detect import is_flow, is_parquet, open_reader, text_reader, widened
from flows.intake.files import expand
from flows.intake.gzip_stream import ByteStream, PlainStream
from flows.intake.half_hours import Df2Reader, as_days, is_df2
from flows.intake.joined import (
    SMALL,
    AloneReader,
    FileRead,
    FilesReader,
    JoinedFlows,
    JoinedTables,
    JoinedUnits,
    PlainFlow,
    RestReader,
    flow_of,
    of_file,
    plain_flow,
    top_group,
)
from flows.intake.raw_file import RawFile
from flows.intake.reader import Reader
from flows.intake.source import MIB, FirstRows, Limits, SourceSpec, safe_name
from transforms.half_hours import long_table

HELD = 64 * MIB  # small files that wait to be read together
_FLOW = re.compile(r"D\d{7}")
_PACKED = (".gz", ".tgz", ".zip", ".tar")
NewDigest = Callable[[], "hmac.HMAC"]


class SourceFiles:
    """The files of one extract of one participant; a context manager.

    Attributes:
        files: what was read, in the order of reading; rows are final at the end.
        skipped: names of files that lie beside the backup, and of flows that are no part of the extract.
    """

    def __init__(
        self,
        specs: Sequence[SourceSpec],
        *,
        layouts: Sequence[DtcLayout] = (),
        contract: Contract | None = None,
        new_digest: NewDigest | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        first: FirstRows | None = None,
    ) -> None:
        """Take the specifications of a source: one for each system that sends a part of it.

        Args:
            contract: what the rows are to be, where tables with a row a half-hour become days.
            first: what of each file is wanted; a file that it cuts is not read to its end.
        """
        self._contract = contract
        self._specs, self._layouts, self._limits = specs, tuple(layouts), limits
        self._new_digest, self._first = new_digest, first or FirstRows()
        self.files: list[FileRead] = []
        self.skipped: list[str] = []
        self._flows: dict[tuple[object, ...], list[tuple[FileRead, PlainFlow]]] = {}
        self._tables: dict[tuple[object, ...], list[tuple[FileRead, DelimitedReader, bytes]]] = {}
        self._held = 0
        self._across = AcrossFiles(self._layouts, specs[0].name if specs else "")
        self._folders: dict[str, str] = {}
        self._declared = ""
        self._strange: tuple[FileRead, bytes] | None = None

    @property
    def not_joined(self) -> list[str]:
        """What of flows is in parts that none of the files completes; final at the end."""
        return self._across.left()

    def readers(self) -> Generator[FilesReader]:
        """Yield readers of all files; each is to be read to its end before the next is asked for.

        Raises:
            IntakeError, RefusedError, PlaceError: as :func:`flows.intake.open_source`; or two specifications name one
                file, or none of the files is of the extract.
        """
        named: set[object] = set()
        for spec in self._specs:
            spec.check()
            parts, skipped = expand(spec)
            self.skipped += skipped
            self._declared = repr(replace(spec, name="", path=None, paths=(), file=""))
            for part in parts:
                if part.path is not None and part.path in named:
                    raise ConfigurationError("is named by two sources", where=part.name, remedy="name it once")
                named.add(part.path)
                yield from self._of_file(part)
        yield from self._gathered()
        yield from self._rest()
        if not self.files:
            if self._strange is not None:
                file, data = self._strange
                text_reader(file.spec, Peeked(Bytes(data, file.spec.name)), self._layouts, self._limits).close()
            where = self._specs[0].name.split(" ")[0]
            raise IntakeError("holds no backup", where=where, remedy=f"beside it lie {len(self.skipped)} other files")

    def again(self) -> Iterator[tuple[FileRead, Iterator[bytes | ByteStream]]]:
        """Read the DTC user files once more: each file, and the flows that were joined into it.

        Raises:
            IntakeError, RefusedError, PlaceError: as :meth:`readers`.
        """
        known = {file.spec.file: file for file in self.files}
        for name, stream in self._streams():
            peeked = Peeked(stream)
            if name in known and is_flow(peeked.start, known[name].spec):
                yield known[name], self._own_flows(peeked)

    def _own_flows(self, stream: ByteStream) -> Iterator[bytes | ByteStream]:
        for unit in JoinedUnits(stream):
            flow = flow_of(unit) if isinstance(unit, bytes) else ""
            if not self._strange_flow(flow):
                yield unit

    def _strange_flow(self, flow: str) -> bool:
        """Tell whether a flow is none of the extract; one of another version is, and is refused by its reader."""
        return bool(_FLOW.fullmatch(flow)) and not any(flow.startswith(known.flow) for known in self._layouts)

    def _streams(self) -> Iterator[tuple[str, ByteStream]]:
        for spec in self._specs:
            for part in expand(spec)[0]:
                if part.path is None:
                    continue
                raw = RawFile(part.path, root=part.root, label=part.name, folders=self._folders)
                try:
                    start = raw.pread(512, 0)
                    if is_parquet(start, part):
                        continue
                    if not (start.startswith(GZIP) or is_archive(start)):
                        yield part.file, PlainStream(raw, self._limits)
                        continue
                    for entry in entries(raw, self._limits, wanted=part.member, identities=part.identities):
                        if entry.stream is not None:
                            yield f"{part.file}/{entry.name}" if entry.name else part.file, entry.stream
                finally:
                    raw.close()

    def digest(self) -> str:
        """Return one keyed digest of the source, whatever the order of its files: of several, that of their digests."""
        if len(self.files) == 1:
            return self.files[0].hmac_sha256
        if self._new_digest is None:
            return ""
        whole = self._new_digest()
        for each in sorted(file.hmac_sha256 for file in self.files):
            whole.update(bytes.fromhex(each))
        return whole.hexdigest()

    def _open(self, spec: SourceSpec, name: str = "") -> FileRead:
        """Begin a file; its number is its place among all."""
        if name:
            told = f"{spec.name.removesuffix(')')}/{safe_name(name)})"
            spec = replace(spec, name=told, file=f"{spec.file}/{name}")
        return FileRead(len(self.files), spec)

    def _of_file(self, spec: SourceSpec) -> Iterator[FilesReader]:
        digest = self._new_digest() if self._new_digest else None
        if spec.path is None:
            file = self._open(spec)
            self.files.append(file)
            reader = open_reader(spec, layout=None, digest=digest, limits=self._limits)
            yield from self._alone(reader, file)
            file.hmac_sha256 = digest.hexdigest() if digest else ""
            return
        raw = RawFile(spec.path, root=spec.root, label=spec.name, digest=digest, folders=self._folders)
        try:
            start = raw.pread(512, 0)
            if is_parquet(start, spec):
                from flows.intake.parquet_reader import ParquetReader

                file = self._open(spec)
                self.files.append(file)
                yield from self._alone(ParquetReader(spec, raw, self._limits), file)
            elif start.startswith(GZIP) or is_archive(start):
                refuse_office(raw, spec.name)
                file = self._open(spec)
                yield from self._of_archive(raw, spec, file)
            else:
                if spec.member is not None:
                    raise ConfigurationError("`member` is for zip archives", where=spec.name)
                if (suffix := spec.path.suffix.casefold()) in _PACKED and raw.size:
                    raise IntakeError(
                        f"has the ending {suffix} but is something else",
                        where=spec.name,
                        remedy="pack it, or change the ending",
                    )
                file = self._open(spec)
                self._first.cut_now = False
                yield from self._content(file, PlainStream(raw, self._limits), raw.size)
                if not self._first.cut_now:
                    raw.finish()
            file.bytes, file.hmac_sha256 = raw.size, digest.hexdigest() if digest else ""
        finally:
            raw.close()

    def _of_archive(self, raw: RawFile, spec: SourceSpec, whole: FileRead) -> Iterator[FilesReader]:
        """Read the members of an archive; one that holds one file is that file."""
        for entry in entries(raw, self._limits, wanted=spec.member, identities=spec.identities):
            self._first.cut_now = False
            if entry.stream is None:
                self.skipped.append(f"{spec.file}/{entry.name}")
                continue
            if not entry.name:
                yield from self._content(whole, entry.stream, None)
                if self._first.cut_now:
                    return
                continue
            member = self._open(spec, entry.name)
            digest = self._new_digest() if self._new_digest else None
            counted = _Counted(entry.stream, digest)
            yield from self._content(member, counted, None)
            if self._first.cut_now:  # the members behind it are not looked at
                return
            counted.finish()
            member.bytes, member.hmac_sha256 = counted.size, digest.hexdigest() if digest else ""
        raw.finish()

    def _content(self, file: FileRead, stream: ByteStream, size: int | None) -> Iterator[FilesReader]:
        """Read the text of a file: gathered where it is small, else by a reader of its own."""
        narrow = Peeked(stream)
        if is_parquet(narrow.start, file.spec):
            self.files.append(file)
            yield from self._alone(text_reader(file.spec, narrow, None, self._limits), file)
            return
        peeked = widened(file.spec, narrow)
        if is_flow(peeked.start, file.spec):
            yield from self._units(file, peeked)
            return
        self.files.append(file)
        half_hours = self._contract if self._contract is not None and self._contract.half_hours else None
        if half_hours and is_df2(peeked.start):
            wide = getattr(peeked, "wide", "")
            yield from self._alone(Df2Reader(file.spec, peeked, self._limits, half_hours, wide), file)
            return
        if peeked is not narrow or (size is not None and size > SMALL):
            yield from self._alone(text_reader(file.spec, peeked, None, self._limits), file)
            return
        data = _read(peeked, SMALL + 1)
        if len(data) > SMALL:
            chained = Peeked(_Chained(data, peeked))
            yield from self._alone(text_reader(file.spec, chained, None, self._limits), file)
            return
        reader = DelimitedReader(file.spec, Peeked(Bytes(data, file.spec.name)), self._limits)
        if half_hours and long_table(half_hours, reader.header, file.spec.columns):
            yield from self._alone(reader, file)
            return
        header = _first_lines(data, reader.preamble)
        key = (header, self._declared)
        self._tables.setdefault(key, []).append((file, reader, data))
        yield from self._hold(len(data))

    def _units(self, file: FileRead, stream: ByteStream) -> Iterator[FilesReader]:
        """Read the flows that were joined into one file; most often it is one."""
        top = {}
        for unit in JoinedUnits(stream):
            flow = flow_of(unit) if isinstance(unit, bytes) else ""
            layouts = tuple(layout for layout in self._layouts if layout.takes(flow))
            if isinstance(unit, bytes) and self._strange_flow(flow):
                self._pass_over(file, flow, unit)
                continue
            if not self.files or self.files[-1] is not file:
                self.files.append(file)
            if flow not in top:
                top[flow] = top_group(layouts)
            plain = plain_flow(unit, top[flow]) if isinstance(unit, bytes) else None
            if plain is not None:
                day = b"" if file.spec.cut_date else plain.day  # what cut.yaml states goes before
                self._flows.setdefault((plain.key, day, self._declared), []).append((file, plain))
                yield from self._hold(len(plain.body))
                continue
            bytes_of = Bytes(unit, file.spec.name) if isinstance(unit, bytes) else unit
            own = tuple(of_file(layout, file.number) for layout in self._layouts)
            yield from self._alone(text_reader(file.spec, Peeked(bytes_of), own, self._limits, self._across), file)
            if self._first.cut_now:
                return

    def _pass_over(self, file: FileRead, flow: str, unit: bytes) -> None:
        """Take note of a flow that is no part of the extract; where nothing else is found it is refused at the end."""
        self._strange = self._strange or (file, unit)
        note = f"{file.spec.file} ({flow[:5]})"
        if note not in self.skipped[-1:]:
            self.skipped.append(note)

    def _alone(self, reader: Reader, file: FileRead) -> Iterator[FilesReader]:
        with AloneReader(as_days(reader, file.spec, self._limits, self._contract), file, self._limits) as alone:
            alone.counted = self.files
            yield alone
        file.bytes = file.bytes or reader.size

    def _hold(self, size: int) -> Iterator[FilesReader]:
        self._held += size
        if self._held > HELD:
            yield from self._gathered()

    def _gathered(self) -> Iterator[FilesReader]:
        """Read what was gathered."""
        flows, self._flows = self._flows, {}
        tables, self._tables, self._held = self._tables, {}, 0
        for held in flows.values():
            layouts = [layout for layout in self._layouts if layout.takes(held[0][1].flow)]
            with JoinedFlows(held, _spec_of([f for f, _ in held]), self._limits, layouts, self._across) as joined:
                joined.counted = self.files
                yield joined
        for some in tables.values():
            with JoinedTables(some, _spec_of([f for f, _, _ in some]), self._limits) as together:
                yield together

    def _rest(self) -> Iterator[FilesReader]:
        rows = self._across.registers.rest()
        if rows is None or not rows.height:
            return
        flow = next(layout.label for layout in self._layouts if layout.completes)
        with RestReader(rows, flow, _spec_of(self.files), self._limits) as rest:
            rest.counted = self.files
            yield rest


class _Counted:
    """A stream whose bytes are counted and digested as they are read."""

    def __init__(self, stream: ByteStream, digest: hmac.HMAC | None) -> None:
        self._stream, self._digest, self.size = stream, digest, 0

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        data = self._stream.read(count)
        self.size += len(data)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def finish(self) -> None:
        """Read what is left of the member."""
        while self.read(MIB):
            pass


class _Chained:
    """Bytes, and a stream after them."""

    def __init__(self, data: bytes, stream: ByteStream) -> None:
        self._first, self._stream = Bytes(data, ""), stream

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        return self._first.read(count) or self._stream.read(count)

    def finish(self) -> None:
        """Pass on."""
        self._stream.finish()


def _read(stream: ByteStream, count: int) -> bytes:
    parts = []
    while count > 0 and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _first_lines(data: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        at = data.find(b"\n", at) + 1
        if not at:
            return data
    return data[:at]


def _spec_of(files: Sequence[FileRead]) -> SourceSpec:
    """Return what messages about several files together say."""
    first = files[0].spec
    if len({file.number for file in files}) == 1:
        return first
    return replace(first, name=f"{first.name.split(' ')[0]} ({len(files)} files)", file=PurePosixPath(first.file).name)


def key_digest(material: bytes) -> NewDigest:
    """Return what makes a new keyed digest of a file."""
    whole = hmac.new(material, digestmod=hashlib.sha256)
    return whole.copy
