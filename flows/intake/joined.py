"""Many small files read as one: flows put one after the other, tables of one header parsed together.

A row knows the file it came from by the column ``FILE``. What a file has wrong is told by reading that file alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from contracts.dtc.layout import DtcLayout
from contracts.errors import DataCutError
from flows.intake.across_files import AcrossFiles
from flows.intake.archives import Bytes
from flows.intake.csv_blocks import ByteBlock
from flows.intake.csv_reader import DelimitedReader
from flows.intake.dtc_reader import DtcReader
from flows.intake.gzip_stream import ByteStream
from flows.intake.reader import Reader
from flows.intake.source import MIB, Limits, SourceSpec

FILE = "\x1ffile"  # no heading can be called so: it cannot be printed
SMALL = 4 * MIB  # a larger file is read by itself
TOGETHER = 16 * MIB  # text that is parsed at once
_HEAD = b"ZHV|"
_NEXT = b"\n" + _HEAD


@dataclass(slots=True)
class FileRead:
    """One file of a source.

    Attributes:
        number: its place among the files that were read.
        spec: how it is read; its ``file`` is what its owner calls it.
        bytes: size, of a member of an archive unpacked.
        rows: rows it gave; final at the end.
        hmac_sha256: keyed digest of its bytes; empty where none was asked for.
    """

    number: int
    spec: SourceSpec
    bytes: int = 0
    rows: int = 0
    hmac_sha256: str = ""


class FilesReader(Reader):
    """A reader of one or more files whose batches say which row is of which file.

    Attributes:
        spec: what ``cut.yaml`` says of these files.
        counted: files by number whose rows are counted: its own, and others of the source that a day began in.
    """

    spec: SourceSpec
    counted: Mapping[int, FileRead] | Sequence[FileRead]

    def __init__(self, spec: SourceSpec, limits: Limits, files: Mapping[int, FileRead]) -> None:
        super().__init__(spec, limits)
        self.spec, self._files, self.counted = spec, files, files

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the files that it reads."""
        return tuple(self._files)

    def _take(self, inner: Reader) -> None:
        """Be like another reader."""
        self.form, self.delimiter, self.flow = inner.form, inner.delimiter, inner.flow
        self.stated_cut_date, self.test_flag = inner.stated_cut_date, inner.test_flag
        self._inner, self.untyped, self.skipped_lines = inner, inner.untyped, inner.skipped_lines
        self.reshaped, self.surplus = inner.reshaped, inner.surplus
        self._ending.append(inner.close)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding as known so far."""
        return self._inner.encoding

    @property
    def dropped_columns(self) -> int:  # type: ignore[override]
        """Fields seen so far that no layout names."""
        return self._inner.dropped_columns

    @property
    def skipped_groups(self) -> dict[str, int]:  # type: ignore[override]
        """Records by group from which no layout takes anything."""
        return self._inner.skipped_groups

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """What else the sender is told of how it was read."""
        return self._inner.remarks

    def batches(self) -> Iterator[pl.DataFrame]:
        """Give the rows of the files in their order, with ``FILE``; count them by file."""
        for batch in super().batches():
            for number, rows in batch[FILE].value_counts().iter_rows():
                self.counted[number].rows += rows
            yield batch


class AloneReader(FilesReader):
    """One file, read by the reader of its form."""

    def __init__(self, inner: Reader, file: FileRead, limits: Limits) -> None:
        super().__init__(file.spec, limits, {file.number: file})
        self._take(inner)
        self.header = tuple(name for name in inner.header if name != FILE)
        self._number = file.number

    def _frames(self) -> Iterator[pl.DataFrame]:
        number = pl.lit(self._number, pl.UInt32).alias(FILE)
        for frame in self._inner.batches():
            yield frame.with_columns(pl.col(FILE).cast(pl.UInt32) if FILE in frame.columns else number)


class _Waited(Reader):
    """Rows at hand, read as those of a flow."""

    form = "dtc"
    delimiter = "pipe"

    def __init__(self, rows: pl.DataFrame, flow: str, spec: SourceSpec, limits: Limits) -> None:
        super().__init__(spec, limits)
        self.flow, self.header, self._rows = flow, tuple(rows.columns), rows

    def _frames(self) -> Iterator[pl.DataFrame]:
        yield self._rows


class RestReader(FilesReader):
    """Rows of flows that waited until all files of the source were read; each is of a file that was read before."""

    def __init__(self, rows: pl.DataFrame, flow: str, spec: SourceSpec, limits: Limits) -> None:
        super().__init__(spec, limits, {})
        self._take(_Waited(rows, flow, spec, limits))
        self.header = tuple(name for name in rows.columns if name != FILE)

    def _frames(self) -> Iterator[pl.DataFrame]:
        for frame in self._inner.batches():
            yield frame.with_columns(pl.col(FILE).cast(pl.UInt32))


class JoinedTables(FilesReader):
    """Tables whose headers are byte for byte the same."""

    def __init__(self, tables: Sequence[tuple[FileRead, DelimitedReader, bytes]], spec: SourceSpec, limits: Limits):
        super().__init__(spec, limits, {file.number: file for file, _, _ in tables})
        self._tables = tables
        self._take(tables[0][1])
        self.header = self._inner.header

    def _frames(self) -> Iterator[pl.DataFrame]:
        held: list[tuple[FileRead, DelimitedReader, ByteBlock]] = []
        size = 0
        for file, reader, _ in self._tables:
            for block in reader.blocks():
                held.append((file, reader, block))
                size += len(block.data)
            if size >= TOGETHER:
                yield self._parsed(held)
                held, size = [], 0
        if held:
            yield self._parsed(held)

    def _parsed(self, held: Sequence[tuple[FileRead, DelimitedReader, ByteBlock]]) -> pl.DataFrame:
        blocks = [block for _, _, block in held]
        whole = ByteBlock(
            data=b"".join(block.data for block in blocks),
            line=1,
            lines=sum(block.lines for block in blocks),
            records=sum(block.records for block in blocks),
            delimiters=sum(block.delimiters for block in blocks),
            quoted=any(block.quoted for block in blocks),
        )
        try:
            frame = held[0][1].parse(whole)
        except DataCutError:
            for _, reader, block in held:
                reader.parse(block)  # raises for the file that is at fault, with its name and line
            raise
        numbers = np.repeat(
            np.array([file.number for file, _, _ in held], np.uint32), [block.records for block in blocks]
        )
        return frame.with_columns(pl.Series(FILE, numbers, dtype=pl.UInt32))


class JoinedFlows(FilesReader):
    """DTC user files of one flow and day, each whole and plain (:func:`plain_flow`), read as one file.

    The number of its file stands as a field of its own in every record of the top group, so that each row carries it.
    """

    def __init__(
        self,
        flows: Sequence[tuple[FileRead, PlainFlow]],
        spec: SourceSpec,
        limits: Limits,
        layouts: Sequence[DtcLayout],
        across: AcrossFiles,
    ) -> None:
        super().__init__(spec, limits, {file.number: file for file, _ in flows})
        top = top_group(layouts)
        marked = tuple(_numbered(layout, top) for layout in layouts)
        start = b"\n" + top.encode() + b"|"
        text = b"".join(
            b"".join(
                [
                    flow.head,
                    (b"\n" + flow.body).replace(start, b"%s%d|" % (start, file.number)),
                    b"\n",
                    flow.tail,
                    b"\n",
                ]
            )
            for file, flow in flows
        )
        self._flows, self._layouts = flows, tuple(layouts)
        self._take(DtcReader(spec, Bytes(text, spec.name), limits, marked, across))
        self.header = tuple(name for name in self._inner.header if name != FILE)

    def _frames(self) -> Iterator[pl.DataFrame]:
        try:
            for frame in self._inner.batches():
                yield frame.with_columns(pl.col(FILE).cast(pl.UInt32))
        except DataCutError:
            for file, flow in self._flows:
                reader = DtcReader(file.spec, Bytes(flow.data, file.spec.name), self.limits, self._layouts)
                for _ in reader.batches():
                    pass
            raise


def top_group(layouts: Sequence[DtcLayout]) -> str:
    """Return the one group that all others of a flow hang from; empty where there is not one."""
    groups = {group for layout in layouts for group in _groups(layout)}
    tops = {group for group in groups if all(layout.parents.get(group) is None for layout in layouts)}
    return tops.pop() if len(tops) == 1 else ""


def _groups(layout: DtcLayout) -> set[str]:
    folded = {layout.fold.group} if layout.fold is not None else set()
    return {*(group for group, _ in layout.fields.values()), layout.row_group, *layout.parents.values(), *folded}


def of_file(layout: DtcLayout, number: int) -> DtcLayout:
    """Return a layout whose rows all carry the number of their file."""
    return replace(layout, constants={**layout.constants, FILE: str(number)})


def _numbered(layout: DtcLayout, top: str) -> DtcLayout:
    """Return a layout whose top group begins with the number of the file."""
    moved = {c: (group, at + 1 if group == top else at) for c, (group, at) in layout.fields.items()}
    return replace(layout, fields={**moved, FILE: (top, 1)})


@dataclass(frozen=True, slots=True)
class PlainFlow:
    """A whole DTC user file.

    Attributes:
        head: its first record; ``body`` the records between header and trailer, without the last line end; ``tail``
            the trailer.
        flow: flow and version.
        key: what files that are read together have in common: flow, sender, addressee, test flag.
        day: the day on which it was made, as ``yyyymmdd``.
    """

    head: bytes
    body: bytes
    tail: bytes
    flow: str
    key: tuple[bytes, ...]
    day: bytes

    @property
    def data(self) -> bytes:
        """The whole file."""
        return b"\n".join([self.head, self.body, self.tail, b""])


def flow_of(data: bytes) -> str:
    """Return flow and version of a DTC user file, empty if its header has none."""
    fields = data[:256].split(b"\n", 1)[0].split(b"|")
    return fields[2].decode("ascii", "replace") if len(fields) > 2 else ""


def plain_flow(data: bytes, top: str) -> PlainFlow | None:
    """Return a DTC user file in its parts, or nothing if it is not plainly sound: then it is read by itself.

    Plainly sound: ASCII, the trailer last, its id and count right, and the first record one of the top group, so that
    no record can be taken for one of the file before it.
    """
    text = data.replace(b"\r\n", b"\n") if b"\r" in data else data
    text = text.strip(b"\n")
    head, _, rest = text.partition(b"\n")
    body, _, tail = rest.rpartition(b"\n")
    fields, last = head.split(b"|"), tail.split(b"|")
    records = body.count(b"\n") + 1
    if not (
        top
        and text.isascii()
        and b"\r" not in text
        and b"\n\n" not in text
        and head.startswith(_HEAD)
        and len(fields) > 8
        and not fields[-1]
        and len(last) > 3
        and last[:3] == [b"ZPT", fields[1], b"%d" % records]
        and body.startswith(top.encode() + b"|")
        and b"\nZPT|" not in body
        and max(map(len, (head, tail))) < 1024
    ):
        return None
    flag = fields[11] if len(fields) > 11 else b""
    flow = fields[2].decode("ascii")
    return PlainFlow(head, body, tail, flow, (*fields[2:7], flag), fields[7][:8])


class JoinedUnits:
    """Cuts a stream of DTC user files that were joined into one: each begins with its ZHV record."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream, self._data, self._ended, self._met = stream, b"", False, False

    def __iter__(self) -> Iterator[bytes | ByteStream]:
        """Yield each file: its bytes where it is small, else a stream, to be read before the next is asked for."""
        while True:
            self._fill(SMALL)
            self._data = self._data.lstrip(b"\r\n")
            if not self._data:
                return
            if not self._ended and self._data.find(_NEXT) < 0:
                unit = _Unit(self)
                yield unit
                while unit.read(MIB):  # what its reader left is of no other file
                    pass
                continue
            whole, start = self._data, 0
            while (end := whole.find(_NEXT, start)) >= 0:
                yield whole[start : end + 1]
                start = end + 1
            self._data = whole[start:]
            if self._ended:
                yield self._data
                return

    def _fill(self, count: int) -> None:
        parts, size = [self._data], len(self._data)
        while size < count and not self._ended:
            part = self._stream.read(count - size)
            self._ended = not part
            parts.append(part)
            size += len(part)
        self._data = b"".join(parts)

    def begin(self) -> None:
        """Begin a file that is read as a stream."""
        self._met = False

    def until_next(self, count: int) -> bytes:
        """Return the next bytes of the file at hand, empty where the next one begins."""
        if self._met:
            return b""
        self._fill(count + len(_NEXT))
        end = self._data.find(_NEXT)
        whole = end + 1 if end >= 0 else len(self._data) if self._ended else len(self._data) - len(_NEXT)
        cut = min(whole, count)
        self._met = cut == end + 1
        out, self._data = self._data[:cut], self._data[cut:]
        return out


class _Unit:
    """One large file among those that were joined."""

    def __init__(self, units: JoinedUnits) -> None:
        self._units = units
        units.begin()

    def read(self, count: int) -> bytes:
        """Return the next bytes of the file."""
        return self._units.until_next(count)

    def finish(self) -> None:
        """There is nothing to check: the stream goes on."""
