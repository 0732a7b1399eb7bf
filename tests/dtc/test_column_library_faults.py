"""What a library complains about is a disk fault only where the system said so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from contracts.errors import PlaceError
from flows.cut.workspace import disk


@pytest.mark.parametrize("text", ["invalid datetime format", "cannot cast"])
def test_a_value_that_cannot_be_written_is_no_disk_fault(tmp_path, text):
    with pytest.raises(pl.exceptions.ComputeError), disk(tmp_path):
        raise pl.exceptions.ComputeError(text)


@pytest.mark.parametrize("text", ["write failed (os error 28)", "No space left on device"])
def test_a_full_disk_that_the_library_tells_of_is_one(tmp_path, text):
    with pytest.raises(PlaceError, match="the disk is full"), disk(tmp_path):
        raise pl.exceptions.ComputeError(text)


def test_a_footer_that_could_not_be_written_is_a_fault_of_the_disk():
    """The library loses the system's number there: the file of three hundred columns has a footer beyond its buffer."""
    wide = pl.DataFrame({f"c{number}": [1] for number in range(300)})
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    with pytest.raises(PlaceError, match="/dev/full"), disk(full):
        wide.lazy().sink_parquet(full)


def test_such_a_footer_on_a_full_disk_says_that_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(PlaceError, match="the disk is full"), disk(tmp_path / "x"):
        raise pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")
