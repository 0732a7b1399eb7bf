"""Kills of a flow's process, the worker, the server and PostgreSQL: is each told, once, the state right, no lock left?

    python -m tests.ops.outages --kills 12 [--postgres] [--seed 1] [--mpans 200]

A real server with its own database, a worker, a receiver of notifications. Kills come at random moments of a run, what
they are of in turn; what was killed is started again after ten seconds, as a service manager would. After each, a good
run has to go on and end in the payload of an undisturbed one. Says how often each check looked.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.orchestration.telling import PATIENCE
from flows.sample import SampleRequest, generate
from tests.ops.postgres_service import PostgresService
from tests.ops.prefect_server import Receiver, Server, deploy, descendants, make_block, wait
from tests.recovery.kills import digests

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TARGETS = ("flow", "worker and flow", "worker", "server", "postgres")
RIGHT_WITHIN = 120.0  # seconds until the state of a run is right
PAUSE = 10.0
TOLD_WITHIN = PATIENCE.total_seconds() + 15  # seconds, where the server's own alert was missed


@dataclass
class Tally:
    """What was done, what was looked at, what was wrong."""

    kills: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    notified: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    lost: int = 0
    faults: list[str] = field(default_factory=list)


class Site:
    """Everything that a kill may be of."""

    def __init__(self, folder: Path, mpans: int, seed: int, *, postgres: bool) -> None:
        self.postgres = PostgresService(folder / "postgres") if postgres else None
        generate(SampleRequest(mpans, seed, 0.02), folder / "cut")
        self.cut, self.receiver = folder / "cut" / "cut.yaml", Receiver()
        self.server = Server(folder / "home", self.postgres.url if self.postgres else "")
        self.serving = self.server.processes[0]
        deploy(self.server, self.cut, "--notify", make_block(self.server, self.receiver), "--no-schedules")
        self.server.begin_worker()
        self.whole_job = self.server.deployment("whole-job")

    def run(self, kill: str = "", after: float = 0.0) -> tuple[dict[str, Any], float]:
        """Do one run, kill something on its way; return it as it ended, and how long after the kill that was."""
        run = self.server.begin_run(self.whole_job)
        wait(lambda: self.server.run(run).get("state_type") in ("RUNNING", *ENDED), 300, "the start of a run")
        time.sleep(after)
        killed = time.monotonic()
        if kill:
            self.kill(kill)
        found = wait(lambda: (r := self.server.run(run)).get("state_type") in ENDED and r, 400, "the end of a run")
        return found, time.monotonic() - killed

    def kill(self, what: str) -> None:
        """Kill something hard and start it again; a flow's process is not started again."""
        worker = self.server.worker
        flows = descendants(worker.pid)
        if what == "flow":
            _kill(flows)
        if what.startswith("worker"):
            _kill([worker.pid, *(flows if what.endswith("flow") else [])])
            time.sleep(PAUSE)
            self.server.begin_worker()
        if what == "server":
            _kill([*descendants(self.serving.pid), self.serving.pid])
            time.sleep(PAUSE)
            self.serving = self.server.begin()
        if what == "postgres" and self.postgres:
            self.postgres.kill()
            time.sleep(PAUSE)
            self.postgres.start()

    def lock_is_free(self) -> bool:
        """Tell whether nobody holds the lock of the cut."""
        (lock,) = (self.cut.parent / "work").glob(".*.lock")
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
        return True

    def pack(self) -> dict[str, str]:
        """Return the digests of the release."""
        (pack,) = (self.cut.parent / "out").glob("*-release")
        return digests(pack)

    def stop(self) -> None:
        """Stop everything."""
        self.server.stop()
        self.receiver.stop()
        if self.postgres:
            self.postgres.stop()


