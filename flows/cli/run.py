"""``datacut run``, ``anonymise`` and ``demo``: the job, the participant's part of it, and a first look at both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import ConfigurationError

if TYPE_CHECKING:
    from flows.cut.progress import Kind
    from flows.release.published import Published, SourceNote

Plain = Annotated[bool, typer.Option("--plain", help="Run the same stages without Prefect.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")]
Log = Annotated[Path | None, typer.Option(help="Append one JSON line per step to this file.", show_default=False)]
CutPath = Annotated[
    Path, typer.Argument(metavar="CUT.yaml", help="The cut: sources, participants, keys.", show_default=False)
]
Workers = Annotated[
    str, typer.Option(help="Use Dask: a number of processes, or the address of a cluster.", show_default=False)
]
IgnoreDisk = Annotated[
    bool, typer.Option("--ignore-disk", help="Begin even where the disk cannot hold what datacut plan expects.")
]
SAMPLE = Path("sample_data")
SAMPLE_REQUEST = (5000, 1, 0.05)  # metering points, seed, rate of defects: what sample_data was made with
SHOWN_CAUSES = 3
WIDTH = 78


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("run")(run_command)
    app.command("anonymise")(anonymise_command)
    app.command("demo")(demo_command)


def run_command(
    cut: CutPath,
    plain: Plain = False,
    workers: Workers = "",
    ignore_disk: IgnoreDisk = False,
    as_json: AsJson = False,
    log: Log = None,
) -> None:
    """Run the whole job, from the backups of all participants to a signed release pack.

    If a run stops, run it again: it resumes where it left off and gives the same pack.
    """
    _print(_run(cut, "release", plain=plain, log=log, workers=workers, ignore_disk=ignore_disk), as_json=as_json)


def anonymise_command(
    cut: CutPath,
    plain: Plain = False,
    workers: Workers = "",
    ignore_disk: IgnoreDisk = False,
    as_json: AsJson = False,
    log: Log = None,
) -> None:
    """Pseudonymise and check your own backups, and write a signed submission pack.

    Needs no network and no other participant's data. Uses Prefect only if a server is configured.
    """
    try:
        done = _run(cut, "submission", plain=plain, log=log, workers=workers, ignore_disk=ignore_disk)
    finally:
        say_cleanse(cut)
    _print(done, as_json=as_json)


def say_cleanse(cut: Path) -> None:
    """Say on standard error where the participant's own list of faults is, if there is one."""
    from flows.cleanse.listing import announcement

    if line := announcement(cut):
        typer.echo(line, err=True)


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the backups, packs and keys.")] = Path("demo"),
    sample: Annotated[
        Path | None, typer.Option(help="Folder of sample backups; generated if missing.", show_default="sample_data")
    ] = None,
    prefect: Annotated[
        bool, typer.Option("--prefect/--plain", help="Run it as a Prefect flow, as datacut run does, or without.")
    ] = False,
    as_json: AsJson = False,
    log: Log = None,
) -> None:
    """Run the whole job on sample backups, and print where the report is."""
    if out.exists() and not (out / "cut.yaml").is_file() and any(out.iterdir()):
        raise ConfigurationError(
            "the folder is not empty", where=str(out), remedy="name a new or empty folder with --out"
        )
    _backups(sample, out)
    for key in (out / "keys").glob("*"):  # a checkout does not keep file modes; these keys are public by nature
        key.chmod(0o644 if key.suffix == ".pub" else 0o600)
    done = _run(out / "cut.yaml", "release", plain=not prefect, log=log)
    public = out / "signing.pub"
    shutil.copyfile(out / "keys" / "signing.pub", public)
    _print(done, as_json=as_json)
    if not as_json:
        typer.echo(f"\nCheck it: datacut verify {done.pack} --public-key {public}")
        typer.echo("The sample's keys are public. Make your own with datacut key new and datacut key signing.")


