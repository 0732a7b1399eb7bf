"""A stage that is broken ends the run before anything is visible; the same run with nothing broken goes through."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.sabotage.campaign import prepare, run
from tests.sabotage.ways import WAYS

pytestmark = [pytest.mark.requirement("DQ32", "Q67")]
QUICK = ("serials raw in all extracts, canaries spared", "one MPAN raw, in one row", "intake takes no digests of rows")

# A run with the first goes through, and the row that holds the serial does not: its registers have another (DQ15).
# No guard looks at the companions of excluded metering points.
UNCAUGHT = ("one serial raw, in one row", "the cascade of exclusions is forgotten")


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    return prepare(tmp_path_factory.mktemp("sabotage") / "sample")


def test_the_run_that_is_broken_goes_through_when_it_is_not(sample, tmp_path):
    outcome = run(sample, "", tmp_path / "cut")
    assert not outcome.caught
    assert len(outcome.visible) == 2


@pytest.mark.parametrize("way", QUICK)
def test_a_broken_stage_ends_the_run(sample, tmp_path, way):
    _ends(sample, tmp_path, way)


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way not in (*QUICK, *UNCAUGHT)])
def test_every_other_broken_stage_ends_the_run(sample, tmp_path, way):
    _ends(sample, tmp_path, way)


def _ends(sample: Path, tmp_path: Path, way: str) -> None:
    outcome = run(sample, way, tmp_path / "cut")
    assert outcome.caught
    assert outcome.code in (11, 12, 13, 14, 15, 18, 20)
    assert outcome.visible == ()


@pytest.mark.slow
@pytest.mark.requirement("DQ15", "DQ32")
def test_a_serial_raw_in_one_row_goes_through_and_is_in_no_pack(sample, tmp_path):
    """The sabotage that no guard notices: what it lets through is excluded, and nowhere in what is published."""
    outcome = run(sample, "one serial raw, in one row", tmp_path / "cut", keep=True)
    assert len(outcome.visible) == 2
    raw = set(pl.read_csv(sample / "MOPB" / "metering.csv", infer_schema=False)["METER_SERIAL_NUMBER"].drop_nulls())
    cells: set[str] = set()
    for path in (tmp_path / "cut" / "out").rglob("*.parquet"):
        frame = pl.read_parquet(path)
        for column in frame.select(pl.col(pl.String)).get_columns():
            cells |= set(column.drop_nulls())
    assert len(raw) > 100
    assert len(cells) > 1000
    assert raw & cells == set()
