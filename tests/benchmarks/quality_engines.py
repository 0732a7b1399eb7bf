"""Validating N metering points: our row verdicts and Great Expectations on Polars, plain Polars, and pandas.

    python -m tests.benchmarks.quality_engines --mpans 1000000 [--scratch DIR] [--most-pandas 1000000]

All rules of all contracts over all extracts of a sample. Each engine works in a process of its own and reads the files
of a work folder; seconds are without imports, peak memory is the process' own, imports included.

- ``row verdicts``: from pseudonymised rows to look-ups, verdicts of every rule and excluded metering points.
- ``GX on Polars``: every rule counted anew over the judged rows, partition by partition, by our engine.
- ``plain Polars``: the same counts written as one query for each extract: the floor.
- ``GX on pandas``: the same counts by Great Expectations' own engine, a source at a time in memory. It is spared what
  it has no means for: SQL conditions, look-ups and verdicts on raw text are handed to it as true and false.

The counts of the three must agree rule by rule, or it fails.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from contracts.model import Contract, Rule
from contracts.vocabulary import LOOK_UPS, Expectation, RuleStage
from tests.peak import peak_rss_kib

Counts = dict[str, int]
FIRST, COUNTING = "row verdicts", ("GX on Polars", "plain Polars", "GX on pandas")
AS_IT_STANDS = (Expectation.PRESENT, Expectation.IN_SET, Expectation.MATCH, Expectation.NO_MATCH, Expectation.UNIQUE)
PANDAS = "for-pandas"


def prepare(folder: Path, mpans: int) -> Counts:
    """Make a sample and pseudonymise it: what every engine starts from."""
    from flows import pipeline
    from flows.sample import SampleRequest, generate

    generate(SampleRequest(mpans, 1, 0.05), folder)
    cut = str(folder / "cut.yaml")
    plan = pipeline.prepare(cut)
    return {f"{mpid}/{extract}": pipeline.pseudonymise(cut, mpid, extract).rows for mpid, extract in plan.sources}


def row_verdicts(folder: Path) -> Callable[[], Counts]:
    """Return the quality stage up to its verdicts, imports and configuration done."""
    from flows import pipeline

    cut = str(folder / "cut.yaml")
    plan = pipeline.prepare(cut)
    assert plan.resumed

    def run() -> Counts:
        pipeline.tabulate(cut)
        pipeline.judge_part(cut, list(range(plan.partitions)))
        return {}

    return run


def sources(folder: Path) -> Iterator[tuple[str, Contract, list[Rule], list[pl.LazyFrame]]]:
    """Give every source: its name, contract, the rules that can be judged on it, and its judged partitions."""
    from flows.cut.context import context
    from flows.cut.partitions import JUDGED, uncarried
    from flows.cut.records import CrossPartitionNames
    from flows.quality.rule_counts import _local_names
    from flows.quality.verdicts import EXTRACT
    from transforms.quality.lookups import PARTICIPANT, judged

    known = context(str(folder / "cut.yaml"))
    workspace, extracts = known.workspace, known.extracts
    missing = uncarried(workspace, extracts)
    tables = {*known.reference.tables, *workspace.recorded(CrossPartitionNames).names, *_local_names(extracts)}
    tables |= {f"{EXTRACT}{h.extract}" for h in extracts}
    for h in extracts:
        contract, without = known.contracts[h.extract], missing.get(h.extract, {}).get(h.participant, set())
        scans = [workspace.scan(JUDGED, h.participant, h.extract, n) for n in range(workspace.partitions)]
        rules = [*contract.rules_at(RuleStage.INTAKE), *judged(contract, RuleStage.QUALITY, tables)]
        mine = [rule for rule in rules if not rule.carried or rule.carried not in without]
        parts = [scan.with_columns(pl.lit(h.participant).alias(PARTICIPANT)) for scan in scans if scan is not None]
        if parts:
            yield f"{h.participant}/{h.extract}", contract, mine, parts


def gx_on_polars(folder: Path) -> Callable[[], Counts]:
    """Return the count by our engine."""
    from flows.cut.partitions import ORDER
    from flows.quality.great_expectations.run import run_suite
    from transforms.quality import expectations

    def run() -> Counts:
        found = {}
        for name, contract, rules, parts in sources(folder):
            kept = [part.with_columns(expectations.kept_columns(contract)) for part in parts]
            result = run_suite(kept, expectations.expectations(contract, rules), name=name, range_key=ORDER)
            found |= {f"{name} {r.rule}": r.unexpected_count or 0 for r in result.rules}
        return found

    return run


def plain_polars(folder: Path) -> Callable[[], Counts]:
    """Return the count as one query for each source."""
    from transforms.quality.rules import broken, holds, unique_key

    def count(contract: Contract, rule: Rule) -> pl.Expr:
        if rule.stage is RuleStage.INTAKE:
            return broken(contract, rule.id).sum()
        excused = pl.any_horizontal([pl.lit(value=False), *(broken(contract, other) for other in rule.unless)])
        return (~holds(rule) & ~excused).sum()

    def repeated(contract: Contract, rule: Rule, whole: pl.LazyFrame) -> pl.LazyFrame:
        keys = unique_key(rule.kwargs["column_list"])
        excused = pl.any_horizontal([pl.lit(value=False), *(broken(contract, other) for other in rule.unless)])
        sizes = whole.filter(~excused).select(keys).drop_nulls().group_by(keys).len()
        return sizes.select(pl.col("len").filter(pl.col("len") > 1).sum().alias(rule.id))

    def run() -> Counts:
        found = {}
        for name, contract, rules, parts in sources(folder):
            whole = pl.concat(parts)
            simple = [r for r in rules if r.expectation != Expectation.UNIQUE]
            queries = [whole.select(count(contract, rule).alias(rule.id) for rule in simple)]
            queries += [repeated(contract, r, whole) for r in rules if r.expectation == Expectation.UNIQUE]
            for table in pl.collect_all(queries, engine="streaming"):
                found |= {f"{name} {rule}": value or 0 for rule, value in table.row(0, named=True).items()}
        return found

    return run


def hand_to_pandas(folder: Path) -> None:
    """Write what pandas is given of each source: columns as they stand, and true or false where it cannot judge."""
    from contracts.conditions import sql
    from transforms.quality.rules import broken, holds, unique_key

    (folder / PANDAS).mkdir()
    for name, contract, rules, parts in sources(folder):
        columns: dict[str, pl.Expr] = {}
        for rule in rules:
            if stands(rule):
                names = (
                    unique_key(rule.kwargs["column_list"]) if "column_list" in rule.kwargs else [rule.kwargs["column"]]
                )
                columns |= {column: pl.col(column) for column in names}
            else:
                own = ~broken(contract, rule.id) if rule.stage is RuleStage.INTAKE else holds(rule)
                columns[f"ok_{rule.id}"] = own
            applies = [~broken(contract, other) for other in rule.unless if rule.stage is not RuleStage.INTAKE]
            if "row_condition" in rule.kwargs and stands(rule):
                applies.append(sql(rule.kwargs["row_condition"]).fill_null(value=False))
            if applies:
                columns[f"if_{rule.id}"] = pl.all_horizontal(applies)
        path = folder / PANDAS / f"{name.replace('/', '-')}.parquet"
        pl.concat(parts).select(e.alias(c) for c, e in columns.items()).sink_parquet(path)


def stands(rule: Rule) -> bool:
    """Tell whether pandas can judge a rule over the columns as they stand."""
    return rule.stage is not RuleStage.INTAKE and rule.expectation in AS_IT_STANDS and rule.expectation not in LOOK_UPS


def gx_on_pandas(folder: Path) -> Callable[[], Counts]:
    """Return the count by Great Expectations' own pandas engine."""
    import pandas as pd
    from great_expectations.core.batch import Batch
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.row_conditions import PassThroughCondition
    from great_expectations.validator.validator import Validator

    from transforms.quality import expectations

    only_counts = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}

    def configuration(contract: Contract, rule: Rule, columns: set[str]) -> ExpectationConfiguration:
        given = expectations.expectations(contract, [rule])[0] if stands(rule) else None
        kind, kwargs = "expect_column_values_to_be_in_set", {"column": f"ok_{rule.id}", "value_set": [True]}
        if given:
            kind, kwargs = given["type"], {k: v for k, v in given["kwargs"].items() if k != "row_condition"}
        if f"if_{rule.id}" in columns:
            kwargs = {**kwargs, "row_condition": PassThroughCondition(pass_through_filter=f"`if_{rule.id}`")}
        return ExpectationConfiguration(kind, kwargs, meta={"rule": rule.id})

    def run() -> Counts:
        found = {}
        for name, contract, rules, _ in sources(folder):
            table = pd.read_parquet(folder / PANDAS / f"{name.replace('/', '-')}.parquet")
            validator = Validator(PandasExecutionEngine(), batches=[Batch(data=table)])
            validator.metrics_calculator.show_progress_bars = False
            wanted = [configuration(contract, rule, set(table.columns)) for rule in rules]
            for verdict in validator.graph_validate(wanted, {"result_format": dict(only_counts)}):
                rule = verdict.expectation_config.meta["rule"]
                found[f"{name} {rule}"] = verdict.result.get("unexpected_count") or 0
        return found

    return run


