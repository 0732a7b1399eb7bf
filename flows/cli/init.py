"""``datacut init``: a first CUT.yaml from the files of a backup."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import ConfigurationError

PLACE = "CUT.yaml"


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("init")(init_command)


def init_command(
    backup: Annotated[list[Path], typer.Argument(metavar="BACKUP...", help="Files or folders.", show_default=False)],
    *,
    role: Annotated[str, typer.Option(help="Your role: SUP, LDSO, MOP, DC, ...", show_default=False)] = "",
    mpid: Annotated[str, typer.Option(help="Your MPID.", show_default=False)] = "",
    cut: Annotated[str, typer.Option(help="Id of the data cut.", show_default=False)] = "",
    day: Annotated[str, typer.Option("--date", help="Day of the cut, yyyy-mm-dd.", show_default=False)] = "",
    key: Annotated[str, typer.Option(help="Where the cut key is or will be.")] = "cut.key",
    out: Annotated[Path | None, typer.Option(help="File to write, above the backups.", show_default=PLACE)] = None,
) -> None:
    """Look at your backups and propose a CUT.yaml, with comments and with what is unsure marked.

    Reads the first rows of each file. Prints headings and names of files, never a value.
    """
    from flows.check.cut_yaml import UNSURE, cut_yaml
    from flows.check.propose import common_folder, look

    when = _day(day)
    found = look(backup, role=role, mpid=mpid.upper())
    above = common_folder([path for source in found.sources for path in source.paths])
    here = Path.cwd()
    place = out or (here if above.is_relative_to(here) else above) / PLACE
    folder = place.absolute().parent
    if not above.is_relative_to(folder):
        raise ConfigurationError(
            "the backups do not lie below the folder of this file", where=str(place), remedy=f"write it into {above}"
        )
    if place.exists():
        raise ConfigurationError("is there already", where=str(place), remedy="name another file with --out")
    today = datetime.now(UTC).date()
    text = cut_yaml(found, folder, cut_id=cut, day=when, today=today, key=key, role=role, mpid=mpid.upper())
    place.write_text(text, encoding="utf-8")
    for source in found.sources:
        what = source.contract.extract if source.contract else "no contract fits"
        unsure = sum(match.sure != "known" for match in source.matches) + len(source.undecided)
        known = sum(match.sure == "known" for match in source.matches)
        how = ", ".join(filter(None, [source.flow or source.form, source.delimiter, source.encoding]))
        files = f"{len(source.paths):,} files" if len(source.paths) > 1 else _shown(source.paths[0])
        typer.echo(f"{files}: {what} ({how})")
        if source.matches:
            typer.echo(f"  {known} columns by known names, {unsure} likely, {len(source.dropped)} dropped")
        if source.lacking:
            typer.echo(f"  not found: {', '.join(source.lacking)}")
    for line in found.unread:
        typer.echo(f"not read: {line}")
    marks = text.count(UNSURE)
    typer.echo(f"\n{place} written; {marks} lines are marked UNSURE. Look at them, then: datacut check {place}")


def _shown(path: Path) -> str:
    from flows.intake.source import safe_name

    return safe_name(path.name)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError("--date is not a day", remedy="write it as yyyy-mm-dd") from None
