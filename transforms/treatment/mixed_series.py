"""Half-hourly series mixed among homes: sums of a group stay to the watt-hour, half-hour by half-hour; no home's does.

A released series follows another home of the group for a few half-hours, then the home whose use is nearest to that
one's, and so on: it looks like a real day and is nobody's. Where two homes are exchanged their values are also pulled
apart or together by the key, as much on one side as on the other. No row ever follows its own home.

Source: nearest-neighbour resampling, Lall and Sharma, Water Resources Research 32 (1996) 679; data swapping, Dalenius
and Reiss (1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.treatment.keyed_numbers import Seeds, mixed, unit

Values = NDArray[np.int64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

BLOCK = 6  # half-hours for which a home is followed
FEWEST, MOST, PARTS = 4, 8, 7  # homes of like daily use among which rows are exchanged: a seventh of the group
APART = 0.1  # how far two exchanged values are pulled, as a share of the smaller
ROUNDS = 8  # tries to part totals that meet
NOISE, PARTING, ALONE_TURN = 11, 12, 13
ALONE = -1


@dataclass(frozen=True, slots=True)
class Grouped:
    """Who is mixed with whom.

    Attributes:
        group: number of each row's group; ``ALONE`` where there are too few homes.
        merged: whether the row's group is made of several that were too small.
    """

    group: Numbers
    merged: Flags


def grouped(scope: Numbers, area: Numbers, kind: Numbers, least: int) -> Grouped:
    """Put rows into groups of at least so many, by scope, area and kind.

    Small groups are merged with others of their kind, since homes of one kind have days of one shape; what is left, by
    area, then by scope alone.

    Args:
        scope: what is never mixed: the day, the quantity, which half-hours there are. Numbers from 0.
        area, kind: GSP group and class, as numbers from 0.
    """
    n = scope.size
    group, merged = np.full(n, ALONE, np.int64), np.zeros(n, np.bool_)
    areas, kinds = int(area.max(initial=0)) + 1, int(kind.max(initial=0)) + 1
    made = 0
    for turn, keys in enumerate(
        ((scope * areas + area) * kinds + kind, scope * kinds + kind, scope * areas + area, scope)
    ):
        rest = np.flatnonzero(group == ALONE)
        if not rest.size:
            return Grouped(group, merged)
        _, at, counts = np.unique(keys[rest], return_inverse=True, return_counts=True)
        enough = counts[at] >= least
        merged[rest[enough]] = turn > 0
        group[rest[enough]] = made + at[enough]
        made += counts.size
    _join(scope, group, merged)
    return Grouped(group, merged)


def _join(scope: Numbers, group: Numbers, merged: Flags) -> None:
    """Put the rows that are left into the smallest group of their scope, if it has any."""
    rest = np.flatnonzero(group == ALONE)
    for one in np.unique(scope[rest]):
        there = group[(scope == one) & (group != ALONE)]
        if there.size:
            names, counts = np.unique(there, return_counts=True)
            chosen = names[np.argmin(counts)]
            mine = rest[scope[rest] == one]
            group[mine] = chosen
            merged[(group == chosen) & (scope == one)] = True


def mixed_series(seeds: Seeds, values: Values, group: Numbers) -> Values:
    """Return the series that are released: rows of a group mixed, others as they are.

    Args:
        seeds: keyed seed of each row (metering point, day, quantity): decides, whatever the order of the rows.
        values: watt-hours by row and half-hour, not negative; rows of a group have the same half-hours.

    Returns:
        Values not negative whose sum over each group and half-hour is the real one. No row's total is its own unless
        its group used nothing.
    """
    order = np.lexsort((seeds, group))
    order = order[group[order] != ALONE]
    if not order.size:
        return values.copy()
    team = group[order]
    first, last = _ends(team)
    real = np.ascontiguousarray(values[order].T)
    seed = seeds[order]
    rows = np.arange(order.size)
    donor = np.where(last, first, rows + 1)
    like = _like(team, real.sum(axis=0))
    made = np.empty_like(real)
    for begin in range(0, real.shape[0], BLOCK):
        pairs = _pairs(like[donor], real[max(begin - 1, 0)][donor], (begin // BLOCK) % 2)
        if begin:
            donor = _exchanged(donor, pairs)
        for period in range(begin, min(begin + BLOCK, real.shape[0])):
            made[period] = real[period][donor]
            _pull(made[period], seed, period, pairs)
    _part(made, real, seed, team)
    out = values.copy()
    out[order] = made.T
    return out


def about(seeds: Seeds, values: Values) -> Values:
    """Return series of about the same total, up to three tenths more or less, but never the same: of homes alone."""
    share = 0.7 + 0.6 * unit(seeds, ALONE_TURN)
    made = np.floor(values * share[:, None] + 0.5).astype(np.int64)
    met = np.flatnonzero((made.sum(axis=1) == values.sum(axis=1)) & (values.sum(axis=1) > 0))
    made[met, values[met].argmax(axis=1)] += 1
    return made


def _ends(team: Numbers) -> tuple[Numbers, Flags]:
    """Return the place of the first row of each row's group, and whether a row is its last."""
    begins = np.concatenate([[True], team[1:] != team[:-1]])
    first = np.maximum.accumulate(np.where(begins, np.arange(team.size), 0))
    return first, np.concatenate([begins[1:], [True]])


