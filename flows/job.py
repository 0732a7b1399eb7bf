"""The job in its order: steps that run plainly or as a Prefect flow, the same code either way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from contracts.errors import IntakeError, RefusedError, ResidueError
from flows import pipeline
from flows.cut.context import watching
from flows.cut.parallel import together
from flows.release.stage import publish

Kind = Literal["release", "submission"]
Facts = dict[str, Any]
MOST_PARTS = 16  # steps that the partitions of a stage are spread over


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


RunWave = Callable[[Sequence[Step]], Sequence[tuple[Facts, float]]]


def side_by_side(run_step: Callable[[Step], Facts], told: Told) -> RunWave:
    """Return a way to do a wave: its steps side by side in this process, each told when it begins and ends."""

    def timed(step: Step) -> tuple[Facts, float]:
        told.begin(step)
        began = time.monotonic()
        facts = run_step(step)
        took = round(time.monotonic() - began, 3)
        told.end(step, took, facts)
        return facts, took

    return lambda wave: together(timed, wave)


def run(cut_file: str, kind: Kind, *, run_wave: RunWave) -> Facts:
    """Take a cut through its stages, wave by wave; the steps of a wave do not depend on each other.

    Args:
        cut_file: path of ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        run_wave: does the steps of one wave and returns what each found and how many seconds it took.

    Returns:
        What :func:`flows.release.stage.publish` returns.

    Raises:
        IntakeError, RefusedError, ResidueError: the data is refused. The work folder goes then: nothing is gone on with
        until a backup or the configuration is another, and columns that pass as they are may hold what they should not.
        DataCutError: any other failure; the work folder stays for the next run to go on with.
    """
    seconds: list[Facts] = []

    def timed(wave: Sequence[Step]) -> Sequence[Facts]:
        done = run_wave(wave)
        seconds.extend({"stage": step.name, "seconds": took} for step, (_, took) in zip(wave, done, strict=True))
        return [facts for facts, _ in done]

    (plan,) = timed([Step("prepare", "prepare", partial(pipeline.prepare, cut_file, kind))])
    try:
        for wave in _waves(cut_file, kind, plan):
            timed(wave)
        (done,) = timed([Step("release", "release", partial(publish, cut_file, kind=kind, seconds=seconds))])
    except (IntakeError, RefusedError, ResidueError):
        pipeline.finish(cut_file)
        raise
    pipeline.finish(cut_file)
    return done


def _waves(cut_file: str, kind: Kind, plan: Facts) -> Iterator[list[Step]]:
    yield [
        Step("anonymise", f"anonymise {mpid}/{extract}", partial(pipeline.anonymise, cut_file, mpid, extract), mpid)
        for mpid, extract in plan["sources"]
    ]
    yield [Step("tables", "tables", partial(pipeline.tabulate, cut_file))]
    parts = _parts(plan["partitions"])
    yield [
        Step("judge", f"judge part {n + 1} of {len(parts)}", partial(pipeline.judge_part, cut_file, part))
        for n, part in enumerate(parts)
    ]
    yield [Step("quality", "quality", partial(pipeline.judge, cut_file))]
    if kind == "release":
        yield [Step("align", "align", partial(pipeline.align, cut_file))]
        yield [Step("augment", "augment", partial(pipeline.augment, cut_file))]
        yield [Step("ring-fence", "ring-fence", partial(pipeline.ring_fence, cut_file))]


def _parts(partitions: int) -> list[list[int]]:
    """Spread the partitions over no more steps than a person wants to see."""
    count = min(partitions, MOST_PARTS)
    return [list(range(n, partitions, count)) for n in range(count)]


def run_plain(cut_file: Path, *, kind: Kind = "release", told: Told = NOBODY) -> Facts:
    """Run all stages in this process, without an orchestrator.

    Args:
        cut_file: ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        told: told of each step, and of rows read.

    Returns:
        What :func:`flows.release.stage.publish` returns.
    """
    with watching(told.rows):
        return run(str(cut_file), kind, run_wave=side_by_side(lambda step: step.call(), told))
