"""A release with test cases of CIT, and the messages that are written from it; made once for all test processes."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.sample import SampleRequest, generate
from tests.command import datacut

CUT = "SAMPLE-2023-08-19"
RUNS = "change_of_supplier meter_exchange consumption"
# what test managers ask for (docs/ring-fence.md), as lines of a plan
CRITERIA = {
    "FUN-901": '{""register_count"": {""from"": 2}}',
    "FUN-902": '{""smart_meter_communicates"": [""N""]}',
    "FUN-903": '{""measurement_class_change"": [""G""]}',
    "FUN-904": '{""association_role"": [""PRINCIPAL""]}',
}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all test processes of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "messages"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, make: Callable[[], None]) -> None:
    """Make something in a folder unless another process has made it."""
    with open(folder / f"{make.__name__}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / f"{make.__name__}.made"
        if not made.exists():
            make()
            made.touch()


@pytest.fixture(scope="session")
def release(shared: Path) -> Path:
    folder = shared / "market"

    def run() -> None:
        generate(SampleRequest(600, 5, 0.0), folder)
        document = yaml.safe_load((folder / "cut.yaml").read_text())
        document["release"]["recipients"] = ["EELC"]
        with (folder / "ring_fence.csv").open("a") as plan:
            for case, criteria in CRITERIA.items():
                plan.write(f'2,{case},SIT-FUNCTIONAL,SUPA,1,2,0,SINGLE,"{criteria}",,true,{RUNS}\n')
        (folder / "cut.yaml").write_text(yaml.safe_dump(document))
        done = datacut("run", folder / "cut.yaml", "--plain")
        assert done.code == 0, done.err

    once(shared, run)
    return folder / f"out/{CUT}-release"


@pytest.fixture(scope="session")
def written(shared: Path, release: Path) -> Path:
    """Return the folder of the messages of every test case of CIT."""

    def write() -> None:
        done = datacut("messages", release, "--out", shared / "written")
        assert done.code == 0, done.err

    once(shared, write)
    return shared / "written"
