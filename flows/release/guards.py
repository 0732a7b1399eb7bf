"""Guards of a release: what was written is held against what was to be written, by reading it back.

Each looks at the files and asks none of the steps that made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from contracts.errors import QualityError, ResidueError
from contracts.model import Column, Contract
from contracts.vocabulary import Classification, Method
from flows.cut.context import Context
from flows.cut.partitions import read_exclusions
from transforms.treatment.shared_texts import OTHER, SharedRule

REMEDY = "nothing was published; please report it"
FIRST_OF = {"year": ("month", "day"), "month": ("day",)}
TOKEN = r"^[0-9a-f]{32}$"  # noqa: S105 - the shape of one


def require_held(known: Context, root: Path) -> None:
    """Hold the released extracts of a pack against policy, exclusions and each participant's own metering points.

    Raises:
        ResidueError: a column is not treated as the policy says.
        QualityError: an excluded metering point was released, or a participant gets another's.
    """
    excluded = _excluded(known)
    for participant in known.job.model.participants:
        folder = root / "data" / participant.mpid
        own: list[pl.Series] = []
        for extract in participant.extracts:
            path = folder / f"{extract.contract}.parquet"
            if path.is_file():
                frame = pl.scan_parquet(path)
                _treated(frame, known.contracts[extract.contract], path, root)
                own.append(_points(frame))
                _none_excluded(own[-1], excluded, path, root)
        for name in ("augmented", "allocations", "counterparties"):
            path = folder / f"{name}.parquet"
            if path.is_file() and own:
                _only_own(_points(pl.scan_parquet(path)), pl.concat(own), path, root)
    for name, contract in known.contracts.items():
        _few_share(contract, sorted(root.glob(f"data/*/{name}.parquet")), root)


def _points(frame: pl.LazyFrame) -> pl.Series:
    return frame.select(pl.col("mpan_core").drop_nulls().unique()).collect()["mpan_core"]


def _excluded(known: Context) -> pl.Series:
    parts = [read_exclusions(known.workspace, n)["mpan_core"] for n in range(known.workspace.partitions)]
    return pl.concat(parts).drop_nulls()


def _none_excluded(points: pl.Series, excluded: pl.Series, path: Path, root: Path) -> None:
    count = int(points.is_in(excluded.implode()).sum())
    if count:
        where = path.relative_to(root).as_posix()
        raise QualityError(f"{count} excluded metering points were released", where=where, remedy=REMEDY)


def _only_own(points: pl.Series, own: pl.Series, path: Path, root: Path) -> None:
    others = int((~points.is_in(own.implode())).sum())
    if others:
        where = path.relative_to(root).as_posix()
        raise QualityError(f"{others} metering points of others were released", where=where, remedy=REMEDY)


def _treated(frame: pl.LazyFrame, contract: Contract, path: Path, root: Path) -> None:
    """Look at every column that the policy hides or coarsens."""
    schema = frame.collect_schema()
    tests: list[pl.Expr] = []
    for column in contract.columns:
        method = contract.treatment(column).method
        if column.name not in schema:
            continue
        if method is Method.DROP:
            _untreated(column.name, path, root)
        test = _left_as_it_was(column, contract, schema[column.name])
        if test is not None:
            tests.append(test.any().alias(column.name))
    if tests:
        found = frame.select(tests).collect().row(0, named=True)
        for name, broken in found.items():
            if broken:
                _untreated(name, path, root)


def _few_share(contract: Contract, paths: Sequence[Path], root: Path) -> None:
    """Look for free texts that are released though few metering points have them, counted in what was written."""
    for column in contract.columns:
        treatment = contract.treatment(column)
        if treatment.method is not Method.COMMON:
            continue
        found = [
            rows.group_by(column.name).agg(pl.col("mpan_core").n_unique().alias("points"))
            for path in paths
            if column.name in (rows := pl.scan_parquet(path)).collect_schema()
        ]
        if found:
            counted = pl.concat(found).group_by(column.name).agg(pl.col("points").sum()).drop_nulls().collect()
            few = counted.filter((pl.col("points") < SharedRule.of(treatment).least) & (pl.col(column.name) != OTHER))
            if few.height:
                _untreated(column.name, paths[0], root)


def _untreated(column: str, path: Path, root: Path) -> None:
    where = f"{path.relative_to(root).as_posix()}, column {column}"
    raise ResidueError("is not treated as the policy says", where=where, remedy=REMEDY)


def _left_as_it_was(column: Column, contract: Contract, kind: pl.DataType) -> pl.Expr | None:
    """Return what no value of a column can be once it is treated; nothing where any value can."""
    treatment, value = contract.treatment(column), pl.col(column.name)
    word, _, amount = str(treatment.rule or "").partition(" ")
    if treatment.method is Method.SUPPRESS:
        return value.is_not_null()
    if treatment.method is Method.TOKEN and column.classification is not Classification.IDENTIFIER:
        return ~value.cast(pl.String).str.contains(TOKEN)
    if treatment.method is Method.GENERALISE and word in FIRST_OF and kind == pl.Date:
        return pl.any_horizontal(getattr(value.dt, part)() != 1 for part in FIRST_OF[word])
    if treatment.method is Method.GENERALISE and word == "first" and kind == pl.String:
        return value.str.len_chars() > int(amount)
    return None
