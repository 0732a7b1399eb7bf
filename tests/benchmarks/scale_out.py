"""One pinned Dask worker against two, one Polars thread each: how much of the whole job scales out.

    python -m tests.benchmarks.scale_out --mpans 300000 --scratch DIR [--partitions 8]

The driver, which does the waves of one step, is pinned to the first worker's core: on two cores there is no third.
Prints seconds of both, the speed-up, and the serial fraction by Karp and Flatt; the packs' digests must be equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from distributed import Client

from tests.benchmarks.projection import serial_fraction
from tests.benchmarks.watched import ROOT, load
from tests.benchmarks.whole_job import sample

CORES = (0, 1)
ENV = {**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run_on(workers: int, folder: Path, port: int) -> float:
    """Run the job over so many workers; return its seconds. What the cluster says is in ``cluster.log``."""
    with open(folder / "cluster.log", "ab") as log:
        return _run_on(workers, folder, port, log)


def _run_on(workers: int, folder: Path, port: int, log: IO[bytes]) -> float:
    address = f"tcp://127.0.0.1:{port}"
    place = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    started = [_begin([sys.executable, "-m", "distributed.cli.dask_scheduler", *place], log)]
    try:
        for core in CORES[:workers]:
            mine = ["taskset", "-c", str(core), sys.executable, "-m", "distributed.cli.dask_worker", address]
            mine += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder / "dask")]
            started.append(_begin(mine, log))
        with Client(address, timeout=60) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(workers, timeout=120)
        command = ["taskset", "-c", str(CORES[0]), sys.executable, "-c", "from flows.cli.main import main; main()"]
        command += ["run", str(folder / "cut.yaml"), "--json", "--workers", address]
        began = time.monotonic()
        done = subprocess.run(command, env=ENV, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"datacut run ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return time.monotonic() - began
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _begin(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=ENV, cwd=ROOT, stdout=log, stderr=log)


def digest(folder: Path) -> str:
    """Return one digest of all payload below a folder."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and {"data", "excluded"} & set(p.parts)):
        whole.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpans", type=int, default=300_000)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--port", type=int, default=18790)
    parser.set_defaults(seed=1, defects=0.05)
    given = parser.parse_args()
    given.scratch.mkdir(parents=True, exist_ok=True)
    whole, _ = sample(given.mpans, given)
    busy, seconds, digests = load(), {}, set()
    for workers in (1, 2):
        folder = given.scratch / f"scale-{workers}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        with open(folder / "cut.yaml", "a", encoding="utf-8") as cut:
            cut.write(f"\npartitions: {given.partitions}\n")
        seconds[workers] = round(run_on(workers, folder, given.port + workers), 1)
        digests.add(digest(folder / "out"))
        shutil.rmtree(folder)
    speed_up = seconds[1] / seconds[2]
    said = {"mpans": given.mpans, "load_before": busy, "seconds": seconds, "speed_up": round(speed_up, 2)}
    print(json.dumps({**said, "serial_fraction": round(serial_fraction(speed_up, 2), 2), "equal": len(digests) == 1}))
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
