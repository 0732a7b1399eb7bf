"""Keys of every kind in a folder, and the command line as a user meets it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.cli import main
from flows.keys.cut_key import keep_key

CUT, OTHER_CUT = "SIT-2026", "QUALIFICATION-2026"
KEY = bytes(range(7, 39))
PASSPHRASE = "correct horse battery staple é"


@dataclass(frozen=True)
class Done:
    """What a command did: exit code, and what it said on each stream."""

    code: int
    out: str
    err: str


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
def datacut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command as its entry point does, in a folder of its own, with no terminal."""

    def run(*arguments: object, stdin: str = "", **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["datacut", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            for name, value in environment.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = 0
            try:
                main.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return run
