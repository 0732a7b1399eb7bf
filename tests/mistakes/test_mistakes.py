"""Every mistake of the table: its exit code, its line, and that nothing raw is in what is printed."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from tests.mistakes.tried import POINTS, Mistake, answer, mistakes, rows, said

TABLE = mistakes()
LEAST = 5  # of each kind


def _tried(mistake: Mistake) -> ParameterSet:
    """Return a case; one that goes through a whole run is slow."""
    whole = mistake.given["code"] in (0, 14, 20) and "run" not in mistake.given
    return pytest.param(mistake, id=f"{mistake.kind}: {mistake.name}", marks=[pytest.mark.slow] if whole else [])


@pytest.mark.requirement("DQ11")
@pytest.mark.parametrize("mistake", [_tried(mistake) for mistake in TABLE])
def test_a_mistake_is_answered(mistake: Mistake, tmp_path) -> None:
    done = answer(mistake, tmp_path / "place")
    printed = " ".join(f"{done.out} {done.err}".split())
    assert done.code == mistake.given["code"], printed
    for text in said(mistake):
        assert text in printed
    for text in mistake.given.get("silent", ()):
        assert text not in printed
    assert "Traceback" not in printed
    assert "defect in datacut" not in printed
    assert len(done.told) == (done.code != 0)
    assert not any(point in printed for point in POINTS)
    if {"released", "excluded"} & set(mistake.given):
        assert rows(tmp_path) == (mistake.given.get("released", 0), mistake.given.get("excluded", 0))


def test_every_kind_has_enough_mistakes_and_each_its_own_name() -> None:
    kinds = {m.kind for m in TABLE}
    assert len(kinds) == 11
    assert all(sum(m.kind == kind for m in TABLE) >= LEAST for kind in kinds)
    assert len({(m.kind, m.name) for m in TABLE}) == len(TABLE) >= 70
