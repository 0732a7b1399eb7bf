"""Great Expectations on pandas, on the Polars engine, and raw Polars: seconds, peak memory, ratios.

    python tests/benchmarks/gx_engines.py [--rows 1000000] [--runs 3]

Each engine runs in processes of its own over one Parquet file; seconds are the best run without imports, peak
memory is that of the whole process, imports included. The counts of all three must be equal, or it fails.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

GOAL_SECONDS, GOAL_MEGABYTES = 2.0, 1000
GSP = [f"_{letter}" for letter in "ABCDEFGHJKLMNP"]
PROFILES = [f"{n:02d}" for n in range(9)]
MPIDS = [f"SUP{n}" for n in range(8)]
COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}
MANDATORY = [
    "gsp_group_id",
    "profile_class",
    "measurement_class",
    "energisation_status",
    "supplier_mpid",
    "postcode",
]


def registration(rows: int) -> pl.DataFrame:
    """Return a registration extract of any size, the same each time, with some defects of each kind."""
    n = pl.int_range(rows, eager=True)
    spin = n.hash(seed=7)

    def pick(values: list[str], salt: int, gap: int) -> pl.Series:
        place = ((spin // salt) % len(values)).cast(pl.Int64)
        chosen = pl.Series(values).gather(place)
        return pl.select(pl.when((spin // (salt + 1)) % gap != 0).then(chosen)).to_series()

    return pl.DataFrame(
        {
            "mpan_core": (n + 1_000_000_000_000 - (spin % 5000 == 0).cast(pl.Int64)).cast(pl.String),
            "gsp_group_id": pick([*GSP, "_Z"], 3, 10_000),
            "profile_class": pick(PROFILES, 5, 9_000),
            "measurement_class": pick(list("ABCDEFG"), 11, 8_000),
            "energisation_status": pick(list("DEX"), 13, 7_000),
            "supplier_mpid": pick([*MPIDS, "bad mpid"], 17, 6_000),
            "data_collector_mpid": pick(MPIDS, 19, 5_000),
            "meter_timeswitch_code": ((spin // 23) % 1_000).cast(pl.String).str.zfill(3),
            "postcode": pick(["AB1 2CD", "CF10 3AT", "M1 1AE", "nowhere"], 29, 4_000),
            "effective_from_day": ((spin // 31) % 9_000).cast(pl.Int64),
            "supplier_from_day": ((spin // 37) % 9_000).cast(pl.Int64),
        }
    )


def suite() -> list[dict[str, Any]]:
    """Return 25 expectations of the kinds that a registration contract has."""
    made: list[dict[str, Any]] = []

    def add(kind: str, **kwargs: Any) -> None:
        made.append({"type": kind, "kwargs": kwargs, "meta": {"rule": f"r{len(made):02d}"}, "severity": "critical"})

    for column in [*MANDATORY, "data_collector_mpid"]:
        add("expect_column_values_to_not_be_null", column=column)
    add("expect_column_values_to_be_in_set", column="gsp_group_id", value_set=GSP)
    add("expect_column_values_to_be_in_set", column="profile_class", value_set=PROFILES[:8])
    add("expect_column_values_to_be_in_set", column="measurement_class", value_set=list("ABCDEF"))
    add("expect_column_values_to_not_be_in_set", column="energisation_status", value_set=["X"])
    add("expect_column_values_to_match_regex", column="mpan_core", regex="^[0-9]{13}$")
    add("expect_column_values_to_match_regex", column="supplier_mpid", regex="^[A-Z0-9]{4}$")
    add(
        "expect_column_values_to_match_regex",
        column="postcode",
        regex="^[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}$",
    )
    add("expect_column_values_to_not_match_regex", column="supplier_mpid", regex="[a-z ]")
    add("expect_column_values_to_be_between", column="effective_from_day", min_value=0, max_value=8_900)
    add("expect_column_values_to_be_between", column="supplier_from_day", min_value=100)
    add("expect_column_value_lengths_to_equal", column="mpan_core", value=13)
    add("expect_column_value_lengths_to_equal", column="meter_timeswitch_code", value=3)
    add("expect_column_value_lengths_to_be_between", column="postcode", min_value=6, max_value=8)
    add("expect_column_values_to_be_unique", column="mpan_core")
    add("expect_compound_columns_to_be_unique", column_list=["mpan_core", "effective_from_day"])
    add("expect_column_pair_values_a_to_be_greater_than_b", column_A="supplier_from_day",
        column_B="effective_from_day", or_equal=True)  # fmt: skip
    add("expect_column_pair_values_to_be_equal", column_A="supplier_mpid", column_B="data_collector_mpid")
    add("expect_table_row_count_to_be_between", min_value=1)
    assert len(made) == 25
    return made


def with_polars_engine(path: str) -> Callable[[], list[int | None]]:
    """Return the run through the engine of this project, imports done."""
    from flows.quality.great_expectations import run_suite

    return lambda: [r.unexpected_count for r in run_suite([pl.scan_parquet(path)], suite(), name="benchmark").rules]


def with_pandas_engine(path: str) -> Callable[[], list[int | None]]:
    """Return the run through Great Expectations' own pandas engine, imports done."""
    import pandas as pd
    from great_expectations.core.batch import Batch
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.validator.validator import Validator

    def run() -> list[int | None]:
        rules = [ExpectationConfiguration(r["type"], r["kwargs"], meta={"at": i}) for i, r in enumerate(suite())]
        validator = Validator(PandasExecutionEngine(), batches=[Batch(data=pd.read_parquet(path))])
        validator.metrics_calculator.show_progress_bars = False
        found = validator.graph_validate(rules, {"result_format": dict(COUNTS_ONLY)})
        found.sort(key=lambda r: r.expectation_config.meta["at"])
        return [r.result.get("unexpected_count") for r in found]

    return run


