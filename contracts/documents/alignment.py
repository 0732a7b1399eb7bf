"""``alignment.yaml``: what participants must agree on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.strict import Strict

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Beyond = Literal["report", "fail"]


class ToleranceEntry(Strict):
    """How much disagreement is borne."""

    tolerance: Share
    beyond: Beyond | None = None


class ComparedEntry(ToleranceEntry):
    """One item that two extracts must agree on."""

    column: Text
    where_held: bool = False


class ComparisonEntry(Strict):
    """The registration against one other extract."""

    right: Text
    expected: str
    scope: Text
    held: str = ""
    reasons: tuple[Text, ...] = ()
    presence: ToleranceEntry
    items: dict[str, ComparedEntry]


class PolicyEntry(Strict):
    """What happens beyond a tolerance."""

    beyond: Beyond


class AlignmentDocument(Strict):
    """The whole file."""

    policy: PolicyEntry
    comparisons: list[ComparisonEntry]
