"""``datacut anonymise`` of one registration CSV against the least that turning it into Parquet can cost.

    python -m tests.benchmarks.anonymise_floor --rows 1000000 3000000 --scratch DIR [--json OUT.json] [--markdown]

The floor is ``polars.scan_csv(file, infer_schema=False).sink_parquet(out, compression="zstd")`` on the same file. Both
run in processes of their own, in turn, so that both meet the same noise; medians of ``--runs``. Seconds are those of
the whole process, start and imports included; ``marginal`` leaves the start out: the ratio of what the rows between
two sizes cost. The file is that of the sample's largest distributor, with its defects, rows as ``datacut sample`` makes
them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import yaml

from flows.sample.chunk import SampleTally, compose
from flows.sample.layout import sinks
from flows.sample.request import SampleRequest
from tests.benchmarks.watched import MIB, about, machine, table, watch
from tests.benchmarks.whole_job import DATACUT, clean, stages

FLOOR = """import sys, polars as pl
pl.scan_csv(sys.argv[1], infer_schema=False).sink_parquet(sys.argv[2], compression="zstd")"""
DISTRIBUTOR, SOURCE = "EELC", "EELC/registration.csv"
SHARE = 0.45  # of the sample's metering points that are the distributor's, at least
GOAL_RATIO = 3.0
OURS, LEAST = "datacut anonymise", "floor"


def registration(rows: int, seed: int, defects: float, folder: Path) -> Path:
    """Make a folder with the registration of one distributor, exactly ``rows`` rows, and a ``cut.yaml`` for it."""
    made = watch([*DATACUT, "sample", "--mpans", "1000", "--seed", str(seed), "--published-keys", "--out", folder])
    if made.code:
        raise SystemExit(f"datacut sample ended with {made.code}: {made.err.strip()}")
    cut_file = folder / "cut.yaml"
    cut = yaml.safe_load(cut_file.read_text(encoding="utf-8"))
    cut["participants"] = [p for p in cut["participants"] if p["mpid"] == DISTRIBUTOR]
    del cut["ring_fence"]
    cut_file.write_text(yaml.safe_dump(cut, sort_keys=False), encoding="utf-8")
    _rows(rows, SampleRequest(max(1000, int(rows / SHARE)), seed, defects), folder)
    return cut_file


def _rows(rows: int, request: SampleRequest, folder: Path) -> None:
    others = folder / "others"
    files = sinks(others)
    tally, left = SampleTally(), rows
    try:
        for number in range(request.chunks):
            (frame,) = (part for path, part in compose(request, number, tally).parts if path == SOURCE)
            files[SOURCE].add(frame.head(left))
            left -= min(left, frame.height)
            if not left:
                break
    finally:
        for sink in files.values():
            sink.close()
    if left:
        raise SystemExit(f"the sample has {left:,} rows too few")
    (others / SOURCE).replace(folder / SOURCE)
    shutil.rmtree(others)


def measure(rows: int, given: argparse.Namespace) -> dict[str, Any]:
    """Measure one size: both in turn, ``--runs`` times."""
    folder = given.scratch / f"registration-{rows}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        cut = registration(rows, given.seed, given.defects, folder)
        before = {path.name for path in folder.iterdir()}
        found: dict[str, list[dict[str, Any]]] = {OURS: [], LEAST: []}
        for turn in range(given.runs):
            for name in (OURS, LEAST) if turn % 2 == 0 else (LEAST, OURS):
                found[name].append(_run(name, cut))
                clean(folder, before)
        size = (folder / SOURCE).stat().st_size
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    middle = {name: _median(runs) for name, runs in found.items()}
    return {"rows": rows, "bytes_in": size, "runs": found, **middle}


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {key: statistics.median(r[key] for r in runs) for key in runs[0] if key != "stages"}
    by_stage = {stage: statistics.median(r["stages"][stage] for r in runs) for stage in runs[0]["stages"]}
    return {**figures, "stages": by_stage}


def _run(name: str, cut: Path) -> dict[str, Any]:
    folder, log, by_stage = cut.parent, cut.with_name("benchmark.log"), {}
    if name == OURS:
        done = watch([*DATACUT, "anonymise", cut, "--plain", "--json", "--log", log], folder=folder)
        written = _parquet(folder / "out")
    else:
        out = folder / "floor.parquet"
        done = watch([sys.executable, "-c", FLOOR, folder / SOURCE, out], folder=folder)
        written = out.stat().st_size if out.is_file() else 0
    if done.code:
        raise SystemExit(f"{name} ended with {done.code}: {done.err.strip()}")
    if name == OURS:
        by_stage = {stage: facts["seconds"] for stage, facts in stages(done, log).items()}
    used = {"seconds": done.wall, "cpu_seconds": done.cpu, "peak_mib": done.peak / MIB, "bytes_out": written}
    return {**used, "stages": by_stage}


def _parquet(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("registration.parquet") if "excluded" not in path.parts)


def show(kept: dict[str, Any], *, markdown: bool) -> str:
    """Return the table: ours, the floor, and their ratio, by size."""
    rows, before = [], None
    for found in kept["sizes"]:
        ours, floor = found[OURS], found[LEAST]
        marginal = ""
        if before:
            more = ours["seconds"] - before[OURS]["seconds"]
            least = floor["seconds"] - before[LEAST]["seconds"]
            marginal = f"{more / least:.2f}" if least > 0 else ""
        rows.append(
            (
                f"{found['rows']:,}",
                f"{found['bytes_in'] / MIB:,.1f}",
                f"{ours['seconds']:.2f}",
                f"{floor['seconds']:.2f}",
                f"{ours['seconds'] / floor['seconds']:.2f}",
                marginal,
                f"{ours['cpu_seconds']:.2f}",
                f"{floor['cpu_seconds']:.2f}",
                f"{ours['peak_mib']:,.0f}",
                f"{floor['peak_mib']:,.0f}",
                f"{ours['bytes_out'] / MIB:,.1f}",
                f"{floor['bytes_out'] / MIB:,.1f}",
            )
        )
        before = found
    names = ("rows", "MiB in", "ours s", "floor s", "ratio", "marginal ratio", "ours CPU s", "floor CPU s", "ours MiB",
             "floor MiB", "ours MiB out", "floor MiB out")  # fmt: skip
    told = f"Medians of {kept['runs']}, in turn; goal: ratio at most {GOAL_RATIO:g}."
    last = kept["sizes"][-1]
    spent = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in last[OURS]["stages"].items())
    told += f" Ours at {last['rows']:,} rows, by stage: {spent}."
    facts = about(kept["machine"]) if markdown else json.dumps(kept["machine"])
    return "\n\n".join((facts, table(names, rows, markdown=markdown), told))


def main() -> int:
    """Measure each size and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--scratch", type=Path, help="folder on a disk that is large enough")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defects", type=float, default=0.05)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what OUT.json holds and measure nothing")
    given = parser.parse_args()
    if given.show:
        kept = json.loads(given.json.read_text(encoding="utf-8"))
    else:
        if given.scratch is None:
            parser.error("give --scratch")
        given.scratch = given.scratch.resolve()
        given.scratch.mkdir(parents=True, exist_ok=True)
        kept = {"machine": machine(), "runs": given.runs, "sizes": []}
        for rows in sorted(set(given.rows)):
            kept["sizes"].append(measure(rows, given))
            if given.json:
                given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(show(kept, markdown=given.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
