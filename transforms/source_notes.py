"""What was met on the way through a source: words for null, and dates that mean no day; counted by column.

A column of dates is judged as a whole, never by its cells: what is impossible in the order that holds, two-digit years
all the way down, and numbers of days among other dates are refused in one line that says what to declare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from contracts.errors import IntakeError
from contracts.model import Contract
from contracts.vocabulary import Form
from transforms.column_map import ColumnMap, shown
from transforms.conform import nulls, reading, rounded
from transforms.dates import AUTO, ORDERS, READ, Reading

UNREAD = {
    Reading.UNREAD: "is not a date",
    Reading.TWO_DIGITS: "has a two-digit year",
    Reading.OUT_OF_YEARS: "is outside the years of the market",
}


@dataclass(slots=True)
class SourceNotes:
    """Counts by contract column; those of several batches can be added.

    Attributes:
        nulls: how many words for null.
        rounded: how many numbers, released as they are, have more decimals than the contract.
        readings: how many texts of a column of dates became what.
    """

    nulls: Counter[str] = field(default_factory=Counter)
    rounded: Counter[str] = field(default_factory=Counter)
    readings: dict[str, Counter[Reading]] = field(default_factory=dict)

    def add(self, other: SourceNotes) -> None:
        """Take in the counts of another part of the source."""
        self.nulls.update(other.nulls)
        self.rounded.update(other.rounded)
        for name, counts in other.readings.items():
            self.readings.setdefault(name, Counter()).update(counts)

    @property
    def unread_dates(self) -> dict[str, dict[str, int]]:
        """Texts of columns of dates that mean no day: column -> what is wrong with them -> how many."""
        found = {
            name: {why: counts[kind] for kind, why in UNREAD.items() if counts[kind]}
            for name, counts in self.readings.items()
        }
        return {name: why for name, why in sorted(found.items()) if why}


def notes_of(frame: pl.DataFrame, contract: Contract) -> SourceNotes:
    """Count what ``conform`` marked in a batch.

    Columns in: ``_nulls_<column>``, ``_rounded_<column>`` and ``_reading_<column>``.
    """
    found = SourceNotes()
    for column in contract.columns:
        for mark, counts in ((nulls(column.name), found.nulls), (rounded(column.name), found.rounded)):
            if mark in frame.columns and frame.height and (count := frame[mark][0]):
                counts[column.name] = int(count)
        if column.form is Form.DATE and reading(column.name) in frame.columns:
            kinds = frame[reading(column.name)].value_counts(sort=True)
            found.readings[column.name] = Counter(
                {Reading(kind): int(count) for kind, count in kinds.rows() if kind is not None}
            )
    return found


def judge_batch(notes: SourceNotes, columns: ColumnMap, *, where: str) -> None:
    """Refuse a column of dates in which a date is impossible in the order that holds.

    Raises:
        IntakeError: it is; the line names column, count and remedy.
    """
    for name, counts in notes.readings.items():
        if bad := counts[Reading.NOT_DAY_FIRST]:
            order = columns.order(name)
            held, other = ("day first", "month-first") if order in ORDERS[:2] else (order, "day-first")
            raise IntakeError(
                f"column {_heading(name, columns)} has dates that are impossible {held}, {bad:,} of "
                f"{_filled(counts):,} in the block of the first one",
                where=where,
                remedy=f"if it is another order, say so: `dates: {{{name}: {other}}}` of the source",
            )


def judge_whole(notes: SourceNotes, columns: ColumnMap, *, where: str) -> None:
    """Refuse a column of dates that cannot be read as a whole.

    Raises:
        IntakeError: all its years have two digits, it mixes numbers of days with dates, or nothing of it is in the
            order that the source declares; the line names column, count and remedy.
    """
    for name, counts in notes.readings.items():
        order, read = columns.order(name), sum(counts[kind] for kind in READ)
        heading, filled = _heading(name, columns), _filled(counts)
        if counts[Reading.TWO_DIGITS] and not read:
            raise IntakeError(
                f"column {heading} has dates with two-digit years, {counts[Reading.TWO_DIGITS]:,} of {filled:,}",
                where=where,
                remedy=f"export four digits, or say how they are written: `dates: {{{name}: dd/mm/yy}}` or dd-mon-yy",
            )
        if counts[Reading.SERIAL_DAY] and counts[Reading.READ] and order == AUTO:
            raise IntakeError(
                f"column {heading} has numbers of days among dates, {counts[Reading.SERIAL_DAY]:,} of {filled:,}",
                where=where,
                remedy=f"export dates alone, or say what it is: `dates: {{{name}: ...}}` of the source",
            )
        if order != AUTO and filled and not read:
            raise IntakeError(
                f"column {heading} is declared `{order}`, and none of its {filled:,} dates is written so",
                where=where,
                remedy="correct `dates` of the source",
            )


def _heading(name: str, columns: ColumnMap) -> str:
    headings: Mapping[str, str] = {column: heading for heading, column in columns.names.items()}
    return f"{name} ({shown(headings[name])})" if name in headings else name


def _filled(counts: Counter[Reading]) -> int:
    return counts.total() - counts[Reading.EMPTY]
