"""The data dictionary is that of the contracts of today, and leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.data_dictionary import data_dictionary
from contracts.load import RESULTS, load_all

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


@pytest.fixture(scope="module")
def text() -> str:
    return data_dictionary()


def test_the_page_is_the_one_of_today(text):
    assert PAGE.read_text(encoding="utf-8") == text, "run: datacut contracts doc > docs/data-dictionary.md"


def test_every_column_and_rule_stands_in_it(text):
    for contract in [*load_all().values(), *load_all(RESULTS).values()]:
        for rule in contract.rules:
            assert f"`{rule.id}`" in text
            assert rule.description.replace("|", "\\|") in text
    for contract in load_all().values():
        for column in contract.columns:
            assert f"`{column.name}`" in text


@pytest.mark.requirement(*(f"DQ{n:02d}" for n in range(1, 33)))
def test_every_check_of_the_domain_is_made_somewhere(text):
    rows = dict(re.findall(r"^\| (DQ\d\d) \| .* \| (.*) \|$", text, re.MULTILINE))
    assert len(rows) == 32
    assert all(rows.values())


@pytest.mark.requirement(*(f"R{n}" for n in range(1, 16)))
def test_every_cross_field_rule_is_the_basis_of_a_rule():
    named = {word for c in [*load_all().values(), *load_all(RESULTS).values()] for r in c.rules for word in r.basis}
    assert {f"R{n}" for n in range(1, 16)} <= named
