"""Numbers from 0 to 1 that follow from a keyed seed of a metering point and small integers: splitmix64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Seeds = NDArray[np.uint64]
Numbers = NDArray[np.float64]
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mixed(state: Seeds) -> Seeds:
    """Return well-mixed integers, one to one (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        state = state + _STEP
        state = (state ^ (state >> np.uint64(30))) * _MIX[0]
        state = (state ^ (state >> np.uint64(27))) * _MIX[1]
    return state ^ (state >> np.uint64(31))


def unit(seeds: Seeds, *marks: int | NDArray[np.int64] | Seeds) -> Numbers:
    """Return a number from 0 to 1, below 1, for each seed and its marks."""
    state = mixed(seeds)
    for mark in marks:
        state = mixed(state ^ mixed(np.asarray(mark).astype(np.uint64)))
    number: Numbers = (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return number
