"""A published set of tables, in a folder, a folder within it or one ZIP: which files are its tables, of which version.

Files are ``<Table>.csv`` or ``<Table>_<version>.csv``; versions are numbers, so 316 comes after 99. A set is of one
version: of several that are whole, the latest is taken; tables of different versions are refused by name.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contracts.errors import IntakeError, PlaceError
from contracts.model import plain
from flows.intake.archives import GZIP, ZIP
from flows.intake.files import beside
from flows.intake.raw_file import RawFile
from flows.intake.source import Limits, safe_name
from flows.intake.zip_stream import ZipStream, list_members

_NAME = re.compile(r"(?P<stem>.*?)(?:[_ -]+v?(?P<version>\d+))?\.csv", re.IGNORECASE)
_FLOW = re.compile(rb"ZH[VD]\|(?:[^|\r\n]{0,10}\|)?(D\d{4})")
_PIECE, _HEAD = 1 << 20, 4096
_WHOLE = "put one whole set there, as it was published"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a set: its name, the group it lies in (folder or archive), and how its bytes are had."""

    name: str
    group: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """The tables of one version.

    Attributes:
        place: name of the folder or archive.
        version: the number in the files' names; ``None`` where they carry none.
        files: table -> its file.
    """

    place: str
    version: int | None
    files: Mapping[str, PublishedFile]


def files_of(path: Path, what: str) -> list[PublishedFile]:
    """Return every file of a folder, of the folders within it, and of ZIP archives there, hidden ones apart.

    Args:
        path: a folder, an archive or a single file.
        what: what the files are, for errors.

    Raises:
        IntakeError: there is nothing of that name, or an archive is damaged.
        RefusedError: an archive is a bomb, or leads out of itself.
    """
    try:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if not beside(p.name)]
            nested = [q for p in inside if p.is_dir() for q in sorted(p.iterdir()) if not beside(q.name)]
            return [f for p in [*inside, *nested] if p.is_file() for f in _opened(p, path)]
    except OSError as fault:
        raise PlaceError(f"the {what} cannot be read", where=path.name, remedy=fault.strerror or "") from None
    if not path.exists():
        raise IntakeError(f"there is no {what}", where=path.name, remedy=_WHOLE)
    return _opened(path, path.parent)


def _opened(path: Path, root: Path) -> list[PublishedFile]:
    group = "" if path.parent == root else path.parent.name
    with closing(RawFile(path.resolve(), root=None, label=path.name)) as raw:
        if not raw.pread(4, 0).startswith(ZIP):
            return [PublishedFile(path.name, group, partial(_bytes, path))]
        members = [m.name.replace("\\", "/") for m in list_members(raw, Limits()) if not beside(m.name)]
    return [PublishedFile(name.rpartition("/")[2], path.name, partial(_member, path, name)) for name in members]


def _bytes(path: Path) -> bytes:
    with closing(RawFile(path.resolve(), root=None, label=path.name)) as raw:
        data = b"".join(_pieces(raw.read))
        raw.finish()
    return data


def _member(path: Path, name: str) -> bytes:
    with closing(RawFile(path.resolve(), root=None, label=path.name)) as raw:
        for member in list_members(raw, Limits()):
            if member.name.replace("\\", "/") == name:
                stream = ZipStream(raw, member, Limits(), whole=False)
                data = b"".join(_pieces(stream.read))
                stream.finish()
                return data
    raise IntakeError("changed while it was being read", where=path.name, remedy=_WHOLE)


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(_PIECE):
        yield piece


def published_set(path: Path, tables: Collection[str], beside_them: Collection[str], what: str) -> PublishedSet:
    """Find the tables of a publication.

    Args:
        path: folder or archive.
        tables: names of the tables that are read.
        beside_them: names of others that the publication has; they too must be of the one version.
        what: what the publication is called, for errors.

    Raises:
        IntakeError: none of the tables is there, tables are of different versions, or a table is there twice.
    """
    known = {plain(name): name for name in (*beside_them, *tables)}
    held: dict[int | None, dict[str, PublishedFile]] = {}
    files = files_of(path, what)
    for file in files:
        match = _NAME.fullmatch(file.name)
        table = known.get(plain(match["stem"])) if match else None
        if match is None or table is None:
            continue
        version = int(match["version"]) if match["version"] else None
        if table in held.setdefault(version, {}):
            raise IntakeError(f"{file.name} is there twice", where=path.name, remedy=_WHOLE)
        held[version][table] = file
    wanted = set(tables)
    if not any(wanted & set(own) for own in held.values()):
        refuse_flows(path, files, what)
        raise IntakeError(f"holds no table of the {what}", where=path.name, remedy=_WHOLE)
    version = max((v for v in held if v is not None), default=None)
    elsewhere = {table for files in held.values() for table in files} - set(held[version])
    if elsewhere or (version is not None and None in held):
        raise _mixed(path, held, what)
    return PublishedSet(safe_name(path.name), version, {t: f for t, f in held[version].items() if t in wanted})


def refuse_flows(path: Path, files: Collection[PublishedFile], what: str) -> None:
    """Say of a publication that came as a flow (D0269 and D0270 have the tables of market domain data) what is read.

    Raises:
        IntakeError: one of the files is a DTC user file.
    """
    for file in files:
        head = file.read()[:_HEAD]
        if head.startswith(GZIP):
            with suppress(zlib.error):
                head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _HEAD)
        if found := _FLOW.match(head.removeprefix(b"\xef\xbb\xbf").lstrip()):
            raise IntakeError(
                f"{safe_name(file.name)} is a {found[1].decode()}: the {what} is not read from a flow",
                where=path.name,
                remedy="put its CSV files there, one a table, as a folder or a ZIP",
            )


def _mixed(path: Path, held: Mapping[int | None, Mapping[str, PublishedFile]], what: str) -> IntakeError:
    def said(version: int | None) -> str:
        names, kind = sorted(held[version]), "none" if version is None else str(version)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{kind} ({', '.join(names[:3])}{more})"

    order = sorted(held, key=lambda v: -1 if v is None else v)
    return IntakeError(f"mixes versions of the {what}: {'; '.join(map(said, order))}", where=path.name, remedy=_WHOLE)
