"""Pairs of a person and a record, weighed as Fellegi and Sunter weigh them, and the claims that follow.

An attribute of a pair has a level: how near what is known is to what is released. Its weight is the logarithm of how
likely the level is for the same person (``m``) over how likely it is by chance (``u``). ``u`` is counted over the whole
release, value by value, so what is rare weighs more; ``m`` is learned from the release by expectation maximisation, so
an intruder that meets moved dates learns how far they are moved.

Source: Fellegi and Sunter, JASA 64 (1969) 1183; Winkler (frequency-based weights); Dempster, Laird and Rubin (1977).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import FactKind, Levels, Search
from transforms.attack.blocks import Candidates, Places
from transforms.attack.facts import Column, Values, fact_of, known_cells

UNKNOWN = 255
LEARNED_FROM = 20.0  # imagined pairs behind the likelihoods that an intruder begins with
LEAST = 1e-4
DAY = 1.0
RAREST = 0.02  # records that are equal by chance, at the least
ALONE = 3  # candidates that stay in sight for one equal date or amount
MANY = 200  # records equal in it, above which it is not rare
FEW = 400  # people from whom an intruder learns what to trust
NOBODY = np.uint64(0xFFFFFFFFFFFFFFFF)

Cells = NDArray[np.uint8]
Numbers = NDArray[np.float64]


def level(kind: FactKind, steps: Sequence[float], known: Column, released: Column) -> Cells:
    """Return the level of each pair of cells; 255 where one of them has no value."""
    if kind is FactKind.CODE:
        found = (known != released).astype(np.uint8)
    else:
        apart = np.abs(np.asarray(known, np.float64) - np.asarray(released, np.float64))
        found = np.searchsorted(np.asarray(steps) + 1e-9, apart, "left").astype(np.uint8)
    there = known_cells(np.asarray(known)) & known_cells(np.asarray(released))
    return np.where(there, found, UNKNOWN).astype(np.uint8)


def by_chance(kind: FactKind, steps: Sequence[float], known: Column, column: Column) -> tuple[NDArray[np.int64], int]:
    """Return how many records lie at each level of each person's value, and how many have a value at all.

    Args:
        column: the values that are released, sorted.
    """
    if kind is FactKind.CODE:
        equal = np.searchsorted(column, known, "right") - np.searchsorted(column, known, "left")
        return np.stack([equal, column.size - equal], axis=1), column.size
    inside = [
        np.searchsorted(column, known + step + 1e-9, "right") - np.searchsorted(column, known - step - 1e-9, "left")
        for step in steps
    ]
    upto = np.stack([*inside, np.full(known.size, column.size)], axis=1)
    return np.diff(upto, axis=1, prepend=0), column.size


@dataclass(slots=True)
class Chances:
    """Counts by level, added up chunk by chunk: attribute -> (people, levels), and how many records have a value."""

    counts: dict[str, NDArray[np.int64]]
    there: dict[str, int]

    def add(self, name: str, counted: tuple[NDArray[np.int64], int]) -> None:
        """Take in a chunk of the release."""
        counts, there = counted
        self.counts[name] = self.counts[name] + counts if name in self.counts else counts
        self.there[name] = self.there.get(name, 0) + there

    def log_u(self, name: str, steps: Sequence[float]) -> Numbers:
        """Return the logarithm of how likely each level is by chance, person by person.

        One record fewer is equal by chance than are equal: the own one may be among them. How rare an equal date or
        amount is, its neighbours tell: as many would be equal as lie as near as the next level, by width.
        """
        counts = self.counts[name].astype(np.float64)
        counts[:, 0] = np.maximum(counts[:, 0] - 1, 0)
        if len(steps) > 1:
            share = max(steps[0], DAY / 2 if steps[0] == 0 else 0) / (steps[1] - steps[0])
            counts[:, 0] = np.maximum(np.maximum(counts[:, 0], counts[:, 1] * share), RAREST)
        counts[:, 1:] += 0.5
        counts[:, 0] += 0.0 if len(steps) > 1 else 0.5
        chance: Numbers = np.log(counts / (self.there[name] + 0.5 * counts.shape[1]))
        return chance


@dataclass(frozen=True, slots=True)
class Pairs:
    """The best candidates of each person: ``(people, kept)`` records, and the level of each attribute.

    Attributes:
        records: order key of the candidate; ``NOBODY`` where there are fewer.
        levels: ``(people, kept, attributes)``.
        learned: ``(people, kept, wants)``: whether the record tells what the intruder wants, as it really is.
    """

    records: NDArray[np.uint64]
    levels: Cells
    learned: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Weighing:
    """What pairs are weighed by: attributes, their kinds, likelihoods to begin with, chances, records in all."""

    names: tuple[str, ...]
    kinds: tuple[FactKind, ...]
    levels: Mapping[FactKind, Levels]
    chances: Chances
    records: int

    def logs(self) -> list[Numbers]:
        """Return per attribute the logarithm of how likely each level is by chance, person by person."""
        pairs = zip(self.names, self.kinds, strict=True)
        return [self.chances.log_u(name, self.levels[kind].steps) for name, kind in pairs]

    def tables(self, m: Sequence[Numbers]) -> list[Numbers]:
        """Return per attribute the weights of its levels, person by person; the last one, of unknown, is nothing."""
        return _tables(m, self.logs())

    def first(self) -> list[Numbers]:
        """Return the likelihoods to begin with."""
        return [np.asarray(self.levels[kind].agree, np.float64) for kind in self.kinds]


def _tables(m: Sequence[Numbers], logs: Sequence[Numbers]) -> list[Numbers]:
    found = []
    for likely, log in zip(m, logs, strict=True):
        weights = np.zeros((log.shape[0], log.shape[1] + 1))
        np.subtract(np.log(np.maximum(likely, LEAST))[None, :], log, out=weights[:, :-1])
        found.append(weights)
    return found


def look(
    weighing: Weighing, tables: Sequence[Numbers], pairs: Candidates, known: Values, records: Values
) -> tuple[Cells, Numbers]:
    """Return levels, ``(pairs, attributes)``, and the whole weight of each pair."""
    levels = np.empty((pairs.places.size, len(weighing.names)), np.uint8, order="F")  # gone through by attribute
    for at, (name, kind) in enumerate(zip(weighing.names, weighing.kinds, strict=True)):
        values = known[fact_of(name)][pairs.persons]
        levels[:, at] = level(kind, weighing.levels[kind].steps, values, records[name][pairs.places])
    return levels, summed(tables, pairs.persons, levels)


def summed(tables: Sequence[Numbers], persons: Places, levels: Cells) -> Numbers:
    """Return the whole weight of each pair: of its levels, by its person."""
    whole = np.zeros(persons.size)
    for at, table in enumerate(tables):
        width = table.shape[1]
        whole += table.ravel().take(persons * width + np.minimum(levels[:, at], width - 1))
    return whole


def choose(persons: Places, weights: Numbers, levels: Cells, kinds: Sequence[FactKind], kept: int) -> Places:
    """Return the pairs to keep of each person: the best by all attributes, and the best by each date and amount.

    An intruder does not know yet what it can trust: a record that agrees in one rare value alone must stay in sight.

    Args:
        persons: ascending.
    """
    numbers = [at for at, kind in enumerate(kinds) if kind is not FactKind.CODE]
    most = max(kept - ALONE * len(numbers), 2)
    chosen = np.zeros(persons.size, np.bool_)
    chosen[_best(_leading(persons, weights, most), persons, weights, most)] = True
    for at in numbers:
        equal = np.flatnonzero(levels[:, at] == 0)
        rare = np.bincount(persons[equal], minlength=1)[persons[equal]] <= MANY
        chosen[_best(equal[rare], persons, weights, ALONE)] = True
    places = np.flatnonzero(chosen)
    return places[rank(persons[places]) < kept]


def _leading(persons: Places, weights: Numbers, most: int) -> Places:
    """Return the pairs that weigh no less than the so manieth of their person."""
    first = np.flatnonzero(np.diff(persons, prepend=-1))
    chosen = np.ones(persons.size, np.bool_)
    for begin, end in itertools.pairwise([*first.tolist(), persons.size]):
        if end - begin > most:
            mine = weights[begin:end]
            chosen[begin:end] = mine >= np.partition(mine, end - begin - most)[end - begin - most]
    return np.flatnonzero(chosen)


def _best(places: Places, persons: Places, weights: Numbers, most: int) -> Places:
    """Return so many of some pairs for each person, those that weigh most; the first ones of equals."""
    order = places[np.lexsort((-weights[places], persons[places]))]
    return order[rank(persons[order]) < most]


def rank(persons: Places) -> Places:
    """Return the how manieth of its person each entry is, from 0; persons ascend."""
    first = np.flatnonzero(np.diff(persons, prepend=-1))
    sizes = np.diff(first, append=persons.size)
    rank: Places = np.arange(persons.size) - np.repeat(first, sizes)
    return rank


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Kept pairs as many weighings need them.

    Attributes:
        logs: ``Weighing.logs``.
        levels: per attribute the level of each pair.
        places: per attribute where the weight of each pair stands in the attribute's table, row after row.
        nobody: where there is no record, ``(people, kept)``.
    """

    logs: list[Numbers]
    levels: list[Places]
    places: list[Places]
    nobody: NDArray[np.bool_]

    @classmethod
    def of(cls, weighing: Weighing, logs: Sequence[Numbers], pairs: Pairs) -> _Prepared:
        """Prepare pairs of the first people that a weighing knows."""
        people = pairs.records.shape[0]
        own = [log[:people] for log in logs]
        levels = [pairs.levels[:, :, at].astype(np.intp) for at in range(len(weighing.names))]
        rows, widths = np.arange(people)[:, None], [log.shape[1] + 1 for log in own]
        pairs_of = zip(levels, widths, strict=True)
        places = [rows * width + np.minimum(level, width - 1) for level, width in pairs_of]
        return cls(own, [level.ravel() for level in levels], places, pairs.records == NOBODY)

    def weigh(self, m: Sequence[Numbers]) -> Numbers:
        """Return the weight of every pair; minus infinity where there is no record."""
        weights = np.zeros(self.nobody.shape)
        for table, places in zip(_tables(m, self.logs), self.places, strict=True):
            weights += table.ravel().take(places)
        weights[self.nobody] = -np.inf
        return weights


