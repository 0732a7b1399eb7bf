"""Where an intruder looks: the records of a block, found by sorting once and searching for each person."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import BlockingRule
from transforms.attack.facts import Values, fact_of, known_cells

_ODD = np.uint64(0x9E3779B97F4A7C15)
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.uint64)
PAIRS = 400_000  # pairs that are weighed at a time


class Candidates(NamedTuple):
    """Pairs of a person, by number, and the place of a record."""

    persons: Places
    places: Places


@dataclass(frozen=True, slots=True)
class Index:
    """Records in the order of a block's key; ``near`` holds the sorted values of its near fact, or nothing."""

    block: BlockingRule
    keys: NDArray[np.uint64]
    near: NDArray[np.float64] | None
    places: Places


def key(values: Values, facts: Sequence[str], n: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return one digest of several codes, and where all of them are known."""
    made, there = np.zeros(n, np.uint64), np.ones(n, np.bool_)
    with np.errstate(over="ignore"):
        for fact in facts:
            made = made * _ODD + values[fact].astype(np.uint64)
            there &= known_cells(values[fact])
    return made, there


def firsts(values: Values) -> Values:
    """Return of each fact the values of the first place that tells it of anybody, under the fact's name."""
    found: Values = {}
    for name, column in values.items():
        fact = fact_of(name)
        if fact not in found or not known_cells(found[fact]).any():
            found[fact] = column
    return found


def index(records: Values, block: BlockingRule, n: int) -> Index | None:
    """Sort records by a block's key; None where the release does not tell one of its facts."""
    facts = (*block.same, *((block.near,) if block.near else ()))
    if any(fact not in records for fact in facts):
        return None
    keys, there = key(records, block.same, n)
    if not block.near:
        places = np.flatnonzero(there)
        places = places[np.argsort(keys[places], kind="stable")]
        return Index(block, keys[places], None, places)
    near = records[block.near].astype(np.float64)
    places = np.flatnonzero(there & ~np.isnan(near))
    places = places[np.lexsort((near[places], keys[places]))]
    return Index(block, keys[places], near[places], places)


def candidates(
    indexes: Sequence[Index], known: Values, people: int, largest: int
) -> tuple[Iterator[Candidates], Flags]:
    """Return pairs of a person and a record that some block brings up, and for whom a block was too large.

    Pairs come in slabs of whole persons, each pair once, by person and then by place.

    Args:
        largest: records of a block above which nobody looks at them one by one.
    """
    spans, overlooked = [], np.zeros(people, np.bool_)
    for one in indexes:
        facts = (*one.block.same, *((one.block.near,) if one.block.near else ()))
        if any(fact not in known for fact in facts):
            continue
        begin, end = _span(one, known, people)
        overlooked |= end - begin > largest
        spans.append((one.places, begin, np.where(end - begin > largest, begin, end)))
    return _slabs(spans, people), overlooked


def _span(one: Index, known: Values, people: int) -> tuple[Places, Places]:
    """Return where in an index the records of each person's block lie."""
    keys, there = key(known, one.block.same, people)
    low, high = np.searchsorted(one.keys, keys, "left"), np.searchsorted(one.keys, keys, "right")
    if one.near is not None:
        at, width = known[one.block.near].astype(np.float64), one.block.within + 1e-9
        there &= ~np.isnan(at)
        low, high = (
            _bisected(one.near, low, high, np.nextafter(at - width, -np.inf)),
            _bisected(one.near, low, high, at + width),
        )
    return low, np.where(there, high, low)


def _bisected(column: NDArray[np.float64], low: Places, high: Places, bound: NDArray[np.float64]) -> Places:
    """Return the first place of each span whose value is above the span's bound; spans are sorted, each by itself."""
    low, high = low.copy(), high.copy()
    while (open_ := np.flatnonzero(low < high)).size:
        middle = (low[open_] + high[open_]) // 2
        above = column[middle] > bound[open_]
        high[open_[above]] = middle[above]
        low[open_[~above]] = middle[~above] + 1
    return low


def _slabs(spans: Sequence[tuple[Places, Places, Places]], people: int) -> Iterator[Candidates]:
    sizes = sum((end - begin for _, begin, end in spans), np.zeros(people, np.int64))
    slab = np.cumsum(sizes) // PAIRS
    edges = np.flatnonzero(np.diff(slab, prepend=-1)) if people else np.empty(0, np.int64)
    for first, last in itertools.pairwise([*edges.tolist(), people]):
        persons, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for order, begin, end in spans:
            size = (end - begin)[first:last]
            person = np.repeat(np.arange(first, last), size)
            within = np.arange(person.size) - np.repeat(np.cumsum(size) - size, size)
            persons.append(person)
            places.append(order[np.repeat(begin[first:last], size) + within])
        person, place = np.concatenate(persons), np.concatenate(places)
        if person.size:
            width = int(place.max()) + 1
            yield Candidates(*np.divmod(once(person * width + place), width))


def once(values: NDArray[Number]) -> NDArray[Number]:
    """Return values sorted, each once: a sort takes a tenth of what hashing them does."""
    values = np.sort(values)
    fresh = np.ones(values.size, np.bool_)
    np.not_equal(values[1:], values[:-1], out=fresh[1:])
    return values[fresh]
