"""``datacut contracts check``, ``doc`` and ``flows``: what is wrong with the contracts, and what they say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ContractError
from contracts.json_types import JsonObject
from flows.cli.help import WholeSentences

Folder = Annotated[
    Path | None,
    typer.Argument(help="Folder with contracts (*.odcs.yaml).  [default: the product's own]", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    group = typer.Typer(
        cls=WholeSentences,
        no_args_is_help=True,
        help="Check the contracts, print the data dictionary or the columns of flows.",
    )
    group.command("check")(check_command)
    group.command("doc")(doc_command)
    group.command("flows")(flows_command)
    app.add_typer(group, name="contracts")


def check_command(
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Check contracts, code lists and tables, and list every fault with its place.

    Without a folder, checks the contracts that come with datacut and the augmentation tables. Exit code 10 if
    anything is wrong.
    """
    from contracts.lint import check_contracts

    found = check_contracts(folder) if folder is not None else check_contracts()
    lines = [finding.line() for finding in found]
    if folder is None:
        lines += [f"augmentation: {text}" for text in _augmentation()]
    document: JsonObject = {"findings": [asdict(f) for f in found], "lines": [*lines]}
    if not as_json:
        typer.echo("\n".join(lines or ["The contracts are in order."]))
    if lines:
        more = "" if len(lines) == 1 else "s"
        fault = ContractError(
            f"{len(lines)} fault{more}", where=str(folder or "contracts"), remedy="each is listed with its place"
        )
        fault.document = document
        raise fault
    if as_json:
        typer.echo(json.dumps(document, indent=2, sort_keys=True))


def doc_command() -> None:
    """Print the data dictionary as Markdown."""
    from contracts.data_dictionary import data_dictionary

    typer.echo(data_dictionary(), nl=False)


def flows_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Print where the DTC flows carry each column: item, flow, group, position, name.

    Exit code 10 if a column is mapped to an item with another name.
    """
    from contracts.dtc.places import flow_places
    from contracts.load import load_all

    rows = [place for contract in load_all().values() for place in flow_places(contract)]
    wrong = sum(not row.matches for row in rows)
    document: JsonObject = {"places": [asdict(row) for row in rows], "mismatches": wrong}
    if not as_json:
        heads = ("column", "item", "flow", "group", "position", "name in the catalogue", "")
        table = [heads] + [
            (f"{r.extract}.{r.column}", r.item, r.flow, r.group, str(r.position), r.name, "" if r.matches else "WRONG")
            for r in rows
        ]
        widths = [max(len(line[n]) for line in table) for n in range(len(heads))]
        for line in table:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        typer.echo(f"{len(rows)} places, {wrong} mismatches")
    if wrong:
        fault = ContractError(f"{wrong} mismatches", where="contracts", remedy="they are marked WRONG in the table")
        fault.document = document
        raise fault
    if as_json:
        typer.echo(json.dumps(document, indent=2))


def _augmentation() -> list[str]:
    from contracts.augmentation import tables
    from contracts.load import load_all
    from flows.augment.stage import lint

    return lint(tables(), load_all())
