"""From a specification to the reader that fits: by first bytes, never by the name of the file alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.dtc.layout import DtcLayout
from contracts.errors import ConfigurationError, IntakeError, RefusedError
from flows.intake.across_files import AcrossFiles
from flows.intake.archives import SAVE_AS, Peeked, in_memory, refuse_office
from flows.intake.csv_reader import DelimitedReader
from flows.intake.gzip_stream import ByteStream, GzipStream, PlainStream
from flows.intake.raw_file import Digest, RawFile
from flows.intake.reader import Reader
from flows.intake.source import Limits, SourceSpec
from flows.intake.text_streams import WideStream, wide_encoding
from flows.intake.zip_stream import ZipStream, find_member

_GZIP, _ZIP, _PARQUET, _SEALED_PARQUET = b"\x1f\x8b", (b"PK\3\4", b"PK\5\6"), b"PAR1", b"PARE"
_ARCHIVES = (_GZIP, *_ZIP, b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd")
# What begins so is no table: beginnings in small letters, and what it is.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%pdf", "a PDF document"), (b"{\\rtf", "an RTF document"), (b"%!ps", "a PostScript document"),
    (b"sqlite format 3\0", "an SQLite database"), (b"\0\1\0\0standard", "an Access database"),
    (b"pgdmp", "a dump of PostgreSQL in its own form"), (b"-- postgresql database dump", "a dump of a database in SQL"),
    (b"arrow1", "an Arrow file"), (b"fea1", "a Feather file"), (b"obj\1", "an Avro file"),
    (b"\x89hdf", "an HDF5 file"), (b"<?xml", "XML"), (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"), (b"<table", "a web page (HTML)"), (b"\x7felf", "a program"),
)  # fmt: skip
_JSON = re.compile(rb"\s*(?:\[\s*)*\{\s*\"|\s*\[\s*[\[\"]")
_SQL = re.compile(
    rb"(?is)(?:\s|--[^\n]*\n|/\*.*?\*/;?)*(?:insert\s+into|create\s+(?:table|database|schema)|drop\s+table|use\s+\[?\w+\]?"
    rb"\s*;?\s*\n|set\s+\w+\s*(?:=|on|off|to)|copy\s+\S+\s*\(|begin\s*;|delimiter\s)"
)
_OFFICE = b"\xd0\xcf\x11\xe0"
_DTC = (b"ZHV|", b"ZHD|")
_MARK = b"\xef\xbb\xbf"


def open_reader(
    spec: SourceSpec,
    *,
    layout: DtcLayout | tuple[DtcLayout, ...] | None,
    digest: Digest | None,
    limits: Limits,
) -> Reader:
    """Open ``spec`` with the reader of its form; see :func:`flows.intake.open_source`."""
    spec.check()
    if spec.path is None:
        from flows.intake.database_reader import DatabaseReader

        return DatabaseReader(spec, limits, digest)
    raw = RawFile(spec.path, root=spec.root, label=spec.name, digest=digest)
    try:
        reader = _by_content(raw, spec, layout, limits)
    except BaseException:
        raw.close()
        raise
    reader.closes_last(raw.close)
    return reader


def _by_content(
    raw: RawFile, spec: SourceSpec, layout: DtcLayout | tuple[DtcLayout, ...] | None, limits: Limits
) -> Reader:
    start = raw.pread(16, 0)
    if is_parquet(start, spec):
        from flows.intake.parquet_reader import ParquetReader

        return ParquetReader(spec, raw, limits)
    if start.startswith(_ZIP):
        refuse_office(raw, spec.name)
    reader = text_reader(spec, Peeked(_stream(raw, start, spec, limits)), layout, limits)
    reader.size = raw.size
    return reader


def text_reader(
    spec: SourceSpec,
    stream: Peeked,
    layout: DtcLayout | tuple[DtcLayout, ...] | None,
    limits: Limits,
    across: AcrossFiles | None = None,
) -> Reader:
    """Return the reader of a stream of text, or of Parquet in an archive; ``across`` as :class:`DtcReader` takes it.

    Raises:
        IntakeError, RefusedError: it is no text, or not of the form that it is declared to be.
    """
    if is_parquet(stream.start, spec):
        from flows.intake.parquet_reader import ParquetReader

        return ParquetReader(spec, in_memory(stream, spec.name, "Parquet"), limits)
    stream = widened(spec, stream)
    if is_flow(stream.start, spec):
        from flows.intake.dtc_reader import DtcReader

        return DtcReader(spec, stream, limits, layout, across)
    return DelimitedReader(spec, stream, limits, getattr(stream, "wide", ""))


class _Widened(Peeked):
    """A text that was UTF-16 and is UTF-8 now."""

    def __init__(self, stream: WideStream, wide: str) -> None:
        super().__init__(stream)
        self.wide = wide


def widened(spec: SourceSpec, stream: Peeked) -> Peeked:
    """Return a stream of UTF-8, also where the text is UTF-16; such a stream has ``wide``, the kind of UTF-16.

    Raises:
        IntakeError: it is UTF-32, or the declared encoding is another one.
    """
    if isinstance(stream, _Widened):
        return stream
    wide = wide_encoding(stream.start, spec.encoding, spec.name)
    return _Widened(WideStream(stream, wide, spec.name), wide) if wide else stream


def is_flow(start: bytes, spec: SourceSpec) -> bool:
    """Tell by its first bytes whether a text is a DTC user file, else it is a table.

    Raises:
        IntakeError, RefusedError: it is no text, or not of the form that it is declared to be.
    """
    _refuse_foreign(start, spec.name)
    flow = start.removeprefix(_MARK).lstrip().startswith(_DTC)
    _agree(spec, "dtc" if flow else "csv")
    return flow


def _stream(raw: RawFile, start: bytes, spec: SourceSpec, limits: Limits) -> ByteStream:
    if start.startswith(_ZIP):
        return ZipStream(raw, find_member(raw, spec.member, limits), limits)
    if spec.member is not None:
        raise ConfigurationError("`member` is for zip archives", where=spec.name)
    if start.startswith(_GZIP):
        return GzipStream(raw, limits)
    suffix = spec.path.suffix.casefold() if spec.path else ""
    if suffix in (".gz", ".zip"):
        raise IntakeError(
            f"has the ending {suffix} but is something else", where=spec.name, remedy="pack it, or change the ending"
        )
    return PlainStream(raw, limits)


def _refuse_foreign(start: bytes, label: str) -> None:
    """Refuse what is plainly no table, with a better word than a fault of its text."""
    if start.startswith(_ARCHIVES):
        raise RefusedError(
            "is an archive within an archive, or of a kind that is not read",
            where=label,
            remedy="send it as zip or gzip",
        )
    if start.startswith(_OFFICE):
        raise IntakeError("is an Excel workbook (xls) or another Office document", where=label, remedy=SAVE_AS)
    if what := _other_kind(start.removeprefix(_MARK).lstrip()):
        remedy = SAVE_AS if what.startswith("a web") else "export the table as CSV, with a header"
        raise IntakeError(f"is {what}, not a table", where=label, remedy=remedy)


def _other_kind(start: bytes) -> str:
    """Return what else than a table a file is by its beginning; empty where nothing is recognised."""
    small = start[:64].lower()
    if found := next((what for mark, what in _OTHERS if small.startswith(mark)), ""):
        return found
    if start.startswith(b"ORC") and start[3:4] < b" ":
        return "an ORC file"
    if _JSON.match(start):
        return "JSON"
    return "a dump of a database in SQL" if _SQL.match(start) else ""


def is_parquet(start: bytes, spec: SourceSpec) -> bool:
    """Tell whether a file is Parquet.

    Raises:
        RefusedError: it is encrypted Parquet. IntakeError: it is declared to be something else.
    """
    if start.startswith(_SEALED_PARQUET):
        raise RefusedError("is encrypted Parquet", where=spec.name, remedy="send it unencrypted")
    if start.startswith(_PARQUET):
        _agree(spec, "parquet")
        return True
    return False


def _agree(spec: SourceSpec, found: str) -> None:
    if spec.form not in ("auto", found):
        raise IntakeError(
            f"is declared {spec.form} but looks like {found}", where=spec.name, remedy="correct `form` or the file"
        )


@contextmanager
def open_bytes(spec: SourceSpec, limits: Limits = Limits()) -> Iterator[Callable[[int], bytes]]:  # noqa: B008 - frozen
    """Give the bytes of a text source, unpacked: a function that returns the next ones, empty at the end.

    Raises:
        IntakeError, RefusedError: as :func:`flows.intake.open_source`.
    """
    spec.check()
    if spec.path is None:
        raise ConfigurationError("a database is not a file", where=spec.name)
    raw = RawFile(spec.path, root=spec.root, label=spec.name)
    try:
        yield _stream(raw, raw.pread(16, 0), spec, limits).read
    finally:
        raw.close()
