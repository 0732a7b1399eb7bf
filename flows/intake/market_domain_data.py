"""Reads market domain data and code lists as the reference tables that rules look things up in.

Which file and column makes which table stands in ``contracts/market_domain_data.odcs.yaml``; rows not in force on the
cut date are left out, so a line loss factor class that ended the day before is not known (Q75).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from contracts.codes import code_table
from contracts.errors import ContractError, InsufficientDataError, IntakeError
from contracts.model import plain
from contracts.reference import CODE_LISTS, TABLE_LISTS, TableDefinition, definitions


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference tables in force on the cut date, and the digests of the files they came from."""

    tables: Mapping[str, pl.DataFrame]
    digests: Mapping[str, str]

    def lazy(self) -> dict[str, pl.LazyFrame]:
        """Return the tables as lazy frames."""
        return {name: table.lazy() for name, table in self.tables.items()}

    def evidence(self) -> list[dict[str, Any]]:
        """Return name, rows and digest of each table for the evidence."""
        return [
            {"table": name, "rows": self.tables[name].height, "sha256": digest}
            for name, digest in sorted(self.digests.items())
        ]


def load_reference(folder: Path | None, cut_date: date) -> Reference:
    """Read the code lists and, where a folder is given, the market domain data.

    Raises:
        IntakeError: a file or column of the market domain data is missing.
        InsufficientDataError: a table holds no row that is in force on the cut date.
    """
    tables: dict[str, pl.DataFrame] = {}
    digests: dict[str, str] = {}
    for name in CODE_LISTS:
        header, rows = code_table(name)
        tables[f"codes:{name}"] = pl.DataFrame(list(rows), schema=list(header), orient="row").select("code")
    for name in TABLE_LISTS:
        header, rows = code_table(name)
        tables[name] = pl.DataFrame(list(rows), schema=list(header), orient="row")
    if folder is None:
        return Reference(tables, digests)
    for name, definition in definitions().items():
        path = _file(folder, definition.file, optional=definition.optional)
        if path is None:
            continue
        raw = _read(path)
        digests[name] = hashlib.sha256(raw).hexdigest()
        tables[name] = _table(raw, definition, cut_date, where=path.name)
        if tables[name].is_empty():
            raise InsufficientDataError(
                "holds no row in force on the cut date",
                where=path.name,
                remedy="take the publication of the cut date, whole",
            )
    by_mpid = tables["distributors"].select("distributor_mpid", "distributor_id").unique(maintain_order=True)
    for name, table in tables.items():
        if "distributor_mpid" in table.columns and "distributor_id" not in table.columns:
            tables[name] = table.join(by_mpid, on="distributor_mpid", how="inner", maintain_order="left")
    return Reference(tables, digests)


def _file(folder: Path, stem: str, *, optional: bool) -> Path | None:
    exact = folder / f"{stem}.csv"
    versions = [p for p in sorted(folder.glob(f"{stem}_*.csv")) if p.stem[len(stem) + 1 :].isdigit()]
    if exact.is_file():
        return exact
    if versions:
        return versions[-1]
    if optional:
        return None
    raise IntakeError(
        "the market domain data lacks this file", where=f"{stem}.csv", remedy="put Elexon's MDD of the cut date there"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise IntakeError("cannot be read", where=path.name, remedy=fault.strerror or "") from None


def _table(raw: bytes, definition: TableDefinition, cut_date: date, *, where: str) -> pl.DataFrame:
    try:
        frame = pl.read_csv(raw, infer_schema=False)
    except pl.exceptions.PolarsError:
        raise IntakeError(
            "is not a CSV file with a header", where=where, remedy="take the file as it was published"
        ) from None
    headers = {plain(name): name for name in frame.columns}

    def column(header: str, others: Sequence[str] = (), *, optional: bool = False) -> pl.Expr:
        there = [headers[plain(name)] for name in (header, *others) if plain(name) in headers]
        if not there and optional:
            return pl.lit(None, pl.String)
        if not there:
            raise IntakeError(
                f"lacks the column {header!r}", where=where, remedy="export the table with its published headings"
            )
        text = pl.col(there[0]).str.strip_chars()
        return pl.when(text.str.len_bytes() > 0).then(text)

    if definition.effective_from:
        start, end = (
            column(h).str.to_date("%d/%m/%Y", strict=False)
            for h in (definition.effective_from, definition.effective_to)
        )
        alive = (start <= cut_date) & (column(definition.effective_to).is_null() | (end >= cut_date))
        frame = frame.filter(alive)
    picked = []
    for name, (header, width) in definition.columns.items():
        text = column(header, definition.aliases.get(name, ()), optional=name in definition.optional_columns)
        picked.append((text.str.zfill(width) if width else text).alias(name))
    out = frame.select(picked)
    if definition.present:
        out = out.filter(pl.col(definition.present).is_not_null())
    for kind, spec in definition.derived.items():
        out = _classified(out, kind, spec)
    return out.unique(maintain_order=True)


def _classified(frame: pl.DataFrame, kind: str, spec: Mapping[str, Any]) -> pl.DataFrame:
    column = pl.col(spec["column"])
    if kind == "map":
        value = column.replace_strict(spec["values"], default=None, return_dtype=pl.String)
        return frame.with_columns(value.alias(spec["name"])).drop_nulls(spec["name"])
    value = pl.coalesce(*[pl.when(column.str.contains(pattern)).then(pl.lit(v)) for pattern, v in spec["patterns"]])
    return frame.with_columns(value.alias(spec["name"]))


def require(reference: Reference, table: str) -> pl.DataFrame:
    """Return a table.

    Raises:
        ContractError: a contract names a table that no definition makes.
    """
    if table not in reference.tables:
        raise ContractError(f"there is no reference table {table!r}", where="market_domain_data.odcs.yaml")
    return reference.tables[table]
