"""The flow files to mask, and the folder that they are written to: whole, or not there."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ConfigurationError, IntakeError, PlaceError
from flows.files import whole_folder
from flows.intake.gzip_stream import GzipStream, PlainStream
from flows.intake.raw_file import RawFile
from flows.intake.source import MIB, Limits

CHUNK = MIB
LONGEST_LINE = MIB
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MPAN = re.compile(r"(?<!\d)\d{13}(?!\d)", re.ASCII)

Renamer = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class FlowFile:
    """One file to mask.

    Attributes:
        path: where it is.
        root: the folder that was named; ``None`` for a file that was named itself.
        name: relative name in the output, MPANs in it under their pseudonyms; errors use it too.
    """

    path: Path
    root: Path | None
    name: str


def find_files(inputs: list[Path], out: Path, rename: Renamer) -> list[FlowFile]:
    """Return the files that are named and all files of the folders that are named, in order of name.

    Files whose name begins with a dot are passed over.

    Raises:
        ConfigurationError: two files would have one name in the output, or the output lies inside an input.
        IntakeError: an input is not there, or holds no file.
    """
    found: dict[str, FlowFile] = {}
    for given in inputs:
        files = sorted(_files(given, out, rename))
        if not files:
            raise IntakeError("holds no file", where=rename(given.name), remedy="name files or folders of flows")
        for name, path in files:
            if name in found:
                raise ConfigurationError("is given twice", where=name, remedy="rename one of the two")
            found[name] = FlowFile(path, given if given.is_dir() else None, name)
    return [found[name] for name in sorted(found)]


def _files(given: Path, out: Path, rename: Renamer) -> Iterator[tuple[str, Path]]:
    if not given.is_dir():
        yield rename(given.name), given
        return
    if out.resolve().is_relative_to(given.resolve()):
        raise ConfigurationError("the output lies inside an input", where=out.name, remedy="choose another folder")
    for folder, folders, names in os.walk(given, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                path = Path(folder) / name
                yield rename(path.relative_to(given).as_posix()), path


def _unreadable(fault: OSError) -> None:
    raise PlaceError("a folder cannot be read", remedy=fault.strerror or "check permissions") from None


def renamer(pseudonyms: Callable[[list[str]], list[str | None]]) -> Renamer:
    """Return what puts pseudonyms in the place of MPANs in file names."""

    def rename(name: str) -> str:
        cores = _MPAN.findall(name)
        known = dict(zip(cores, pseudonyms(cores), strict=True)) if cores else {}
        return _MPAN.sub(lambda core: known[core.group()] or core.group(), name)

    return rename


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a file.

    Attributes:
        file: number of the file.
        text: the lines, each with its line feed.
        prefix: a byte order mark before them, if there is one.
        last: whether the file ends here.
        unended: whether the file's last line had no line feed; ``text`` has one all the same.
        gzipped: whether the file is gzip.
    """

    file: int
    text: bytes
    prefix: bytes
    last: bool
    unended: bool
    gzipped: bool


def pieces(number: int, file: FlowFile, size: int) -> Iterator[Piece]:
    """Read a file, gzip or not, in pieces of about ``size`` bytes.

    Raises:
        IntakeError: it cannot be read as what it is, or a line is longer than any flow's.
        RefusedError: it is a link out of its folder, or inflates beyond all measure.
        PlaceError: the system denies the access.
    """
    raw = RawFile(file.path, root=file.root, label=file.name)
    try:
        gzipped = raw.pread(2, 0) == _GZIP
        stream = GzipStream(raw, Limits()) if gzipped else PlainStream(raw, Limits())
        prefix, rest, parts, held, fresh = b"", b"", [], 0, True
        while data := stream.read(CHUNK):
            if fresh:
                fresh = False
                data, prefix = (data[3:], data[:3]) if data.startswith(_BYTE_ORDER_MARK) else (data, b"")
            cut = data.rfind(b"\n") + 1
            if not cut:
                rest += data
                if len(rest) > LONGEST_LINE:
                    raise IntakeError("has a line longer than any record", where=file.name)
                continue
            parts += [rest, data[:cut]]
            held, rest = held + len(rest) + cut, data[cut:]
            if held >= size:
                yield Piece(number, b"".join(parts), prefix, last=False, unended=False, gzipped=gzipped)
                prefix, parts, held = b"", [], 0
        stream.finish()
        ended = b"\n" if rest else b""
        yield Piece(number, b"".join([*parts, rest, ended]), prefix, last=True, unended=bool(rest), gzipped=gzipped)
    finally:
        raw.close()


class Output:
    """One file of the output while it is written."""

    def __init__(self, path: Path, *, gzipped: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: io.BufferedWriter = open(path, "xb")  # noqa: SIM115 - closed by close()
        self._gzip = gzip.GzipFile("", "wb", 6, self._file, mtime=0) if gzipped else None
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Write the next bytes."""
        if self._gzip is not None:
            self._gzip.write(data)
        else:
            self._digest.update(data)
            self._file.write(data)

    def close(self) -> tuple[int, str]:
        """Close the file; return its size in bytes and its SHA-256."""
        if self._gzip is not None:
            self._gzip.close()
        self._file.close()
        if self._gzip is not None:
            with open(self._path, "rb") as file:
                while data := file.read(CHUNK):
                    self._digest.update(data)
        return self._path.stat().st_size, self._digest.hexdigest()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write to; what is in it stands at ``out`` afterwards, or nothing does.

    Raises:
        ConfigurationError: ``out`` is there and not an empty folder.
        PlaceError: it cannot be written.
    """
    try:
        with whole_folder(out, empty=True, durable=True) as growing:
            yield growing
    except FileExistsError:
        raise ConfigurationError("already exists", where=out.name, remedy="name a new folder") from None
    except OSError as fault:
        raise _unwritten(fault, out) from None


def _unwritten(fault: OSError, out: Path) -> PlaceError:
    return PlaceError("cannot be written", where=out.name, remedy=fault.strerror or "check disk and permissions")
