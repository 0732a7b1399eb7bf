"""Changes are drawn alike for one seed, each is one change, and each leaves Python that can be read."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.mutation.__main__ import CORE, equivalent
from tests.mutation.changes import changes, draw

ROOT = Path(__file__).parents[2]
SOURCE = '''\
"""Text."""
def over(values: list[int | None], most=3) -> int | None:
    """Say > nothing."""
    found = [v for v in values if v > most and not v == 7]
    return len(found) + 1 if found else 0
'''


def test_every_kind_of_change_is_made():
    found = list(changes("a.py", SOURCE))
    told = {(change.kind, change.before, change.after) for change in found}
    assert told >= {
        ("comparison", ">", ">="),
        ("comparison", "==", "!="),
        ("and/or", "and", "or"),
        ("negation dropped", "not ", ""),
        ("sign", "+", "-"),
        ("constant", "7", "8"),
        ("condition", "found", "True"),
        ("condition", "found", "False"),
    }
    assert not [change for change in found if change.before == "|"]
    assert all(change.inside == "over" for change in found if change.line > 2)
    for change in found:
        changed = change.apply(SOURCE)
        assert changed != SOURCE
        ast.parse(changed)


def test_a_seed_draws_the_same_changes_and_all_can_be_read():
    drawn = draw(ROOT, CORE, 60, 5)
    assert drawn == draw(ROOT, CORE, 60, 5)
    assert len({change.path for change in drawn}) > 10
    for change in drawn:
        source = (ROOT / change.path).read_text(encoding="utf-8")
        assert source[change.start : change.end] == change.before
        ast.parse(change.apply(source))


def test_equivalent_changes_have_a_reason():
    assert all(reason for reason in equivalent().values())
