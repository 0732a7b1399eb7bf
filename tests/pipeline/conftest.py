"""A small sample, made once, and copies of it to run on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.sample import generate
from tests.pipeline.frozen import SAMPLE


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline") / "sample"
    generate(SAMPLE, folder)
    return folder


@pytest.fixture
def cut(pristine: Path, tmp_path: Path) -> Path:
    """Return the ``cut.yaml`` of a fresh copy."""
    shutil.copytree(pristine, tmp_path / "cut")
    return tmp_path / "cut" / "cut.yaml"


def digests(pack: Path) -> dict[str, str]:
    """Return path -> SHA-256 of a pack's payload, as its manifest states them."""
    lines = (pack / "manifest-sha256.txt").read_text().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
