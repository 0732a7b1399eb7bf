"""The job in its order: steps that run plainly or as a Prefect flow, the same code either way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from flows import stages
from flows.context import watching
from flows.publish import publish

Kind = Literal["release", "submission"]
Facts = dict[str, Any]


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


def run(cut_file: str, kind: Kind, *, run_step: Callable[[Step], Facts], told: Told) -> Facts:
    """Take a cut through its stages.

    Args:
        cut_file: path of ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        run_step: does one step: a plain call, or a task of an orchestrator.
        told: told of each step.

    Returns:
        What :func:`flows.publish.publish` returns.
    """
    seconds: list[Facts] = []

    def timed(step: Step) -> Facts:
        told.begin(step)
        began = time.monotonic()
        facts = run_step(step)
        took = round(time.monotonic() - began, 3)
        seconds.append({"stage": step.name, "seconds": took})
        told.end(step, took, facts)
        return facts

    plan = timed(Step("prepare", "prepare", partial(stages.prepare, cut_file)))
    for step in _steps(cut_file, kind, plan):
        timed(step)
    done = timed(Step("release", "release", partial(publish, cut_file, kind=kind, seconds=seconds)))
    stages.finish(cut_file)
    return done


def _steps(cut_file: str, kind: Kind, plan: Facts) -> Iterator[Step]:
    for mpid, extract in plan["sources"]:
        call = partial(stages.anonymise, cut_file, mpid, extract)
        yield Step("anonymise", f"anonymise {mpid}/{extract}", call, mpid)
    yield Step("quality", "quality", partial(stages.judge, cut_file))
    if kind == "release":
        yield Step("align", "align", partial(stages.align, cut_file))
        yield Step("augment", "augment", partial(stages.augment, cut_file))
        yield Step("ring-fence", "ring-fence", partial(stages.ring_fence, cut_file))


def run_plain(cut_file: Path, *, kind: Kind = "release", told: Told = NOBODY) -> Facts:
    """Run all stages in this process, without an orchestrator.

    Args:
        cut_file: ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        told: told of each step, and of rows read.

    Returns:
        What :func:`flows.publish.publish` returns.
    """
    with watching(told.rows):
        return run(str(cut_file), kind, run_step=lambda step: step.call(), told=told)