ENGINES = {
    FIRST: row_verdicts,
    "GX on Polars": gx_on_polars,
    "plain Polars": plain_polars,
    "GX on pandas": gx_on_pandas,
}


def measure(engine: str, folder: Path) -> None:
    """Run one engine in this process and print its figures as JSON."""
    run = ENGINES[engine](folder)
    if engine != FIRST:
        list(sources(folder))  # contracts and reference data are read before the clock starts
    began, worked = time.perf_counter(), time.process_time()
    counts = run()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_rss_kib() / 1024, "counts": counts}))


def in_a_process(*arguments: str) -> str:
    """Run this file in a process of its own and return what it prints."""
    command = [sys.executable, "-m", "tests.benchmarks.quality_engines", *arguments]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def compare(mpans: int, scratch: Path, most_pandas: int) -> int:
    """Measure every engine over one sample, print the table, and return 1 where counts differ."""
    folder = scratch / f"quality-{mpans}"
    rows = json.loads(in_a_process("--step", "prepare", "--folder", str(folder), "--mpans", str(mpans)))
    engines = [e for e in ENGINES if e != "GX on pandas" or mpans <= most_pandas]
    figures: dict[str, dict[str, Any]] = {}
    for engine in engines:
        if engine == "GX on pandas":
            in_a_process("--step", "hand", "--folder", str(folder))
        figures[engine] = json.loads(in_a_process("--step", engine, "--folder", str(folder)))
    shutil.rmtree(folder)
    counts = {engine: figures[engine]["counts"] for engine in engines if engine in COUNTING}
    ours = figures["GX on Polars"]
    differ = {k for found in counts.values() for k in found if found[k] != ours["counts"].get(k)}
    print(f"{mpans:,} metering points, {sum(rows.values()):,} rows of {len(rows)} sources, "
          f"{len(ours['counts'])} rules, {sum(ours['counts'].values()):,} broken")  # fmt: skip
    print(f"| {'engine':<26} | seconds | CPU s | peak MiB | time / plain Polars |\n|---|--:|--:|--:|--:|")
    both = {n: figures[FIRST][n] + ours[n] for n in ("seconds", "cpu")}
    figures["row verdicts + GX on Polars"] = {**both, "peak": max(figures[FIRST]["peak"], ours["peak"])}
    for engine, found in figures.items():
        ratio = found["seconds"] / figures["plain Polars"]["seconds"]
        print(f"| {engine:<26} | {found['seconds']:.2f} | {found['cpu']:.2f} | {found['peak']:.0f} | {ratio:.1f} |")
    if "GX on pandas" not in engines:
        print(f"GX on pandas is left out above {most_pandas:,}: it holds each source in memory")
    print(f"counts agree, rule by rule: {not differ}" + f" {sorted(differ)[:5]}" * bool(differ))
    return 1 if differ else 0


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpans", type=int, default=1_000_000)
    parser.add_argument(
        "--scratch", type=Path, help="folder for the sample, which is removed; default: a temporary one"
    )
    parser.add_argument("--most-pandas", type=int, default=1_000_000, help="no pandas above this size")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step == "prepare":
        print(json.dumps(prepare(asked.folder, asked.mpans)))
    elif asked.step == "hand":
        hand_to_pandas(asked.folder)
    elif asked.step:
        measure(asked.step, asked.folder)
    else:
        with tempfile.TemporaryDirectory(dir=asked.scratch) as scratch:
            return compare(asked.mpans, Path(scratch), asked.most_pandas)
    return 0


if __name__ == "__main__":
    sys.exit(main())