def weigh(weighing: Weighing, m: Sequence[Numbers], pairs: Pairs) -> Numbers:
    """Return the weight of every kept pair; minus infinity where there is no record."""
    return _Prepared.of(weighing, weighing.logs(), pairs).weigh(m)


def belief(weights: Numbers, records: int, present: float) -> Numbers:
    """Return how likely each kept candidate is the person, given that it may not be in the release at all."""
    odds = weights + np.log(present / max(records, 1))
    top = np.maximum(odds.max(axis=1, initial=-np.inf), np.log(1 - present))[:, None]
    likely = np.exp(odds - top)
    whole: Numbers = likely / (likely.sum(axis=1, keepdims=True) + np.exp(np.log(1 - present) - top))
    return whole


def evidence(weights: Numbers, records: int, present: float) -> float:
    """Return how much better likelihoods explain the release than chance does: the logarithm, summed over people."""
    odds = weights + np.log(present / max(records, 1))
    top = np.maximum(odds.max(axis=1, initial=-np.inf), np.log(1 - present))
    whole = np.exp(odds - top[:, None]).sum(axis=1) + np.exp(np.log(1 - present) - top)
    return float((top + np.log(whole)).sum())


def learn(weighing: Weighing, pairs: Pairs, search: Search) -> list[Numbers]:
    """Return likelihoods of levels as the release itself suggests them.

    The intruder begins once with trust in everything, and once for each date and amount with trust in it alone; what
    explains the release best among some of the people is then learned from all of them.
    """
    logs = weighing.logs()
    few = _Prepared.of(weighing, logs, Pairs(pairs.records[:FEW], pairs.levels[:FEW], pairs.learned[:FEW]))
    usual = weighing.first()
    chance = [np.exp(log).mean(axis=0) for log in logs]
    starts = [usual]
    for trusted, kind in enumerate(weighing.kinds):
        if kind is not FactKind.CODE:
            starts.append([usual[at] if at == trusted else chance[at] for at in range(len(usual))])
    tried = [_learned(weighing, start, few, search) for start in starts]
    judged = [evidence(few.weigh(m), weighing.records, search.present) for m in tried]
    return _learned(weighing, tried[int(np.argmax(judged))], _Prepared.of(weighing, logs, pairs), search)


