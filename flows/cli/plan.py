"""``datacut plan``: what a run is going to take, before it is begun."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.json_types import JsonObject
from flows.cli.run import AsJson, CutPath

if TYPE_CHECKING:
    from flows.cut.estimate import Estimate
    from flows.cut.progress import Kind

Submission = Annotated[bool, typer.Option("--submission", help="Of datacut anonymise, not of datacut run.")]
Cores = Annotated[int | None, typer.Option(min=1, help="As if on so many cores.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("plan")(plan_command)


def plan_command(cut: CutPath, submission: Submission = False, cores: Cores = None, as_json: AsJson = False) -> None:
    """Say what a run is going to take: stages, tasks, time, disk and memory, from measured rates.

    Reads no more than the first lines of a file, and no key. Ends with code 19, as the run would, where the disk cannot
    hold it.
    """
    from flows.cut.config import load_cut
    from flows.cut.estimate import estimate, require_disk
    from flows.cut.parallel import WORKERS

    job = load_cut(cut)
    kind: Kind = "submission" if submission else "release"
    found = estimate(job, kind, cores or WORKERS)
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2, sort_keys=True))
    else:
        _print(found)
    require_disk(job, kind)


def _document(found: Estimate) -> JsonObject:
    return {
        "kind": found.kind,
        "sources": [asdict(source) for source in found.sources],
        "unknown": list(found.unknown),
        "rows": sum(source.rows for source in found.sources),
        "partitions": found.partitions,
        "tasks": found.tasks,
        "stages": {name: round(seconds, 1) for name, seconds in found.expected.stages},
        "seconds": round(found.expected.seconds),
        "work_bytes": found.expected.work,
        "pack_bytes": found.expected.packs,
        "memory_mib": found.expected.memory,
        "disks": [{"place": place, "needs": need, "free": free} for place, need, free in found.disks],
    }


def _print(found: Estimate) -> None:
    from contracts.rates import rates
    from flows.report.formatting import plural, size

    rows = sum(source.rows for source in found.sources)
    typer.echo(f"{found.kind}: {plural(len(found.sources), 'input')}, about {rows:,} rows, {found.tasks} tasks")
    typer.echo(f"\n{'Stage':<28}{'CPU seconds':>14}")
    for name, seconds in found.expected.stages:
        typer.echo(f"{name:<28}{seconds:>14,.0f}")
    typer.echo(f"\nTime:    about {_time(found.expected.seconds)}")
    typer.echo(f"Memory:  about {found.expected.memory:,} MiB at the peak" + _beside(found))
    for place, need, free in found.disks:
        typer.echo(f"Disk:    {size(need)} of {size(free)} free, in {place}")
    for name in found.unknown:
        typer.echo(f"Unknown: {name} (a database, or not there yet)")
    typer.echo(f"\nMeasured: {rates().measured}.")


def _beside(found: Estimate) -> str:
    if found.memory is None:
        return ""
    words = "" if found.memory > found.expected.memory else ": too little, use a larger machine"
    return f", {found.memory:,} MiB available now{words}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} seconds"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
