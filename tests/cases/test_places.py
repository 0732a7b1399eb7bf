"""A backup in a folder with spaces and accents; a machine without a home, with a proxy, without a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.requirement("DQ11")
CUT = """cut: {id: CASE-1, date: 2023-08-19, key: keys/cut.key, test: true}
reference: {market_domain_data: mdd}
participants:
  - {mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: {path: porté folio.csv}}]}
release: {folder: sortie é, formats: [parquet, csv], signing_key: keys/signing.pem}
"""
COMMAND = [sys.executable, "-c", "from flows.cli.main import main; main()"]


def _command(user: str) -> list[str]:
    """Return how the command is called: by us, or, if we may, by another user whom nothing belongs to."""
    if not user:
        return COMMAND
    pwd = pytest.importorskip("pwd")
    system = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    runuser = shutil.which("runuser")
    if os.geteuid() != 0 or runuser is None or not system.is_file() or user not in {u.pw_name for u in pwd.getpwall()}:
        pytest.skip("needs root, runuser and the system's own interpreter, which every user may start")
    return [runuser, "-u", user, "--", str(system), *COMMAND[1:]]


@pytest.fixture
def open_place() -> Iterator[Path]:
    """Return a folder that another user can get to; what pytest makes is below one that is for its owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("locale", "user", "command"),
    [
        ("C", "", ("anonymise", "--plain")),
        pytest.param("C.UTF-8", "", ("anonymise", "--plain"), marks=pytest.mark.slow),
        pytest.param("C", "nobody", ("anonymise",), marks=pytest.mark.slow),
    ],
)
def test_places(open_place: Path, locale: str, user: str, command: tuple[str, ...]) -> None:
    start = _command(user)
    place = open_place / "Données été №1"
    shutil.copytree(HERE / "shared", place)
    shutil.copy(HERE / "10-table-forms" / "base.csv", place / "porté folio.csv")
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    (place / "cut é №1.yaml").write_text(CUT, "utf-8")
    temporary = open_place / "a folder with a space"
    temporary.mkdir()
    if user:
        for path in (open_place, *open_place.rglob("*")):
            shutil.chown(path, user)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(
            [os.environ.get("PYTHONPATH", str(HERE.parents[1])), sysconfig.get_path("purelib")]
        ),
        "HOME": "/nonexistent",
        "TMPDIR": str(temporary),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "LC_ALL": locale,
        "POLARS_MAX_THREADS": "1",
    }
    done = subprocess.run(
        [*start, command[0], "cut é №1.yaml", *command[1:]],
        cwd=place, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    packs = [path for path in (place / "sortie é").iterdir() if path.is_dir()]
    tables = [pl.read_parquet(path).height for pack in packs for path in pack.glob("data/*/portfolio.parquet")]
    assert set(tables) == {3}
    assert not list(temporary.iterdir())
