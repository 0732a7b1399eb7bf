"""The whole job from backups to signed packs at several sizes: stages, seconds, memory, bytes, disk, and their growth.

    python -m tests.benchmarks.whole_job --mpans 1000000 3000000 --scratch DIR --json OUT.json [--markdown]
    python -m tests.benchmarks.whole_job --json OUT.json --show --markdown

For each size: ``datacut sample`` into the scratch folder, ``datacut run --plain`` in a process of its own, then what
was made is removed (``--keep-sample`` keeps the backups for the next time). Figures are written after each size
and join those already in OUT.json; a size measured again replaces its figures. A size for which the disk would not
suffice is left out and said: bytes a metering point are measured at two small sizes first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.projection import exponent, projection, waves_of
from tests.benchmarks.watched import MIB, Watched, about, allocated, load, machine, table, watch

DATACUT = [sys.executable, "-c", "from flows.cli.main import main; main()"]
PROBES = (20_000, 100_000)  # smaller ones tell half as much again: a file takes blocks, a compressor needs rows
RESERVE = 1.1  # of the estimate: growth is not quite straight, unless --reserve knows better
GOAL_EXPONENT, GOAL_PEAK_MIB, GOAL_PEAK_AT = 1.05, 6 * 1024, 30_000_000
SETTINGS = ("seed", "defects")


def sample(mpans: int, given: argparse.Namespace) -> tuple[Path, float]:
    """Make the backups of one size, or take those that are kept; seconds are 0 for the latter."""
    folder: Path = given.scratch / f"sample-{mpans}-{given.seed}-{given.defects:g}"
    if (folder / "cut.yaml").is_file():
        return folder, 0.0
    asked = ["--mpans", mpans, "--seed", given.seed, "--defects", given.defects, "--published-keys", "--out", folder]
    made = watch([*DATACUT, "sample", *map(str, asked)])
    if made.code:
        raise SystemExit(f"datacut sample ended with {made.code}: {made.err.strip()}")
    return folder, made.wall


def measure(mpans: int, given: argparse.Namespace) -> dict[str, Any]:
    """Make backups, run the job over them, and remove what was made."""
    folder, made = sample(mpans, given)
    for left in ("out", "work", "ledger.db", "benchmark.log"):  # of a run that was killed: it would be gone on with
        path = folder / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    busy = load()
    before = {path.name for path in folder.iterdir()}
    runs = []
    try:
        cut = yaml.safe_load((folder / "cut.yaml").read_text(encoding="utf-8"))
        sources = {e["source"]["path"] for p in cut["participants"] for e in p["extracts"]}
        taken = sum((folder / name).stat().st_size for name in sources)
        for _ in range(given.runs):
            runs.append(one_run(folder))
            clean(folder, before)
    finally:
        clean(folder, before)
        sample_disk = allocated(folder)
        if not given.keep_sample:
            shutil.rmtree(folder)
    runs.sort(key=lambda r: r["seconds"])
    middle = runs[(len(runs) - 1) // 2]
    return {
        "mpans": mpans,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": busy,
        "revision": machine()["revision"],
        "runs": len(runs),
        "seconds_of_runs": [r["seconds"] for r in runs],
        "sample_seconds": round(made, 2),
        "sample_bytes_on_disk": sample_disk,
        "bytes_in": taken,
        **middle,
    }


def one_run(folder: Path) -> dict[str, Any]:
    """Run the job once in a process of its own."""
    log = folder / "benchmark.log"
    done = watch([*DATACUT, "run", folder / "cut.yaml", "--plain", "--json", "--log", log], folder=folder)
    if done.code:
        raise SystemExit(f"datacut run ended with {done.code}: {done.err.strip().splitlines()[-1:]}")
    said = json.loads(done.out)
    released = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return {
        "seconds": round(done.wall, 2),
        "cpu_seconds": round(done.cpu, 2),
        "peak_mib": round(done.peak / MIB),
        "disk_peak_bytes": done.disk,
        "bytes_out": sum(path.stat().st_size for path in released),
        "files_out": len(released),
        "rows": {key: sum(r[key] for r in said["accounting"]) for key in ("rows_in", "released", "excluded")},
        "stages": stages(done, log),
        "waves": waves(log),
        "release_phases": said.get("phases", {}),
    }


def stages(done: Watched, log: Path) -> dict[str, dict[str, Any]]:
    """Return for each stage its seconds from first to last, CPU seconds, peak memory and rows: log and readings."""
    spans: dict[str, list[float]] = {}
    found: dict[str, dict[str, Any]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        stage, at = entry["stage"], datetime.fromisoformat(entry["at"]).timestamp()
        span = spans.setdefault(stage, [at, at])
        span[0], span[1] = min(span[0], at), max(span[1], at)
        if entry["event"] == "end":
            facts = found.setdefault(
                stage, {"steps": 0, "step_seconds": 0.0, "longest_step": 0.0, "rows": 0, "bytes": 0}
            )
            facts["steps"] += 1
            facts["step_seconds"] = round(facts["step_seconds"] + entry["seconds"], 3)
            facts["longest_step"] = max(facts["longest_step"], entry["seconds"])
            facts["rows"] += entry.get("rows", 0)
            facts["bytes"] += entry.get("bytes", 0)
    for stage, (begin, end) in spans.items():
        found[stage] |= {
            "seconds": round(end - begin, 3),
            "cpu_seconds": round(done.cpu_at(end) - done.cpu_at(begin), 2),
            "peak_mib": round(done.peak_between(begin, end) / MIB),
        }
    first, last = min(s[0] for s in spans.values()), max(s[1] for s in spans.values())
    start, stop = max(0.0, first - done.readings[0].at), max(0.0, done.readings[0].at + done.wall - last)
    found["start and end"] = {
        "steps": 1,
        "step_seconds": round(start + stop, 3),
        "longest_step": round(start + stop, 3),
        "rows": 0,
        "bytes": 0,
        "seconds": round(start + stop, 3),
        "cpu_seconds": round(max(0.0, done.cpu - done.cpu_at(last) + done.cpu_at(first)), 2),
        "peak_mib": 0,
    }
    return found


def waves(log: Path) -> list[list[float]]:
    """Return the seconds of all steps by wave."""
    steps = []
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["event"] == "end":
            end = datetime.fromisoformat(entry["at"]).timestamp()
            steps.append((end - entry["seconds"], end))
    return waves_of(steps)


def clean(folder: Path, keep: set[str]) -> None:
    """Remove from a sample folder whatever a run has put there, the ledger too: the next run must find it as new."""
    for path in folder.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def bytes_needed(mpans: int, measured: list[dict[str, Any]], reserve: float = RESERVE) -> float:
    """Return the disk that a size needs, in a straight line through the two largest sizes measured."""
    small, large = sorted(measured, key=lambda r: r["mpans"])[-2:]
    slope = (large["disk_peak_bytes"] - small["disk_peak_bytes"]) / (large["mpans"] - small["mpans"])
    return (large["disk_peak_bytes"] + slope * (mpans - large["mpans"])) * reserve


def show(kept: dict[str, Any], *, markdown: bool) -> str:
    """Return the tables: sizes, growth, stages, and what other machines would give."""
    of_all = {name: kept["machine"][name] for name in ("revision", "load_before")}
    sizes = sorted(({**of_all, **r} for r in kept["sizes"].values()), key=lambda r: r["mpans"])
    parts = [about(kept["machine"]) if markdown else json.dumps(kept["machine"])]
    told = {f"{r['mpans']:,}": (r["revision"], r["load_before"]) for r in sizes}
    if len({revision for revision, _ in told.values()}) > 1:
        parts.append(
            "Sizes at revisions: " + ", ".join(f"{size} {revision}" for size, (revision, _) in told.items()) + "."
        )
    parts.append("Load before each size: " + ", ".join(f"{size} {load}" for size, (_, load) in told.items()) + ".")
    rows = [
        (
            f"{r['mpans']:,}",
            f"{r['seconds']:,.1f}",
            f"{r['cpu_seconds']:,.1f}",
            f"{r['cpu_seconds'] / r['seconds']:.2f}",
            f"{r['mpans'] / r['seconds']:,.0f}",
            f"{r['peak_mib']:,}",
            f"{r['bytes_in'] / MIB:,.1f}",
            f"{r['bytes_out'] / MIB:,.1f}",
            f"{r['disk_peak_bytes'] / MIB:,.0f}",
            f"{r['rows']['rows_in']:,}",
            f"{r['rows']['excluded']:,}",
        )
        for r in sizes
    ]
    names = ("metering points", "seconds", "CPU s", "cores used", "points/s", "peak MiB", "MiB in", "MiB out",
             "disk MiB", "rows in", "rows excluded")  # fmt: skip
    parts += [table(names, rows, markdown=markdown), growth(sizes), by_stage(sizes, markdown=markdown)]
    parts.append(projection(sizes[-1], kept["machine"]["cores"], markdown=markdown))
    return "\n\n".join(part for part in parts if part)


def growth(sizes: list[dict[str, Any]]) -> str:
    """Return in words how time and memory grow; the steepest pair too, since fixed seconds flatter small sizes."""
    if len(sizes) < 2:
        return ""
    points = [(r["mpans"], r["seconds"]) for r in sizes]
    pairs = [f"{exponent(points[n : n + 2]):.2f}" for n in range(len(points) - 1)]
    memory = exponent([(r["mpans"], r["peak_mib"]) for r in sizes])
    big = [r for r in sizes if r["mpans"] >= GOAL_PEAK_AT]
    told = (
        f"Seconds grow as metering points to the power {exponent(points):.2f} (least squares; size to size "
        f"{', '.join(pairs)}; goal at most {GOAL_EXPONENT}); peak memory to the power {memory:.2f}."
    )
    if big:
        highest = max(r["peak_mib"] for r in big)
        told += f" Peak memory at {big[0]['mpans']:,}: {highest:,} MiB (goal under {GOAL_PEAK_MIB:,})."
    return told


def by_stage(sizes: list[dict[str, Any]], *, markdown: bool) -> str:
    """Return the stages of the largest size, and how each has grown from the smallest."""
    largest, several = sizes[-1], len(sizes) > 1
    rows = []
    for stage, facts in largest["stages"].items():
        points = [(r["mpans"], r["stages"][stage]["seconds"]) for r in sizes if stage in r["stages"]]
        rows.append(
            (
                stage,
                facts["steps"],
                f"{facts['seconds']:,.2f}",
                f"{facts['seconds'] / largest['seconds']:.0%}",
                f"{facts['cpu_seconds']:,.2f}",
                f"{facts['cpu_seconds'] / facts['seconds']:.2f}" if facts["seconds"] else "",
                f"{facts['peak_mib']:,}" if facts["peak_mib"] else "",
                f"{exponent(points):.2f}" if several and len(points) > 1 else "",
            )
        )
    names = (f"stage at {largest['mpans']:,}", "steps", "seconds", "share", "CPU s", "cores used", "peak MiB", "growth")
    shown = table(names, rows, markdown=markdown)
    phases = ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in largest["release_phases"].items())
    return shown + (f"\n\nRelease, by phase: {phases}." if phases else "")


def main() -> int:
    """Measure each size asked for, smallest first, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpans", type=int, nargs="+", default=[])
    parser.add_argument("--scratch", type=Path, help="folder on a disk that is large enough")
    parser.add_argument("--json", type=Path, help="figures; read first, so that sizes may be measured one by one")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--keep-sample", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what OUT.json holds and measure nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--defects", type=float, default=0.05)
    parser.add_argument("--reserve", type=float, default=RESERVE, help="estimate of the disk times this must be free")
    parser.add_argument("--runs", type=int, default=1, help="runs of each size; the middle one counts")
    given = parser.parse_args()
    kept = read(given)
    left_out: list[str] = []
    if not given.show:
        if not given.mpans or given.scratch is None:
            parser.error("give --mpans and --scratch")
        given.scratch = given.scratch.resolve()
        given.scratch.mkdir(parents=True, exist_ok=True)
        left_out = measure_all(kept, given)
    if kept["sizes"]:
        print(show(kept, markdown=given.markdown))
    for line in left_out:
        sys.stderr.write(line + "\n")
    return 1 if left_out else 0


