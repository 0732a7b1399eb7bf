"""A backup in a folder with spaces and accents; a machine without a home, with a proxy, without a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("locale", ["C", pytest.param("C.UTF-8", marks=pytest.mark.slow)])
def test_places(tmp_path: Path, locale: str) -> None:
    place = tmp_path / "Données été №1"
    shutil.copytree(HERE / "shared", place)
    shutil.copy(HERE / "10-table-forms" / "base.csv", place / "porté folio.csv")
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    (place / "cut é №1.yaml").write_text(CUT, "utf-8")
    temporary = tmp_path / "a folder with a space"
    temporary.mkdir()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(HERE.parents[1])),
        "HOME": "/nonexistent",
        "TMPDIR": str(temporary),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "LC_ALL": locale,
        "POLARS_MAX_THREADS": "1",
    }
    done = subprocess.run(
        [*COMMAND, "anonymise", "cut é №1.yaml", "--plain"],
        cwd=place, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    packs = [path for path in (place / "sortie é").iterdir() if path.is_dir()]
    assert [pl.read_parquet(path).height for path in packs[0].glob("data/*/*.parquet")] == [3]
    assert not list(temporary.iterdir())
