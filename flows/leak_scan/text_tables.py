"""Searches lines of a text table, cell by cell, and what neighbouring cells say together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from flows.leak_scan.column import ColumnHits, ColumnPlace, look_at, weigh_column
from flows.leak_scan.findings import LeakFindings
from flows.leak_scan.read_back import Block
from transforms.leak_scan.candidates import CORE, EVERY, MPAN, windows
from transforms.leak_scan.cells import PartedLines, WholeLines, neighbours, with_neighbours
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digests, Ints, Kind

if TYPE_CHECKING:
    from flows.leak_scan.scan import Scanner

DELIMITERS = (b"|", b"\t", b";", b",")
LONGEST_HEADER = 65_536
LONGEST_NAME, FEW_DIGITS = 80, 4
PLACE_BITS = 20
ACROSS = frozenset({Kind.MPAN, Kind.ESME_ID, Kind.POSTCODE, Kind.ADDRESS_LINE})


@dataclass(frozen=True, slots=True)
class TextTable:
    """How a text table is laid out: its delimiter, and the names of its columns where its first line has them.

    A flow's lines have no names: their columns are called by the group and the item's number.
    """

    delimiter: int
    names: tuple[str, ...]

    @property
    def mark(self) -> int:
        """A number for tables that are laid out alike: the same line says the same in them."""
        return hash((self.delimiter, self.names)) & 0xFFFFFFFF

    @classmethod
    def of(cls, data: Bytes) -> TextTable:
        """Find out how a table is laid out, from its beginning."""
        line = data[:LONGEST_HEADER].tobytes().split(b"\n", 1)[0].rstrip(b"\r").removeprefix(b"\xef\xbb\xbf")
        delimiter = max(DELIMITERS, key=line.count)
        flow = line[:3] in (b"ZHV", b"ZHF") or line[:3].isdigit()
        names = () if flow else tuple(part.decode("utf-8", "replace").strip('"') for part in line.split(delimiter))
        return cls(delimiter[0], names)

    def places(self, lines: PartedLines) -> Ints:
        """Return a number for the column of each part of some lines: two parts of one column have the same."""
        if self.names:
            return lines.place
        first = np.flatnonzero(np.append(True, np.diff(lines.number) != 0))[lines.number]
        begin = lines.cells.start[first]
        data = lines.cells.data
        group = data[begin].astype(np.int64) << 16 | data[begin + 1].astype(np.int64) << 8 | data[begin + 2]
        return group << PLACE_BITS | lines.place

    def name(self, place: int) -> str:
        """Return the name of a column that :meth:`places` numbers."""
        if self.names:
            return self.names[place] if place < len(self.names) else f"number {place + 1}"
        group, number = (place >> PLACE_BITS).to_bytes(3, "big").decode("latin-1"), place & ((1 << PLACE_BITS) - 1)
        return f"{group if group.isalnum() else 'unknown'} item {number}"


def search_lines(scanner: Scanner, block: Block, table: TextTable, found: LeakFindings) -> None:
    """Search whole lines of a text table: those that were not searched before, in this file or another like it.

    A line in which something was hit is not searched again either: it was noted where it stood first, and there either
    chance explains it, or the run ends.
    """
    whole = WholeLines.of(block.data)
    hashes = whole.hashes(table.mark)
    fresh = np.ones(hashes.size, np.bool_) if found.exact else scanner.lines.fresh(hashes)
    number = np.flatnonzero(with_neighbours(fresh))
    if not number.size:
        return
    lines = PartedLines.of(whole.some(number), table.delimiter)
    if not lines.plain:
        scanner.block(block, found, scanner.plain)
        return
    look = ColumnHits() if found.exact else look_at(scanner, [lines.cells], [block.where], found)[0]
    if look.cells and number.size < hashes.size:  # chance is reckoned with all that stands here
        number, lines = np.arange(hashes.size), PartedLines.of(block.data, table.delimiter)
        look.cells = look_at(scanner, [lines.cells], [block.where], LeakFindings())[0].cells
    if found.exact or look.cells:
        _weigh_columns(scanner, (lines, number), look, block, table, found)
    _together(scanner, lines, block, found)
    scanner.lines.note(hashes[number])


def _weigh_columns(
    scanner: Scanner,
    at: tuple[PartedLines, Ints],
    look: ColumnHits,
    block: Block,
    table: TextTable,
    found: LeakFindings,
) -> None:
    """Search all of each column in which a cell was hit."""
    lines, _ = at
    places = table.places(lines)
    owners = cache(lambda: _owners(scanner, lines))
    for place in np.unique(places if found.exact else places[np.concatenate(look.cells)]).tolist():
        mine = np.flatnonzero(places == place)
        here = _place(table, block, at, place, mine, owners)
        weigh_column(scanner, lines.cells.of(mine), EVERY if found.exact else look.kinds, here, found)


def _place(
    table: TextTable,
    block: Block,
    at: tuple[PartedLines, Ints],
    place: int,
    mine: Ints,
    owners: Callable[[], tuple[Digests, ...]],
) -> ColumnPlace:
    """Return where the cells of one column stand."""
    name, (lines, number) = table.name(place), at

    def line(cell: int) -> str:
        return f", line {block.line + int(number[lines.number[mine[cell]]]) + 1}"

    def own() -> tuple[Digests, ...]:
        return tuple(owner[mine] for owner in owners())

    return ColumnPlace(f"{block.where}, column {shown(name)}", line, not table.names or "postcode" in _bare(name), own)


def _together(scanner: Scanner, lines: PartedLines, block: Block, found: LeakFindings) -> None:
    """Search what neighbouring cells say together, and lines whose quoted cells may hold a delimiter."""
    both = neighbours(lines)
    if both is not None:
        for some in windows(both, ACROSS):
            hits = scanner.known.search(both, some)
            if hits.count:
                hits = scanner.known.search(both, scanner.known.once(both, some))
            found.note(hits, f"{block.where}, columns side by side", "", form=some.form)
    quoted = lines.quoted
    if quoted.size:
        text = Condensed(quoted)
        for some in windows(text, EVERY - {Kind.POSTCODE}):  # one lies in a cell, where it was looked for
            hits = scanner.known.search(text, some)
            if hits.count:
                hits = scanner.known.search(text, scanner.known.once(text, some))
            found.note(hits, f"{block.where}, lines with quotes", "")
        scanner.otherwise(quoted.tobytes(), f"{block.where}, lines with quotes", found)


def _owners(scanner: Scanner, lines: PartedLines) -> tuple[Digests, ...]:
    """Return, by part, digests of the pseudonym MPANs nearest before and after it whose row it may be of; 0 for none.

    A line that names a metering point is of nobody else; one that names none is of the last that was named.
    """
    cells, line = lines.cells, lines.number
    points = np.flatnonzero(cells.length == MPAN)
    text = cells.of(points).condensed()
    start, length = text.cell_spans()
    good = text.digits_before[start + length] - text.digits_before[start] == MPAN
    points, start = points[good], start[good]
    if not points.size:
        return ()
    digests = scanner.known.digester.of(Kind.MPAN, text.data, start, np.full(start.size, CORE))
    behind = np.searchsorted(points, np.arange(cells.length.size), side="right")
    before, after = np.maximum(behind - 1, 0), np.minimum(behind, points.size - 1)
    here_before, here_after = line[points[before]] == line, line[points[after]] == line
    none = np.uint64(0)
    return (
        np.where(here_before | ~here_after, digests[before], none),
        np.where(here_after, digests[after], none),
    )


def shown(name: str) -> str:
    """Return a column's name as a place is told; one with many digits may be a value."""
    few = len(name) <= LONGEST_NAME and sum(char.isdigit() for char in name) <= FEW_DIGITS
    return name if few else "whose name may be data"


def _bare(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
