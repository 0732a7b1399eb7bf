"""The ledger at full size: a million reservations in twenty commits, their audit, and the latency of a small commit.

python -m tests.benchmarks.ringfence_ledger sqlite:////tmp/ledger.db
python -m tests.benchmarks.ringfence_ledger postgresql://user@/database?host=/socket/folder
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import polars as pl

from flows.ringfence.audit import verify_ledger
from flows.ringfence.ledger import Change, Ledger
from flows.ringfence.schema import ROW

CUT = "BENCHMARK"


def rows(first: int, number: int) -> pl.DataFrame:
    """Return rows of ``number`` units."""
    mpans = pl.Series("mpan", range(first, first + number)).cast(pl.String).str.zfill(13)
    said = {"phase": "SIT", "stage": "non-functional", "test_case": "NFT-1", "participant": "SUPA",
            "participant_role": "Supplier", "role": "BASE"}  # fmt: skip
    frame = pl.DataFrame({"mpan": mpans, "unit": mpans}).with_columns(pl.lit(v).alias(k) for k, v in said.items())
    return frame.with_columns(pl.lit(1, pl.Int64).alias("round"), pl.lit(0, pl.Int64).alias("reuse")).select(ROW)


def change(name: str) -> Change:
    """Return a change of that name."""
    return Change(CUT, name, name, "benchmark", "2023-08-19T00:00:00+00:00", "benchmark")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=20)
    options = parser.parse_args()
    size = options.units // options.commits
    with Ledger(options.url) as ledger:
        begin = time.perf_counter()
        for number in range(options.commits):
            ledger.commit(change(f"bulk-{number}"), rows(number * size, size))
        print(f"{options.units:,} reservations in {options.commits} commits: {time.perf_counter() - begin:.1f} s")
        begin = time.perf_counter()
        found = verify_ledger(ledger, CUT)
        print(f"audit of {found.events:,} events: {time.perf_counter() - begin:.1f} s")
        took = []
        for number in range(500):
            begin = time.perf_counter()
            ledger.commit(change(f"small-{number}"), rows(options.units + number, 1))
            took.append((time.perf_counter() - begin) * 1000)
        took.sort()
        print(f"commit of one unit: median {statistics.median(took):.2f} ms, 99 % {took[494]:.2f} ms")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