def _backups(sample: Path | None, out: Path) -> None:
    """Put the sample backups into a folder: a copy of those at hand, or the same made anew.

    Raises:
        ConfigurationError: the folder that was named holds no sample.
    """
    source = sample or SAMPLE
    if (source / "cut.yaml").is_file():
        shutil.copytree(source, out, dirs_exist_ok=True)
    elif sample is not None:
        raise ConfigurationError(
            "there is no cut.yaml in it",
            where=str(sample),
            remedy="make one with datacut sample --mpans 5000 --seed 1 --out DIR",
        )
    elif not (out / "cut.yaml").is_file():
        from flows.sample import SampleRequest, generate

        generate(SampleRequest(*SAMPLE_REQUEST), out)


def _run(
    cut: Path, kind: Kind, *, plain: bool, log: Path | None, workers: str = "", ignore_disk: bool = False
) -> Published:
    from flows.cli.progress import progress_listener

    with progress_listener(log, kind) as listener:
        if plain and workers:
            raise ConfigurationError("--plain and --workers exclude each other")
        from flows.orchestration import server

        if plain or (kind == "submission" and not workers and not server.configured()):
            from flows.pipeline import run_plain

            return run_plain(cut, kind=kind, listener=listener, ignore_disk=ignore_disk)
        from flows.cut.config import load_cut

        job = load_cut(cut)
        with server.connected(job.path(job.model.work) / "prefect"):
            from flows.orchestration.flows import run_flow

            return run_flow(cut, kind=kind, listener=listener, workers=workers, ignore_disk=ignore_disk)


def _print(done: Published, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(done.document(), indent=2, sort_keys=True))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Row accounting: rows in = released + excluded", title_justify="left", box=None, pad_edge=False)
    for heading in ("Participant", "Extract"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Rows in", "Released", "Excluded"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Main reasons")
    for row in done.accounting:
        counts = [f"{number:,}" for number in (row.rows_in, row.released, row.excluded)]
        table.add_row(row.participant, row.extract, *counts, escape(_causes(row.by_reason)))
    sums = (sum(getattr(row, name) for row in done.accounting) for name in ("rows_in", "released", "excluded"))
    total = [f"{number:,}" for number in sums]
    table.add_section()
    table.add_row("all", "", *total, "")
    Console().print(table)
    _print_reasons(done)
    for source in done.sources:
        for line in _source_lines(source):
            typer.echo(_folded(line))
    typer.echo(f"\nPack:   {done.pack}\nReport: {done.report}")


def _print_reasons(done: Published) -> None:
    """Print what the codes of the table mean."""
    shown = {code for row in done.accounting for code, _ in _most(row.by_reason)}
    for code in sorted(shown):
        text = f"{code}: {done.reasons.get(code) or 'see the report'}"
        typer.echo(_folded(f"  {text}"))


def _folded(line: str) -> str:
    import textwrap

    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)


SAID = {
    "missing": "optional columns not in the source",
    "not_agreed": "columns dropped, sent and not agreed",
    "dropped": "columns dropped, not in the contract",
    "passed_over": "files not read",
    "remarks": "read as",
    "null_words": "words taken as null",
    "rounded": "numbers rounded to the contract's decimals",
    "unread_dates": "dates that could not be read",
}
SHOWN_NAMES = 8


def _source_lines(source: SourceNote) -> list[str]:
    """Return a line for each thing that a source lacks or that was not read of it, by name."""
    lines = []
    for key, words in SAID.items():
        names: tuple[str, ...] = getattr(source, key) or ()
        if names:
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            listed = ", ".join(names[:SHOWN_NAMES]) + more
            lines.append(f"{source.participant}/{source.extract}: {words}: {listed}")
    if source.dropped_columns and not source.dropped:  # whose names are for their sender alone
        words = f"{SAID['dropped']}: {source.dropped_columns:,}; the sender's own pack names them"
        lines.append(f"{source.participant}/{source.extract}: {words}")
    return lines


def _most(by_reason: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(by_reason.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_CAUSES]


def _causes(by_reason: dict[str, int]) -> str:
    shown = [f"{reason} {count:,}" for reason, count in _most(by_reason)]
    more = len(by_reason) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
