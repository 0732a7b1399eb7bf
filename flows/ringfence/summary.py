"""What the ring-fence says to a reader: fulfilment by phase, participant and test case, shortages, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

MOST_CASES = 40
SUMS = ("wanted", "allocated", "short", "spares_wanted", "spares")
HEADS = ("Wanted", "Given", "Short", "Spares wanted", "Spares")


def totals(fulfilment: pl.DataFrame, *names: str) -> list[dict[str, Any]]:
    """Return fulfilment summed over test cases, by the columns named."""
    summed = [pl.len().alias("test_cases"), pl.col("can_run").sum().alias("can_run"), *(pl.col(n).sum() for n in SUMS)]
    if not names:
        return fulfilment.select(summed).to_dicts()
    return fulfilment.group_by(names).agg(summed).sort(names).to_dicts()


def document(
    fulfilment: pl.DataFrame,
    shortages: list[dict[str, Any]],
    coverage: list[dict[str, Any]],
    facts: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the whole report as data."""
    return {
        "total": totals(fulfilment)[0],
        "phases": totals(fulfilment, "phase", "stage"),
        "participants": totals(fulfilment, "participant"),
        "test_cases": fulfilment.to_dicts(),
        "shortages": shortages,
        "coverage": coverage,
        "facts": facts,
    }


def show(console: Console, said: dict[str, Any]) -> None:
    """Print a report (as ``document`` returns it) for a test manager."""
    total = said["total"]
    console.print(
        f"{total['can_run']:,} of {total['test_cases']:,} test cases can run: {total['allocated']:,} of "
        f"{total['wanted']:,} units, {total['spares']:,} of {total['spares_wanted']:,} spares.",
        highlight=False,
    )
    _totals(console, "By phase and stage", said["phases"], ("phase", "stage"))
    _totals(console, "By participant", said["participants"], ("participant",))
    short = [case for case in said["test_cases"] if case["short"]]
    if short:
        _cases(console, short)
    if undecided := sum(fact["undecided_groups"] for fact in said["facts"]):
        console.print(f"{undecided} groups of test cases were decided without proof that no better choice exists.")
    for entry in said["shortages"]:
        console.print(f"- {entry['text']}", highlight=False, soft_wrap=True)
    _coverage(console, said["coverage"])


def _totals(console: Console, title: str, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    table = _table(title, [*(name.capitalize() for name in names)], ["Cases", "Can run", *HEADS])
    for row in rows:
        numbers = [row["test_cases"], row["can_run"], *(row[name] for name in SUMS)]
        table.add_row(*(row[name] for name in names), *(f"{number:,}" for number in numbers))
    console.print(table)


def _cases(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    more = f" (the first {MOST_CASES} of {len(rows):,})" if len(rows) > MOST_CASES else ""
    names = ["Test case", "Participant", "Stage"]
    table = _table(f"Short test cases{more}", names, ["Priority", "Wanted", "Given", "Short", "Eligible"])
    for row in rows[:MOST_CASES]:
        numbers = [row["priority"], row["wanted"], row["allocated"], row["short"], row["eligible"]]
        said = ["" if number is None else f"{number:,}" for number in numbers]
        table.add_row(row["test_case"], row["participant"], row["stage"], *said)
    console.print(table)


def _coverage(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    stages = [row for row in rows if row["scope"] == "stage" and not row["attribute"]]
    if not stages:
        return
    table = _table("Likeness to the pool", ["Stage"], ["Round", "Metering points", "Mean distance", "Pairs of values"])
    for row in stages:
        pairs = "" if row["pairwise"] is None else f"{row['pairwise']:.0%}"
        table.add_row(row["name"], str(row["round"]), f"{row['metering_points']:,}", f"{row['distance']:.3f}", pairs)
    console.print(table)


def rows_table(title: str, rows: pl.DataFrame) -> Table:
    """Return a table of a frame as it is."""
    table = _table(title, [name.replace("_", " ").capitalize() for name in rows.columns], [])
    for row in rows.rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    return table


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in words:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
