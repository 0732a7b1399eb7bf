"""Reads market domain data and code lists as the reference tables that rules look things up in.

Which file and column makes which table stands in ``contracts/market_domain_data.odcs.yaml``; rows not in force on the
cut date are left out, so a line loss factor class that ended the day before is not known (Q75). A table that is empty
or was cut off is refused; one that the publication lacks is not there, and its rules are not judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from contracts.codes import code_table
from contracts.documents.market_data import MapEntry, MatchEntry
from contracts.errors import ContractError, InsufficientDataError, IntakeError
from contracts.evidence import Publication, ReferenceFileEvidence
from contracts.reference import CODE_LISTS, TABLE_LISTS, TableDefinition, definitions, published_tables
from flows.intake.published_set import PublishedFile, PublishedSet, published_set
from flows.intake.published_table import CUT_OFF, read_table
from transforms.published_headings import Heading, PublishedHeadings, lacks

NAME = "market domain data"
DAYS = ("%d/%m/%Y", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
ABSENT_SHARE = 0.1  # of keys that another table refers to and a table lacks: beyond it the table was cut off


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """The file that a table was made from: its name, digest and the latest day on which one of its rows begins."""

    file: str
    sha256: str
    latest: date | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference tables in force on the cut date, and what they came from.

    Attributes:
        tables: by name.
        origins: table of market domain data -> its file.
        place, version: folder or archive of the market domain data, and the version in its files' names.
        absent: tables that the publication lacks; their rules are not judged.
        astray: table -> how many keys that other tables refer to it lacks, where there are any.
    """

    tables: Mapping[str, pl.DataFrame]
    origins: Mapping[str, TableOrigin] = field(default_factory=dict)
    place: str = ""
    version: int | None = None
    absent: tuple[str, ...] = ()
    astray: Mapping[str, int] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """Return the digest of each table's file."""
        return {name: origin.sha256 for name, origin in self.origins.items()}

    def lazy(self) -> dict[str, pl.LazyFrame]:
        """Return the tables as lazy frames."""
        return {name: table.lazy() for name, table in self.tables.items()}

    def evidence(self) -> list[ReferenceFileEvidence]:
        """Return name, rows, file and digest of each table for the evidence, by name."""
        return [
            ReferenceFileEvidence(
                table=name,
                rows=self.tables[name].height,
                file=origin.file,
                sha256=origin.sha256,
                version=self._version,
                latest=origin.latest.isoformat() if origin.latest else None,
            )
            for name, origin in sorted(self.origins.items())
        ]

    @property
    def _version(self) -> str | None:
        return None if self.version is None else str(self.version)

    def publication(self) -> list[Publication]:
        """Return what the evidence says of the publication as a whole; nothing where none was given."""
        if not self.origins:
            return []
        latest = max((origin.latest for origin in self.origins.values() if origin.latest), default=None)
        return [
            Publication(
                publication=NAME,
                place=self.place,
                files=len({o.file for o in self.origins.values()}),
                version=self._version,
                latest=latest.isoformat() if latest else None,
                absent=tuple(self.absent) or None,
                astray=dict(sorted(self.astray.items())) or None,
            )
        ]


def load_reference(folder: Path | None, cut_date: date) -> Reference:
    """Read the code lists and, where a publication is given, the market domain data.

    Args:
        folder: folder or ZIP archive of the publication.

    Raises:
        IntakeError: no table is there, versions are mixed, or a table lacks a column or was cut off in a row.
        InsufficientDataError: a table is empty, lacks keys that others refer to, or holds no row that is in force on
            the cut date.
    """
    tables = _code_lists()
    if folder is None:
        return Reference(tables)
    found = published_set(folder, [d.file for d in definitions().values()], published_tables(), NAME)
    whole, alive, origins = _read(found, cut_date)
    astray = _astray(whole, origins)
    if "distributors" in alive:
        by_mpid = alive["distributors"].select("distributor_mpid", "distributor_id").unique(maintain_order=True)
    for name, table in alive.items():
        if "distributor_mpid" in table.columns and "distributor_id" not in table.columns:
            if "distributors" not in alive:
                continue  # a table of distributors' MPIDs says nothing without their ids
            tables[name] = table.join(by_mpid, on="distributor_mpid", how="inner", maintain_order="left")
        else:
            tables[name] = table
    absent = tuple(n for n, d in definitions().items() if n not in tables and not d.optional)
    kept = {name: origin for name, origin in origins.items() if name in tables}
    return Reference(tables, kept, found.place, found.version, absent, astray)


def _code_lists() -> dict[str, pl.DataFrame]:
    tables = {}
    for name in CODE_LISTS:
        header, rows = code_table(name)
        tables[f"codes:{name}"] = pl.DataFrame(list(rows), schema=list(header), orient="row").select("code")
    for name in TABLE_LISTS:
        header, rows = code_table(name)
        tables[name] = pl.DataFrame(list(rows), schema=list(header), orient="row")
    return tables


def _read(
    found: PublishedSet, cut_date: date
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame], dict[str, TableOrigin]]:
    """Return of each table that is there all rows, those in force, and its origin; a file is read once."""
    whole, alive, origins = {}, {}, {}
    for file, wanted in _by_file(found).values():
        raw = file.read()
        names, cells = read_table(raw, file.name)
        digest = hashlib.sha256(raw).hexdigest()
        for definition in wanted:
            all_rows, latest = _typed(_headings(names, definition, file.name), cells, definition, file.name)
            whole[definition.name] = all_rows.drop(_ALIVE_FROM, _ALIVE_TO, strict=False)
            alive[definition.name] = _in_force(all_rows, definition, cut_date, file.name)
            origins[definition.name] = TableOrigin(file.name, digest, latest)
    order = [name for name in definitions() if name in whole]
    return {n: whole[n] for n in order}, {n: alive[n] for n in order}, {n: origins[n] for n in order}


