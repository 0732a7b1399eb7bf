"""``datacut pseudonym``: the scheme alone, a value a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from contracts.errors import InsufficientDataError, RefusedError
from contracts.vocabulary import Field
from flows.cli.options import CutId, IdentityFile, KeyPath, PassphraseFile

LINES_AT_ONCE = 100_000


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("pseudonym")(pseudonym_command)


def pseudonym_command(
    field: Annotated[Field, typer.Option(help="Field of pseudonym scheme 1.", show_default=False)],
    key: KeyPath,
    cut: CutId,
    passphrase_file: PassphraseFile = None,
    identity: IdentityFile = None,
) -> None:
    """Read values from standard input, one per line, and print their pseudonyms.

    A value that has no pseudonym gives an empty line, and the exit code is 12. An address is one line: up to nine
    address lines and the postcode last, separated by `|`.
    """
    from contracts.scheme import scheme_lists
    from flows.cut.self_test import self_test
    from flows.keys.cut_key import read_key
    from flows.keys.passphrase import Unlock
    from transforms.pseudonymise.pseudonymiser import Pseudonymiser

    self_test()
    pseudonymiser = Pseudonymiser(read_key(key, cut, unlock=Unlock(passphrase_file, identity)), lists=scheme_lists())
    refused = count = 0
    for lines in _blocks():
        out = _addresses(pseudonymiser, lines) if field is Field.ADDRESS else _values(pseudonymiser, field, lines)
        count += len(lines)
        refused += sum(1 for text in out if not text)
        sys.stdout.write("".join(f"{text}\n" for text in out))
    sys.stdout.flush()
    if not count:
        raise InsufficientDataError("is empty", where="standard input", remedy="give one value per line")
    if refused:
        raise RefusedError(
            f"{refused} of {count} lines have no pseudonym",
            where="standard input",
            remedy="each left an empty line; check --field",
        )


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

    from contracts.spelling import spelling
    from transforms.pseudonymise.canonical import canonical

    values = canonical(field, pl.Series(lines, dtype=pl.String), spelling())
    out = pseudonymiser.values(field, values)  # type: ignore[attr-defined]
    return [text or "" for text in out.to_list()]


def _addresses(pseudonymiser: object, lines: list[str]) -> list[str]:
    import polars as pl

    from transforms.pseudonymise.address import COLUMNS
    from transforms.pseudonymise.premises_key import LINES

    rows = []
    for line in lines:
        *parts, postcode = line.split("|")
        rows.append([*(parts + [""] * len(LINES))[: len(LINES)], postcode])
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    out = pseudonymiser.addresses(frame)  # type: ignore[attr-defined]
    return ["|".join(text or "" for text in row) if any(row) else "" for row in out.rows()]
