"""Every defect that the generator plants is found, by the rule it breaks, and nothing else is: planted, found, false.

``python -m tests.pipeline.planted SAMPLE`` prints the table of a sample of any size.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from flows import pipeline
from flows.sample import SampleRequest, generate
from tests.pipeline import planted

RULES = 24  # data-quality rules of which the generator plants defects


def sample(folder: Path, mpans: int, *, defects: float, seed: int = 1) -> Path:
    generate(SampleRequest(mpans, seed, defects), folder)
    return folder


def table(folder: Path) -> pl.DataFrame:
    try:
        return planted.compare(folder, planted.judge(folder / "cut.yaml"))
    finally:
        pipeline.finish(str(folder / "cut.yaml"))


def assert_complete(found: pl.DataFrame, chance: int = 0) -> None:
    with pl.Config(tbl_rows=-1):
        assert found.filter(pl.col("planted") != pl.col("found")).is_empty(), found
        # one short serial number in a million has itself for a pseudonym, on the three extracts that hold it
        by_chance = pl.when(pl.col("rule") == "DQ22").then(chance).otherwise(0)
        assert found.filter(pl.col("false") > by_chance).is_empty(), found
    assert found.filter(pl.col("planted") > 0).height >= RULES


@pytest.mark.requirement("Q48", *(f"DQ{n:02d}" for n in range(1, 23)), "DQ24", "DQ27", "DQ28")
def test_all_are_found_and_nothing_else(tmp_path):
    assert_complete(table(sample(tmp_path / "sample", 4000, defects=0.08, seed=7)))


@pytest.mark.requirement("Q48")
def test_a_sample_without_defects_is_without_verdicts(tmp_path):
    found = table(sample(tmp_path / "sample", 3000, defects=0.0, seed=11))
    # disconnected metering points are in every population
    assert found.filter(pl.col("false") > 0).is_empty(), found
    assert set(found.filter(pl.col("planted") > 0)["rule"]) <= {"DQ20"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.requirement("Q48")
def test_fifty_thousand_metering_points(tmp_path):
    """A million takes the same command and twenty times as long: see the table in the maintainers' page."""
    found = table(sample(tmp_path / "sample", 50_000, defects=0.05))
    assert_complete(found, chance=5)
    assert found["planted"].sum() > 3_500
