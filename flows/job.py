"""The job in its order: one tuple of stages that runs plainly or as a Prefect flow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows import stages
from flows.anonymise import silent
from flows.publish import publish

Stage = tuple[str, Callable[[str], dict[str, Any]]]
Listener = Callable[[str, float, dict[str, Any]], None]

AFTER_SOURCES: tuple[Stage, ...] = (
    ("quality", stages.judge),
    ("align", stages.align),
    ("augment", stages.augment),
    ("ring-fence", stages.ring_fence),
)
SUBMISSION: tuple[Stage, ...] = (("quality", stages.judge),)
KINDS = {"release": AFTER_SOURCES, "submission": SUBMISSION}


def nobody(_stage: str, _seconds: float, _facts: dict[str, Any]) -> None:
    """Listen to no stage."""


def run_plain(
    cut_file: Path, *, kind: str = "release", listen: Listener = nobody, progress: Any = silent
) -> dict[str, Any]:
    """Run all stages in this process, without an orchestrator.

    Args:
        cut_file: ``cut.yaml``.
        kind: ``release`` for the whole job, ``submission`` for a participant's own stages.
        listen: told of each stage when it ends.
        progress: told of rows read.

    Returns:
        What :func:`flows.publish.publish` returns.
    """
    name = str(cut_file)
    seconds: list[dict[str, Any]] = []

    def timed(stage: str, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        began = time.monotonic()
        facts = function()
        took = round(time.monotonic() - began, 3)
        seconds.append({"stage": stage, "seconds": took})
        listen(stage, took, facts)
        return facts

    plan = timed("prepare", lambda: stages.prepare(name))
    for mpid, extract in plan["sources"]:
        timed(f"anonymise {mpid}/{extract}", lambda m=mpid, e=extract: stages.anonymise(name, m, e, progress))  # type: ignore[misc]
    for stage, function in KINDS[kind]:
        timed(stage, lambda f=function: f(name))  # type: ignore[misc]
    done = timed("release", lambda: publish(name, kind=kind, seconds=list(seconds)))
    stages.finish(name)
    return done
