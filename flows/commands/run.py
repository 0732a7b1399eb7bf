"""``datacut run``, ``anonymise`` and ``demo``: the job, the participant's part of it, and a first look at both."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contracts.errors import ConfigurationError

Plain = Annotated[bool, typer.Option("--plain", help="Run the same stages without Prefect.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
CutPath = Annotated[
    Path, typer.Argument(metavar="CUT.yaml", help="What to cut, from whom, under which key.", show_default=False)
]
SAMPLE = Path("sample_data")


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.command("run")(run_command)
    app.command("anonymise")(anonymise_command)
    app.command("demo")(demo_command)


def run_command(cut: CutPath, plain: Plain = False, as_json: AsJson = False) -> None:
    """Run the whole job: anonymise every backup, judge, align, augment, ring-fence, and release a signed pack."""
    _print(_run(cut, "release", plain=plain), as_json=as_json)


def anonymise_command(cut: CutPath, plain: Plain = False, as_json: AsJson = False) -> None:
    """Run the participant's stages: pseudonymise and judge backups, and write a signed submission pack.

    Needs no network and no other participant.
    """
    _print(_run(cut, "submission", plain=plain), as_json=as_json)


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for copies of the backups, packs and keys.")] = Path("demo"),
    sample: Annotated[Path, typer.Option(help="The sample backups.")] = SAMPLE,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Take the sample backups through everything and say where the report is."""
    if not (sample / "cut.yaml").is_file():
        raise ConfigurationError(
            "holds no cut.yaml",
            where=str(sample),
            remedy="make one with datacut sample --mpans 5000 --seed 1 --out DIR",
        )
    if out.exists() and not (out / "cut.yaml").is_file() and any(out.iterdir()):
        raise ConfigurationError("holds something else", where=str(out), remedy="name an empty folder with --out")
    shutil.copytree(sample, out, dirs_exist_ok=True)
    for key in (out / "keys").glob("*"):  # a checkout does not keep file modes; these keys are public by nature
        key.chmod(0o644 if key.suffix == ".pub" else 0o600)
    done = _run(out / "cut.yaml", "release", plain=plain)
    _print(done, as_json=as_json)
    if not as_json:
        public = out / "keys" / "signing.pub"
        typer.echo(f"\nCheck it: datacut verify {done['pack']} --public-key {public}")


def _run(cut: Path, kind: str, *, plain: bool) -> dict[str, Any]:
    console = Console(stderr=True)

    def listen(stage: str, took: float, facts: dict[str, Any]) -> None:
        detail = ", ".join(f"{k} {v:,}" for k, v in facts.items() if isinstance(v, int) and k in SHOWN)
        console.print(f"{took:7.2f} s  {stage}  [dim]{detail}[/dim]", highlight=False)

    with console.status("working", spinner="line") if sys.stderr.isatty() else _Quiet():
        if plain:
            from flows.job import run_plain

            return run_plain(cut, kind=kind, listen=listen)
        from flows.cut_flow import run_flow

        return run_flow(cut, kind=kind, listen=listen)


SHOWN = ("rows", "partitions", "excluded", "rules", "pairs", "coincident", "items", "allocated", "shortages")


class _Quiet:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _print(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(done, indent=2, sort_keys=True))
        return
    table = Table(title="Row accounting", title_justify="left")
    table.add_column("Participant")
    table.add_column("Extract")
    for heading in ("Rows in", "Released", "Excluded"):
        table.add_column(heading, justify="right")
    table.add_column("By first cause")
    for row in done["accounting"]:
        causes = "  ".join(f"{reason} {count:,}" for reason, count in row["by_reason"].items())
        counts = [f"{row[key]:,}" for key in ("rows_in", "released", "excluded")]
        table.add_row(row["participant"], row["extract"], *counts, causes)
    total = [f"{sum(row[key] for row in done['accounting']):,}" for key in ("rows_in", "released", "excluded")]
    table.add_section()
    table.add_row("all", "", *total, "rows in = released + excluded")
    Console().print(table)
    typer.echo(f"Pack:   {done['pack']}\nReport: {done['report']}")