def _by_file(found: PublishedSet) -> dict[str, tuple[PublishedFile, list[TableDefinition]]]:
    held: dict[str, tuple[PublishedFile, list[TableDefinition]]] = {}
    for definition in definitions().values():
        if definition.file in found.files:
            held.setdefault(definition.file, (found.files[definition.file], []))[1].append(definition)
    return held


_ALIVE_FROM, _ALIVE_TO = "_from", "_to"


def _headings(names: list[str], definition: TableDefinition, where: str) -> PublishedHeadings:
    own = {Heading.of(d.effective_from).qualifier for d in definitions().values() if d.effective_from}
    foreign = own - {Heading.of(definition.effective_from).qualifier}
    return PublishedHeadings(names, where=where, own_after=definition.own_after, foreign=foreign)


def _typed(
    headings: PublishedHeadings, cells: pl.DataFrame, definition: TableDefinition, where: str
) -> tuple[pl.DataFrame, date | None]:
    """Return every row under the table's own column names, with the days it begins and ends, and the latest begin."""
    picked: list[pl.Expr | pl.Series] = []
    for name, (heading, width) in definition.columns.items():
        place = headings.column(heading, definition.aliases.get(name, ()))
        if place is None and name not in definition.optional_columns:
            raise lacks(heading, where)
        text = pl.lit(None, pl.String) if place is None else pl.col(str(place))
        picked.append((text.str.zfill(width) if width else text).alias(name))
    latest = None
    if definition.effective_from:
        begin, end = definition.effective_from, definition.effective_to
        for column, (own, other) in {_ALIVE_FROM: (begin, end), _ALIVE_TO: (end, begin)}.items():
            place = headings.own_date(own, other)
            if place is None:
                raise lacks(own, where)
            picked.append(days(cells[str(place)], own, where, needed=column == _ALIVE_FROM).alias(column))
    frame = cells.select(picked)
    if definition.effective_from:
        latest = frame[_ALIVE_FROM].max()
    if definition.present:
        frame = frame.filter(pl.col(definition.present).is_not_null())
    for made in definition.derived:
        frame = _classified(frame, made)
    return frame, latest if isinstance(latest, date) else None


def days(texts: pl.Series, heading: str, where: str, *, needed: bool) -> pl.Series:
    """Return days from their text: dd/mm/yyyy with or without a time, or ISO.

    Args:
        heading, where: what errors call column and file.
        needed: whether each row must have one.

    Raises:
        IntakeError: a text is no day, or there is none where one is needed.
    """
    days = texts.to_frame("t").select(
        pl.coalesce(*(pl.col("t").str.strptime(pl.Datetime, form, strict=False).dt.date() for form in DAYS))
    )["t"]
    wrong = days.is_null() & (texts.is_not_null() | pl.Series([needed]))
    if wrong.any():
        row = (wrong.arg_max() or 0) + 1
        raise IntakeError(f"has no day dd/mm/yyyy under {heading!r} in row {row}", where=where, remedy=CUT_OFF)
    return days


def _in_force(frame: pl.DataFrame, definition: TableDefinition, cut_date: date, where: str) -> pl.DataFrame:
    if definition.effective_from:
        begins, ends = pl.col(_ALIVE_FROM), pl.col(_ALIVE_TO)
        frame = frame.filter((begins <= cut_date) & (ends.is_null() | (ends >= cut_date)))
        frame = frame.drop(_ALIVE_FROM, _ALIVE_TO)
    if frame.is_empty():
        raise InsufficientDataError(
            "holds no row in force on the cut date", where=where, remedy="take the publication of the cut date, whole"
        )
    return frame.unique(maintain_order=True)


def _astray(tables: Mapping[str, pl.DataFrame], origins: Mapping[str, TableOrigin]) -> dict[str, int]:
    """Return how many keys each table lacks that another refers to.

    Raises:
        InsufficientDataError: so many that the table is not whole.
    """
    found: dict[str, int] = {}
    for name, table in tables.items():
        for other, columns in definitions()[name].refers_to.items():
            if other not in tables:
                continue
            keys = table.select(columns).drop_nulls().unique()
            lacking = keys.join(tables[other], on=list(columns), how="anti").height
            if lacking > ABSENT_SHARE * keys.height:
                raise InsufficientDataError(
                    f"lacks {lacking} of {keys.height} keys that {origins[name].file} refers to",
                    where=origins[other].file,
                    remedy=CUT_OFF,
                )
            if lacking:
                found[other] = max(found.get(other, 0), lacking)
    return found


def _classified(frame: pl.DataFrame, made: MapEntry | MatchEntry) -> pl.DataFrame:
    column = pl.col(made.column)
    if isinstance(made, MapEntry):
        value = column.replace_strict(made.values, default=None, return_dtype=pl.String)
        return frame.with_columns(value.alias(made.name)).drop_nulls(made.name)
    value = pl.coalesce(*[pl.when(column.str.contains(pattern)).then(pl.lit(v)) for pattern, v in made.patterns])
    return frame.with_columns(value.alias(made.name))


def require(reference: Reference, table: str) -> pl.DataFrame:
    """Return a table.

    Raises:
        ContractError: a contract names a table that no definition makes.
    """
    if table not in reference.tables:
        raise ContractError(f"there is no reference table {table!r}", where="market_domain_data.odcs.yaml")
    return reference.tables[table]
