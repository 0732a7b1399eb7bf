"""``intruders.yaml`` as a typed document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.strict import Strict, matching

Share = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[str, Field(min_length=1)]
Place = Annotated[str, matching(r"[a-z_]+\.[a-z0-9_]+", "must be extract.column")]


class LevelsNode(Strict):
    """Bounds of how near two values are, and how likely each level is for a true pair."""

    steps: tuple[float, ...]
    agree: tuple[Share, ...] = Field(min_length=2)


class FactNode(Strict):
    """One fact."""

    words: Words
    kind: Literal["code", "date", "amount"]
    places: tuple[Place, ...] = ()
    take: Annotated[
        str,
        matching(r"value|outward|year of serial|sum|latest|count|present|first [1-9]", "must be a way to take a value"),
    ] = "value"
    minus: tuple[str, ...] = ()


class KnowledgeNode(Strict):
    """How well a fact is known."""

    known: Share = 1.0
    wrong: Share = 0.0
    off: float = Field(default=0.0, ge=0)


class BlockNode(Strict):
    """Where an intruder looks."""

    same: tuple[str, ...] = ()
    near: str = ""
    within: float = Field(default=0.0, ge=0)


class IntruderNode(Strict):
    """One intruder."""

    id: Words
    title: Words
    story: Words
    like: str = ""
    among: Literal["points", "series"] = "points"
    knows: dict[str, KnowledgeNode] = Field(default_factory=dict)
    variants: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    blocks: tuple[BlockNode, ...] = ()
    from_other: bool = False
    wants: tuple[str, ...] = Field(min_length=1)
    sure: Share


class SeriesNode(Strict):
    """What an app shows of a half-hourly series."""

    extract: str
    quantity: str
    of: str
    day: str
    periods: int = Field(ge=1, le=50)
    days: int = Field(ge=1)
    half_hours: tuple[int, ...] = Field(min_length=1)


class JoinsNode(Strict):
    """Columns of plain joins."""

    public: tuple[str, ...] = Field(min_length=1)
    released: tuple[str, ...] = Field(min_length=1)


class InRunNode(Strict):
    """What is played as a part of every run."""

    targets: int = Field(ge=1)
    among: int = Field(ge=1000)
    intruders: tuple[str, ...] = Field(min_length=1)


class AttackDocument(Strict):
    """The whole of the file."""

    targets: int = Field(ge=1)
    largest_block: int = Field(ge=1)
    kept_candidates: int = Field(ge=2)
    rounds: int = Field(ge=0)
    present: Share
    levels: dict[Literal["code", "date", "amount"], LevelsNode]
    facts: dict[str, FactNode]
    series: SeriesNode
    intruders: tuple[IntruderNode, ...] = Field(min_length=1)
    joins: JoinsNode
    in_run: InRunNode
