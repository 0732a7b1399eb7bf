"""A stage that is broken ends the run before anything is visible; the same run with nothing broken goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.campaign import prepare, run
from tests.sabotage.ways import WAYS

pytestmark = [pytest.mark.requirement("DQ32", "Q67")]
QUICK = ("serials raw in all extracts, canaries spared", "one MPAN raw, in one row", "intake takes no digests of rows")


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
@pytest.mark.parametrize("way", [way for way in WAYS if way not in QUICK])
def test_every_other_broken_stage_ends_the_run(sample, tmp_path, way):
    _ends(sample, tmp_path, way)


def _ends(sample: Path, tmp_path: Path, way: str) -> None:
    outcome = run(sample, way, tmp_path / "cut")
    assert outcome.caught
    assert outcome.code in (11, 12, 13, 14, 15, 18, 20)
    assert outcome.visible == ()
