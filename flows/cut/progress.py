"""PROGRESS: what a run reports while it works, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

Kind = Literal["release", "submission"]
Progress = Callable[[str, int], None]


class StepOutcome(BaseModel):
    """What a step found: paths, ids and counts, so that an orchestrator may keep it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def counts(self) -> dict[str, int]:
        """Return what a line of progress shows: every whole number by its name."""
        return {name: value for name, value in self if isinstance(value, int) and not isinstance(value, bool)}


class StepCounts(StepOutcome):
    """How much a step dealt with; what it does not count is absent."""

    rows: int | None = None
    bytes: int | None = None
    tables: int | None = None
    partitions: int | None = None
    rules: int | None = None
    excluded: int | None = None
    pairs: int | None = None
    items: int | None = None
    allocated: int | None = None
    shortages: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work that can be done by itself.

    Attributes:
        stages: the stages that it takes its data through, in the order of :data:`flows.pipeline.STAGES`.
        call: does it.
        detail: which part of them, for a person to read; empty where it is all.
        participant: whose data it works on; empty where it is everybody's.
    """

    stages: tuple[str, ...]
    call: Callable[[], StepOutcome]
    detail: str = ""
    participant: str = ""

    @property
    def stage(self) -> str:
        """The stages by name."""
        return ", ".join(self.stages)

    @property
    def name(self) -> str:
        """What a person reads."""
        return f"{self.stage}: {self.detail}" if self.detail else self.stage


class ProgressListener(Protocol):
    """Receives what happens in a run."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """A step has ended, after so many seconds, with this result."""

    def rows(self, label: str, rows: int) -> None:
        """So many rows of a source have been read."""


class NullListener:
    """Receives everything and says nothing."""

    def begin(self, step: Step) -> None:
        """Say nothing."""

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """Say nothing."""

    def rows(self, label: str, rows: int) -> None:
        """Say nothing."""


NULL_LISTENER = NullListener()
_LISTENER: ContextVar[ProgressListener] = ContextVar("progress listener", default=NULL_LISTENER)
"""A stage's parameters are paths and names, so a listener travels in the context; flows.cut.parallel carries it."""


_RUN_ID: ContextVar[str] = ContextVar("run id", default="")


@contextmanager
def known_as(run_id: str) -> Iterator[None]:
    """Let what the block does be known by the orchestrator's id of the run."""
    token = _RUN_ID.set(run_id)
    try:
        yield
    finally:
        _RUN_ID.reset(token)


def orchestrated_as() -> str:
    """Return the orchestrator's id of the run that this is part of; empty where there is no orchestrator."""
    return _RUN_ID.get()


def silent(_label: str, _rows: int) -> None:
    """Report no progress."""


@contextmanager
def listening(listener: ProgressListener) -> Iterator[None]:
    """Report to ``listener`` while the block runs, in this thread and in those it starts by ``flows.cut.parallel``."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def current_listener() -> ProgressListener:
    """Return the listener of the run that this is part of; one that says nothing outside of a run."""
    return _LISTENER.get()
