"""Where a record may stand: below the group that its layout hangs it from, and as often as the layout allows.

Whole blocks are judged at once: where every record may follow the one before it, the whole nesting is right. Only the
runs in which one may not are walked through record by record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.dtc.model import Flow
from transforms.dtc.records import Ints, Marks

TOP = -1  # the flow itself, as a parent; also what comes before its first record


@dataclass(frozen=True, slots=True)
class RecordNesting:
    """Groups of all flows by number, and how they hang together.

    Attributes:
        parents: number of the parent of each group; ``TOP`` where it has none, or none that the catalogue describes.
        above: all groups above each group, nearest first.
        single: groups that stand once at most below one record of their parent.
        follows: (group, group): whether the second may come right after the first; the last row is for ``TOP``.
    """

    parents: Ints
    above: tuple[tuple[int, ...], ...]
    single: Marks
    follows: Marks


@dataclass(frozen=True, slots=True)
class Run:
    """Lines of one flow that stand together in a block.

    Attributes:
        start, stop: the lines.
        last: group of the record before them, ``TOP`` after a header.
        used: single groups that are below a record that is open, and so may not come again.
        unfinished: whether the flow goes on in the next block.
    """

    start: int
    stop: int
    last: int = TOP
    used: frozenset[int] = frozenset()
    unfinished: bool = False


def make_nesting(flows: Sequence[Flow], groups: Sequence[tuple[int, str]]) -> RecordNesting:
    """Return the nesting of groups, each given by the number of its flow and its id."""
    numbers = {key: number for number, key in enumerate(groups)}
    parents = [numbers.get((flow, flows[flow].groups[name].parent), TOP) for flow, name in groups]
    above = tuple(tuple(numbers[flow, upper] for upper in flows[flow].ancestors(name)) for flow, name in groups)
    single = [flows[flow].groups[name].cardinality.most == 1 for flow, name in groups]
    follows = np.zeros((len(groups) + 1, len(groups)), dtype=np.bool_)
    below: dict[int, list[int]] = {}
    for number, parent in enumerate(parents):
        below.setdefault(parent, []).append(number)
    tops: dict[int, list[int]] = {}
    for number in below.get(TOP, ()):
        tops.setdefault(groups[number][0], []).append(number)
    for number, (flow, _) in enumerate(groups):
        for upper in (number, *above[number]):
            follows[number, below.get(upper, [])] = True
        follows[number, tops.get(flow, [])] = True
    follows[TOP, below.get(TOP, [])] = True
    return RecordNesting(np.array(parents, dtype=np.int32), above, np.array(single, dtype=np.bool_), follows)


def misplaced(groups: Ints, runs: Sequence[Run], nesting: RecordNesting) -> tuple[Ints, list[Run]]:
    """Return the lines whose record may not stand where it does, and what comes after each unfinished run.

    What stands below such a record stands nowhere either: the record counts as not there.

    Args:
        groups: number of the group of each line; negative where it is not a record of one.
        runs: the flows of the block, in order.
        nesting: the layouts.
    """
    lines = np.flatnonzero(groups >= 0)
    found = groups[lines]
    starts = np.searchsorted(lines, [run.start for run in runs])
    stops = np.searchsorted(lines, [run.stop for run in runs])
    before = np.empty_like(found)
    before[1:] = found[:-1]
    filled = stops > starts
    before[starts[filled]] = np.array([run.last for run in runs], dtype=np.int32)[filled]
    doubted = ~nesting.follows[before, found]
    doubted |= _again(found, starts, runs, nesting)
    wrong: list[int] = []
    after: list[Run] = []
    bad = np.concatenate([[0], np.cumsum(doubted)])
    bad = bad[stops] > bad[starts]
    for run, start, stop, walked in zip(runs, starts.tolist(), stops.tolist(), bad.tolist(), strict=True):
        if walked:
            places, end = _walk(found[start:stop].tolist(), run, nesting)
            wrong += [int(lines[start + place]) for place in places]
            after.append(end)
        elif run.unfinished:
            after.append(_end(found[start:stop], run, nesting))
    return np.array(wrong, dtype=np.int32), [run for run in after if run.unfinished]


def _again(found: Ints, starts: NDArray[np.intp], runs: Sequence[Run], nesting: RecordNesting) -> Marks:
    """Tell which records of single groups come again below the same record of their parent."""
    again = np.zeros(found.size, dtype=np.bool_)
    order = np.argsort(found, kind="stable")
    edges = np.searchsorted(found[order], np.arange(nesting.single.size + 1))
    present = np.flatnonzero((np.diff(edges) > 0) & nesting.single)
    for group in present.tolist():
        at = order[edges[group] : edges[group + 1]]
        run = np.searchsorted(starts, at, side="right") - 1
        parent = int(nesting.parents[group])
        places = order[edges[parent] : edges[parent + 1]] if parent != TOP else at[:0]
        which = np.searchsorted(places, at)
        owner = np.where(which > 0, places[np.maximum(which - 1, 0)], -1) if places.size else np.full(at.size, -1)
        outside = owner < starts[run]  # its parent came before this block, or is the flow
        same = (run[1:] == run[:-1]) & np.where(outside[1:], outside[:-1], owner[1:] == owner[:-1])
        again[at[1:][same]] = True
        for first in np.flatnonzero(outside).tolist() if any(group in one.used for one in runs) else ():
            again[at[first]] |= group in runs[int(run[first])].used
    return again


def _walk(found: list[int], run: Run, nesting: RecordNesting) -> tuple[list[int], Run]:
    wrong: list[int] = []
    last, used = run.last, run.used
    for place, group in enumerate(found):
        if not nesting.follows[last, group] or group in used:
            wrong.append(place)
            continue
        open_ = {TOP, *nesting.above[group]}
        used = frozenset(one for one in used if int(nesting.parents[one]) in open_)
        used |= {group} if nesting.single[group] else frozenset()
        last = group
    return wrong, replace(run, last=last, used=used)


def _end(found: Ints, run: Run, nesting: RecordNesting) -> Run:
    """Return what is open after a run that is right."""
    if not found.size:
        return run
    last = int(found[-1])
    used: set[int] = set()
    for parent in (TOP, *nesting.above[last]):
        places = np.flatnonzero(found == parent)[-1:]
        below = np.unique(found[int(places[0]) if places.size else 0 :]).tolist()
        below += [] if places.size else run.used
        used |= {one for one in below if nesting.single[one] and int(nesting.parents[one]) == parent}
    return replace(run, last=last, used=frozenset(used))
