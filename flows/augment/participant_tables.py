"""Mapping tables of participants: which MHHS service a legacy agent becomes, and which DIP id an MPID and role have.

Two CSV files with a header, named in ``cut.yaml`` for a participant (``services``, ``dip_ids``) or for the whole cut:

    services   legacy_role,legacy_mpid,market_segment,mpid    legacy_role DC, MOP or LDSO; an empty segment means all
    dip_ids    mpid,role,dip_id                               Q110: a DIP id belongs to an MPID and a role

Industry standing data (entity M16), where ``cut.yaml`` names it, gives the DIP ids that no such table does.

Source: Q115 and Q120 (participants allocate their own DIP ids), domain 6.2.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.augmentation import services
from contracts.errors import ConfigurationError
from contracts.evidence import Publication, ReferenceFileEvidence
from flows.cut.config import Job
from flows.intake.standing_data import StandingData, load_standing_data

SERVICES = ("legacy_role", "legacy_mpid", "market_segment", "mpid")
DIP_IDS = ("mpid", "role", "dip_id")
SEGMENTS = ("S", "A", "U")
_WANTED = {
    "legacy_role": re.compile(r"DC|MOP|LDSO"),
    "legacy_mpid": re.compile(r"[A-Z0-9]{4}"),
    "market_segment": re.compile(r"[SAU]?"),
    "mpid": re.compile(r"[A-Z0-9]{4}"),
    "role": re.compile("|".join(sorted(services().roles))),
    "dip_id": re.compile(r"[0-9A-Fa-f]{10}"),
}
LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class MappingTables:
    """All mapping tables of a cut, ready to be looked up.

    Attributes:
        tables: ``services`` and ``dip_ids``, one row per key.
        files: name, rows and SHA-256 of each file, for the evidence.
        publications: what the evidence says of industry standing data as a whole.
    """

    tables: Mapping[str, pl.DataFrame]
    files: tuple[ReferenceFileEvidence, ...]
    publications: tuple[Publication, ...] = ()


def mapping_files(job: Job) -> list[tuple[str, Path]]:
    """Return every mapping file that ``cut.yaml`` names, with the table it belongs to."""
    whole = job.model.augmentation
    found = [("services", p) for p in whole.services] + [("dip_ids", p) for p in whole.dip_ids]
    for participant in job.model.participants:
        found += [("services", participant.services)] if participant.services else []
        found += [("dip_ids", participant.dip_ids)] if participant.dip_ids else []
    return [(table, job.path(path)) for table, path in found]


def load_mapping(job: Job) -> MappingTables:
    """Read every mapping file of a cut.

    Raises:
        ConfigurationError: a file cannot be read, a row is malformed, or two rows contradict each other; with file
        and line.
        IntakeError: industry standing data is not as published, or not whole.
    """
    known: dict[str, dict[tuple[str, ...], str]] = {"services": {}, "dip_ids": {}}
    files: list[ReferenceFileEvidence] = []
    for table, path in mapping_files(job):
        raw = _read(path)
        columns = SERVICES if table == "services" else DIP_IDS
        rows = list(_rows(raw, columns, path))
        for line, row in rows:
            for key in _keys(table, row):
                _enter(known[table], key, row[-1], f"{path.name}, line {line}")
        digest = hashlib.sha256(raw).hexdigest()
        files.append(ReferenceFileEvidence(table=f"{table}/{path.name}", rows=len(rows), sha256=digest))
    publications: tuple[Publication, ...] = ()
    if standing := standing_data(job):
        files += standing.evidence()
        overruled = sum(_enter_published(known["dip_ids"], *row) for row in standing.dip_ids.iter_rows())
        publications = (standing.publication(overruled),)
    _one_pair_each(known["dip_ids"])
    frames = {name: _frame(name, entries) for name, entries in known.items()}
    return MappingTables(frames, tuple(files), publications)


def standing_data(job: Job) -> StandingData | None:
    """Return the industry standing data of a cut, None where it names none.

    Raises:
        IntakeError: it is not as published, or not whole.
    """
    place = job.model.reference.industry_standing_data
    return load_standing_data(job.path(place), job.model.cut.date, services().roles) if place else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as fault:
        raise ConfigurationError("cannot be read", where=path.name, remedy=fault.strerror or "") from None
    if len(raw) > LARGEST:
        raise ConfigurationError(f"is larger than {LARGEST} bytes", where=path.name)
    return raw


def _rows(raw: bytes, columns: tuple[str, ...], path: Path) -> Iterable[tuple[int, tuple[str, ...]]]:
    try:
        lines = list(csv.reader(raw.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise ConfigurationError("is not CSV in UTF-8", where=path.name) from None
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if sorted(header) != sorted(columns):
        raise ConfigurationError(f"needs the columns {', '.join(columns)}", where=path.name)
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        cells = {name: cell.strip() for name, cell in zip(header, line, strict=False)}
        wrong = [name for name in columns if not _WANTED[name].fullmatch(cells.get(name, "?"))]
        if len(line) != len(header) or wrong:
            what = f"{', '.join(wrong)} is malformed" if wrong else "has another number of cells than the header"
            raise ConfigurationError(what, where=f"{path.name}, line {number}")
        yield number, tuple(cells[name] for name in columns)


def _keys(table: str, row: tuple[str, ...]) -> list[tuple[str, ...]]:
    if table == "dip_ids":
        return [row[:2]]
    role, mpid, segment, _ = row
    return [(role, mpid, s) for s in ((segment,) if segment else SEGMENTS)]


def _enter(known: dict[tuple[str, ...], str], key: tuple[str, ...], value: str, where: str) -> None:
    if known.setdefault(key, value) != value:
        raise ConfigurationError(f"contradicts another entry for {' '.join(key)}", where=where)


def _enter_published(known: dict[tuple[str, ...], str], mpid: str, role: str, dip_id: str) -> bool:
    """Enter a DIP id of industry standing data; return whether a mapping table has another one, which then stays."""
    return known.setdefault((mpid, role), dip_id) != dip_id


def _one_pair_each(dip_ids: Mapping[tuple[str, ...], str]) -> None:
    owner: dict[str, tuple[str, ...]] = {}
    for pair, dip_id in dip_ids.items():
        if owner.setdefault(dip_id, pair) != pair:
            raise ConfigurationError(f"a DIP id is given to {' '.join(owner[dip_id])} and to {' '.join(pair)}")


def _frame(table: str, entries: Mapping[tuple[str, ...], str]) -> pl.DataFrame:
    columns = SERVICES if table == "services" else DIP_IDS
    rows = [(*key, value) for key, value in sorted(entries.items())]
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
