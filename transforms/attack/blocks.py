"""Where an intruder looks: the records of a block, found by sorting once and searching for each person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import BlockingRule
from transforms.attack.facts import Values, fact_of, known_cells

_ODD = np.uint64(0x9E3779B97F4A7C15)
Places = NDArray[np.int64]


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


def candidates(indexes: Sequence[Index], known: Values, people: int, largest: int) -> Iterator[Places]:
    """Yield for each person the places of the records that some block brings up, each once, in order."""
    sought = []
    for one in indexes:
        facts = (*one.block.same, *((one.block.near,) if one.block.near else ()))
        if all(fact in known for fact in facts):
            keys, there = key(known, one.block.same, people)
            near = known[one.block.near].astype(np.float64) if one.block.near else None
            there = there if near is None else there & ~np.isnan(near)
            low, high = np.searchsorted(one.keys, keys, "left"), np.searchsorted(one.keys, keys, "right")
            sought.append((one, low, high, near, there))
    for person in range(people):
        found = []
        for one, low, high, near, there in sought:
            begin, end = int(low[person]), int(high[person])
            if not there[person] or begin == end:
                continue
            if near is not None and one.near is not None:
                inside, at, width = one.near[begin:end], near[person], one.block.within + 1e-9
                begin, end = (
                    begin + int(np.searchsorted(inside, at - width, "left")),
                    begin + int(np.searchsorted(inside, at + width, "right")),
                )
            if end - begin <= largest:
                found.append(one.places[begin:end])
        yield np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
