"""A small cut that was judged, its raw identifiers, and a way to run the command on an altered copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from flows import pipeline
from flows.cut.context import Context, context
from flows.sample import SampleRequest, generate
from tests import command
from tests.command import Done
from tests.privacy.raw import Raw, raw_identifiers

MPANS = 800


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("privacy") / "sample"
    generate(SampleRequest(MPANS, 7, 0.02), folder)
    text = (folder / "cut.yaml").read_text()
    (folder / "cut.yaml").write_text(text[: text.index("ring_fence:")] + text[text.index("release:") :])
    return folder


@pytest.fixture(scope="session")
def raw(pristine: Path) -> Raw:
    return raw_identifiers(pristine)


@pytest.fixture(scope="session")
def judged(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    folder = tmp_path_factory.mktemp("judged") / "cut"
    shutil.copytree(pristine, folder)
    name = str(folder / "cut.yaml")
    plan = pipeline.prepare(name)
    for mpid, extract in plan.sources:
        pipeline.pseudonymise(name, mpid, extract)
    pipeline.tabulate(name)
    pipeline.judge_part(name, list(range(plan.partitions)))
    pipeline.judge(name)
    yield context(name)
    pipeline.finish(name)


@pytest.fixture
def cut(pristine: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "cut"
    shutil.copytree(pristine, folder)
    return folder


@pytest.fixture
def datacut() -> Callable[..., Done]:
    """Run the command as a user meets it, with no terminal."""

    def run(*arguments: object) -> Done:
        return command.datacut(*arguments, stdin="")

    return run


def edit_csv(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a CSV file of the sample."""
    change(pl.read_csv(path, infer_schema=False)).write_csv(path)
