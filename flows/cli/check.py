"""``datacut check``: what a run would say, before it is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import ConfigurationError, DataCutError
from contracts.json_types import JsonObject
from flows.cli.run import AsJson, CutPath

if TYPE_CHECKING:
    from contracts.evidence import RuleCountEvidence
    from flows.check.check import Checked, CheckedSource

WIDTH = 78
NAMES = 8  # names of columns that one line tells


def register(app: typer.Typer) -> None:
    """Add the subcommand to the console command."""
    app.command("check")(check_command)


def check_command(
    cut: CutPath,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Judge every row, not the first 100,000 of each source.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Judge so many rows of each source.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at your cut before you run it: what is read as what, which rows would be excluded, what the run needs.

    Writes no pack. Ends with the exit code that datacut anonymise would, as far as the rows it read can tell. Lists the
    rows to put right in cleanse.csv, by real MPAN, for you alone.
    """
    from flows.check.check import ROWS, check

    if every and rows is not None:
        raise ConfigurationError("--all and --rows do not go together")
    found = check(cut, rows=None if every else rows or ROWS)
    if not as_json:
        _print(found)
    elif not found.faults:
        typer.echo(json.dumps(_document(found), indent=2, sort_keys=True))
    if found.faults:
        raise _with_document(found.faults[0], found)


def _with_document(fault: DataCutError, found: Checked) -> DataCutError:
    fault.document = _document(found)
    return fault


def _print(found: Checked) -> None:
    for each in found.sources:
        _print_source(each)
    typer.echo("")
    for note in found.notes:
        _say("Look at", note)
    for fault in found.faults[1:]:
        _say("And", fault.line())
    _say("Key", f"fingerprint {found.fingerprint}")
    _say("Disk", f"about {_size(found.disk)} needed, {_size(found.free_disk)} free")
    _say("Memory", f"up to {_size(found.memory)} needed, {_size(found.free_memory)} free")
    _say("Time", f"about {_duration(found.seconds)} for datacut anonymise on this machine")
    if found.cleanse is not None:
        _say("Cleanse", found.cleanse.line())
    _say("Result", f"datacut anonymise would end with code {found.exit_code}" + _as_far(found))


def _as_far(found: Checked) -> str:
    cut = any(each.first.cut for each in found.sources)
    return ", as far as the rows that were read tell; --all reads every row" if cut else ""


def _print_source(each: CheckedSource) -> None:
    name = f"{each.source.participant}/{each.source.extract}"
    if each.facts is None:
        typer.echo(f"\n{name}: cannot be read")
        if each.fault is not None:
            _say("Fault", each.fault.line())
        return
    from transforms.release.source_form import form_of

    facts, form = each.facts, form_of(each.facts)
    how = [facts.form, form.delimiter, form.encoding]
    many = f"{facts.rows:,} rows" + (f" of about {each.estimate:,}" if each.first.cut else "")
    typer.echo(f"\n{name}: {facts.file}, {', '.join(filter(None, how))}; {many}")
    for column, heading in facts.columns.items():
        typer.echo(f"  {column:<38} <- {heading}"[:WIDTH])
    _names("Not in the source", facts.missing)
    _names("Not agreed, dropped", facts.not_agreed)
    _names("Dropped unread", facts.dropped)
    _names("Not read", facts.passed_over)
    if facts.null_words:
        _names("Words for null", [f"{name} {count:,}" for name, count in facts.null_words.items()])
    for name, why in facts.unread_dates.items():
        _say("Dates", f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in why.items()))
    for note in each.notes:
        _say("Look at", note)
    _print_rules(each.rules, each)


def _print_rules(rules: list[RuleCountEvidence], each: CheckedSource) -> None:
    from flows.check.check import excluded

    for entry in excluded(rules):
        share = 100 * entry.failed / max(entry.evaluated, 1)
        what = "excluded" if entry.effect == "exclude" else "warned about"
        _say(entry.reason, f"{entry.failed:,} of {entry.evaluated:,} rows ({share:.2f}%) {what}: {entry.description}")
    if not excluded(rules):
        typer.echo("  No rule is broken.")
    unjudged = [entry.rule for entry in rules if not entry.evaluated]
    _names("Not judged", unjudged)


def _names(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        _say(what, ", ".join(names[:NAMES]) + more)


def _say(what: str, text: str) -> None:
    """Print a line with a word before it, folded at 78 columns."""
    import textwrap

    lines = textwrap.wrap(f"{what}: {text}", WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    typer.echo("\n".join(f"  {'  ' if n else ''}{line}" for n, line in enumerate(lines)))


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1000:,.0f} kB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _document(found: Checked) -> JsonObject:
    return {
        "exit_code": found.exit_code,
        "faults": [{"exit_code": fault.exit_code, "line": fault.line()} for fault in found.faults],
        "notes": [*found.notes],
        "fingerprint": found.fingerprint,
        "estimate": {"seconds": round(found.seconds, 1), "disk_bytes": found.disk, "memory_bytes": found.memory},
        "free": {"disk_bytes": found.free_disk, "memory_bytes": found.free_memory},
        "cleanse": {"path": str(found.cleanse.path), "lines": found.cleanse.lines} if found.cleanse else None,
        "sources": [_source(each) for each in found.sources],
    }


def _source(each: CheckedSource) -> JsonObject:
    facts = each.facts
    return {
        "participant": each.source.participant,
        "extract": each.source.extract,
        "whole": not each.first.cut,
        "rows": facts.rows if facts else 0,
        "rows_estimated": each.estimate,
        "columns": {**facts.columns} if facts else {},
        "missing": [*facts.missing] if facts else [],
        "not_agreed": [*facts.not_agreed] if facts else [],
        "dropped": [*facts.dropped] if facts else [],
        "notes": [*each.notes],
        "fault": each.fault.line() if each.fault else None,
        "rules": [
            {
                "rule": entry.rule, "reason": entry.reason, "effect": entry.effect, "evaluated": entry.evaluated,
                "failed": entry.failed,
            }
            for entry in each.rules
        ],
    }  # fmt: skip
