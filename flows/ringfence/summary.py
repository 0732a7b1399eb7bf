"""What the ring-fence says to a reader: fulfilment by phase, participant and test case, shortages, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl
from rich.console import Console
from rich.table import Table

from contracts.evidence_results import Coverage, Shortage
from contracts.json_types import JsonObject
from transforms.ringfence.allocate import RoundFacts

MOST_CASES = 40
SUMS = ("wanted", "allocated", "short", "spares_wanted", "spares")
HEADS = ("Wanted", "Given", "Short", "Spares wanted", "Spares")


@dataclass(frozen=True, slots=True)
class FenceReport:
    """What was allocated, what is missing and why, and how like the pool the choice is."""

    fulfilment: pl.DataFrame
    shortages: Sequence[Shortage]
    coverage: Sequence[Coverage]
    facts: Sequence[RoundFacts]

    def totals(self, *names: str) -> pl.DataFrame:
        """Return fulfilment summed over test cases, by the columns named."""
        summed = [pl.len().alias("test_cases"), pl.col("can_run").sum(), *(pl.col(name).sum() for name in SUMS)]
        if not names:
            return self.fulfilment.select(summed)
        return self.fulfilment.group_by(names).agg(summed).sort(names)

    def document(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "total": self.totals().row(0, named=True),
            "phases": [*self.totals("phase", "stage").to_dicts()],
            "participants": [*self.totals("participant").to_dicts()],
            "test_cases": [*self.fulfilment.to_dicts()],
            "shortages": [entry.model_dump(mode="json") for entry in self.shortages],
            "coverage": [entry.model_dump(mode="json") for entry in self.coverage],
            "facts": [asdict(entry) for entry in self.facts],
        }


def show(console: Console, report: FenceReport) -> None:
    """Print a report for a test manager."""
    total = report.totals().row(0, named=True)
    console.print(
        f"{total['can_run']:,} of {total['test_cases']:,} test cases can run: {total['allocated']:,} of "
        f"{total['wanted']:,} units, {total['spares']:,} of {total['spares_wanted']:,} spares.",
        highlight=False,
    )
    _totals(console, "By phase and stage", report.totals("phase", "stage"), ("phase", "stage"))
    _totals(console, "By participant", report.totals("participant"), ("participant",))
    short = report.fulfilment.filter(pl.col("short") > 0)
    if short.height:
        _cases(console, short)
    if undecided := sum(fact.undecided_groups for fact in report.facts):
        console.print(f"{undecided} groups of test cases were decided without proof that no better choice exists.")
    for entry in report.shortages:
        console.print(f"- {entry.text}", highlight=False)
    _coverage(console, report.coverage)


def _totals(console: Console, title: str, rows: pl.DataFrame, names: Sequence[str]) -> None:
    table = _table(title, [*(name.capitalize() for name in names)], ["Cases", "Can run", *HEADS])
    for row in rows.select(*names, "test_cases", "can_run", *SUMS).rows():
        table.add_row(*row[: len(names)], *(f"{number:,}" for number in row[len(names) :]))
    console.print(table)


def _cases(console: Console, rows: pl.DataFrame) -> None:
    more = f" (the first {MOST_CASES} of {rows.height:,})" if rows.height > MOST_CASES else ""
    words, numbers = ("test_case", "participant", "stage"), ("priority", "wanted", "allocated", "short", "eligible")
    names = ["Test case", "Participant", "Stage"]
    table = _table(f"Short test cases{more}", names, ["Priority", "Wanted", "Given", "Short", "Eligible"])
    for row in rows.head(MOST_CASES).select(*words, *numbers).rows():
        table.add_row(*row[:3], *("" if number is None else f"{number:,}" for number in row[3:]))
    console.print(table)


def _coverage(console: Console, rows: Sequence[Coverage]) -> None:
    stages = [row for row in rows if row.scope == "stage" and not row.attribute]
    if not stages:
        return
    table = _table("Likeness to the pool", ["Stage"], ["Round", "Metering points", "Mean distance", "Pairs of values"])
    for row in stages:
        pairs = "" if row.pairwise is None else f"{row.pairwise:.0%}"
        table.add_row(row.name, str(row.round), f"{row.metering_points:,}", f"{row.distance or 0:.3f}", pairs)
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
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table
