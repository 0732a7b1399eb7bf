"""A panic of a library passes no boundary: not as an exception, and not by its text."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import DataCutError
from flows.cut.boundary import is_failure
from flows.orchestration.options import guarded, without_values
from tests import command

pytestmark = pytest.mark.requirement("Q67")
PLANTED = "1200012345678"
PANIC = f"\\nthread '<unnamed>' (77) panicked at src/cast.rs:1:5:\\nbad value {PLANTED}\\nmore of {PLANTED}\\n"

PLAIN = f"""
import os, sys
import polars as pl
from flows import pipeline
from flows.cli import main

def panics(*a, **k):
    os.write(2, b"{PANIC}")
    raise pl.exceptions.PanicException("bad value {PLANTED}")

pipeline.prepare = panics
sys.argv = ["datacut", "anonymise", sys.argv[1], "--plain"]
main.main()
"""


def test_a_panic_is_a_failure_and_an_end_is_none():
    assert is_failure(pl.exceptions.PanicException("x"))
    assert is_failure(ValueError("x"))
    assert not [end for end in (KeyboardInterrupt(), SystemExit(1), GeneratorExit()) if is_failure(end)]


def test_a_panic_of_a_task_becomes_a_defect_without_its_text():
    def panics() -> None:
        raise pl.exceptions.PanicException(f"bad value {PLANTED}")

    with pytest.raises(DataCutError) as caught:
        guarded(panics)()
    assert PLANTED not in caught.value.line()
    assert "PanicException" in caught.value.line()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # a Dask worker would send it along


def test_a_fault_of_a_task_brings_no_other_along():
    def fails() -> None:
        try:
            int(f"bad value {PLANTED}")
        except ValueError:
            raise DataCutError("is no number", where="here") from None

    with pytest.raises(DataCutError) as caught:
        guarded(fails)()
    assert caught.value.__context__ is None


def test_a_panic_of_a_flow_is_not_shown_with_what_is_told():
    def told() -> None:
        with without_values():
            raise pl.exceptions.PanicException(f"bad value {PLANTED}")

    with pytest.raises(DataCutError) as caught:
        told()
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_a_panic_says_nothing_on_standard_error(cut: Path):
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(cut / "cut.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert PLANTED not in done.stdout + done.stderr
    assert "panicked" not in done.stderr
    assert "defect in datacut: PanicException at" in done.stderr


SAYS = """
import logging, os, sys, time
from flows.cut.boundary import keep_panics_quiet
before = logging.StreamHandler()
keep_panics_quiet()
logging.getLogger().addHandler(before)
os.write(2, b"of a library\\n")
os.write(2, b"thread 'main' panicked at x.rs:1:1:\\nvalue\\nnote: run with `RUST_BACKTRACE=1` environment variable\\n")
os.write(2, b"after it\\n")
print("of Python", file=sys.stderr)
logging.getLogger().warning("of a log that was there before")
time.sleep(0.2)
"""


def test_everything_else_is_still_said():
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, check=True)
    assert sorted(done.stderr.split("\n")) == sorted(
        ["of a library", "after it", "of Python", "of a log that was there before", ""]
    )


IN_EVERY_PROCESS = f"""
import os

def panics(*a, **k):
    os.write(2, b"{PANIC}")
    import polars
    raise polars.exceptions.PanicException("bad value {PLANTED}")

import flows.pseudonymise.source
flows.pseudonymise.source.pseudonymise_batch = panics
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], pytest.param(["--workers", "2"], marks=pytest.mark.dask)], ids=["", "dask"])
def test_a_panic_under_prefect_leaves_its_text_nowhere(cut: Path, tmp_path: Path, workers: list[str]):
    """Not on a stream, not in Prefect's database, not in a log or a folder of a worker: nowhere below the cut."""
    if workers:
        pytest.importorskip("prefect_dask")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(IN_EVERY_PROCESS)
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[2])])
    home = tmp_path / "home"
    done = command.datacut_process(
        "run", cut / "cut.yaml", "--log", tmp_path / "run.log", *workers,
        PYTHONPATH=path, PREFECT_HOME=str(home), TMPDIR=str(tmp_path),
    )  # fmt: skip
    assert done.code == 1, done.err
    assert "PanicException" in done.err
    assert PLANTED not in done.out + done.err
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "site" not in path.relative_to(tmp_path).parts]
    assert [path for path in files if path.suffix == ".db"]
    raw = {PLANTED.encode(), PLANTED.encode("utf-16-le"), b"panicked at"}
    assert [path for path in files if any(value in path.read_bytes() for value in raw)] == []
