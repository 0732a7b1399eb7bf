"""Proof that an allocation cannot be improved, found without trusting the solver.

From every demand that is short, walk to all units that would satisfy it, to the demands that hold those units, to all
units that would satisfy those, and so on. If the walk meets a free unit, one more unit could have been given; if it
meets a unit given at a later level (a lower tier, or a spare), that one should have gone to the short demand. If it
meets neither, what was given is the maximum at every level (Berge 1957; Ford and Fulkerson 1956).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contracts.errors import RingFenceError
from transforms.ringfence.contested import Problem
from transforms.ringfence.signatures import to_words

Ints = NDArray[np.int64]
Places = NDArray[np.int32]


def prove_allocation(
    problem: Problem, *, base: Ints, spare: Ints, profiles: Places, demands: Ints, spares: NDArray[np.bool_]
) -> int:
    """Check an allocation against its problem and return the number of units it proves to be the maximum.

    Args:
        problem: demands and supply of the round.
        base, spare: units wanted by demand (after any all-or-nothing decision).
        profiles, demands, spares: for each unit given its unit profile, its demand and whether it is a spare.

    Raises:
        RingFenceError: a unit does not satisfy its demand, a profile gives more than it has, a demand gets more than it
            wants, or the walk finds an improvement.
    """
    asks = problem.asks[demands]
    word, bit = np.divmod(asks, 64)
    held = (problem.signatures[word, profiles] >> bit.astype(np.uint64)) & np.uint64(1)
    left = problem.free - np.bincount(profiles, minlength=len(problem.free))
    short_base = base - np.bincount(demands[~spares], minlength=len(base))
    short_spare = spare - np.bincount(demands[spares], minlength=len(base))
    if not held.all() or left.min(initial=0) < 0 or short_base.min(initial=0) < 0 or short_spare.min(initial=0) < 0:
        raise _unsound("an allocated unit does not satisfy its demand, or was given twice")
    priorities = np.array([demand.priority for demand in problem.demands], dtype=np.int64)
    tiers, tier = np.unique(priorities, return_inverse=True)
    level = tier[demands] + len(tiers) * spares
    reached = np.zeros(len(problem.specifications), dtype=np.bool_)
    for each in range(2 * len(tiers)):
        short = (short_base if each < len(tiers) else short_spare) > 0
        reached[problem.asks[short & (tier == each % len(tiers))]] = True
        if reached.any():
            reached = _walk(problem, reached, left, (profiles, asks, level), each)
    return len(profiles)


def _walk(
    problem: Problem, reached: NDArray[np.bool_], left: Ints, given: tuple[Places, Ints, Ints], level: int
) -> NDArray[np.bool_]:
    profiles, asks, levels = given
    while True:
        near = profiles_of(problem, reached)
        if (left[near] > 0).any():
            raise _unsound("a unit is free that a short demand could have")
        holds = near[profiles]
        if (levels[holds] > level).any():
            raise _unsound("a unit serves a lower tier, or as a spare, that a short demand could have")
        further = reached.copy()
        further[asks[holds]] = True
        if np.array_equal(further, reached):
            return reached
        reached = further


def profiles_of(problem: Problem, specifications: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the unit profiles that satisfy any of the specifications."""
    mask = to_words(specifications)
    near = np.zeros(problem.signatures.shape[1], dtype=np.bool_)
    for word in np.flatnonzero(mask):
        near |= (problem.signatures[word] & mask[word]) != 0
    return near


def _unsound(what: str) -> RingFenceError:
    return RingFenceError(f"the allocation is not optimal: {what}", where="ring-fence", remedy="report this defect")
