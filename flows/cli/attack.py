"""``datacut attack``: motivated intruders against a release, before somebody else tries."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import ConfigurationError, ResidueError
from flows.cli.run import SAMPLE, AsJson

if TYPE_CHECKING:
    from flows.attack.attack import Attacked, JoinOutcome

WIDTH = 78


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("attack")(attack_command)


def attack_command(  # noqa: PLR0913 - the options of a command
    release: Annotated[Path, typer.Argument(metavar="PACK", help="The release or return pack.", show_default=False)],
    *,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="CUT.yaml", help="The cut: its backups and key say what is true.", show_default=False),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The pack was made from the sample backups.")] = False,
    other: Annotated[
        Path | None,
        typer.Option(metavar="PACK", help="A release of another cut of the same people.", show_default=False),
    ] = None,
    other_truth: Annotated[
        Path | None, typer.Option(metavar="CUT.yaml", help="The cut that --other was made from.", show_default=False)
    ] = None,
    targets: Annotated[
        int | None, typer.Option(min=1, help="How many people are searched for.", show_default="2000")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--intruders",
            metavar="FILE.yaml",
            help="Own intruders, in the form of contracts/attack/intruders.yaml.",
            show_default=False,
        ),
    ] = None,
    tolerate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with code 14 if a difference is surely larger.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try to find real people in a release, as six kinds of intruders would.

    Each intruder is played twice: with the people's own records in the release, and without them (the control). Only
    the difference is what the release gives away. Nothing is written; real values stay in memory.
    """
    from contracts.attack import INTRUDERS
    from flows.attack.attack import Game, OtherCut, attack
    from flows.attack.released import ReleasedPack
    from flows.attack.truth import Truth

    if (truth is None) == (not sample):
        raise ConfigurationError("give --truth or --sample, one of them")
    if (other is None) != (other_truth is None):
        raise ConfigurationError("--other and --other-truth go together")
    here = Truth.of(truth or SAMPLE / "cut.yaml")
    against = OtherCut(ReleasedPack(other), Truth.of(other_truth), here) if other and other_truth else None
    if against and against.truth.seed == here.seed:
        raise ConfigurationError(
            "is this very cut, with its key",
            where="--other-truth",
            remedy="name a cut with an id or key of its own: two cuts under one key are joined by their pseudonyms",
        )
    found = attack(release, here, against, Game(targets=targets, contract=plan or INTRUDERS))
    document = found.document()
    best = found.best()
    passed = [row for row in found.rows if tolerate is not None and row.outcome.difference_interval[0] > tolerate]
    if passed and best and tolerate is not None:
        fault = ResidueError(
            f"{best.title} finds {_percent(best.outcome.success)} of people, "
            f"{_percent(best.outcome.control)} by chance",
            where=release.name,
            remedy=f"--tolerate allows {_percent(tolerate)}; choose a stricter profile or coarsen columns",
        )
        fault.document = document
        if not as_json:
            _print(found)
        raise fault
    typer.echo(json.dumps(document, indent=2, sort_keys=True)) if as_json else _print(found)


def _print(found: Attacked) -> None:
    typer.echo(f"{found.points:,} metering points are released; {found.people:,} of them were searched for.\n")
    lines: list[tuple[str, ...]] = [
        ("Intruder", "n", "success", "control", "difference", "95% interval", "wrong", "misled", "learned")
    ]
    for row in found.rows:
        outcome = row.outcome
        name = f"{row.title}{', ' + row.variant if row.variant else ''}"
        low, high = outcome.difference_interval
        wrong = outcome.wrong / outcome.people if outcome.people else 0.0
        shares = [_percent(rate) for rate in (outcome.success, outcome.control, outcome.difference)]
        rest = [
            f"{_percent(low)} to {_percent(high)}",
            _percent(wrong),
            _percent(outcome.misled),
            _percent(outcome.inference),
        ]
        lines.append((name, f"{outcome.people:,}", *shares, *rest))
    _table(lines)
    for name, why in found.not_played.items():
        typer.echo(f"Not played: {name}: {why}")
    large = sorted({row.title for row in found.rows if row.overlooked})
    if large:
        typer.echo(
            textwrap.fill(
                f"May find more, since too many records agreed to look through all of them: {', '.join(large)}",
                WIDTH,
                subsequent_indent="  ",
            )
        )
    if found.unreleased:
        typer.echo(textwrap.fill(f"Not in the release: {', '.join(found.unreleased)}", WIDTH, subsequent_indent="  "))
    if found.joins:
        typer.echo("\nJoined with the other cut on equal values: linked uniquely and rightly")
        _table([("Columns", "n", "success", "95% interval", "wrong"), *(map(_join, found.joins))])
    typer.echo(
        "\nsuccess: named the right record; control: named a record that tells what it wanted to know while the\n"
        "person's own was taken out; wrong: named somebody else's; misled: named a record while the own was taken\n"
        "out; learned: knows what it wanted to know, beyond what it learns without the own record."
    )


def _join(join: JoinOutcome) -> tuple[str, ...]:
    low, high = join.success_interval
    share = join.wrong / join.people if join.people else 0.0
    return (
        ", ".join(join.columns),
        f"{join.people:,}",
        _percent(join.success),
        f"{_percent(low)} to {_percent(high)}",
        _percent(share),
    )


def _table(lines: list[tuple[str, ...]]) -> None:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        typer.echo(
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"
