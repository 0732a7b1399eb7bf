"""Kills ``datacut run`` with SIGKILL at random moments, runs it again, and compares with an undisturbed run.

``python -m tests.recovery.kills --mpans 50000 --kills 100 --seed 1`` prints one line per kill and a verdict. What is
checked each time: no partial pack is ever visible, the rerun ends well, its payload digests are those of the
undisturbed run, the ledger holds every allocation once, and nothing of ours is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flows.sample import SampleRequest, generate

DATACUT = Path(sys.executable).with_name("datacut")
PACK_FILES = ("bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "signature.dsse.json")


@dataclass
class Tally:
    """What came of all kills."""

    kills: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def digests(pack: Path) -> dict[str, str]:
    """Return path -> SHA-256 of a pack's payload."""
    lines = (pack / "manifest-sha256.txt").read_text().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def partial_packs(out: Path) -> list[str]:
    """Name every visible folder that is not a whole pack; a hidden one is a writer's own."""
    if not out.is_dir():
        return []
    visible = [p for p in out.iterdir() if not p.name.startswith(".")]
    return [p.name for p in visible if not all((p / name).is_file() for name in PACK_FILES)]


def doubles(ledger: Path) -> int:
    """Return how many metering points the ledger reserves more than once."""
    if not ledger.is_file():
        return 0
    with sqlite3.connect(ledger) as connection:
        tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
        if "claim" not in tables:
            return 0
        query = "select count(*) from (select mpan from claim group by mpan having count(*) > 1)"
        return int(connection.execute(query).fetchone()[0])


def run(cut: Path, *, plain: bool, kill_after: float | None = None) -> tuple[int, str]:
    """Run the job; kill it and all its children after some seconds. Returns exit code and the last stage told."""
    log = cut.parent / "log.jsonl"
    log.unlink(missing_ok=True)
    command = [str(DATACUT), "run", str(cut), "--log", str(log), *(["--plain"] if plain else [])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        code = process.wait(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    lines = log.read_text().splitlines() if log.is_file() else []
    stage = json.loads(lines[-1])["stage"] if lines and lines[-1].endswith("}") else "start"
    return code, stage


def trial(cut: Path, wanted: dict[str, str], moment: float, *, plain: bool, tally: Tally) -> None:
    """Kill once, run again, check."""
    code, stage = run(cut, plain=plain, kill_after=moment)
    tally.kills += 1
    tally.stages[stage if code < 0 else "ended before"] += 1
    for name in partial_packs(cut.parent / "out"):
        tally.faults.append(f"after a kill in {stage}: {name} is visible and not whole")
    code, _ = run(cut, plain=plain)
    if code != 0:
        tally.faults.append(f"after a kill in {stage}: the rerun ends with {code}")
        return
    packs = [p for p in (cut.parent / "out").iterdir() if p.name.endswith("-release")]
    if [digests(p) for p in packs] != [wanted]:
        tally.faults.append(f"after a kill in {stage}: another payload")
    if doubles(cut.parent / "ledger.db"):
        tally.faults.append(f"after a kill in {stage}: metering points are reserved twice")
    left = [p.name for p in (cut.parent / "out").iterdir() if p.name.startswith(".")]
    kept = ("prefect", ".pool.parquet")  # the run history, and the ring-fence's pool for later top-ups
    work = [p.name for p in (cut.parent / "work").iterdir() if not p.name.endswith(kept)]
    if left or work:
        tally.faults.append(f"after a kill in {stage}: left behind {left} {work}")


def campaign(folder: Path, mpans: int, kills: int, seed: int, *, plain: bool, tell: bool = False) -> Tally:
    """Run a campaign of kills in a folder of its own."""
    generate(SampleRequest(mpans, 3, 0.02), folder / "pristine")
    shutil.copytree(folder / "pristine", folder / "undisturbed")
    began = time.monotonic()
    code, _ = run(folder / "undisturbed" / "cut.yaml", plain=plain)
    length = time.monotonic() - began
    tally = Tally()
    if code != 0:
        tally.faults.append(f"the undisturbed run ends with {code}")
        return tally
    (pack,) = (folder / "undisturbed" / "out").glob("*-release")
    wanted, chance = digests(pack), random.Random(seed)
    for number in range(kills):
        cut = folder / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        shutil.copytree(folder / "pristine", cut)
        moment, before = chance.uniform(0.2, length), len(tally.faults)
        trial(cut / "cut.yaml", wanted, moment, plain=plain, tally=tally)
        if tell:
            told = "; ".join(tally.faults[before:]) or "well"
            sys.stdout.write(f"{number + 1:4d}  killed after {moment:6.2f} s  {told}\n")
            sys.stdout.flush()
    return tally


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mpans", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prefect", action="store_true", help="under Prefect instead of --plain")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = campaign(Path(folder), asked.mpans, asked.kills, asked.seed, plain=not asked.prefect, tell=True)
    sys.stdout.write(f"{tally.kills} kills, in {dict(tally.stages.most_common())}\n")
    sys.stdout.write("\n".join(tally.faults) + "\n" if tally.faults else "every rerun ended in the undisturbed pack\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
