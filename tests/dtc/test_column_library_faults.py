"""What a library complains about is a disk fault only where the system said so."""

from __future__ import annotations

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
