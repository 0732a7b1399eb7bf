"""``rates.yaml`` as a typed document: what a run costs, as it was measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from contracts.strict import PlacedError, Strict

Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class MemoryNode(Strict):
    """The peak of memory at a number of rows."""

    rows: Annotated[int, Field(ge=1)]
    mib: Annotated[int, Field(ge=1)]


class KindNode(Strict):
    """What one kind of run costs: CPU seconds by stage, megabytes of work folder and packs, at each number of rows."""

    rows: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=2)
    stages: dict[str, tuple[Amount, ...]] = Field(min_length=1)
    work_mb: tuple[Amount, ...]
    packs_mb: tuple[Amount, ...]
    memory: tuple[MemoryNode, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _as_many(self) -> KindNode:
        if list(self.rows) != sorted(set(self.rows)):
            raise PlacedError("are not in order, the fewest first", "rows")
        for name, figures in {**self.stages, "work_mb": self.work_mb, "packs_mb": self.packs_mb}.items():
            if len(figures) != len(self.rows):
                raise ValueError(f"{name} has {len(figures)} figures for {len(self.rows)} sizes")
        return self


class RatesDocument(Strict):
    """The whole of the file."""

    measured: str
    cores_used: Annotated[float, Field(ge=1)]
    margin: Share
    text_row_bytes: dict[str, Annotated[float, Field(gt=0)]]
    flow_row_bytes: dict[str, Annotated[float, Field(gt=0)]]
    packed: Annotated[float, Field(gt=0, le=1)]
    kinds: dict[Literal["release", "submission"], KindNode]
