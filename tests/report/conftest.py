"""Reports on disk and a browser to open them with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.report.files import report_files
from tests.evidence.specimen import model
from tests.report.chromium import PROGRAM, Chromium

AXE = "axe-core@4.14.1"
Opened = Callable[..., Path]


def missing(what: str) -> None:
    """Fail where everything must be there, skip with a reason elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; the tests of the page cannot run")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if PROGRAM is None:
        missing("Chromium is not installed (Debian package chromium)")
    with Chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe-core, installed by npm by its name."""
    npm = shutil.which("npm")
    if npm is None:
        missing("npm is not installed: no axe-core, no accessibility check")
    folder = tmp_path_factory.mktemp("axe")
    arguments = [str(npm), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), AXE]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        missing("axe-core cannot be had from npm")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the report folder of an evidence and returns its page."""

    def make(evidence: dict[str, Any], **options: Any) -> Path:
        for name, data in report_files(model(evidence), **{"signed_by": ["0123456789abcdef"], **options}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "report" / "index.html"

    return make
