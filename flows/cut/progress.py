"""PROGRESS: what a run reports while it works, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["release", "submission"]
Facts = dict[str, Any]
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work that can be done by itself.

    Attributes:
        stage: the stage it belongs to.
        name: what a person reads.
        call: does it and returns its facts; paths, ids and counts only.
        participant: whose data it works on; empty where it is everybody's.
    """

    stage: str
    name: str
    call: Callable[[], Facts]
    participant: str = ""


class Told(Protocol):
    """Is told what happens in a run."""

    def begin(self, step: Step) -> None:
        """Tell that a step begins."""

    def end(self, step: Step, seconds: float, facts: Facts) -> None:
        """Tell what a step has done."""

    def rows(self, label: str, rows: int) -> None:
        """Tell how many rows of a source have been read."""


class Nobody:
    """Is told everything and says nothing."""

    def begin(self, step: Step) -> None:
        """Say nothing."""

    def end(self, step: Step, seconds: float, facts: Facts) -> None:
        """Say nothing."""

    def rows(self, label: str, rows: int) -> None:
        """Say nothing."""


NOBODY = Nobody()


def silent(_label: str, _rows: int) -> None:
    """Report no progress."""


class _Watch:
    """Who watches the progress of this process; a stage's parameters cannot carry a function."""

    progress: Progress = staticmethod(silent)


@contextmanager
def watching(progress: Progress) -> Iterator[None]:
    """Tell ``progress`` of rows read while the block runs."""
    before = _Watch.progress
    _Watch.progress = staticmethod(progress)
    try:
        yield
    finally:
        _Watch.progress = staticmethod(before)


def progressed(label: str, rows: int) -> None:
    """Tell whoever watches how many rows of a source have been read."""
    _Watch.progress(label, rows)
