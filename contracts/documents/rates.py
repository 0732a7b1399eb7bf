"""``rates.yaml`` as a typed document: what a run costs, as it was measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.strict import Strict

Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class StageNode(Strict):
    """CPU seconds of a stage: of every run, and of a million rows."""

    every_run: Amount
    million_rows: Amount


class MemoryNode(Strict):
    """The peak of memory at a number of rows."""

    rows: Annotated[int, Field(ge=1)]
    mib: Annotated[int, Field(ge=1)]


class KindNode(Strict):
    """What one kind of run costs."""

    stages: dict[str, StageNode] = Field(min_length=1)
    work_bytes_a_row: Amount
    pack_bytes_a_row: Amount
    memory: tuple[MemoryNode, ...] = Field(min_length=2)


class RatesDocument(Strict):
    """The whole of the file."""

    measured: str
    cores_used: Annotated[float, Field(ge=1)]
    margin: Share
    text_row_bytes: dict[str, Annotated[float, Field(gt=0)]]
    flow_row_bytes: dict[str, Annotated[float, Field(gt=0)]]
    packed: Annotated[float, Field(gt=0, le=1)]
    kinds: dict[Literal["release", "submission"], KindNode]