def with_raw_polars(path: str) -> Callable[[], list[int | None]]:
    """Return the same counts written by hand: the floor that an engine can approach."""
    from polars import col

    def broken(rule: dict[str, Any]) -> pl.Expr | None:  # noqa: PLR0911
        kind, a = rule["type"].removeprefix("expect_column_"), rule["kwargs"]
        c = col(a.get("column", "mpan_core"))
        match kind:
            case "values_to_not_be_null":
                return c.is_null().sum()
            case "values_to_be_in_set":
                return (~c.is_in(a["value_set"])).sum()
            case "values_to_not_be_in_set":
                return c.is_in(a["value_set"]).sum()
            case "values_to_match_regex":
                return (~c.str.contains(a["regex"])).sum()
            case "values_to_not_match_regex":
                return c.str.contains(a["regex"]).sum()
            case "values_to_be_between":
                return (~c.is_between(a["min_value"], a.get("max_value", 2**40))).sum()
            case "value_lengths_to_equal":
                return (c.str.len_chars() != a["value"]).sum()
            case "value_lengths_to_be_between":
                return (~c.str.len_chars().is_between(a["min_value"], a["max_value"])).sum()
            case "pair_values_a_to_be_greater_than_b":
                return (col(a["column_A"]) < col(a["column_B"])).sum()
            case "pair_values_to_be_equal":
                one, other = col(a["column_A"]), col(a["column_B"])
                return (one.ne_missing(other)).sum()
        return None

    def run() -> list[int | None]:
        data, rules = pl.scan_parquet(path), suite()
        wanted = {r["meta"]["rule"]: broken(r) for r in rules}
        row = (
            data.select(**{k: e for k, e in wanted.items() if e is not None})
            .collect(engine="streaming")
            .row(0, named=True)
        )
        for r in rules:
            if "unique" in r["type"]:
                key = r["kwargs"].get("column_list", [r["kwargs"].get("column")])
                sizes = data.group_by(key).agg(pl.len().alias("size")).select(col("size").filter(col("size") > 1).sum())
                row[r["meta"]["rule"]] = sizes.collect(engine="streaming").item()
        return [row.get(r["meta"]["rule"]) for r in rules]

    return run


ENGINES = {"pandas GX": with_pandas_engine, "Polars GX": with_polars_engine, "raw Polars": with_raw_polars}


def measure(engine: str, path: str) -> None:
    """Run one engine in this process and print its figures as JSON."""
    started = time.perf_counter()
    run = ENGINES[engine](path)
    imported = time.perf_counter()
    counts = run()
    seconds = time.perf_counter() - imported
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "import": imported - started, "peak": peak, "counts": counts}))


def compare(rows: int, runs: int) -> int:
    """Measure every engine, print the table, and return 1 if counts differ or the goal is missed."""
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "registration.parquet")
        registration(rows).write_parquet(path)
        for engine in ENGINES:
            command = [sys.executable, __file__, "--engine", engine, "--path", path]
            results = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(runs)]
            figures[engine] = min(results, key=lambda r: r["seconds"])
    ours = figures["Polars GX"]
    print(f"{rows:,} rows x {len(suite())} expectations, best of {runs}")
    print(f"{'engine':<12}{'seconds':>9}{'import s':>10}{'peak MB':>9}{'time/ours':>11}{'memory/ours':>13}")
    for engine, f in figures.items():
        print(f"{engine:<12}{f['seconds']:>9.2f}{f['import']:>10.2f}{f['peak']:>9.0f}"
              f"{f['seconds'] / ours['seconds']:>11.2f}{f['peak'] / ours['peak']:>13.2f}")  # fmt: skip
    equal = all(f["counts"] == ours["counts"] for f in figures.values())
    met = ours["seconds"] < GOAL_SECONDS and ours["peak"] < GOAL_MEGABYTES
    print(f"counts equal: {equal}; under {GOAL_SECONDS:g} s and {GOAL_MEGABYTES} MB: {met}")
    return 0 if equal and (met or rows > 1_000_000) else 1


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", choices=list(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.engine:
        measure(asked.engine, asked.path)
        return 0
    return compare(asked.rows, asked.runs)


if __name__ == "__main__":
    sys.exit(main())
