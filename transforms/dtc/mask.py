"""Records of flows -> the edits that hide what the policy names, over whole blocks of any mix of flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.dtc.policy.model import ADDRESS, CONSTANT, IdentifierKind
from contracts.vocabulary import Field
from transforms.dtc.moved import moved
from transforms.dtc.nesting import Run, misplaced
from transforms.dtc.plan import KINDS, UNCLASSIFIED, AddressPlaces, Plan
from transforms.dtc.records import BLANK, Ints, Lines, Marks, blank
from transforms.dtc.splice import Edits, pieces, take
from transforms.pseudonymise.byte_columns import buffers
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

_FIELDS = {
    IdentifierKind.MPAN: Field.MPAN,
    IdentifierKind.METER_SERIAL: Field.METER_SERIAL,
    IdentifierKind.ESME_ID: Field.ESME_ID,
}
_UPPER_A, _ASCII_END = np.uint8(65), np.uint8(128)
MPAN_DIGITS = 13
WHOLE_RECORDS = "ask the sender for records with all their fields, or give --blank-unknown"
SHORT = 6  # characters; no identifier is shorter than this


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the policy does not cover: a line of the block, and words without data."""

    line: int
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Masked:
    """What masking a block came to.

    Attributes:
        edits: the replacements, by kind; none overlapping.
        masked: how many values of each cell were replaced.
        uncovered: how many values of each cell have no pseudonym in the scheme, or none that fits; they became empty,
            a mandatory one the constant of its format.
        blanked: how many values of each cell were blanked because nothing is known of them.
        moved: how many kept values of each cell were blanked because a value to be masked may have moved there.
        blanked_records: how many records were blanked as a whole, by (flow number, group code).
        after: what is open behind each unfinished run, in order.
        refusal: the first thing that is refused; nothing else counts then.
    """

    edits: list[Edits]
    masked: NDArray[np.int64]
    uncovered: NDArray[np.int64]
    blanked: NDArray[np.int64]
    moved: NDArray[np.int64]
    blanked_records: dict[tuple[int, int], int]
    after: list[Run]
    refusal: Refusal | None = None


def mask(
    lines: Lines,
    flows: Ints,
    records: Marks,
    runs: Sequence[Run],
    plan: Plan,
    pseudonymiser: Pseudonymiser,
    *,
    blank_unknown: bool,
) -> Masked:
    """Hide what the policy names.

    Args:
        lines: the block.
        flows: number of the flow that each line is of.
        records: which lines are records of groups; all others pass.
        runs: which lines are of one flow, in order.
        plan: catalogue and policy.
        blank_unknown: blank what the policy or the catalogue does not know, instead of refusing it.
    """
    return _Block(lines, flows, records, plan, pseudonymiser).masked(runs, blank_unknown=blank_unknown)


