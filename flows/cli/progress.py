"""What a run says while it works: a bar with what is left on a terminal, plain lines elsewhere, JSON lines on request.

Stages, participants, counts and seconds; never a value of a row.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from contracts.errors import ConfigurationError
from flows.cut.progress import Kind, ProgressListener, Step, StepOutcome, orchestrated_as
from flows.pipeline import (
    ALIGN,
    AUGMENT,
    INTAKE,
    LEAK_SCAN,
    MOST_PARTS,
    PSEUDONYMISE,
    QUALITY,
    RELEASE,
    REPORT,
    RING_FENCE,
    RunPlan,
)

# Shares of a whole run's time, as measured at a million metering points: what the estimate of the rest rests on.
SHARES = {
    INTAKE.name: 10,
    PSEUDONYMISE.name: 11,
    QUALITY.name: 24,
    ALIGN.name: 5,
    AUGMENT.name: 12,
    RING_FENCE.name: 4,
    RELEASE.name: 18,
    LEAK_SCAN.name: 11,
    REPORT.name: 5,
}
RELEASE_ONLY = (ALIGN.name, AUGMENT.name, RING_FENCE.name)
SHOWN = ("rows", "partitions", "excluded", "rules", "pairs", "coincident", "items", "allocated", "shortages")


def _line(step: Step, seconds: float, result: StepOutcome) -> str:
    counts = result.counts()
    shown = ", ".join(f"{name} {counts[name]:,}" for name in SHOWN if name in counts)
    return f"{seconds:8.2f} s  {step.name}" + (f"  {shown}" if shown else "")


class LineListener:
    """A plain line per step on standard error."""

    def begin(self, step: Step) -> None:
        """Say nothing."""

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """Write one line."""
        sys.stderr.write(_line(step, seconds, result) + "\n")

    def rows(self, label: str, rows: int) -> None:
        """Say nothing: a line per batch would drown the others."""


class BarListener:
    """A bar over the whole run with an estimate of what is left, and a line per finished step above it."""

    def __init__(self, progress: Any, kind: Kind) -> None:
        self._progress = progress
        shares = (share for stage, share in SHARES.items() if kind == "release" or stage not in RELEASE_ONLY)
        self._total = sum(shares)
        self._task = progress.add_task("starting", total=self._total, rows="")
        self._steps: dict[str, int] = {}

    def begin(self, step: Step) -> None:
        """Name the step."""
        self._progress.update(self._task, description=step.name, rows="")

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """Move on by the step's share."""
        if isinstance(result, RunPlan):
            sources, parts = len(result.sources), min(result.partitions, MOST_PARTS)
            self._steps = {INTAKE.name: 1 + sources, PSEUDONYMISE.name: sources, QUALITY.name: parts + 2}
        share = sum(SHARES[stage] / max(1, self._steps.get(stage, 1)) for stage in step.stages)
        self._progress.advance(self._task, share)
        if REPORT.name in step.stages:  # the last step
            self._progress.update(self._task, completed=self._total, description="done", rows="")
        self._progress.console.print(_line(step, seconds, result), highlight=False, markup=False)

    def rows(self, label: str, rows: int) -> None:
        """Show how many rows of the source at hand have been read."""
        self._progress.update(self._task, rows=f"{rows:,} rows")


class JsonListener:
    """One JSON object per begin and end of a step: when, run, Prefect's id, stage, participant, seconds, counts."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._run = stream, secrets.token_hex(8)

    def begin(self, step: Step) -> None:
        """Write that a step begins."""
        self._write({"event": "begin", "stage": step.stage, "name": step.name, "participant": step.participant})

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        """Write what a step has done."""
        named = {"stage": step.stage, "name": step.name, "participant": step.participant}
        self._write({"event": "end", **named, "seconds": seconds, **result.counts()})

    def rows(self, label: str, rows: int) -> None:
        """Say nothing between begin and end."""

    def _write(self, entry: Mapping[str, str | int | float]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        known = {"flow_run": run_id} if (run_id := orchestrated_as()) else {}
        self._stream.write(json.dumps({"at": at, "run": self._run, **known, **entry}) + "\n")
        self._stream.flush()


class Listeners:
    """Several listeners as one."""

    def __init__(self, listeners: list[ProgressListener]) -> None:
        self._listeners = listeners

    def begin(self, step: Step) -> None:
        for listener in self._listeners:
            listener.begin(step)

    def end(self, step: Step, seconds: float, result: StepOutcome) -> None:
        for listener in self._listeners:
            listener.end(step, seconds, result)

    def rows(self, label: str, rows: int) -> None:
        for listener in self._listeners:
            listener.rows(label, rows)


@contextmanager
def progress_listener(log: Path | None, kind: Kind = "release") -> Iterator[ProgressListener]:
    """Give a bar on a terminal and lines elsewhere, and JSON lines into ``log`` if one is named.

    Raises:
        ConfigurationError: the log cannot be written.
    """
    try:
        stream = log.open("a", encoding="utf-8") if log else None
    except OSError as fault:
        raise ConfigurationError("cannot be written", where=str(log), remedy=fault.strerror or "") from None
    logs: list[ProgressListener] = [JsonListener(stream)] if stream else []
    try:
        if not sys.stderr.isatty():
            yield Listeners([LineListener(), *logs])
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rows]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            yield Listeners([BarListener(progress, kind), *logs])
    finally:
        if stream:
            stream.close()
