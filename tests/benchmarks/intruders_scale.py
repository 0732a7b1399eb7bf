"""Seconds and memory of ``datacut attack`` by the number of metering points, and the exponent.

    python -m tests.benchmarks.intruders_scale --mpans 100000 300000 1000000 --scratch DIR

The pack is made from the sample's backups without a whole run: what intruders look at, under the cut's key, treated as
profile standard treats it, in the order in which a release is written. Half-hours are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl

from contracts.attack import intruders
from contracts.load import load_all
from contracts.overlay import NONE
from contracts.profiles import Profile, under_profile
from flows.attack.truth import Truth
from tests.benchmarks.projection import exponent
from tests.benchmarks.watched import MIB, watch
from tests.treatment.treated import shared, treating
from transforms.attack.facts import ORDER, wanted
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import texts
from transforms.pseudonymise.pseudonymiser import treat

DATACUT = [sys.executable, "-c", "from flows.cli.main import main; main()"]
HIDDEN = {
    "postcode": pl.col("postcode").str.replace_all(" ", "").str.head(-3) + "0AA",
    "meter_serial_number": pl.col("meter_serial_number").str.extract(r"^([A-Z][0-9]{2})") + "000000",
    "related_mpan": pl.when(pl.col("related_mpan").is_not_null()).then(pl.lit("related")),
}  # what stands in for the rest of an identifier: intruders do not look at it


def release(cut: Path, out: Path, key: bytes) -> None:
    """Write the tables that intruders look at."""
    truth, plan = Truth.of(cut), intruders()
    under = under_profile(load_all(), Profile.STANDARD, NONE)
    meters = (
        rows.lazy().with_columns(pl.Series(ORDER, orders))
        for participant in truth.job.model.participants
        for entry in participant.extracts
        if entry.contract == "metering"
        for orders, rows in truth.rows(participant, entry)
    )
    maker = treating(FieldKeys(key, "SCALE"), cut).among(shared((("metering", rows) for rows in meters), under))
    for participant in truth.job.model.participants:
        parts: dict[str, list[pl.DataFrame]] = {}
        for entry in participant.extracts:
            columns = list(dict.fromkeys(column for _, column in wanted(plan.facts, entry.contract)))
            for orders, rows in truth.rows(participant, entry) if columns else ():
                kept = [name for name in columns if name in rows.columns and name != "mpan_core"]
                frame = rows.select(HIDDEN.get(name, pl.col(name)).alias(name) for name in kept)
                frame = frame.with_columns(texts(orders).alias("mpan_core"), pl.Series(ORDER, orders))
                parts.setdefault(entry.contract, []).append(treat(frame.lazy(), under[entry.contract], maker).collect())
        for extract, frames in parts.items():
            path = out / "data" / participant.mpid / f"{extract}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = pl.concat(frames, how="diagonal_relaxed").unique(["mpan_core", *frames[0].columns])
            whole.sort(ORDER).drop(ORDER).write_parquet(path)


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mpans", type=int, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--scratch", type=Path, required=True)
    given = parser.parse_args()
    found: list[tuple[int, float, float, int]] = []
    print("| metering points | CPU s | seconds | peak MiB | exponent |\n|---|---|---|---|---|")
    for mpans in given.mpans:
        folder: Path = given.scratch / f"intruders-{mpans}"
        if not (folder / "cut.yaml").is_file():
            asked = ["--mpans", mpans, "--seed", given.seed, "--published-keys", "--out", folder]
            made = watch([*DATACUT, "sample", *map(str, asked)])
            assert made.code == 0, made.err
        if not (folder / "pack").is_dir():
            release(folder / "cut.yaml", folder / "pack", bytes(range(32)))
        done = watch([*DATACUT, "attack", folder / "pack", "--truth", folder / "cut.yaml", "--targets",
                      str(given.targets), "--json"])  # fmt: skip
        assert done.code == 0, done.err
        growth = f"{exponent([(found[-1][0], found[-1][1]), (mpans, done.cpu)]):.2f}" if found else ""
        found.append((mpans, done.cpu, done.wall, done.peak))
        print(f"| {mpans:,} | {done.cpu:.1f} | {done.wall:.1f} | {done.peak // MIB:,} | {growth} |", flush=True)


if __name__ == "__main__":
    main()
