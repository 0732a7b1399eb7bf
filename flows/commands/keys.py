"""``datacut key`` and ``datacut pseudonym``: key life cycle, and the scheme alone, a value a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import RefusedError
from contracts.vocabulary import Field

KeyPath = Annotated[Path, typer.Option("--key", help="Cut key file, mode 0600.", show_default=False)]
CutId = Annotated[str, typer.Option("--cut", help="Id of the data cut.", show_default=False)]
LINES_AT_ONCE = 100_000
key_app = typer.Typer(no_args_is_help=True, help="Make and identify cut keys.")


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    app.add_typer(key_app, name="key")
    app.command("pseudonym")(pseudonym_command)


@key_app.command("new")
def new(
    cut: CutId,
    out: Annotated[Path, typer.Option(help="File to write; must not exist.", show_default=False)],
) -> None:
    """Make a random cut key, readable by its owner alone, and print its fingerprint."""
    from flows.keyring import new_key, read_key

    new_key(out)
    typer.echo(read_key(out, cut).fingerprint())


@key_app.command("fingerprint")
def fingerprint(key: KeyPath, cut: CutId) -> None:
    """Print the 16 hex digits that identify a key for a cut and reveal nothing of it."""
    from flows.keyring import read_key

    typer.echo(read_key(key, cut).fingerprint())


def pseudonym_command(
    field: Annotated[Field, typer.Option(help="Field of pseudonym scheme 1.", show_default=False)],
    key: KeyPath,
    cut: CutId,
) -> None:
    """Read values from standard input, a line each, and print their pseudonyms.

    A value that cannot be pseudonymised gives an empty line, and exit code 12 at the end. An address is one line:
    its nine lines and its postcode, separated by `|`; the postcode is the last part.
    """
    from flows.keyring import read_key
    from flows.selftest import self_test
    from transforms.pseudonymise import Pseudonymiser

    self_test()
    pseudonymiser = Pseudonymiser(read_key(key, cut))
    refused = 0
    for lines in _blocks():
        out = _addresses(pseudonymiser, lines) if field is Field.ADDRESS else _values(pseudonymiser, field, lines)
        refused += sum(1 for text in out if not text)
        sys.stdout.write("".join(f"{text}\n" for text in out))
    sys.stdout.flush()
    if refused:
        raise RefusedError(f"{refused} values could not be pseudonymised", where="standard input")


def _blocks() -> Iterator[list[str]]:
    block: list[str] = []
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    for line in sys.stdin:
        block.append(line.rstrip("\r\n"))
        if len(block) == LINES_AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def _values(pseudonymiser: object, field: Field, lines: list[str]) -> list[str]:
    import polars as pl

    out = pseudonymiser.values(field, pl.Series(lines, dtype=pl.String))  # type: ignore[attr-defined]
    return [text or "" for text in out.to_list()]


def _addresses(pseudonymiser: object, lines: list[str]) -> list[str]:
    import polars as pl

    from transforms.address import COLUMNS, LINES

    rows = []
    for line in lines:
        *parts, postcode = line.split("|")
        rows.append([*(parts + [""] * len(LINES))[: len(LINES)], postcode])
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    out = pseudonymiser.addresses(frame)  # type: ignore[attr-defined]
    return ["|".join(text or "" for text in row) if any(row) else "" for row in out.rows()]
