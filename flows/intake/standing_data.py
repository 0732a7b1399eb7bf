"""Reads industry standing data: which DIP id each market participant has in each DIP role (entities M16 and M18).

Files are a folder, a folder within it, or one ZIP, one file an entity, known by their first line. A row that ended
before the cut date is left out; of several rows of one participant and role that which begins first is taken, so that a
publication that begins after the cut date, as that of the MHHS programme does, gives its ids.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from contracts.errors import IntakeError
from contracts.evidence import Publication, ReferenceFileEvidence
from contracts.standing_data import Entity, entities
from flows.intake.market_domain_data import days
from flows.intake.published_set import PublishedFile, files_of, refuse_flows
from flows.intake.published_table import CUT_OFF, read_table
from flows.intake.source import safe_name
from transforms.published_headings import PublishedHeadings, lacks

NAME = "industry standing data"
DIP_IDS, DIP_ROLES = "M16", "M18"
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})|(\d{2})/(\d{2})/(\d{4})")
_BEGIN, _END = "_from", "_to"


@dataclass(frozen=True, slots=True)
class EntityFile:
    """One entity as published: its file and digest, version and day of change as its first line states them, its rows.

    Columns of ``rows``: those of the entity's definition, ``_from``, ``_to``.
    """

    file: str
    sha256: str
    version: str
    changed: str
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class StandingData:
    """The DIP ids of industry standing data.

    Attributes:
        dip_ids: columns ``mpid``, ``role`` (DIP role) and ``dip_id``, a pair once.
        place: name of the folder or archive.
        files: entity -> its file.
        unused: DIP roles that the product has no use for -> how many rows.
        unknown: rows whose DIP role is neither stated nor told by the market role.
    """

    dip_ids: pl.DataFrame
    place: str
    files: Mapping[str, EntityFile]
    unused: Mapping[str, int]
    unknown: int

    def evidence(self) -> list[ReferenceFileEvidence]:
        """Return what the evidence says of each file."""
        return [
            ReferenceFileEvidence(
                table=f"isd/{name}",
                rows=entity.rows.height,
                file=entity.file,
                sha256=entity.sha256,
                version=entity.version or None,
                latest=entity.changed or None,
            )
            for name, entity in sorted(self.files.items())
        ]

    def publication(self, overruled: int) -> Publication:
        """Return what the evidence says of the publication as a whole.

        Args:
            overruled: DIP ids for which a mapping table of the cut states another one.
        """
        changed = max((held.changed for held in self.files.values() if held.changed), default="")
        versions = {held.version for held in self.files.values()}
        return Publication(
            publication=NAME,
            place=self.place,
            files=len(self.files),
            dip_ids=self.dip_ids.height,
            version=versions.pop() if len(versions) == 1 and "" not in versions else None,
            latest=changed or None,
            overruled=overruled or None,
            unused=dict(sorted(self.unused.items())) or None,
            unknown=self.unknown or None,
        )


def load_standing_data(path: Path, cut_date: date, roles: Collection[str]) -> StandingData:
    """Read the DIP ids.

    Args:
        path: folder, archive or file.
        roles: DIP roles that the product uses.

    Raises:
        IntakeError: there is no entity M16, one is there twice in one version, is empty or cut off, lacks a column, or
            holds a value of another form.
    """
    files = _entities(path)
    if DIP_IDS not in files:
        refuse_flows(path, files_of(path, NAME), NAME)
        raise IntakeError(f"holds no entity {DIP_IDS}", where=path.name, remedy=f"put the {NAME} there as published")
    rows = _alive(files[DIP_IDS], cut_date)
    by_market_role = pl.col("role_code").replace_strict(
        _only_role(files, cut_date), default=None, return_dtype=pl.String
    )
    told = rows.with_columns(pl.coalesce("dip_role", by_market_role).alias("role"))
    of_use = told.filter(pl.col("role").is_in(list(roles)))
    unused = told.filter(~pl.col("role").is_in(list(roles))).group_by("role").len()
    kept = of_use.sort(_BEGIN, "role_code", "dip_id", nulls_last=True).unique(["mpid", "role"], keep="first")
    return StandingData(
        kept.select("mpid", "role", "dip_id").sort("mpid", "role"),
        safe_name(path.name),
        files,
        dict(unused.drop_nulls().iter_rows()),
        told["role"].null_count(),
    )


def _alive(held: EntityFile, cut_date: date) -> pl.DataFrame:
    return held.rows.filter(pl.col(_END).is_null() | (pl.col(_END) >= cut_date))


def _only_role(files: Mapping[str, EntityFile], cut_date: date) -> dict[str, str]:
    """Return the DIP role of each market role that has one alone."""
    if DIP_ROLES not in files:
        return {}
    pairs = _alive(files[DIP_ROLES], cut_date).select("role_code", "dip_role").drop_nulls().unique()
    return dict(pairs.filter(pl.len().over("role_code") == 1).iter_rows())


def _entities(path: Path) -> dict[str, EntityFile]:
    """Return each entity that is read, in its latest version."""
    found: dict[str, tuple[int, EntityFile]] = {}
    for file in files_of(path, NAME):
        if not file.name.lower().endswith((".csv", ".txt")):
            continue
        raw = file.read()
        head = _first_line(raw)
        entity = entities().get(head[0].upper()) if head else None
        if entity is None:
            continue
        version = head[2] if len(head) > 2 else ""
        number = int(version) if version.isascii() and version.isdigit() else -1
        if entity.name in found and found[entity.name][0] == number:
            raise IntakeError(f"entity {entity.name} is there twice", where=file.name, remedy="leave one of the files")
        if entity.name not in found or found[entity.name][0] < number:
            found[entity.name] = (number, _entity(raw, head, entity, file))
    return {name: held for name, (_, held) in found.items()}


def _first_line(raw: bytes) -> list[str]:
    text = raw[:4096].decode("utf-8-sig", errors="replace").partition("\n")[0]
    return [cell.strip() for cell in next(csv.reader([text.strip()]), [])]


def _entity(raw: bytes, head: Sequence[str], entity: Entity, file: PublishedFile) -> EntityFile:
    names, cells = read_table(raw, file.name, before=1)
    headings = PublishedHeadings(names, where=file.name)
    picked = {}
    for column, heading in entity.columns.items():
        place = headings.column(heading)
        if place is None:
            raise lacks(heading, file.name)
        picked[column] = cells[str(place)]
    begin, end = entity.effective_from, entity.effective_to
    for column, own, other in ((_BEGIN, begin, end), (_END, end, begin)):
        place = headings.own_date(own, other)
        if place is None:
            raise lacks(own, file.name)
        picked[column] = days(cells[str(place)], own, file.name, needed=column == _BEGIN)
    rows = pl.DataFrame(picked)
    _judge(rows, entity, file.name)
    version = head[2] if len(head) > 2 and re.fullmatch(r"[0-9.]{1,12}", head[2]) else ""
    return EntityFile(safe_name(file.name), hashlib.sha256(raw).hexdigest(), version, _day(head[3:]), rows)


def _judge(rows: pl.DataFrame, entity: Entity, where: str) -> None:
    """Refuse values of another form than their column's; a DIP role may be blank."""
    for column, form in entity.forms.items():
        blank = column == "dip_role" and entity.name == DIP_IDS
        wrong = ~rows[column].str.contains(f"^(?:{form})$").fill_null(value=blank)
        if wrong.any():
            row = (wrong.arg_max() or 0) + 1
            raise IntakeError(f"{entity.columns[column]!r} is malformed in row {row}", where=where, remedy=CUT_OFF)


def _day(cells: Sequence[str]) -> str:
    """Return the day in what follows the version, in ISO form; empty where there is none."""
    for match in filter(None, map(_DAY.search, cells)):
        year, month, day, day_first, month_second, year_last = match.groups()
        return f"{year}-{month}-{day}" if year else f"{year_last}-{month_second}-{day_first}"
    return ""
