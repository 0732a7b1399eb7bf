"""Reads a pack's payload back, whoever of the participants holds it: one frame for each kind of file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from flows.pack import bag


def frames(root: Path) -> dict[str, pl.LazyFrame]:
    """Return each kind of file over all participants as one frame; Parquet where there is some, else CSV as text.

    Args:
        root: a pack's folder, or one that is still growing.
    """
    files: dict[str, dict[str, Path]] = {}
    for path in sorted((root / bag.PAYLOAD).glob("*/*")):
        if path.suffix in (".parquet", ".csv"):
            place = files.setdefault(path.stem, {})
            if path.suffix == ".parquet" or path.parent.name not in place:
                place[path.parent.name] = path
    return {kind: _frame(found.values()) for kind, found in sorted(files.items())}


def _frame(paths: Iterable[Path]) -> pl.LazyFrame:
    parts = [
        pl.scan_parquet(p) if p.suffix == ".parquet" else pl.scan_csv(p, infer_schema=False) for p in sorted(paths)
    ]
    return pl.concat(parts, how="diagonal_relaxed")


def columns(root: Path) -> dict[str, list[str]]:
    """Return the columns of each kind of file, in their order."""
    return {kind: frame.collect_schema().names() for kind, frame in frames(root).items()}
