"""Releases without whole runs: submission packs, which are exact, treated as a release is.

What a run does besides is left out: rules over several participants, expected results, mixing of half-hours, and that
linked metering points are moved together. Dates, amounts and codes are what a run releases.

    python -m tests.treatment.treated SUBMISSION CUT.yaml PROFILE OUT
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from contracts.load import load_all
from contracts.model import Contract
from contracts.overlay import NONE
from contracts.profiles import Profile, amount_steps, under_profile
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from flows.cut.config import load_cut
from flows.cut.context import cut_keys
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser, treat

AT_ONCE = 250_000


def treating(keys: FieldKeys, cut: Path) -> Pseudonymiser:
    """Return what treats the releases of a cut under some keys."""
    return Pseudonymiser(
        keys, lists=scheme_lists(), precision=ReleasedPrecision(load_cut(cut).model.cut.date, amount_steps())
    )


def extracts(submission: Path, contracts: Mapping[str, Contract]) -> list[Path]:
    """Return the files of a submission pack that hold an extract."""
    return [path for path in sorted(submission.glob("data/*/*.parquet")) if path.stem in contracts]


def treated_pack(submission: Path, cut: Path, profile: Profile, out: Path) -> None:
    """Write what a run would release of a submission pack into ``out``, a part of a file at a time."""
    contracts = under_profile(load_all(), profile, NONE)
    maker = treating(cut_keys(load_cut(cut)), cut)
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
