"""The allocator at full size: seconds, peak memory, the bound it meets, and what a naive greedy leaves behind.

    python -m tests.benchmarks.ringfence_allocator FOLDER --mpans 1000000

Each measurement runs in a process of its own. ``product`` is the command as a user calls it. ``bound`` is a maximum
flow over units grouped by who may use them, written here from the binding semantics, sharing no code with the
product. ``naive`` serves demands in the order of the file, each with the first free units that fit.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from tests.benchmarks.ringfence_instance import SIZES, write

BULK_CASES = 30


def usable_units(people: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each usable unit: attributes of its import (``*``) and of its export half (``*_export``)."""
    rows = people.with_columns(unit=pl.min_horizontal("mpan", "linked_mpan"))
    bad = rows.filter(~pl.col("conforming")).select("unit")
    rows = rows.join(bad, on="unit", how="anti")
    imports = rows.filter(pl.col("direction") == "IMPORT").select("unit", *SIZES)
    exports = rows.filter(pl.col("direction") == "EXPORT").select("unit", *SIZES)
    return imports.join(exports, on="unit", how="left", suffix="_export").sort("unit")


def fits(book: pl.DataFrame) -> list[pl.Expr]:
    """Return for each demand the condition on a unit."""
    found = []
    for row in book.to_dicts():
        near, far = json.loads(row["criteria"]), json.loads(row["export_criteria"])
        first = [pl.col(name).is_in(values) for name, values in near.items()]
        half = pl.all_horizontal(*first) if first else pl.lit(value=True)
        if row["kind"] == "PAIR":
            second = [pl.col(f"{name}_export").is_in(values) for name, values in far.items()]
            found.append(half & pl.col("ldso_export").is_not_null() & pl.all_horizontal(True, *second))
        else:
            other = [pl.col(f"{name}_export").is_in(values) for name, values in near.items()]
            exported = pl.col("ldso_export").is_not_null() & pl.all_horizontal(True, *other)
            found.append(half | exported)
    return [condition.fill_null(value=False) for condition in found]