def _learned(weighing: Weighing, start: Sequence[Numbers], pairs: _Prepared, search: Search) -> list[Numbers]:
    """Learn likelihoods by expectation maximisation."""
    m = [np.array(one) for one in start]
    for _ in range(search.rounds):
        sure = belief(pairs.weigh(m), weighing.records, search.present).ravel()
        for at, begin in enumerate(start):
            seen = np.bincount(pairs.levels[at], sure, UNKNOWN + 1)[: begin.size]
            m[at] = (seen + LEARNED_FROM * begin) / (seen.sum() + LEARNED_FROM)
    return m


@dataclass(frozen=True, slots=True)
class Claims:
    """What an intruder claims of each person: the record, or ``NOBODY``; and whether it tells what was wanted."""

    records: NDArray[np.uint64]
    learned: NDArray[np.bool_]


def claim(pairs: Pairs, weights: Numbers, records: int, search: Search, sure: float) -> Claims:
    """Name a record where it is likelier than ``sure``, and alone at the top; else give up."""
    likely = belief(weights, records, search.present)
    people = np.arange(likely.shape[0])
    top = likely.argmax(axis=1)
    alone = (likely >= likely[people, top][:, None] * (1 - 1e-9)).sum(axis=1) == 1
    made = (likely[people, top] > sure) & alone
    return Claims(np.where(made, pairs.records[people, top], NOBODY), made & pairs.learned[people, top].all(axis=1))


def without(pairs: Pairs, own: NDArray[np.uint64], weights: Numbers) -> Numbers:
    """Return the weights as they are when the person's own record is not in the release."""
    return np.where(pairs.records == own[:, None], -np.inf, weights)