def _like(team: Numbers, total: Values) -> Numbers:
    """Return a number for each row that homes of its group with like daily use have too.

    The fewer they are, the less a day jumps from one level to another; too few, and days of a large group lose what
    one half-hour says of the next.
    """
    by_size = np.lexsort((total, team))
    first, last = _ends(team)
    ends = np.flatnonzero(last)
    size = (ends[_dense(team)] - first + 1)[by_size]
    rank = np.arange(team.size) - first[by_size]
    parts = np.maximum(size // np.clip(size // PARTS, FEWEST, MOST), 1)
    made = np.empty(team.size, np.int64)
    made[by_size] = first[by_size] + rank * parts // size
    return made


def _pairs(like: Numbers, now: Values, odd: int) -> tuple[Numbers, Numbers]:
    """Return pairs of rows whose homes are alike and whose values are neighbours in size."""
    top = int(now.max(initial=0)) + 1
    by_size = np.argsort(like * top + now, kind="stable")
    left, right = by_size[odd:-1:2], by_size[odd + 1 :: 2]
    alike = like[left] == like[right]
    return left[alike], right[alike]


def _dense(team: Numbers) -> Numbers:
    return np.cumsum(np.concatenate([[0], team[1:] != team[:-1]]))


def _exchanged(donor: Numbers, pairs: tuple[Numbers, Numbers]) -> Numbers:
    """Let the rows of a pair follow each other's home, unless one would follow its own."""
    left, right = pairs
    free = (donor[left] != right) & (donor[right] != left)
    left, right = left[free], right[free]
    made = donor.copy()
    made[left], made[right] = donor[right], donor[left]
    return made


def _pull(values: Values, seed: Seeds, period: int, pairs: tuple[Numbers, Numbers]) -> None:
    """Move some of one value of a pair to the other, or back; in place."""
    left, right = pairs
    one, other = values[left], values[right]
    share = APART * (2 * unit(seed[left], NOISE, period) - 1)
    some = np.trunc(share * np.minimum(one, other)).astype(np.int64)
    values[left], values[right] = one + some, other - some


def _part(made: Values, real: Values, seed: Seeds, team: Numbers) -> None:
    """See that no total is the home's own: a few watt-hours come from the next home, or from who uses most."""
    own = real.sum(axis=0)
    first, last = _ends(team)
    for turn in range(ROUNDS):
        total = made.sum(axis=0)
        met = np.flatnonzero(total == own)
        if not met.size:
            return
        following = np.where(last[met], first[met], met + 1)
        most = _largest(team, total)[met]
        giver = np.where((most == met) | (turn % 2 == 0), following, most)
        some = 1 + (mixed(seed[met] ^ mixed(np.full(1, PARTING + turn, np.uint64))) % np.uint64(7)).astype(np.int64)
        period = made[:, giver].argmax(axis=0)
        asked = np.bincount(giver, minlength=team.size)[giver]
        some = np.minimum(some, made[period, giver] // asked)
        np.subtract.at(made, (period, giver), some)
        np.add.at(made, (period, met), some)


def _largest(team: Numbers, total: Values) -> Numbers:
    """Return the place of the row of each row's group that uses most."""
    by_size = np.lexsort((total, team))
    ends = np.flatnonzero(np.concatenate([team[by_size][1:] != team[by_size][:-1], [True]]))
    dense = _dense(team)
    return by_size[ends][dense]
