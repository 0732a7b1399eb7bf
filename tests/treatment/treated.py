"""Releases without whole runs: submission packs, which are exact, treated as a release is.

What a run does besides is left out: rules over several participants, expected results, mixing of half-hours, and that
linked metering points are moved together. Dates, amounts and codes are what a run releases.

    python -m tests.treatment.treated SUBMISSION CUT.yaml PROFILE OUT
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from contracts.load import load_all
from contracts.model import Contract
from contracts.overlay import NONE
from contracts.profiles import Profile, amount_steps, under_profile
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from contracts.vocabulary import Method
from flows.cut.config import load_cut
from flows.cut.context import cut_keys
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import order_key
from transforms.pseudonymise.pseudonymiser import ORDER, Pseudonymiser, treat
from transforms.treatment.shared_texts import HEADS, POINTS, VALUE, SharedRule, enough, tally

AT_ONCE = 250_000


def treating(keys: FieldKeys, cut: Path) -> Pseudonymiser:
    """Return what treats the releases of a cut under some keys."""
    return Pseudonymiser(
        keys, lists=scheme_lists(), precision=ReleasedPrecision(load_cut(cut).model.cut.date, amount_steps())
    )


def shared(tables: Iterable[tuple[str, pl.LazyFrame]], contracts: Mapping[str, Contract]) -> dict[str, pl.Series]:
    """Return the free texts that are released: counted over tables with ``_order``; nobody follows another."""
    nobody = (np.empty(0, np.uint64), np.empty(0, np.uint64))
    counted: dict[tuple[str, str], list[pl.DataFrame]] = {}
    columns = [(extract, c, t) for extract, contract in contracts.items() for c in contract.staged
               if (t := contract.treatment(c)).method is Method.COMMON]  # fmt: skip
    for extract, table in tables:
        for name, column, treatment in columns:
            if name == extract and column.name in table.collect_schema():
                found = tally(table, column.name, SharedRule.of(treatment), nobody)
                counted.setdefault((extract, column.name), []).append(found)
    kept = {}
    for extract, column, treatment in columns:
        parts = counted.get((extract, column.name), [])
        whole = pl.concat(parts).group_by(VALUE).agg(pl.col(POINTS, HEADS).sum()) if parts else None
        none = pl.Series(VALUE, [], dtype=pl.String)
        kept[f"{extract}.{column.name}"] = none if whole is None else enough(whole, SharedRule.of(treatment))
    return kept


def extracts(submission: Path, contracts: Mapping[str, Contract]) -> list[Path]:
    """Return the files of a submission pack that hold an extract."""
    return [path for path in sorted(submission.glob("data/*/*.parquet")) if path.stem in contracts]


def treated_pack(submission: Path, cut: Path, profile: Profile, out: Path) -> None:
    """Write what a run would release of a submission pack into ``out``, a part of a file at a time."""
    contracts = under_profile(load_all(), profile, NONE)
    tables = ((path.stem, pl.scan_parquet(path).with_columns(order_key().alias(ORDER)))
              for path in extracts(submission, contracts))  # fmt: skip
    maker = treating(cut_keys(load_cut(cut)), cut).among(shared(tables, contracts))
    for path in extracts(submission, contracts):
        if path.stem == "half_hourly":
            continue
        target = out / "data" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        writer: pq.ParquetWriter | None = None
        for part in pq.ParquetFile(path).iter_batches(batch_size=AT_ONCE):
            frame = pl.DataFrame(part)
            table = treat(frame.lazy(), contracts[path.stem], maker).collect().to_arrow()
            writer = writer or pq.ParquetWriter(target, table.schema)
            writer.write_table(table)
        if writer:
            writer.close()


if __name__ == "__main__":
    treated_pack(Path(sys.argv[1]), Path(sys.argv[2]), Profile(sys.argv[3]), Path(sys.argv[4]))
