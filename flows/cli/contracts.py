"""``datacut contracts check``, ``doc`` and ``flows``: what is wrong with the contracts, and what they say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ContractError

Folder = Annotated[
    Path | None,
    typer.Argument(help="Folder with contracts (*.odcs.yaml).  [default: the product's own]", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the console command."""
    group = typer.Typer(no_args_is_help=True, help="Check the contracts, or print the data dictionary.")
    group.command("check")(check_command)
    group.command("doc")(doc_command)
    group.command("flows")(flows_command)
    app.add_typer(group, name="contracts")


def check_command(
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")] = False,
) -> None:
    """Check contracts, code lists and tables; tell every fault at once, with file, place and house rule.

    Without a folder the product's own are checked, and the tables of augmentation with them. Exit code 10 where
    anything is wrong.
    """
    from contracts.lint import check_contracts

    found = check_contracts(folder) if folder is not None else check_contracts()
    lines = [finding.line() for finding in found]
    if folder is None:
        lines += [f"augmentation: {text}" for text in _augmentation()]
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(f) for f in found], "lines": lines}, indent=2, sort_keys=True))
    else:
        for line in lines:
            typer.echo(line)
    if lines:
        more = "" if len(lines) == 1 else "s"
        raise ContractError(
            f"{len(lines)} finding{more}", where=str(folder or "contracts"), remedy="see the lines above"
        )
    if not as_json:
        typer.echo("Nothing is wrong.")


def doc_command() -> None:
    """Print the data dictionary as Markdown: every extract, column, rule, code list and tolerance."""
    from contracts.data_dictionary import data_dictionary

    typer.echo(data_dictionary(), nl=False)


def flows_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Print where each column of a contract stands in the flows: item, flow, group, position, the catalogue's name.

    Exit code 10 where a column takes an item that is not its own.
    """
    from contracts.dtc.places import flow_places
    from contracts.load import load_all

    rows = [place for contract in load_all().values() for place in flow_places(contract)]
    wrong = sum(not row.matches for row in rows)
    if as_json:
        typer.echo(json.dumps({"places": [asdict(row) for row in rows], "mismatches": wrong}, indent=2))
    else:
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
        raise ContractError(f"{wrong} mismatches", where="contracts", remedy="see the lines marked WRONG")


def _augmentation() -> list[str]:
    from contracts.augmentation import tables
    from contracts.load import load_all
    from flows.augment.stage import lint

    return lint(tables(), load_all())
