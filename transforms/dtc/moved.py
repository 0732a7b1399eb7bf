"""Records of another length than their layout: kept fields into which a value to be masked may have moved.

A record without its last optional fields is common, and every field of it is in its place. The same record comes of a
field that was left out in the middle, and then all later ones are in wrong places: a name where a code belongs. The
length alone does not tell the two apart, the values do: a kept field is not trusted where an item to be masked is as
many positions behind as fields are missing, or fewer, and the value could be of that item. In a record that is longer
the item is as many positions before. Records of full width are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from contracts.dtc.model import FlowItem
from contracts.dtc.policy.model import IdentifierKind
from transforms.dtc.plan import KINDS, Place, Plan
from transforms.dtc.records import PIPE, Ints, Lines, Marks
from transforms.dtc.splice import take
from transforms.pseudonymise.byte_columns import Rows

# Characters below which a value is not one of a kind: a code of one or two letters is no name.
_LEAST: Mapping[IdentifierKind, int] = {
    IdentifierKind.MPAN: 13,
    IdentifierKind.METER_SERIAL: 6,
    IdentifierKind.ESME_ID: 16,
    IdentifierKind.ADDRESS_LINE: 3,
    IdentifierKind.POSTCODE: 5,
    IdentifierKind.REFERENCE: 6,
    IdentifierKind.NAME: 3,
    IdentifierKind.TELEPHONE: 6,
    IdentifierKind.EMAIL: 6,
    IdentifierKind.FREE_TEXT: 3,
    IdentifierKind.SENSITIVE: 1,
    IdentifierKind.SECRET: 4,
}
_LETTERED = frozenset({IdentifierKind.ESME_ID, IdentifierKind.POSTCODE, IdentifierKind.NAME, IdentifierKind.EMAIL})
_DIGITS = frozenset(
    {
        IdentifierKind.MPAN,
        IdentifierKind.METER_SERIAL,
        IdentifierKind.ESME_ID,
        IdentifierKind.POSTCODE,
        IdentifierKind.TELEPHONE,
    }
)
_ANY_LENGTH = frozenset(
    {
        IdentifierKind.MPAN,
        IdentifierKind.METER_SERIAL,
        IdentifierKind.ESME_ID,
        IdentifierKind.POSTCODE,
        IdentifierKind.TELEPHONE,
    }
)  # blanks in them
_SHORTEST = {"DATE": 8, "DATETIME": 8, "TIME": 4}
_LONGEST = {"DATE": 10, "DATETIME": 19, "TIME": 8, "BOOLEAN": 5}
_WITNESSES = 8  # later fields that are asked whether a record has shifted
_NUMBERS = frozenset({"NUM", "INT"})
_DATES = frozenset({"DATE", "DATETIME"})


def moved(lines: Lines, groups: Ints, cells: Ints, plan: Plan) -> Ints:
    """Return the kept fields that may hold a value that has moved there, in order.

    Args:
        lines: the block.
        groups: number of the group of each line; -1 where it is not a record of one.
        cells: cell of each field.
        plan: catalogue and policy.
    """
    counts = np.diff(lines.first)
    missing = np.where(groups < 0, 0, plan.widths[groups] - counts)
    odd = ((missing > 0) & plan.open_left[groups]) | ((missing < 0) & plan.open_right[groups])
    if not odd.any():
        return np.zeros(0, dtype=np.int32)
    fields = np.flatnonzero(np.repeat(odd, counts)).astype(np.int32)
    gaps = np.repeat(missing[odd], counts[odd]).clip(-plan.width, plan.width)
    doubtful = plan.kinds[cells[fields]] == KINDS.index(IdentifierKind.KEEP)
    doubtful &= lines.field_ends[fields] > lines.field_starts[fields]
    fields, gaps = fields[doubtful], gaps[doubtful]
    span = 2 * plan.width + 1
    keys, index = np.unique(cells[fields].astype(np.int64) * span + gaps + plan.width, return_inverse=True)
    doubted = np.zeros(fields.size, dtype=np.bool_)
    for number, key in enumerate(keys.tolist()):
        cell, gap = key // span, key % span - plan.width
        shifts = _shifts(plan, cell, gap)
        if shifts:
            here = np.flatnonzero(index.reshape(-1) == number)
            doubted[here] = _Suspects(lines, plan, cell, fields[here]).moved(shifts, gap)
    found: Ints = fields[doubted]
    return found


def _shifts(plan: Plan, cell: int, gap: int) -> list[int]:
    """Return from how far an item to be masked can have moved to a cell: from behind, or, if negative, from before."""
    ways = range(1, gap + 1) if gap > 0 else range(-1, gap - 1, -1)
    group = cell // plan.width
    found = [(way, plan.places.get(cell + way)) for way in ways if (cell + way) // plan.width == group]
    return [
        way
        for way, place in found
        if place is not None and place.kind is not None and place.kind is not IdentifierKind.KEEP
    ]


class _Suspects:
    """Values of one cell in records of one length."""

    def __init__(self, lines: Lines, plan: Plan, cell: int, fields: Ints) -> None:
        self._lines, self._plan, self._cell, self._fields = lines, plan, cell, fields

    def moved(self, shifts: list[int], gap: int) -> Marks:
        """Tell which of them may have moved by one of the shifts.

        A shift does not end before the record does: where a later field holds a value of its own item that none could
        be from as far away, or farther, there was no shift.
        """
        frame = self._values(0)
        alive = {shift: self._could(frame, 0, shift) for shift in shifts}
        position, sign = self._cell % self._plan.width, 1 if gap > 0 else -1
        width = int(self._plan.widths[self._cell // self._plan.width])
        for ahead in range(1, min(_WITNESSES, width - max(gap, 0) - position) + 1):
            doubted = np.flatnonzero(np.logical_or.reduce(list(alive.values())))
            if not doubted.size:
                break
            self._hear(alive, doubted, ahead, sign * min(abs(gap), width))
        found: Marks = np.logical_or.reduce(list(alive.values()))
        return found

    def _hear(self, alive: dict[int, Marks], doubted: Rows, ahead: int, farthest: int) -> None:
        """Take back the shifts that a field further ahead speaks against."""
        frame = self._values(ahead, doubted)
        witness = self._could(frame, ahead, 0) & self._ended(doubted, ahead)
        step = 1 if farthest > 0 else -1
        explained = np.zeros(doubted.size, dtype=np.bool_)
        for shift in range(farthest, 0, -step):  # a value that explains a long shift explains every shorter one
            if self._plan.places.get(self._cell + ahead + shift) is not None:
                explained |= self._could(frame, ahead, shift)
            if shift in alive:
                alive[shift][doubted] &= explained | ~witness

    def _values(self, ahead: int, rows: Rows | slice = slice(None)) -> pl.DataFrame:
        fields = self._fields[rows] + np.int32(ahead)
        values = take(self._lines.data, self._lines.field_starts[fields], self._lines.field_ends[fields])
        return values.alias("value").to_frame().select(pl.col("value").str.strip_chars())

    def _ended(self, rows: Rows, ahead: int) -> Marks:
        """Tell which fields have a pipe behind them: others may have been cut off."""
        ended: Marks = self._lines.data[self._lines.field_ends[self._fields[rows] + np.int32(ahead)]] == PIPE
        return ended

    def _could(self, frame: pl.DataFrame, ahead: int, shift: int) -> Marks:
        """Tell which values of the field so far ahead could be of the item that the shift would bring there."""
        here, source = (self._plan.places.get(self._cell + ahead + way) for way in (0, shift))
        if here is None or source is None:
            return np.zeros(frame.height, dtype=np.bool_)
        found: Marks = frame.select((pl.col("value") != "") & _test(source, here.item)).to_series().to_numpy().copy()
        return found


def _test(place: Place, kept: FlowItem) -> pl.Expr:
    """Return whether a value that stands in the field of an item could be one of a place."""
    value, kind = pl.col("value"), place.kind
    length = value.str.len_chars()
    if kind is None or kind is IdentifierKind.KEEP:
        return _kept(place.item)
    found = length >= min(_LEAST[kind], place.item.length or _LEAST[kind])
    if kind not in _ANY_LENGTH and place.item.length:
        found &= length <= place.item.length
    if kind in _LETTERED:
        found &= value.str.contains(r"\pL")
    if kind in _DIGITS:
        found &= value.str.contains(r"\d")
    if kind is IdentifierKind.MPAN or place.item.kind in _NUMBERS:
        found &= ~value.str.contains(r"\pL")
    if place.item.kind not in _DATES and kept.kind in {*_DATES, ""}:
        day = value.str.head(8).str.to_date("%Y%m%d", strict=False)
        dated = value.str.contains(r"^(?:19|20)\d{6}(?:\d{4}|\d{6})?$") & day.is_not_null()
        found &= ~dated
    return found


def _kept(item: FlowItem) -> pl.Expr:
    """Return whether a value fits a kept item's format."""
    value = pl.col("value")
    length = value.str.len_chars()
    found = length >= _SHORTEST.get(item.kind, 1)
    if item.kind in _LONGEST or item.length:
        found &= length <= max(_LONGEST.get(item.kind, 0), item.length)
    if item.kind in {*_NUMBERS, *_SHORTEST}:
        found &= ~value.str.contains(r"\pL")
    return found
