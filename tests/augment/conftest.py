"""A sample taken through the stages up to augmentation, once for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from contracts.augmentation import services
from flows import pipeline
from flows.augment.stage import augmentation
from flows.cut.context import Context, context, forget
from flows.sample import SampleRequest, generate
from transforms.augment.manufacture import Manufacturer
from transforms.pseudonymise.keys import FieldKeys

MPANS = 2_000


SUMMED_UP = ("second count of", "counts and exclusions")  # they count for the report what is decided already


def run_until_augmented(cut: Path) -> Context:
    """Run the stages of a cut up to and with augmentation, but those that only sum up, and return its context."""
    plan = pipeline.prepare(str(cut))
    for wave in pipeline._waves(str(cut), "release", plan):
        if wave[0].stage == pipeline.AUGMENT.name:
            break
        for step in wave:
            if step.stage != pipeline.ALIGN.name and not step.detail.startswith(SUMMED_UP):
                step.call()
    known = context(str(cut))
    known.workspace.record(augmentation(known))
    return known


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("augment") / "sample"
    generate(SampleRequest(MPANS, 3, 0.03), folder)
    return folder


@pytest.fixture(scope="session")
def done(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, Path]:
    """Return the context of a cut whose metering points are augmented, and its folder."""
    folder = tmp_path_factory.mktemp("augment") / "cut"
    shutil.copytree(sample, folder)
    known = run_until_augmented(folder / "cut.yaml")
    forget()
    return known, folder


@pytest.fixture
def variant(sample: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the sample and changes its ``cut.yaml``."""

    def make(change: Callable[[dict[str, Any]], None]) -> Path:
        folder = tmp_path / "cut"
        shutil.copytree(sample, folder)
        document = yaml.safe_load((folder / "cut.yaml").read_text())
        change(document)
        (folder / "cut.yaml").write_text(yaml.safe_dump(document))
        return folder / "cut.yaml"

    return make


def augmented(known: Context) -> pl.DataFrame:
    """Return every augmented record."""
    scans = (known.workspace.scan("augmented", "all", "registration", n) for n in range(known.workspace.partitions))
    return pl.concat(s for s in scans if s is not None).collect()


class Folder:
    """A place for files of a pack."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, relpath: str) -> Path:
        target = self.root / relpath
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


@pytest.fixture
def pack(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "pack")


@pytest.fixture
def maker() -> Manufacturer:
    return Manufacturer(FieldKeys(bytes(range(32)), "TEST"), services().prefixes)
