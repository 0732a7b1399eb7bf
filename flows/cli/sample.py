"""``datacut sample``: writes invented backups of several participants, with known defects, ready to run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("sample")(sample_command)


def sample_command(
    mpans: Annotated[int, typer.Option(help="Number of metering points.", show_default=False)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same backups.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New folder for the sample.", show_default=False)],
    defects: Annotated[float, typer.Option(help="Share of metering points with a planted defect.")] = 0.02,
    published_keys: Annotated[
        bool, typer.Option("--published-keys", help="Keys that follow from the seed: alike everywhere, known to all.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Write sample backups of ten participants, with keys, a plan and a cut.yaml."""
    from flows.sample import SampleRequest, generate

    request = SampleRequest(mpans, seed, defects, published_keys=published_keys)
    begun = time.monotonic()
    with _progress(mpans) as progress:
        made = generate(request, out, progress)
    seconds = time.monotonic() - begun
    if as_json:
        typer.echo(json.dumps({"out": str(out), "seconds": round(seconds, 3), **asdict(made)}))
        return
    typer.echo(
        f"{made.mpans:,} metering points, {made.planted:,} with a defect, {made.bytes / 1e6:,.1f} MB, {seconds:.1f} s"
    )
    typer.echo(f"Run it: datacut run {out / 'cut.yaml'}")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar where someone is watching, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("metering points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
