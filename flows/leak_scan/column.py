"""Searches the texts of one column: those that were not searched before, and all of them where something was hit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from flows.leak_scan.findings import LeakFindings
from transforms.leak_scan.candidates import ALONE, CORE, EVERY, MPAN, Windows, windows
from transforms.leak_scan.cells import LONGEST_HASHED, Cells, odd_cells
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digests, Ints, Kind
from transforms.leak_scan.known import OWN, Hits, own_by_chance
from transforms.leak_scan.raw_columns import PAIRED, SHORTEST_LINE
from transforms.leak_scan.spellings import cells_of_words

if TYPE_CHECKING:
    from flows.leak_scan.scan import Scanner

SHORTEST = 5  # bytes of a cell that could be an identifier
LONG_WORD, MANY_PAIRS = 16, 12  # letters and digits of a word, and pairs of digits, that may be written in another way
WHOLE = "a whole cell"


@dataclass(frozen=True, slots=True)
class ColumnPlace:
    """Where a column stands.

    Attributes:
        where: in words.
        first: cell -> words for its row or line.
        postcodes: pseudonym postcodes stand there, which chance makes real ones; elsewhere intake blanked them.
        owners: gives, by cell, the digest of the pseudonym MPAN whose row it is of, 0 where there is none; several
            where more than one may be meant.
    """

    where: str
    first: Callable[[int], str]
    postcodes: bool
    owners: Callable[[], tuple[Digests, ...]] = tuple


@dataclass(slots=True)
class ColumnHits:
    """What the cells of a column gave that were not searched before.

    Attributes:
        kinds: of which something was hit.
        cells: which cells were hit.
        again: something was hit once ways of writing were undone.
    """

    kinds: set[Kind] = field(default_factory=set)
    cells: list[Ints] = field(default_factory=list)
    again: bool = False


def look_at(scanner: Scanner, groups: Sequence[Cells], where: Sequence[str], found: LeakFindings) -> list[ColumnHits]:
    """Look up what was not searched before in some columns, all at once, and note what is clean.

    Args:
        groups: cells of each column, and ``where`` it stands.
        found: gets what was looked up and not hit, and what ways of writing gave.

    Returns:
        What was hit, by column.
    """
    looks = [ColumnHits() for _ in groups]
    chosen, hashes = zip(*(_fresh(scanner, cells) for cells in groups), strict=True)
    group = np.repeat(np.arange(len(groups)), [some.size for some in chosen])
    if not group.size:
        return looks
    parts = [cells.of(some).joined()[0] for cells, some in zip(groups, chosen, strict=True) if some.size]
    length = np.concatenate([cells.length[some] for cells, some in zip(groups, chosen, strict=True)])
    data, edges = np.concatenate(parts), np.append(0, np.cumsum(length))
    text, cell, clean = Condensed(data, edges), np.concatenate(chosen), length <= LONGEST_HASHED
    counts: list[tuple[Kind, Ints]] = []
    for some in _windows(text, EVERY):
        if not some.start.size:
            continue
        hits = scanner.known.look_up(text, some)
        if hits.count:
            hit = np.unique(text.cell_of(hits.start[hits.hit]))
            clean[hit] = False
            for number in np.unique(group[hit]).tolist():
                looks[number].kinds.add(some.kind)
                looks[number].cells.append(cell[hit[group[hit] == number]])
        counts.append((some.kind, np.bincount(group[text.cell_of(some.start)], minlength=len(groups))))
    for kind, count in counts:
        found.searched_for(kind, sum(int(n) for n, look in zip(count, looks, strict=True) if kind not in look.kinds))
    odd = _otherwise(text, data, edges)
    for number in np.unique(group[odd]).tolist():
        mine = odd[group[odd] == number]
        looks[number].again = _search_again(scanner, data, edges, mine, where[number], found)
        clean[mine] &= not looks[number].again
    scanner.clean.note(np.concatenate(hashes)[clean])
    return looks


def _fresh(scanner: Scanner, cells: Cells) -> tuple[Ints, Digests]:
    """Return the cells that were not searched before, and their hashes."""
    long = np.flatnonzero(cells.length >= SHORTEST)
    hashes = cells.of(long).hashes()
    fresh = scanner.clean.fresh(hashes) | (cells.length[long] > LONGEST_HASHED)
    return long[fresh], hashes[fresh]


def weigh_column(
    scanner: Scanner, cells: Cells, kinds: Collection[Kind], place: ColumnPlace, found: LeakFindings
) -> None:
    """Search all cells of a column for some kinds, and hold what is hit against what chance gives."""
    numbers = np.flatnonzero(cells.length >= SHORTEST)
    some = cells.of(numbers)
    data, edges = some.joined()
    text = Condensed(data, edges)
    for window in _windows(text, kinds):
        _weigh(scanner, text, window, numbers, place, found)
    if found.exact:
        _search_again(scanner, data, edges, _otherwise(text, data, edges), place.where, found)


def _windows(text: Condensed, kinds: Collection[Kind]) -> Iterator[Windows]:
    start, length = text.cell_spans()
    if length.size and (length == MPAN).all() and text.is_digit.all():  # as most columns of metering points are
        if Kind.MPAN in kinds:
            yield Windows(Kind.MPAN, ALONE, start, np.full(start.size, CORE))
        return
    yield from windows(text, kinds)
    if Kind.ADDRESS_LINE in kinds:
        letters = length - (text.digits_before[start + length] - text.digits_before[start])
        good = (length >= SHORTEST_LINE) & (letters > length // 2)
        yield Windows(Kind.ADDRESS_LINE, WHOLE, start[good], length[good])


def _weigh(
    scanner: Scanner, text: Condensed, some: Windows, numbers: Ints, place: ColumnPlace, found: LeakFindings
) -> None:
    hits = scanner.known.search(text, some)
    first = ""
    if some.kind in PAIRED and (hits.count or found.exact):  # what decides reckons with the blocks without a hit too
        _own(scanner, text, hits, numbers, place, found)
    if hits.count:
        first = place.first(int(numbers[_first_cell(text, hits)]))
        hits = scanner.known.search(text, scanner.known.once(text, some))
        if some.kind is Kind.POSTCODE and not place.postcodes:
            hits = replace(hits, expected=0.0)
    found.note(hits, place.where, first)


def _own(scanner: Scanner, text: Condensed, hits: Hits, numbers: Ints, place: ColumnPlace, found: LeakFindings) -> None:
    """Look for what the row itself had: no chance explains that, but a postcode's one in four thousand.

    A postcode is many homes': a hit counts once, and chance has a go at it with each metering point it may be of, since
    each address is drawn a postcode of its own.
    """
    known, expected = scanner.known, 0.0
    own = np.zeros(hits.hit.size, np.bool_)
    for owner in place.owners():
        whose = owner[numbers[text.cell_of(hits.start)]]
        pairs = known.digester.of_pairs(whose, hits.digests)
        own |= hits.hit & (whose != 0) & known.pairs.contains(pairs)
        expected += own_by_chance(hits.kind, np.unique(pairs[whose != 0]).size)
    if own.any() or expected:
        first = place.first(int(numbers[_first_cell(text, replace(hits, hit=own))])) if own.any() else ""
        values = np.unique(hits.digests)
        at = np.flatnonzero(own)[np.unique(hits.digests[own], return_index=True)[1]]
        mine = Hits(hits.kind, OWN, values, hits.start[at], np.isin(values, hits.digests[own]), expected)
        found.note(mine, place.where, first)


def _first_cell(text: Condensed, hits: Hits) -> int:
    return int(text.cell_of(hits.start[[int(hits.hit.argmax())]])[0])


def _otherwise(text: Condensed, data: Bytes, edges: Ints) -> Ints:
    """Return the cells with a sign that something is written in another way."""
    words = text.words
    chosen = [text.cell_of(words.start[words.length >= LONG_WORD]), odd_cells(data, edges), cells_of_words(text)]
    runs = text.digit_runs
    pairs = runs.start[runs.length == 2]
    if pairs.size >= MANY_PAIRS:
        cell, count = np.unique(text.cell_of(pairs), return_counts=True)
        chosen.append(cell[count >= MANY_PAIRS])
    return np.unique(np.concatenate(chosen))


def _search_again(scanner: Scanner, data: Bytes, edges: Ints, chosen: Ints, where: str, found: LeakFindings) -> bool:
    """Search what some cells say once ways of writing are undone; tell whether that hit anything."""
    if not chosen.size:
        return False
    length = np.diff(edges)[chosen]
    some, _ = Cells(data, edges[chosen], length).joined()
    parted = np.full(some.size + chosen.size, ord("\n"), np.uint8)  # one a line
    parted[np.arange(some.size) + np.repeat(np.arange(chosen.size), length)] = some
    more = LeakFindings()
    scanner.otherwise(parted.tobytes(), where, more)
    found.add(more)
    return any(tally.hits for tally in more.tallies.values())
