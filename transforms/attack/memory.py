"""What an intruder knows of real values: of whom it knows them, where it is wrong, how far it is off.

Everything is decided by numbers made from a seed and the metering point, so that an attack can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from contracts.attack.model import Knowledge
from transforms.attack.facts import Column, Values

_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def uniform(points: NDArray[np.uint64], seed: int, purpose: str) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each metering point (splitmix64 of seed, purpose and point)."""
    mark = np.uint64(int.from_bytes(purpose.encode()[:8].ljust(8, b"\0"), "little"))
    with np.errstate(over="ignore"):
        state = points ^ np.uint64(seed)
        for salt in (mark, np.uint64(len(purpose)), np.uint64(sum(purpose.encode()))):
            state = (state + salt) * _STEP + _STEP
            state = (state ^ (state >> np.uint64(30))) * _MIX[0]
            state = (state ^ (state >> np.uint64(27))) * _MIX[1]
            state ^= state >> np.uint64(31)
    unit: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return unit


def sample(points: NDArray[np.uint64], count: int, seed: int) -> NDArray[np.uint64]:
    """Return so many of the points, drawn by the seed, sorted; all of them where there are fewer."""
    drawn = points[np.argsort(uniform(points, seed, "targets"), kind="stable")[:count]]
    return np.sort(drawn)


def remember(truth: Values, knows: Mapping[str, Knowledge], points: NDArray[np.uint64], seed: int) -> Values:
    """Return what an intruder knows of people, fact by fact.

    Args:
        truth: real values of the people, as :mod:`transforms.attack.facts` has them.
    """
    return {name: _remembered(truth[name], how, points, seed, name) for name, how in knows.items() if name in truth}


def _remembered(values: Column, how: Knowledge, points: NDArray[np.uint64], seed: int, fact: str) -> Column:
    made = values.copy()
    if how.wrong:
        wrong = uniform(points, seed, f"w{fact}") < how.wrong
        made[wrong] = np.roll(values, 1)[wrong]  # somebody else's
    if made.dtype == np.uint64:
        unknown: Column = np.where(uniform(points, seed, f"k{fact}") >= how.known, np.uint64(0), made)
        return unknown
    if how.off:
        off = how.off * (2 * uniform(points, seed, f"o{fact}") - 1)
        made = made + (np.round(off) if how.off >= 1 else off)
    return np.where(uniform(points, seed, f"k{fact}") >= how.known, np.nan, made)
