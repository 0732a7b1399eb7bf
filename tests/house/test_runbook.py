"""The runbook is what the error classes say, and README and help list the same codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts import errors
from contracts.documents.runbook import exit_codes, runbook
from flows.cli.main import EXIT_CODES

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_error_classes() -> None:
    assert (ROOT / "docs" / "runbook.md").read_text("utf-8") == runbook(), "run make docs"


def test_every_class_has_a_code_of_its_own_and_says_what_to_do() -> None:
    ours = [errors.DataCutError, *errors.DataCutError.__subclasses__()]
    assert len({one.exit_code for one in ours}) == len(ours)
    for one in ours[1:]:
        assert {"exit_code", "means", "runbook"} <= vars(one).keys(), one


@pytest.mark.parametrize("text", [EXIT_CODES, (ROOT / "README.md").read_text("utf-8")], ids=["help", "README"])
def test_help_and_readme_know_every_code(text: str) -> None:
    said = text.partition("Exit codes:")[2]
    assert not [code for code in exit_codes() if not re.search(rf"\b{code}\b", said)]
