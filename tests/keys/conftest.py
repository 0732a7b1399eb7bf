"""Keys of every kind in a folder, and the command line as a user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.keys.cut_key import keep_key
from tests import command
from tests.command import Done

CUT, OTHER_CUT = "SIT-2026", "QUALIFICATION-2026"
KEY = bytes(range(7, 39))
PASSPHRASE = "correct horse battery staple é"


def private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    return private(tmp_path / "passphrase", PASSPHRASE + "\n")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    keep_key(tmp_path / "plain.key", KEY, CUT, None)
    return tmp_path / "plain.key"


@pytest.fixture
def datacut(tmp_path: Path) -> Callable[..., Done]:
    """Run the command in a folder of its own, with no terminal."""

    def run(*arguments: object, stdin: str = "", **environment: str) -> Done:
        return command.datacut(*arguments, cwd=tmp_path, stdin=stdin, **environment)

    return run
