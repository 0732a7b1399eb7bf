"""What a run costs, for ``contracts/rates/rates.yaml``: CPU seconds of each stage, disk and memory, over two sizes.

    python -m tests.benchmarks.rates --sizes 20000,100000 [--kind submission] [--dir DIR]

Each size is sampled and run once with ``--plain``. Prints per stage the CPU seconds that every run takes and those of a
million rows (a line through the sizes), bytes of work folder and packs a row at their fullest, and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import yaml

from flows.sample import SampleRequest, generate
from tests.benchmarks.watched import MIB, Watched, allocated, load, machine, watch

DATACUT = Path(sys.executable).with_name("datacut")
COMMANDS = {"release": "run", "submission": "anonymise"}


def peaks(folders: dict[str, Path], ended: threading.Event) -> dict[str, int]:
    """Return the most bytes that folders held until an event."""
    found = dict.fromkeys(folders, 0)
    while not ended.wait(0.2):
        for name, folder in folders.items():
            if folder.is_dir():
                found[name] = max(found[name], allocated(folder))
    return found


def by_stage(done: Watched, log: Path) -> dict[str, float]:
    """Return CPU seconds by stage: what passes between two ends of steps is the step's that ended."""
    seconds = defaultdict[str, float](float)
    before = done.readings[0].at
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "end":
            at = datetime.fromisoformat(entry["at"]).timestamp()
            seconds[entry["stage"]] += done.cpu_at(at) - done.cpu_at(before)
            before = at
    return dict(seconds)


def one(folder: Path, size: int, kind: str) -> dict[str, object]:
    """Sample and run one size."""
    generate(SampleRequest(size, 1, 0.05), folder)
    log, ended, disks = folder.parent / f"{size}.jsonl", threading.Event(), dict[str, int]()
    watching = threading.Thread(
        target=lambda: disks.update(peaks({"work": folder / "work", "packs": folder / "out"}, ended))
    )
    watching.start()
    command = [DATACUT, COMMANDS[kind], folder / "cut.yaml", "--plain", "--json", "--log", log]
    done = watch(command, folder=folder)
    ended.set()
    watching.join()
    if done.code:
        raise SystemExit(done.err)
    seconds = by_stage(done, log)
    accounting = json.loads(done.out)["accounting"]
    return {
        "metering points": size,
        "rows": sum(row["rows_in"] for row in accounting),
        "cpu": {stage: round(spent, 2) for stage, spent in seconds.items()},
        "cpu of the process": round(done.cpu, 1),
        "peak MiB": round(done.peak / MIB),
        "bytes": disks,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="20000,100000")
    parser.add_argument("--kind", choices=list(COMMANDS), default="release")
    parser.add_argument("--dir", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=asked.dir) as place:
        for size in map(int, asked.sizes.split(",")):
            found.append(one(Path(place) / str(size), size, asked.kind))
            sys.stdout.write(yaml.safe_dump(found[-1], sort_keys=False))
    sys.stdout.write(yaml.safe_dump({"machine": machine(), "load": load()}, sort_keys=False))


if __name__ == "__main__":
    main()
