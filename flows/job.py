"""The job in its order: steps that run plainly or as a Prefect flow, the same code either way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from flows import stages
from flows.anonymise import silent
from flows.context import watching
from flows.publish import publish

Kind = Literal["release", "submission"]
Listener = Callable[[str, float, dict[str, Any]], None]
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


def run(cut_file: str, kind: Kind, *, run_step: Callable[[Step], Facts], listen: Listener) -> Facts:
    """Take a cut through its stages.

    Args:
        cut_file: path of ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        run_step: does one step: a plain call, or a task of an orchestrator.
        listen: told of each step when it has ended.

    Returns:
        What :func:`flows.publish.publish` returns.
    """
    seconds: list[Facts] = []

    def timed(step: Step) -> Facts:
        began = time.monotonic()
        facts = run_step(step)
        took = round(time.monotonic() - began, 3)
        seconds.append({"stage": step.name, "seconds": took})
        listen(step.name, took, facts)
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


def nobody(_stage: str, _seconds: float, _facts: Facts) -> None:
    """Listen to no stage."""


def run_plain(cut_file: Path, *, kind: Kind = "release", listen: Listener = nobody, progress: Any = silent) -> Facts:
    """Run all stages in this process, without an orchestrator.

    Args:
        cut_file: ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        listen: told of each stage when it ends.
        progress: told of rows read.

    Returns:
        What :func:`flows.publish.publish` returns.
    """
    with watching(progress):
        return run(str(cut_file), kind, run_step=lambda step: step.call(), listen=listen)
