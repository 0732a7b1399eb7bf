"""The same run twice at once: the second is refused and told who holds it; the dead hold nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.errors import PlaceError
from flows.cut.config import Job, load_cut
from flows.cut.run_lock import LEASE, alone

HOLD = """
import sys, time
from pathlib import Path
from flows.cut.config import load_cut
from flows.cut.run_lock import alone
with alone(load_cut(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "cut.yaml").write_text(
        "cut: {id: C1, date: 2023-08-19, key: k}\n"
        "participants: [{mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: p.csv}]}]\n"
        "release: {signing_key: s.pem}\n"
    )
    return load_cut(tmp_path / "cut.yaml")


def lock_file(job: Job) -> Path:
    return job.path(job.model.work) / ".C1.lock"


@pytest.mark.requirement("R3")
def test_a_second_run_is_refused_and_the_holder_named_until_it_is_killed(job: Job) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(job.file)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(PlaceError, match=f"process {holder.pid} on .* since 20"), alone(job):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with alone(job):
        pass


def test_in_one_process_too(job: Job) -> None:
    with alone(job), pytest.raises(PlaceError, match="is being run already"), alone(job):
        pass
    with alone(job):
        pass


def test_another_machines_lease_counts_until_it_is_old(job: Job) -> None:
    file = lock_file(job)
    file.parent.mkdir()
    file.write_text(json.dumps({"pid": 7, "host": "another", "since": "2026-11-30T10:00:00+00:00"}))
    with pytest.raises(PlaceError, match="process 7 on another"), alone(job):
        pass
    old = time.time() - LEASE - 1
    os.utime(file, (old, old))
    with alone(job):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert file.read_text() == ""


def test_a_damaged_lock_file_holds_nobody_up(job: Job) -> None:
    lock_file(job).parent.mkdir()
    lock_file(job).write_bytes(b"\xff{")
    with alone(job):
        pass
