"""``amounts.yaml`` of the profiles as a typed document; a profile itself is an overlay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.strict import Strict


class AmountsDocument(Strict):
    """Bands that amounts stay in, and steps that they are cut to."""

    bands: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    steps: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]], ...] = Field(min_length=1)


Figure = Annotated[float, Field(ge=0, le=1)]


class PromiseNode(Strict):
    """What holds from so many metering points on."""

    metering_points: int = Field(ge=0)
    intruders: dict[str, Figure] = Field(default_factory=dict)
    joins: Figure | None = None
    unique: Figure | None = None


class PromisesDocument(Strict):
    """What each profile promises, by the size of a release."""

    exact: tuple[PromiseNode, ...]
    standard: tuple[PromiseNode, ...]
    strict: tuple[PromiseNode, ...]


class AnswerNode(Strict):
    """What the programme has answered, by the number of its question."""

    source: Annotated[str, Field(pattern="^Q[0-9]+$")]
    says: Annotated[str, Field(min_length=1)]


class QualificationDocument(Strict):
    """What is known of a later cut for Qualification, and what is assumed."""

    known: tuple[AnswerNode, ...] = Field(min_length=1)
    assumed: tuple[Annotated[str, Field(min_length=1)], ...]
