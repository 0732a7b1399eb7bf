"""``python -m tests.mutation --seed N``: draws single changes of the core and lists those that no test notices.

The tests that execute each line come from a run under coverage, which is kept in ``--lines`` and made when it is not
there: that takes as long as the tests do. Each change is made in a copy of the project, the tests that execute its line
run there until one fails. Changes that change nothing are listed in ``equivalent.yaml`` with the reason. Not in CI.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from xml.etree import ElementTree

import yaml
from coverage import CoverageData

from tests.mutation.changes import Change, draw

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
CORE = ("transforms/**/*.py", "contracts/*.py", "flows/quality/*.py", "flows/pack/*.py", "flows/ringfence/*.py")
DEFAULT = (
    "contracts", "scheme", "rules", "augment", "risk", "ringfence", "evidence", "intake", "privacy",
    "attack", "treatment", "messages", "policy", "dtc", "report", "returns", "gx", "check", "cases", "pipeline",
)  # fmt: skip
LAST = "tests/pipeline/test_whole_job.py::test_a_run_says_what_it_said"  # coverage gives a run to the first that asks
MARKERS = "not slow and not browser and not postgres and not dask"
SECONDS = 600  # that the tests of one change may take
PARTS = ("contracts", "transforms", "flows", "tests", "sample_data", "docs", "pyproject.toml", "README.md", "Makefile")


def equivalent() -> dict[tuple[str, str, str, str], str]:
    """Return the changes that change nothing, and why."""
    listed = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []
    return {(e["path"], e["inside"], e["before"], e["after"]): e["reason"] for e in listed}


def copy(folder: Path) -> Path:
    """Copy what the tests need."""
    for part in PARTS:
        place = ROOT / part
        if place.is_dir():
            shutil.copytree(place, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.is_file():
            shutil.copy(place, folder / part)
    return folder


def pytest(folder: Path, *arguments: str, seconds: int | None = None) -> int:
    """Run tests of a copy; return the exit code, 1 where they take too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each process would compile the whole product
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


def executed(folder: Path, lines: Path, tests: list[str]) -> CoverageData:
    """Return which tests execute which lines; measure it where that was not done."""
    if not lines.exists():
        measured = ("--cov=contracts", "--cov=transforms", "--cov=flows", "--cov-context=test", "--cov-report=")
        code = pytest(folder, "-m", MARKERS, *measured, f"--junit-xml={folder / 'times.xml'}", *tests)
        if code not in (0, 1):
            raise SystemExit(f"the tests could not be run: pytest ended with {code}")
        shutil.move(folder / ".coverage", lines)
        times = {
            f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": float(case.get("time", 0))
            for case in ElementTree.parse(folder / "times.xml").iter("testcase")  # noqa: S314 - our own tests wrote it
        }
        lines.with_suffix(".json").write_text(json.dumps(times), encoding="utf-8")
    data = CoverageData(str(lines))
    data.read()
    return data


def tests_of(data: CoverageData, times: dict[str, float], change: Change) -> list[str]:
    """Return the tests that execute a change's line, quick ones first; of a line of the module, those of the module."""
    name = next((file for file in data.measured_files() if file.endswith(f"/{change.path}")), "")
    by_line = data.contexts_by_lineno(name) if name else {}
    mine = by_line.get(change.line, [])
    contexts = mine if any(mine) else [c for found in by_line.values() for c in found] if mine else []
    found = {context.partition("|")[0] for context in contexts if context} - {LAST}
    return sorted(found, key=lambda test: (times.get(test, 0.0), test))


def within(budget: float, times: dict[str, float], tests: list[str]) -> list[str]:
    """Return the first tests that take so many seconds together; the run of the sample comes after them anyway."""
    spent = itertools.accumulate(times.get(test, 0.0) for test in tests)
    return [test for test, seconds in zip(tests, spent, strict=True) if seconds <= budget] or tests[:1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--count", type=int, default=30)
    arguments.add_argument("--lines", type=Path, default=Path(tempfile.gettempdir()) / "datacut-lines.coverage")
    arguments.add_argument("--modules", nargs="*", default=list(CORE))
    arguments.add_argument("--tests", nargs="*", default=[f"tests/{name}" for name in DEFAULT])
    arguments.add_argument("--skip", type=int, default=0, help="changes that were looked at before")
    arguments.add_argument("--workers", type=int, default=1, help="changes that are looked at at once")
    arguments.add_argument(
        "--budget", type=float, default=60, help="seconds of tests of one change, as they took before"
    )
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [copy(Path(scratch) / str(number)) for number in range(asked.workers)]
        data = executed(folders[0], asked.lines, asked.tests)
        times = json.loads(asked.lines.with_suffix(".json").read_text(encoding="utf-8"))
        drawn = draw(folders[0], tuple(asked.modules), asked.count, asked.seed)[asked.skip :]
        todo = [(change, within(asked.budget, times, tests_of(data, times, change))) for change in drawn]
        tally = Counter(_verdicts(folders, todo))
    noticed, survived = tally["noticed"], tally["survived"] + tally["no test"]
    share = noticed / max(1, noticed + survived)
    print(f"{dict(tally)}: {noticed} of {noticed + survived} noticed ({share:.1%}), equivalent ones apart")


def _verdicts(folders: list[Path], todo: list[tuple[Change, list[str]]]) -> Iterator[str]:
    """Yield the verdict of each change and print it, in order; each worker has a copy of its own."""
    free: Queue[Path] = Queue()
    for folder in folders:
        free.put(folder)
    known = equivalent()

    def judged(asked: tuple[Change, list[str]]) -> str:
        change, tests = asked
        if change.key in known:
            return "equivalent"
        folder = free.get()
        try:
            return _judge(folder, change, tests)
        finally:
            free.put(folder)

    with ThreadPoolExecutor(len(folders)) as workers:
        for (change, _), verdict in zip(todo, workers.map(judged, todo), strict=True):
            print(f"{verdict:12} {change.told()}", flush=True)
            yield verdict


def _judge(folder: Path, change: Change, tests: list[str]) -> str:
    """Make a change, run its tests, undo it."""
    if not tests:
        return "no test"
    path = folder / change.path
    source = path.read_text(encoding="utf-8")
    _write(path, change.apply(source))
    try:
        code = pytest(folder, "-x", *tests, LAST, seconds=SECONDS)
    finally:
        _write(path, source)
    return "survived" if code == 0 else "noticed"


def _write(path: Path, source: str) -> None:
    """Write a source; later, by its date, than what was compiled of it: Python compares whole seconds and the size."""
    later = path.stat().st_mtime + 2
    path.write_text(source, encoding="utf-8")
    os.utime(path, (later, later))


if __name__ == "__main__":
    main()
