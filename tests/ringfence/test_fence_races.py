"""Eight committers at once, and processes killed at random moments: nothing twice, nothing lost, all of it chained."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from flows.ringfence.audit import verify_ledger
from flows.ringfence.ledger import Ledger
from tests.ringfence.cases import KEY
from tests.ringfence.committer import CUT, UNITS, wanted

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("LEDGER_KILLS", "6"))  # LEDGER_KILLS=100 for a whole campaign
PROCESSES = 8


def start(url: str, number: int, commits: int, span: int, folder: Path) -> subprocess.Popen[bytes]:
    answers = folder / f"answers-{number}.jsonl"
    arguments = [url, str(number), str(commits), str(span), str(answers)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ringfence.committer", *arguments], cwd=ROOT, stderr=(folder / "err").open("ab")
    )


def answers_of(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(folder.glob("answers-*")) for line in file.read_text().splitlines()]


def check(url: str, folder: Path, asked: int, span: int) -> tuple[int, int]:
    """Compare what the processes were told with what the ledger holds; return accepted and refused."""
    answers = answers_of(folder)
    assert len(answers) == asked
    accepted = {answer["name"]: answer["batch"] for answer in answers if answer["batch"] is not None}
    refused = [answer["name"] for answer in answers if answer["batch"] is None]
    with Ledger(url) as ledger:
        found = verify_ledger(ledger, CUT)
        held = ledger.reservations(CUT)
        batches = dict(ledger.batches(CUT).select("idempotency_key", "number").rows())
    assert held["mpan"].n_unique() == held.height == UNITS * len(accepted)  # 0 double
    assert batches == accepted  # 0 lost, 0 that nobody was told of
    for name in accepted:
        mine = held.filter(pl.col("test_case") == name)["mpan"].to_list()
        assert mine == wanted(name, span)["mpan"].to_list()
    for name in refused:  # each refusal was right: somebody holds one of them
        assert set(wanted(name, span)["mpan"]) & set(held["mpan"])
    assert found.events == held.height
    return len(accepted), len(refused)


@pytest.mark.slow
@pytest.mark.requirement("Q57")
def test_eight_committers_at_once(ledger_url, tmp_path):
    commits, span = 120, 2400
    Ledger(ledger_url).close()
    processes = [start(ledger_url, number, commits, span, tmp_path) for number in range(PROCESSES)]
    assert [process.wait(300) for process in processes] == [0] * PROCESSES, (tmp_path / "err").read_text()
    accepted, refused = check(ledger_url, tmp_path, PROCESSES * commits, span)
    assert accepted > 120
    assert refused > 120


@pytest.mark.slow
def test_kill_minus_nine_at_random_moments(ledger_url, tmp_path):
    commits, span, rng = 100 * KILLS, 2700 * KILLS, random.Random(11)
    Ledger(ledger_url).close()
    kills = 0
    deadline = time.monotonic() + 500
    while kills < KILLS:
        process = start(ledger_url, 0, commits, span, tmp_path)
        file = tmp_path / "answers-0.jsonl"
        before = len(file.read_text().splitlines()) if file.exists() else 0
        while process.poll() is None and (len(file.read_text().splitlines()) if file.exists() else 0) <= before:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        with Ledger(ledger_url) as ledger:
            verify_ledger(ledger, CUT)
        assert time.monotonic() < deadline
        if process.returncode == 0:
            break
    assert kills == KILLS
    assert start(ledger_url, 0, commits, span, tmp_path).wait(300) == 0
    check(ledger_url, tmp_path, commits, span)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_converges_on_the_undisturbed_allocation(tmp_path):
    from flows.ringfence.allocation import plan_and_commit
    from tests.benchmarks.ringfence_instance import write

    people, book = write(tmp_path, 30_000, 150, 4, rounds=True)
    undisturbed = plan_and_commit(people, book, f"sqlite:///{tmp_path}/calm.db", CUT, KEY, "x", "2023")
    code = (
        "import sys; from pathlib import Path; from flows.ringfence.allocation import plan_and_commit; "
        "plan_and_commit(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], 'CUT-1', bytes(range(1, 33)), 'x', '2023')"
    )
    rng, killed = random.Random(5), 0
    url = f"sqlite:///{tmp_path}/wild.db"
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", code, people, book, url], cwd=ROOT)
        try:
            process.wait(rng.random() * 2)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.wait()
    again = plan_and_commit(people, book, url, CUT, KEY, "x", "2023")
    assert killed > 2
    assert again.allocations.equals(undisturbed.allocations)
    assert again.fulfilment.equals(undisturbed.fulfilment)
    assert again.shortages == undisturbed.shortages
    with Ledger(url) as ledger:
        assert verify_ledger(ledger, CUT, [again.ledger_head]).batches == 1
