"""One intruder over a release that comes in chunks: chances first, then the best candidates of every person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import Attack, BlockingRule, Fact, FactKind, Intruder
from transforms.attack.blocks import Candidates, Index, Places, candidates, firsts, index
from transforms.attack.facts import Column, Values, fact_of, known_cells
from transforms.attack.linkage import (
    NOBODY,
    UNKNOWN,
    Cells,
    Chances,
    Numbers,
    Pairs,
    Weighing,
    by_chance,
    choose,
    level,
    look,
    rank,
    summed,
)

Points = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ReleasedPart:
    """A part of the release: order keys of its metering points, sorted, and their values by attribute.

    What is sorted once is kept for the next intruder.
    """

    points: Points
    values: Values
    _columns: dict[str, Column] = field(default_factory=dict)
    _indexes: dict[BlockingRule, Index | None] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """Return the values of an attribute that are known, sorted."""
        if name not in self._columns:
            values = self.values[name]
            self._columns[name] = np.sort(values[known_cells(values)])
        return self._columns[name]

    def index(self, block: BlockingRule) -> Index | None:
        """Return the records sorted by a block's key."""
        if block not in self._indexes:
            self._indexes[block] = index(firsts(self.values), block, self.points.size)
        return self._indexes[block]

    def of(self, points: Points) -> Values:
        """Return the values of some metering points, of each fact from the first place that tells it."""
        at = np.minimum(np.searchsorted(self.points, points), max(self.points.size - 1, 0))
        here = self.points[at] == points if self.points.size else np.zeros(points.size, np.bool_)
        found: Values = {}
        for name, column in firsts(self.values).items():
            nothing = np.uint64(0) if column.dtype == np.uint64 else np.nan
            found[name] = np.where(here, column[at], nothing)
        return found


@dataclass(frozen=True, slots=True)
class Sought:
    """Who is searched for: order keys, what the intruder knows, and what is really so."""

    points: Points
    known: Values
    truth: Values


class KeptPairs(NamedTuple):
    """The best pairs so far, by person and record: person by number, order key, levels, what each tells."""

    persons: Places
    records: Points
    levels: Cells
    learned: NDArray[np.bool_]

    def at(self, places: Places) -> KeptPairs:
        """Return some of the pairs."""
        return KeptPairs(self.persons[places], self.records[places], self.levels[places], self.learned[places])


def together(parts: Sequence[KeptPairs]) -> KeptPairs:
    """Return the pairs of several parts as one."""
    persons, records, levels, learned = zip(*parts, strict=True)
    return KeptPairs(*map(np.concatenate, (persons, records, levels, learned)))


