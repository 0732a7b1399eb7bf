"""The console command: mounts the subcommands and turns every failure into one line and an exit code.

Slow libraries are imported by the subcommand that needs them: ``--help`` and ``verify`` import none of them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import typer

import contracts
import flows
import transforms
from contracts.errors import DataCutError, PlaceError
from flows.cut.installed import left_out
from flows.keys.process import guard_memory

# modules of ``flows.cli``, in the order of the help
PARTS = (
    "run", "contracts", "ringfence", "messages", "restore", "sample", "keys", "verify", "serve", "approve", "compare",
    "dtc",
)  # fmt: skip
EXIT_CODES = """
Exit codes: 0 done, 2 wrong usage or configuration, 10 contract, 11 intake, 12 data refused at a gate, 13 keys,
14 a raw identifier survived or a disclosure threshold is passed, 15 quality, 16 alignment, 17 ring-fence, 18 evidence,
19 the place is unfit (disk, database, installation), 1 a defect of the product, 130 stopped.
"""

app = typer.Typer(
    name="datacut",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turns electricity production backups into validated, pseudonymised, ring-fenced MHHS test data.",
    epilog=EXIT_CODES,
)


@app.callback()
def _root() -> None:
    """Turn electricity production backups into validated, pseudonymised, ring-fenced MHHS test data."""


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


def build() -> typer.Typer:
    """Mount the subcommands; only after the installation was checked, since this imports the packages' insides."""
    for part in PARTS:
        import_module(f"flows.cli.{part}").register(app)
    return app


def main() -> None:
    """Run the command line; the only place that turns exceptions into output."""
    guard_memory()
    try:
        check_installation()
        build()()
    except DataCutError as fault:
        sys.stderr.write(f"datacut: {fault.line()}\n")
        sys.exit(fault.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("datacut: stopped\n")
        sys.exit(130)
    except ModuleNotFoundError as fault:
        told = left_out(fault) or DataCutError.defect(fault)
        sys.stderr.write(f"datacut: {told.line()}\n")
        sys.exit(told.exit_code if isinstance(told, PlaceError) else 1)
    except Exception as fault:  # noqa: BLE001 - its text may quote data: type and place are enough
        sys.stderr.write(f"datacut: {DataCutError.defect(fault).line()}\n")
        sys.exit(1)
