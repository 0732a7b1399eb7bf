"""``datacut compare``: what changed between two cuts, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import QualityError
from flows.pack.bag import shown

if TYPE_CHECKING:
    from flows.report.drift import ComparedPack, Drift, PackComparison
    from flows.report.figure_types import RuleTrend

ALL_HELP = "Show every rule and column, not only those that changed."


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("compare")(compare_command)


def compare_command(
    before: Annotated[Path, typer.Argument(metavar="PACK", help="The earlier pack.", show_default=False)],
    now: Annotated[Path, typer.Argument(metavar="PACK", help="The later pack.", show_default=False)],
    *,
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Verify both packs against this key first; repeatable.")
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Show columns with at least this drift.")] = 0.02,
    tolerate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with code 15 if a column drifted further.")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help=ALL_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on failure too.")] = False,
) -> None:
    """Compare two packs: volumes, rules, and the drift of every column.

    Drift runs from 0 (same) to 1 (nothing in common). Without --public-key, signatures are not checked.
    """
    from flows.pack.held_files import StillPack
    from flows.report.drift import compare

    both = [StillPack(pack) for pack in (before, now)]
    for pack in (before, now) if public_key else ():
        _verify(pack, public_key or [])
    found = compare(before, now)
    for still in both:
        still.require()
    document = {**found.document(), "verified": bool(public_key)}
    if not as_json:
        _print(found, 0.0 if show_all else threshold, verified=bool(public_key), show_all=show_all)
    worst = max((entry.drift or 0 for entry in found.drift), default=0)
    if tolerate is not None and worst > tolerate:
        at = found.drift[0]
        where = f"{at.extract}.{at.column}"
        fault = QualityError(f"drifted by {worst:.3f}; --tolerate allows {tolerate:.3f}", where=where)
        fault.document = document
        raise fault
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _verify(pack: Path, public_keys: Sequence[Path]) -> None:
    from flows.keys.signing_key import load_public
    from flows.pack.verify import VerificationPolicy, verify_pack

    verify_pack(pack, [load_public(path) for path in public_keys], VerificationPolicy(require=1))


def _print(found: PackComparison, threshold: float, *, verified: bool, show_all: bool) -> None:
    old, new = found.packs
    signatures = "both verified" if verified else "signatures not checked"
    typer.echo(f"Before  {_pack(old)}\nNow     {_pack(new)}\n        {signatures}")
    if old.key_fingerprint == new.key_fingerprint:
        typer.echo("        same key: pseudonyms can be linked")
    _table("Volumes", ("extract", "rows before", "rows now", "excluded before", "now"), _volumes(found))
    rules = [rule for rule in found.rules if show_all or rule.way in ("up", "down", "new")]
    title = f"Rules: {len(rules)} of {len(found.rules)} changed"
    _table(title, ("rule", "failed before", "now", "change"), map(_rule, rules))
    if found.gone_rules:
        typer.echo(f"\nNo longer judged: {', '.join(map(shown, found.gone_rules))}")
    columns = [d for d in found.drift if d.drift is None or d.drift >= threshold]
    title = f"Columns: {len(columns)} of {len(found.drift)} drifted by {threshold:g} or more"
    _table(title, ("column", "drift", "missing before", "now", "compared as"), map(_column, columns))


def _pack(side: ComparedPack) -> str:
    return f"{shown(side.pack)}, cut {shown(side.cut)} of {side.date}, key {side.key_fingerprint}"


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column and whatever follows the heads stand left, the rest right; nothing is cut."""
    lines = [tuple(heads), *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    typer.echo(f"\n{title}")
    for line in lines if len(lines) > 1 else ():
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=False))]
        typer.echo(f"  {'  '.join([*cells, *line[len(heads) :]])}".rstrip())


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}%"


def _volumes(found: PackComparison) -> Iterable[Sequence[str]]:
    for row in found.volumes:
        both = (row.before, row.now)
        shares = [volume.excluded / volume.rows_in if volume.rows_in else None for volume in both]
        yield (row.extract, *(f"{volume.rows_in:,}" for volume in both), *map(_share, shares))


def _rule(rule: RuleTrend) -> Sequence[str]:
    change = "new" if rule.way == "new" else "" if rule.change is None else f"{100 * rule.change:+.2f} pp"
    name = f"{shown(rule.extract)}: {shown(rule.rule)}"
    return (name, _share(rule.before), _share(rule.now), change, rule.effect)


def _column(entry: Drift) -> Sequence[str]:
    moved, note = entry.moved, ""
    if moved:
        note = f"{shown(moved.value)} from {_share(moved.before)} to {_share(moved.now)}"
    elif entry.shared:
        note = f"{entry.shared:,} in both cuts"
    drift = "" if entry.drift is None else f"{entry.drift:.3f}"
    missing = (_share(entry.missing_before), _share(entry.missing_now))
    return (f"{shown(entry.extract)}.{shown(entry.column)}", drift, *missing, entry.measure, note)