@dataclass(slots=True)
class Searcher:
    """An intruder with the facts of one variant; asked twice for every chunk.

    Attributes:
        facts: what it uses of what it knows.
        overlooked: people of whom a block was too large to be looked through.
    """

    attack: Attack
    intruder: Intruder
    facts: tuple[str, ...]
    sought: Sought
    chances: Chances = field(default_factory=lambda: Chances({}, {}))
    records: int = 0
    names: list[str] = field(default_factory=list)
    overlooked: NDArray[np.bool_] = field(init=False)
    _kept: KeptPairs | None = None

    def __post_init__(self) -> None:
        self.overlooked = np.zeros(self.sought.points.size, np.bool_)

    def count(self, chunk: ReleasedPart) -> None:
        """Count what chance gives in a chunk."""
        if not self.names:
            used = [name for name in chunk.values if fact_of(name) in self.facts and fact_of(name) in self.sought.known]
            self.names = _unlike(used, chunk.values)
        self.records += chunk.points.size
        for name in self.names:
            kind, known = self._kind(name), self.sought.known[fact_of(name)]
            self.chances.add(name, by_chance(kind, self.attack.levels[kind].steps, known, chunk.column(name)))

    def search(self, chunk: ReleasedPart) -> None:
        """Keep the best candidates of a chunk for every person."""
        weighing = self.weighing()
        tables = weighing.tables(weighing.first())
        first = firsts(chunk.values)
        indexes = [found for block in self.intruder.blocks if (found := chunk.index(block)) is not None]
        known = {name: column for name, column in self.sought.known.items() if name in self.facts}
        people, search = self.sought.points.size, self.attack.search
        slabs, overlooked = candidates(indexes, known, people, search.largest_block)
        self.overlooked |= overlooked
        best = [self._best(one, tables, known, chunk, first) for one in slabs]
        if best:
            self._keep(together(best), tables)

    def _best(
        self, pairs: Candidates, tables: Sequence[Numbers], known: Values, chunk: ReleasedPart, first: Values
    ) -> KeptPairs:
        """Return the pairs of a slab to keep."""
        weighing = self.weighing()
        levels, weights = look(weighing, tables, pairs, known, chunk.values)
        top = choose(pairs.persons, weights, levels, weighing.kinds, self.attack.search.kept)
        persons, places = pairs.persons[top], pairs.places[top]
        return KeptPairs(persons, chunk.points[places], levels[top], self._learned(persons, places, first))

    def _keep(self, found: KeptPairs, tables: Sequence[Numbers]) -> None:
        """Keep the best of the pairs of two chunks."""
        if self._kept is None:
            self._kept = found
            return
        both = together([self._kept, found])
        both = both.at(np.lexsort((both.records, both.persons)))
        weights = summed(tables, both.persons, both.levels)
        kept = self.attack.search.kept
        self._kept = both.at(choose(both.persons, weights, both.levels, self.weighing().kinds, kept))

    def pairs(self) -> Pairs:
        """Return the best candidates of the chunks so far."""
        people, kept = self.sought.points.size, self.attack.search.kept
        records = np.full((people, kept), NOBODY)
        levels = np.full((people, kept, len(self.names)), UNKNOWN, np.uint8)
        learned = np.zeros((people, kept, len(self.intruder.wants)), np.bool_)
        if self._kept is not None:
            at = self._kept.persons, rank(self._kept.persons)
            records[at], levels[at], learned[at] = self._kept.records, self._kept.levels, self._kept.learned
        return Pairs(records, levels, learned)

    def weighing(self) -> Weighing:
        """Return what pairs are weighed by."""
        kinds = tuple(self._kind(name) for name in self.names)
        return Weighing(tuple(self.names), kinds, self.attack.levels, self.chances, self.records)

    def _kind(self, name: str) -> FactKind:
        return self.attack.facts[fact_of(name)].kind

    def _learned(self, persons: Places, places: Places, records: Values) -> NDArray[np.bool_]:
        """Tell for each pair and fact wanted whether the record says of it what is really so of the person."""
        found = np.zeros((places.size, len(self.intruder.wants)), np.bool_)
        for at, fact in enumerate(self.intruder.wants):
            if fact in records and fact in self.sought.truth:
                kind = self.attack.facts[fact].kind
                steps = self.attack.levels[kind].steps
                found[:, at] = level(kind, steps, self.sought.truth[fact][persons], records[fact][places]) == 0
        return found


def _unlike(names: Sequence[str], values: Values) -> list[str]:
    """Return the attributes that say something of their own: of several alike places of a fact the first."""
    kept: list[str] = []
    for name in names:
        same = (other for other in kept if fact_of(other) == fact_of(name))
        if not any(_agree(values[other], values[name]) for other in same):
            kept.append(name)
    return kept


def _agree(left: NDArray[np.float64] | Points, right: NDArray[np.float64] | Points) -> bool:
    """Tell whether two places agree wherever both have a value."""
    if left.dtype != right.dtype:
        return False
    if left.dtype == np.uint64:
        return bool(((left == right) | (right == 0) | (left == 0)).all())
    return bool(((left == right) | np.isnan(right) | np.isnan(left)).all())


def uses(intruder: Intruder, facts: Mapping[str, Fact]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the variants of an intruder with the facts that each uses."""
    for name, chosen in intruder.variants.items():
        yield name, chosen or tuple(fact for fact in intruder.knows if fact in facts)
