"""``requirements.yaml`` and ``dpia.yaml``: obligations, and the words of the impact assessment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from contracts.strict import Found, Strict, matching

Text = Annotated[str, Field(min_length=1)]


class RequirementEntry(Strict):
    """One obligation."""

    id: Annotated[str, matching(r"(?:Q|R|DQ)[0-9]{1,3}", "must be a Q, R or DQ number")]
    asks: Text
    sections: list[Text] = Field(default_factory=list)
    test_only: bool = False


class RequirementsDocument(Strict):
    """The whole of ``requirements.yaml``."""

    requirements: list[RequirementEntry]

    def faults(self) -> Iterator[Found]:
        """Yield ids that appear twice."""
        seen: set[str] = set()
        for place, entry in enumerate(self.requirements):
            if entry.id in seen:
                yield ("requirements", place), "appears twice"
            seen.add(entry.id)


class ReasonEntry(Strict):
    """Why a treatment is right, and what risk it leaves."""

    treatment: Text
    basis: Text
    residual_risk: Text


class AssessmentDocument(Strict):
    """The whole of ``dpia.yaml``."""

    purpose: Text
    controller: Text
    lawful_basis: Text
    retention: Text
    recipients: Text
    treatments: list[ReasonEntry]
    measures: list[Text]