def judged(people_file: Path, book: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return by cell (distinct rows of attributes) one bit for each demand it satisfies, and the units in each cell."""
    units = usable_units(pl.read_parquet(people_file))
    names = [name for name in units.columns if name != "unit"]
    cells = units.group_by(names).agg(pl.len().alias("units"))
    del units
    bits = np.zeros((cells.height, -(-book.height // 8)), dtype=np.uint8)
    for begin in range(0, book.height, 8):
        part = cells.select(e.alias(str(i)) for i, e in enumerate(fits(book[begin : begin + 8])))
        bits[:, begin // 8] = np.packbits(part.to_numpy(), axis=1)[:, 0]
    return bits, cells["units"].to_numpy().astype(np.int64)


def bound(people_file: Path, book_file: Path) -> dict[str, object]:
    """Return the maximum of base units of one round."""
    from ortools.graph.python.max_flow import SimpleMaxFlow

    book = pl.read_csv(book_file, schema_overrides={"criteria": pl.String})
    bits, supply = judged(people_file, book)
    width = bits.shape[1]
    kinds, which = np.unique(np.ascontiguousarray(bits).view(f"V{width}").reshape(-1), return_inverse=True)
    del bits
    room = np.bincount(which, weights=supply, minlength=len(kinds)).astype(np.int64)
    packed = kinds.view(np.uint8).reshape(len(kinds), width)
    found = []
    for begin in range(0, len(kinds), 50_000):
        part = np.unpackbits(packed[begin : begin + 50_000], axis=1, count=book.height)
        at, asked = np.nonzero(part)
        found.append((at + begin, asked))
    kind, demand = (np.concatenate([pair[side] for pair in found]) for side in (0, 1))
    base = book["base"].to_numpy().astype(np.int64)
    solver = SimpleMaxFlow()
    sink = 1 + book.height + len(kinds)
    for tails, heads, capacity in (
        (np.zeros(book.height), 1 + np.arange(book.height), base),
        (1 + demand, 1 + book.height + kind, np.minimum(base[demand], room[kind])),
        (1 + book.height + np.arange(len(kinds)), np.full(len(kinds), sink), room),
    ):
        solver.add_arcs_with_capacity(tails.astype(np.int32), heads.astype(np.int32), capacity)
    assert solver.solve(0, sink) == solver.OPTIMAL
    return {"bound": solver.optimal_flow(), "wanted": int(base.sum()), "classes": len(kinds)}


def naive(people_file: Path, book_file: Path) -> dict[str, object]:
    """Serve demands in the order of the file with the first free units that fit."""
    book = pl.read_csv(book_file, schema_overrides={"criteria": pl.String})
    units = usable_units(pl.read_parquet(people_file))
    names = [name for name in units.columns if name != "unit"]
    units = units.with_columns(cell=pl.struct(names).rank("dense").cast(pl.Int64) - 1)
    firsts = units.unique("cell").sort("cell")
    of_unit = units["cell"].to_numpy()
    free = np.ones(units.height, dtype=bool)
    got = []
    for row, condition in zip(book.to_dicts(), fits(book), strict=True):
        suits = firsts.select(condition.alias("x"))["x"].to_numpy()
        at = np.flatnonzero(free & suits[of_unit])[: row["base"]]
        free[at] = False
        got.append(len(at))
    filled = np.array(got)
    return {"allocated": int(filled.sum()), "full": int((filled == book["base"].to_numpy()).sum())}


def product(people_file: Path, book_file: Path, out: Path) -> dict[str, object]:
    """Run the command in direct mode and read what it says."""
    from flows.cli import main as cli

    report = out.with_suffix(".json")
    sys.argv = ["datacut", "ringfence", "plan", "--population", str(people_file), "--demands", str(book_file)]
    sys.argv += ["--out", str(out), "--report", str(report), "--json"]
    kept, sys.stdout = sys.stdout, open("/dev/null", "w")  # noqa: SIM115
    begin = time.perf_counter()
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, end.code
    finally:
        sys.stdout = kept
    seconds = time.perf_counter() - begin
    said = json.loads(report.read_text())
    cases = said["test_cases"]
    bulk = [row for row in said["coverage"] if row["scope"] == "test case" and not row["attribute"]]
    return {
        "seconds": round(seconds, 1),
        "allocated": said["total"]["allocated"],
        "full": sum(case["short"] == 0 for case in cases),
        "spares": said["total"]["spares"],
        "shortages": len(said["shortages"]),
        "accounted": sum(e["short"] for e in said["shortages"] if e["kind"] in ("alone", "together")),
        "facts": said["facts"],
        "mean_distance": round(float(np.mean([row["distance"] for row in bulk])), 4),
    }


def likeness(people_file: Path, book_file: Path, out: Path) -> dict[str, object]:
    """Compare the pairwise coverage of the bulk test cases with that of random samples of the same size."""
    book = pl.read_csv(book_file, schema_overrides={"criteria": pl.String})
    given = pl.read_csv(out, infer_schema=False).filter(pl.col("role") == "BASE").select("test_case", "unit").unique()
    units = usable_units(pl.read_parquet(people_file))
    ours, theirs = {}, {}
    for row, condition in zip(book.to_dicts(), fits(book), strict=True):
        if row["base"] < 500 or len(ours) == BULK_CASES:
            continue
        eligible = units.filter(condition)
        chosen = eligible.join(given.filter(pl.col("test_case") == row["test_case"]), on="unit", how="semi")
        if chosen.height:
            sample = eligible.sample(chosen.height, seed=1)
            ours[row["test_case"]] = _pairs(eligible, chosen)
            theirs[row["test_case"]] = _pairs(eligible, sample)
    ratios = {name: round(ours[name] / theirs[name], 3) for name in ours}
    worst = sorted(ratios, key=lambda name: ratios[name])[:5]
    return {
        "bulk_cases": len(ratios),
        "pairwise": round(float(np.mean(list(ours.values()))), 3),
        "random_pairwise": round(float(np.mean(list(theirs.values()))), 3),
        "worst": {name: ratios[name] for name in worst},
    }


def _pairs(eligible: pl.DataFrame, chosen: pl.DataFrame) -> float:
    names, counted, held = list(SIZES), 0, 0
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            frequent = eligible.group_by(one, other).len().filter(pl.col("len") >= eligible.height / 1000)
            counted += frequent.height
            held += frequent.join(chosen.select(one, other).unique(), on=[one, other], how="semi").height
    return held / counted


def _child(options: argparse.Namespace) -> None:
    people, book = write(options.folder, options.mpans, options.cases, options.seed, rounds=False)
    out = options.folder / f"out-{options.mpans}.csv"
    begin = time.perf_counter()
    found = {
        "product": lambda: product(people, book, out),
        "bound": lambda: bound(people, book),
        "naive": lambda: naive(people, book),
        "likeness": lambda: likeness(people, book, out),
    }[options.only]()
    found.setdefault("seconds", round(time.perf_counter() - begin, 1))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["cpu_seconds"] = round(usage.ru_utime + usage.ru_stime, 1)
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found))


def main() -> None:
    """Measure, each in a process of its own, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mpans", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["product", "bound", "naive", "likeness"])
    options = parser.parse_args()
    if options.only:
        _child(options)
        return
    write(options.folder, options.mpans, options.cases, options.seed, rounds=False)
    for what in ("product", "bound", "naive", "likeness"):
        command = [sys.executable, "-m", "tests.benchmarks.ringfence_allocator", str(options.folder), "--only", what]
        command += ["--mpans", str(options.mpans), "--cases", str(options.cases), "--seed", str(options.seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"{what:>9}  {done.stdout.strip() or done.stderr.strip()[-600:]}", flush=True)


if __name__ == "__main__":
    main()