def read(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures kept so far.

    Raises:
        SystemExit: they were made with other settings, or there is nothing to show.
    """
    settings = {name: getattr(given, name) for name in SETTINGS}
    if not (given.json and given.json.is_file()):
        if given.show:
            raise SystemExit("nothing to show: give --json with figures in it")
        return {"settings": settings, "sizes": {}}
    kept: dict[str, Any] = json.loads(given.json.read_text(encoding="utf-8"))
    if not given.show and kept["settings"] != settings:
        raise SystemExit(f"{given.json} holds figures of other settings: {kept['settings']}")
    return kept


def measure_all(kept: dict[str, Any], given: argparse.Namespace) -> list[str]:
    """Measure the sizes and return a line for each one that the disk has no place for."""
    kept["machine"] = machine()
    known: list[dict[str, Any]] = list(kept["sizes"].values())
    left_out = []
    for mpans in sorted(set(given.mpans)):
        if mpans > PROBES[-1] and len(known) < 2:
            quick = argparse.Namespace(**{**vars(given), "keep_sample": False, "runs": 1})
            known = [measure(size, quick) for size in PROBES]
        free = shutil.disk_usage(given.scratch).free
        need = bytes_needed(mpans, known, given.reserve) if len(known) > 1 else 0
        if need > free:
            left_out.append(
                f"{mpans:,} metering points left out: they need about {need / 2**30:,.1f} GiB of disk, "
                f"{free / 2**30:,.1f} GiB are free in {given.scratch}"
            )
            continue
        sys.stderr.write(f"{mpans:,} metering points: about {need / 2**30:,.2f} GiB of disk of {free / 2**30:,.1f}\n")
        found = {**measure(mpans, given), "disk_estimate_bytes": round(need)}
        if mpans >= PROBES[0]:
            known.append(found)
        kept["sizes"][str(mpans)] = found
        if given.json:
            given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        sys.stderr.write(f"{mpans:,} metering points: {found['seconds']:,.1f} s, peak {found['peak_mib']:,} MiB\n")
    return left_out


if __name__ == "__main__":
    sys.exit(main())