def _kill(processes: list[int]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def judged(what: str, state: str, took: float, told: list[dict[str, str]], tally: Tally) -> list[str]:
    """Say what is wrong with the state that a run has ended in, and with what was told of it."""
    tally.looked["states"] += 1
    tally.looked["messages"] += len(told)
    wrong = []
    if len(told) != (state != "COMPLETED"):
        tally.lost += not told
        wrong.append(f"{len(told)} messages of a run that {state}: {[m['subject'] for m in told]}")
    wrong += [
        f"no stage in {m['body']!r}" for m in told if not re.search(r"\nStage: \w.*\nLast good step: \w", m["body"])
    ]
    if state != "COMPLETED" and took > RIGHT_WITHIN + (0 if what == "flow" else PAUSE):
        wrong.append(f"the state was right after {took:.0f} s")
    return wrong


def trial(site: Site, what: str, moment: float, wanted: dict[str, str], tally: Tally) -> str:
    """Kill once, look, run again, look; return what happened."""
    before = len(site.receiver.told)
    found, took = site.run(what, moment)
    state = found["state_type"]
    tally.kills[what] += 1
    tally.states[f"{what}: {state}"] += 1
    tally.longest = max(tally.longest, took if state != "COMPLETED" else 0.0)
    time.sleep(TOLD_WITHIN if state != "COMPLETED" else 20)  # messages that come, and any that come twice
    told = [message for _, message in site.receiver.told[before:] if "data-cut" in message["subject"]]
    wrong = judged(what, state, took, told, tally)
    tally.looked["locks"] += 1
    if not site.lock_is_free():
        wrong.append("the lock is held")
    if state != "COMPLETED":
        again, _ = site.run()
        if again["state_type"] != "COMPLETED":
            wrong.append(f"the run after it {again['state_type']}: {again['state'].get('message')}")
    tally.looked["payloads"] += 1
    if site.pack() != wanted:
        wrong.append("another payload")
    tally.faults += [f"after a kill of {what}: {one}" for one in wrong]
    tally.survived[what] += not wrong
    tally.notified[what] += len(told)
    return f"{state.lower()} after {took:.0f} s; " + ("; ".join(wrong) or "well")


def campaign(folder: Path, kills: int, seed: int, mpans: int, *, postgres: bool, good_runs: int = 1) -> Tally:
    """Let so many runs end well, and kill so many times."""
    tally, chance = Tally(), random.Random(seed)
    site = Site(folder, mpans, seed, postgres=postgres)
    try:
        began = time.monotonic()
        good, _ = site.run()
        length = time.monotonic() - began
        for _ in range(good_runs):
            if good["state_type"] != "COMPLETED":
                raise SystemExit(f"the undisturbed run {good['state_type']}: {good['state'].get('message')}")
            tally.looked["good runs for messages"] += 1
            good, _ = site.run()
        if site.receiver.told:
            tally.faults.append(f"{len(site.receiver.told)} messages of good runs")
        wanted = site.pack()
        targets = [t for t in TARGETS if postgres or t != "postgres"]
        for number in range(kills):
            what, moment = targets[number % len(targets)], chance.uniform(1.0, length / 2)
            said = trial(site, what, moment, wanted, tally)
            sys.stdout.write(f"{number + 1:3d}  {what:<16} after {moment:5.1f} s: {said}\n")
            sys.stdout.flush()
    finally:
        site.stop()
    tally.faults += [f"no check looked at {what}" for what in ("states", "locks", "payloads") if not tally.looked[what]]
    return tally


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--good", type=int, default=1, help="undisturbed runs before the kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mpans", type=int, default=200)
    parser.add_argument("--postgres", action="store_true", help="Prefect's database on a PostgreSQL server of its own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outages") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        tally = campaign(
            Path(folder), asked.kills, asked.seed, asked.mpans, postgres=asked.postgres, good_runs=asked.good
        )
    sys.stdout.write(f"kills {dict(tally.kills)}, ends {dict(tally.states)}, looked at {dict(tally.looked)}\n")
    sys.stdout.write("| killed | times | survived | told |\n|---|---|---|---|\n")
    for what, times in tally.kills.items():
        sys.stdout.write(f"| {what} | {times} | {tally.survived[what]} | {tally.notified[what]} |\n")
    sys.stdout.write(f"messages lost: {tally.lost}\n")
    sys.stdout.write(f"longest until the state was right: {tally.longest:.0f} s\n")
    sys.stdout.write("\n".join(tally.faults) + "\n" if tally.faults else "all told, none twice, no lock left\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