class _Block:
    def __init__(self, lines: Lines, flows: Ints, records: Marks, plan: Plan, pseudonymiser: Pseudonymiser) -> None:
        self._lines, self._plan, self._pseudonymiser = lines, plan, pseudonymiser
        self._flows = flows
        self._data = lines.data
        self._records = records
        groups = plan.groups(flows, lines.codes)
        self._groups = np.where(records, groups, -1).astype(np.int32)
        base = np.where(groups < 0, plan.limits.size, groups * np.int32(plan.width) + 1 - lines.first[:-1])
        self._cells = self._numbered(base.astype(np.int32), groups)
        self._parts: list[Edits] = []
        self._misplaced, self._after = np.zeros(0, dtype=np.int32), list[Run]()
        size = plan.limits.size
        self._masked = np.zeros(size, dtype=np.int64)
        self._uncovered = np.zeros(size, dtype=np.int64)
        self._blanked = np.zeros(size, dtype=np.int64)
        self._moved = np.zeros(size, dtype=np.int64)

    def masked(self, runs: Sequence[Run], *, blank_unknown: bool) -> Masked:
        looked, filled = self._looked_at()
        line = np.repeat(np.arange(self._lines.count, dtype=np.int32), np.diff(self._lines.first)).take(looked)
        self._misplaced, self._after = misplaced(self._groups, runs, self._plan.nesting)
        lost = np.union1d(self._lost_records(looked[filled], line[filled]), self._misplaced).astype(np.int32)
        dropped = np.zeros(self._lines.count, dtype=np.bool_)
        dropped[lost] = True
        cells = self._cells.take(looked)
        kinds = self._plan.kinds.take(cells)
        unknown = (kinds == UNCLASSIFIED) | (kinds == KINDS.index(IdentifierKind.KEEP))
        numbers = unknown & filled & self._plan.numeric.take(cells)
        filled[numbers] = ~self._fit_as_numbers(looked[numbers])
        easy = unknown & filled & self._plan.lenient.take(cells)
        filled[easy] = self._may_identify(looked[easy])
        bad = looked[unknown & filled & ~dropped.take(line)]
        doubted = moved(self._lines, np.where(dropped, -1, self._groups), self._cells, self._plan)
        doubted = doubted[~np.isin(doubted, bad, assume_unique=True)]
        vital = doubted[self._plan.mandatory[self._cells[doubted]]]
        if (bad.size or lost.size or vital.size) and not blank_unknown:
            return self._done({}, self._refusal(bad, lost, vital))
        blanked = self._blank(bad, lost, dropped)
        self._clear(doubted, self._moved)
        known = np.flatnonzero(~unknown & filled & ~dropped.take(line))
        rest, kinds = looked.take(known), kinds.take(known)
        for number in np.flatnonzero(np.bincount(kinds, minlength=len(KINDS))):
            kind = KINDS[number]
            if kind is not None and kind not in ADDRESS:
                self._replace(kind, rest.take(np.flatnonzero(kinds == number)))
        there = np.bincount(self._groups[self._groups >= 0], minlength=self._plan.widths.size) > 0
        for address in self._plan.addresses:
            if there[address.group]:
                self._address(address, dropped)
        return self._done(blanked, None)

    def _done(self, blanked: dict[tuple[int, int], int], refusal: Refusal | None) -> Masked:
        counts = (self._masked, self._uncovered, self._blanked, self._moved)
        return Masked(self._parts, *counts, blanked, self._after, refusal)

    def _numbered(self, base: Ints, groups: Ints) -> Ints:
        """Return the cell of each field; of no group of the plan, and of a control record, a cell of its own."""
        lines, plan = self._lines, self._plan
        counts = np.diff(lines.first)
        cells: Ints = np.repeat(base, counts)
        cells += np.arange(cells.size, dtype=np.int32)
        odd = np.flatnonzero((counts > 0) & ((groups < 0) | ~self._records | (counts >= plan.width)))
        for line in odd:  # few: headers and trailers, and what will be refused or blanked
            fields = slice(lines.first[line], lines.first[line + 1])
            if not self._records[line]:
                cells[fields] = plan.passing
            elif groups[line] < 0:
                cells[fields] = plan.passing + 1
            else:
                np.minimum(cells[fields], groups[line] * plan.width + plan.width - 1, out=cells[fields])
        return cells

    def _looked_at(self) -> tuple[Ints, Marks]:
        """Return the fields that do not pass unseen, and which of them hold more than blanks."""
        lines, plan = self._lines, self._plan
        odd = lines.field_ends - lines.field_starts > plan.limits.take(self._cells, mode="clip")
        # a pipe or a line feed is behind each field, so that even an empty one at the end has a byte
        letters = np.flatnonzero(self._data.take(lines.field_starts, mode="clip") >= _UPPER_A)
        letters = letters[plan.numeric.take(self._cells.take(letters), mode="clip")]
        odd[letters[lines.field_ends[letters] > lines.field_starts[letters]]] = True
        looked = np.flatnonzero(odd).astype(np.int32)
        return looked, ~blank(self._data, lines.field_starts[looked], lines.field_ends[looked])

    def _fit_as_numbers(self, fields: Ints) -> Marks:
        """Tell which kept numbers fit their format: neither sign nor decimal point counts for the length."""
        value = pl.col("value").str.strip_chars()
        frame = self._take(fields).alias("value").to_frame()
        frame = frame.with_columns(room=pl.Series(self._plan.limits[self._cells[fields]]))
        digits = value.str.replace_all(r"[+.-]", "").str.len_bytes()
        fits = value.str.contains(r"^[+-]?\d*\.?\d*$") & (digits <= pl.col("room"))
        return frame.select(fits).to_series().to_numpy()

    def _may_identify(self, fields: Ints) -> Marks:
        """Tell which values that are not of their format could be an identifier in the wrong place.

        Not a short value, nor a date, nor a number with decimals: those are another version's layout. Only asked of
        groups that hold nothing to mask but identifiers, which the record has in their places.
        """
        value = pl.col("value").str.strip_chars()
        day = value.str.head(8).str.to_date("%Y%m%d", strict=False)
        dated = value.str.contains(r"^(?:19|20)\d{6}(?:\d{4}|\d{6})?$") & day.is_not_null()
        harmless = (value.str.len_bytes() < SHORT) | dated | value.str.contains(r"^[+-]?\d+\.\d+$")
        return self._take(fields).alias("value").to_frame().select(~harmless).to_series().to_numpy()

    def _lost_records(self, filled: Ints, line: Ints) -> Ints:
        """Return the records of which nothing is sure.

        Their group is not of the flow, or a mandatory identifier is missing, or is not even written like one, or
        they end before their last mandatory item. The fields of such a record may have moved: another may hold it.
        """
        required = self._plan.required.take(self._cells.take(filled))
        required[required] = self._like_identifiers(filled[required])
        have = np.bincount(line[required], minlength=self._lines.count)
        known = self._groups >= 0
        want = np.where(known, self._plan.expected[self._groups], 0)
        short = np.diff(self._lines.first) < np.where(known, self._plan.least[self._groups], 0)
        return np.flatnonzero(self._records & (~known | (have < want) | short)).astype(np.int32)

    def _like_identifiers(self, fields: Ints) -> Marks:
        """Tell which identifiers are written like one: an MPAN has thirteen digits, in one of its spellings."""
        good = np.ones(fields.size, dtype=np.bool_)
        mpans = np.flatnonzero(self._plan.kinds.take(self._cells.take(fields)) == KINDS.index(IdentifierKind.MPAN))
        starts, ends = self._lines.field_starts[fields[mpans]], self._lines.field_ends[fields[mpans]]
        plain = ends - starts == MPAN_DIGITS
        digits = pieces(self._data, MPAN_DIGITS)[starts[plain]].view(np.uint8).reshape(-1, MPAN_DIGITS) - np.uint8(48)
        good[mpans[plain]] = (digits < 10).all(axis=1)
        odd = mpans[~plain]
        if odd.size:
            good[odd] = self._pseudonymiser.values(Field.MPAN, self._take(fields[odd])).is_not_null().to_numpy()
        return good

    def _refusal(self, bad: Ints, lost: Ints, vital: Ints) -> Refusal:
        line = int(lost[0]) if lost.size else self._lines.count
        for fields, why in ((bad, self._no_value), (vital, self._out_of_place)):
            first = int(self._lines.line_of(fields[:1])[0]) if fields.size else line
            if first < line:
                line, found = first, why(first, int(self._cells[fields[0]]))
        if not lost.size or line < lost[0]:
            return found
        if self._groups[line] < 0:
            return Refusal(line, f"{self._group(line)} is not in the catalogue")
        if line in self._misplaced:
            return Refusal(line, f"{self._group(line)} is out of place: {self._belongs(line)}", WHOLE_RECORDS)
        return Refusal(line, f"{self._group(line)} lacks a mandatory identifier or field")

    def _no_value(self, line: int, cell: int) -> Refusal:
        place = self._plan.places.get(cell)
        if place is None:
            return Refusal(line, f"{self._group(line)} has more fields than its layout")
        if place.kind is None:
            return Refusal(line, f"{place.label}, {place.item.name}, is not classified by the policy")
        return Refusal(line, f"{place.label} does not hold a {place.item.format}")

    def _out_of_place(self, line: int, cell: int) -> Refusal:
        longer = self._lines.first[line + 1] - self._lines.first[line] > self._plan.widths[self._groups[line]]
        what = f"its record is {'longer' if longer else 'shorter'} than its layout, and its fields may have moved"
        return Refusal(line, f"{self._plan.places[cell].label}: {what}", WHOLE_RECORDS)

    def _group(self, line: int) -> str:
        return f"{self._plan.flows[self._flows[line]].label} group {self._name(line)}"

    def _name(self, line: int) -> str:
        return int(self._lines.codes[line]).to_bytes(3, "big").rstrip(b"\0").decode("ascii")

    def _belongs(self, line: int) -> str:
        group = self._plan.flows[self._flows[line]].groups[self._name(line)]
        above = f"below {group.parent}" if group.parent else "at the top"
        return f"its layout has it {above}, {group.cardinality}"

    def _blank(self, bad: Ints, lost: Ints, dropped: Marks) -> dict[tuple[int, int], int]:
        """Blank fields that nothing is known of; count them, and the records that are blanked as a whole."""
        self._clear(bad, self._blanked)
        if lost.size:
            fields = np.flatnonzero(np.repeat(dropped, np.diff(self._lines.first))).astype(np.int32)
            self._edit(fields, pl.repeat("", fields.size, dtype=pl.String, eager=True))
        counts: dict[tuple[int, int], int] = {}
        for line in lost:
            key = (int(self._flows[line]), int(self._lines.codes[line]))
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _clear(self, fields: Ints, counted: NDArray[np.int64]) -> None:
        """Blank fields, and count them by cell."""
        if fields.size:
            self._edit(fields, pl.repeat("", fields.size, dtype=pl.String, eager=True))
            counted += np.bincount(self._cells[fields], minlength=counted.size)

    def _edit(self, fields: Ints, texts: pl.Series) -> None:
        self._parts.append(Edits(self._lines.field_starts.take(fields), self._lines.field_ends.take(fields), texts))

    def _take(self, fields: Ints) -> pl.Series:
        return take(self._data, self._lines.field_starts.take(fields), self._lines.field_ends.take(fields))

    def _bare(self, fields: Ints) -> pl.Series:
        """Return texts without blanks around them."""
        raw = self._take(fields)
        starts, ends = self._lines.field_starts.take(fields), self._lines.field_ends.take(fields)
        edges = (self._data.take(starts), self._data.take(ends - np.int32(1)))
        plain = all(((edge > BLANK) & (edge < _ASCII_END)).all() for edge in edges)
        return raw if plain else raw.str.strip_chars()

    def _replace(self, kind: IdentifierKind, fields: Ints) -> None:
        cells = self._cells.take(fields)
        self._masked += np.bincount(cells, minlength=self._masked.size)
        if kind in CONSTANT:
            texts = self._constants(cells, lambda mandatory: not mandatory)
        elif kind is IdentifierKind.REFERENCE:
            texts = self._fitted(cells, self._pseudonymiser.references(self._take(fields)), None)
        elif kind in _FIELDS:
            raw = self._bare(fields)
            texts = self._fitted(cells, self._pseudonymiser.values(_FIELDS[kind], raw), raw)
        else:
            texts = self._constants(cells, lambda _: False)
        self._edit(fields, texts)

    def _fitted(self, cells: Ints, texts: pl.Series, raw: pl.Series | None) -> pl.Series:
        """Return pseudonyms; where there is none, or none that fits, nothing or the constant; count those."""
        missing = texts.is_null()
        if raw is not None:
            missing = missing | (texts == raw).fill_null(value=False)  # chance gave the value itself
        lengths = np.diff(buffers(texts.fill_null("") if texts.null_count() else texts)[0])
        used = np.flatnonzero(np.bincount(cells))  # faster than np.unique, which sorts
        rooms = [self._plan.places[int(cell)].item.length or np.iinfo(np.int64).max for cell in used]
        if lengths.max(initial=0) > min(rooms, default=0):
            room = np.zeros(self._plan.limits.size, dtype=np.int64)
            room[used] = rooms
            missing = missing | pl.Series(lengths > room[cells])
        if not missing.any():
            return texts
        marks = missing.to_numpy()
        self._uncovered += np.bincount(cells[marks], minlength=self._uncovered.size)
        return self._constants(cells, lambda mandatory: not mandatory).zip_with(missing, texts)

    def _constants(self, cells: Ints, empty: Callable[[bool], bool]) -> pl.Series:
        """Return for each cell its constant, or nothing where ``empty`` says so of its being mandatory."""
        used, index = np.unique(cells, return_inverse=True)
        places = [self._plan.places[int(cell)] for cell in used]
        words = [("" if empty(place.item.mandatory) else place.constant) for place in places]
        return pl.Series("", words, dtype=pl.String).gather(index.reshape(-1))

    def _address(self, address: AddressPlaces, dropped: Marks) -> None:
        """Replace the lines and the postcode of one address of one group."""
        lines = np.flatnonzero((self._groups == address.group) & ~dropped).astype(np.int32)
        if not lines.size:
            return
        first, count = self._lines.first[lines], np.diff(self._lines.first)[lines]
        frame, fields = {}, {}
        for position, name in address.columns.items():
            there = count >= position
            field = np.where(there, first + position - 1, 0)
            begins = np.where(there, self._lines.field_starts[field], 0)
            stops = np.where(there, self._lines.field_ends[field], 0)
            empty = blank(self._data, begins, stops)
            frame[name] = take(self._data, begins, stops).set(pl.Series(empty), None)
            fields[name] = (field, there, begins, stops, empty)
        filled = ~np.logical_and.reduce([column[4] for column in fields.values()])
        if not filled.any():
            return
        texts = self._pseudonymiser.addresses(pl.DataFrame(frame))
        for position, name in address.columns.items():
            _, there, begins, stops, empty = fields[name]
            cell = np.full(lines.size, address.group * self._plan.width + position, dtype=np.int32)
            place = self._plan.places[int(cell[0])]
            text = texts[name].fill_null(place.constant if place.item.mandatory else "")
            # a blank field of an address that stays empty is left as it stands
            changed = there & filled & (~empty | (text.str.len_bytes() > 0).to_numpy())
            self._masked += np.bincount(cell[changed & ~empty], minlength=self._masked.size)
            nothing = changed & ~empty & texts[name].is_null().to_numpy() if name == "postcode" else changed & False
            self._uncovered += np.bincount(cell[nothing], minlength=self._uncovered.size)
            if not place.fits(int(text.str.len_bytes().fill_null(0).to_numpy().max())):
                text = text.str.head(place.item.length)
            self._parts.append(Edits(begins[changed], stops[changed], text.filter(pl.Series(changed))))
