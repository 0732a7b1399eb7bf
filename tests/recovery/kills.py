"""Kills ``datacut run`` with SIGKILL at random moments, runs it again, and compares with an undisturbed run.

``python -m tests.recovery.kills --mpans 50000 --kills 100 --seed 1`` prints one line per kill and a verdict. What is
checked each time: no partial pack is ever visible, the rerun ends well, its payload digests are those of the
undisturbed run, the ledger holds every allocation once, and nothing of ours is left behind. Each check says how often
it looked and at how much; a check that never looked is a fault of the campaign.
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.sample import SampleRequest, generate
from tests.small_cut import keep_participants

DATACUT = Path(sys.executable).with_name("datacut")
PACK_FILES = ("bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", "signature.dsse.json")


@dataclass
class Tally:
    """What came of all kills."""

    kills: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)  # check -> what it looked at
    faults: list[str] = field(default_factory=list)


def digests(pack: Path) -> dict[str, str]:
    """Return path -> SHA-256 of a pack's payload."""
    lines = (pack / "manifest-sha256.txt").read_text().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def partial_packs(out: Path, tally: Tally) -> list[str]:
    """Name every visible folder that is not a whole pack; a hidden one is a writer's own."""
    visible = [p for p in out.iterdir() if p.is_dir() and not p.name.startswith(".")] if out.is_dir() else []
    tally.looked["folders for a whole pack"] += len(visible)
    return [p.name for p in visible if not all((p / name).is_file() for name in PACK_FILES)]


def doubles(ledger: Path, tally: Tally) -> int:
    """Return how many metering points the ledger reserves more than once; its indexes are not believed.

    Raises:
        sqlite3.OperationalError: there is no such table: then the check would prove nothing.
    """
    with sqlite3.connect(ledger) as connection:
        table = "ringfence_reservation not indexed"
        tally.looked["reservations for doubles"] += int(
            connection.execute(f"select count(*) from {table}").fetchone()[0]
        )
        query = f"select count(*) from (select 1 from {table} group by campaign, mpan having count(*) > 1)"
        return int(connection.execute(query).fetchone()[0])


KEPT = ("prefect", ".pool.parquet", ".lock", ".deliveries")
"""What stays in the folder of work: run history, the pool for later top-ups, an empty lock, notes on deliveries."""


def left_behind(cut: Path, tally: Tally) -> list[str]:
    """Name what a run leaves behind and should not."""
    places = [cut.parent / "out", cut.parent / "work"]
    found = [p for place in places for p in place.iterdir()]
    tally.looked["names for what is left behind"] += len(found)
    hidden = [p.name for p in found if p.parent.name == "out" and p.name.startswith(".")]
    return hidden + [p.name for p in found if p.parent.name == "work" and not p.name.endswith(KEPT)]


def payloads(cut: Path, tally: Tally) -> list[dict[str, str]]:
    """Return the digests of every release."""
    found = [digests(p) for p in (cut.parent / "out").iterdir() if p.name.endswith("-release")]
    tally.looked["payload files for their digest"] += sum(map(len, found))
    return found


CHECKS = ("folders for a whole pack", "reservations for doubles", "names for what is left behind",
          "payload files for their digest")  # fmt: skip


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
    for name in partial_packs(cut.parent / "out", tally):
        tally.faults.append(f"after a kill in {stage}: {name} is visible and not whole")
    code, _ = run(cut, plain=plain)
    if code != 0:
        tally.faults.append(f"after a kill in {stage}: the rerun ends with {code}")
        return
    for name in partial_packs(cut.parent / "out", tally):
        tally.faults.append(f"after a kill in {stage} and a rerun: {name} is not whole")
    if payloads(cut, tally) != [wanted]:
        tally.faults.append(f"after a kill in {stage}: another payload")
    if doubles(cut.parent / "ledger.db", tally):
        tally.faults.append(f"after a kill in {stage}: metering points are reserved twice")
    if left := left_behind(cut, tally):
        tally.faults.append(f"after a kill in {stage}: left behind {left}")


def campaign(
    folder: Path, mpans: int, kills: int, seed: int, *, plain: bool, tell: bool = False, kept: Sequence[str] = ()
) -> Tally:
    """Run a campaign of kills in a folder of its own.

    Args:
        kept: participants of the cut; all of the sample's where none are named.
    """
    generate(SampleRequest(mpans, 3, 0.02), folder / "pristine")
    if kept:
        keep_participants(folder / "pristine", kept)
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
    tally.faults += [f"no check looked at {what}" for what in CHECKS if kills and not tally.looked[what]]
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
    sys.stdout.write("".join(f"looked at {count:,} {what}\n" for what, count in tally.looked.items()))
    sys.stdout.write("\n".join(tally.faults) + "\n" if tally.faults else "every rerun ended in the undisturbed pack\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
