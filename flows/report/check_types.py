"""What an answer on the first screen is: a question, a short answer, and how it weighs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """How an answer weighs in the verdict."""

    PLAIN = "plain"  # a fact, neither good nor bad
    GOOD = "good"
    NOTE = "note"  # a reader should look closer
    BAD = "bad"  # the pack is not fit to rely on


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """One question, its short answer, what stands behind it, and the section that shows it in full.

    ``claim`` is what the answer adds to the verdict above all questions, as a part of a sentence or a reason.
    """

    question: str
    short: str
    detail: str
    state: CheckState = CheckState.PLAIN
    section: str = ""
    code: bool = False
    claim: str = ""
