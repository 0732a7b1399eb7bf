"""Every obligation has a test, every mark names an obligation, and the page in the docs is the one of today."""

from __future__ import annotations

from pathlib import Path

from contracts.requirements import requirements
from tests.traceability import page, shown

DOCS = Path(__file__).parents[2] / "docs"


def test_every_obligation_has_a_test():
    assert [r.id for r in requirements() if not shown().get(r.id)] == []


def test_every_mark_names_an_obligation():
    assert sorted(set(shown()) - {r.id for r in requirements()}) == []


def test_the_page_is_the_one_of_today():
    assert (DOCS / "traceability.md").read_text(encoding="utf-8") == page(), "run make docs"
