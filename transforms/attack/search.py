"""One intruder over a release that comes in chunks: chances first, then the best candidates of every person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import Attack, BlockingRule, Fact, FactKind, Intruder
from transforms.attack.blocks import Index, candidates, firsts, index
from transforms.attack.facts import Column, Values, fact_of, known_cells
from transforms.attack.linkage import NOBODY, UNKNOWN, Chances, Pairs, Weighing, by_chance, choose, level, look

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


@dataclass(slots=True)
class Searcher:
    """An intruder with the facts of one variant; asked twice for every chunk.

    Attributes:
        facts: what it uses of what it knows.
    """

    attack: Attack
    intruder: Intruder
    facts: tuple[str, ...]
    sought: Sought
    chances: Chances = field(default_factory=lambda: Chances({}, {}))
    records: int = 0
    names: list[str] = field(default_factory=list)
    _kept: Pairs | None = None

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
        people, kept = self.sought.points.size, self.attack.search.kept
        pairs = _empty(people, kept, len(self.names), len(self.intruder.wants))
        for person, places in enumerate(candidates(indexes, known, people, self.attack.search.largest_block)):
            if not places.size:
                continue
            cells, weights = look(weighing, tables, person, places, known, chunk.values)
            top = choose(weights, cells, weighing.kinds, kept)
            size = top.size
            pairs.records[person, :size] = chunk.points[places[top]]
            pairs.levels[person, :size] = cells[top]
            pairs.learned[person, :size] = self._learned(person, places[top], first)
        self._kept = pairs if self._kept is None else self._merged(self._kept, pairs, tables)

    def pairs(self) -> Pairs:
        """Return the best candidates of the chunks so far."""
        kept = self._kept
        return kept if kept is not None else _empty(self.sought.points.size, 1, len(self.names), 1)

    def weighing(self) -> Weighing:
        """Return what pairs are weighed by."""
        kinds = tuple(self._kind(name) for name in self.names)
        return Weighing(tuple(self.names), kinds, self.attack.levels, self.chances, self.records)

    def _kind(self, name: str) -> FactKind:
        return self.attack.facts[fact_of(name)].kind

    def _learned(self, person: int, places: NDArray[np.int64], records: Values) -> NDArray[np.bool_]:
        """Tell for each record and fact wanted whether the release says of it what is really so of the person."""
        found = np.zeros((places.size, len(self.intruder.wants)), np.bool_)
        for at, fact in enumerate(self.intruder.wants):
            if fact in records and fact in self.sought.truth:
                kind = self.attack.facts[fact].kind
                steps = self.attack.levels[kind].steps
                found[:, at] = (
                    level(kind, steps, self.sought.truth[fact][person : person + 1], records[fact][places]) == 0
                )
        return found

    def _merged(self, left: Pairs, right: Pairs, tables: Sequence[NDArray[np.float64]]) -> Pairs:
        """Return the best of the candidates of two chunks."""
        people, kept = left.records.shape
        kinds = self.weighing().kinds
        made = _empty(people, kept, len(self.names), len(self.intruder.wants))
        for person in range(people):
            records = np.concatenate([left.records[person], right.records[person]])
            there = np.flatnonzero(records != NOBODY)
            there = there[np.argsort(records[there], kind="stable")]
            levels = np.concatenate([left.levels[person], right.levels[person]])[there]
            learned = np.concatenate([left.learned[person], right.learned[person]])[there]
            weights = np.empty(levels.shape)
            for at, table in enumerate(tables):
                weights[:, at] = table[person][np.minimum(levels[:, at], table.shape[1] - 1)]
            top = choose(weights, levels, kinds, kept)
            made.records[person, : top.size] = records[there][top]
            made.levels[person, : top.size], made.learned[person, : top.size] = levels[top], learned[top]
        return made


def _empty(people: int, kept: int, names: int, wants: int) -> Pairs:
    return Pairs(
        np.full((people, kept), NOBODY),
        np.full((people, kept, names), UNKNOWN, np.uint8),
        np.zeros((people, kept, wants), np.bool_),
    )


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
