"""The console command: mounts the subcommands and turns every failure into one line and an exit code.

Slow libraries are imported by the subcommand that needs them: ``--help`` and ``verify`` import none of them.
"""

from __future__ import annotations

import gc
import io
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

import contracts
import flows
import transforms
from contracts.documents.runbook import exit_codes
from contracts.errors import PlaceError
from flows.cli import outcome
from flows.cli.help import Root
from flows.cut.boundary import is_failure, keep_panics_quiet
from flows.keys.process import guard_memory

# modules of ``flows.cli`` -> the subcommands of each
PARTS = {
    "init": ("init",),
    "check": ("check",),
    "run": ("run", "anonymise", "demo"),
    "contracts": ("contracts",),
    "ringfence": ("ringfence",),
    "messages": ("messages", "expected"),
    "restore": ("restore",),
    "sample": ("sample",),
    "keys": ("key", "pseudonym"),
    "verify": ("verify",),
    "serve": ("serve", "deploy"),
    "plan": ("plan",),
    "approve": ("approve", "lineage"),
    "compare": ("compare",),
    "dtc": ("dtc",),
    "delivery": ("request", "status", "seal", "open", "receipt"),
    "attack": ("attack",),
}
YOUNG = 50_000  # objects made before Python looks for cycles: loading libraries makes many and throws none away

EXIT_CODES = "\nExit codes:\n\n\b\n" + "".join(f"{code:4d}  {means}\n" for code, (means, _) in exit_codes().items())


app = typer.Typer(
    name="datacut",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text: good in any width, colour and encoding
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"datacut {version('datacut')}, pseudonym scheme 1, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_version)] = False,
) -> None:
    """Turn electricity backups into validated, pseudonymised, ring-fenced MHHS test data."""


def check_installation() -> None:
    """Refuse to run when one of the three packages comes from somewhere else than the others.

    Raises:
        PlaceError: a foreign package of the same name shadows ours; it could read keys.
    """
    homes = {Path(str(package.__file__)).resolve().parent.parent for package in (contracts, flows, transforms)}
    if len(homes) != 1:
        raise PlaceError(
            "contracts, transforms and flows come from different places", remedy="install into a venv of its own"
        )


def build(wanted: str = "") -> typer.Typer:
    """Mount the subcommands; only after the installation was checked, since this imports the packages' insides.

    Args:
        wanted: the subcommand that is asked for: it alone is mounted, with what is in one module with it.
    """
    alone = [part for part, names in PARTS.items() if wanted in names]
    for part in alone or PARTS:
        import_module(f"flows.cli.{part}").register(app)
    return app


def main() -> None:
    """Run the command line; the only place that turns exceptions into output."""
    gc.set_threshold(YOUNG)
    guard_memory()
    keep_panics_quiet()
    arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows ?
    try:
        check_installation()
        code = build(*arguments[:1])(arguments, prog_name="datacut", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        outcome.stop(arguments)
    except BrokenPipeError:
        outcome.reader_gone()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer leaves with 1, which is a defect's
            outcome.reader_gone()
        raise
    except BaseException as fault:
        if not is_failure(fault):
            raise
        outcome.fail(fault, arguments)
    if code == outcome.INTERRUPTED:
        outcome.stop(arguments)
    sys.exit(code if isinstance(code, int) else 0)
