"""Where demands really compete: the contested part, and the classes of units inside it.

A specification whose eligible units outnumber everything all remaining demands want, itself included, can be served
in full whatever the others take. Such specifications are set aside, largest first, and served last, in the opposite
order; each one set aside lowers what the rest want, so the test bites again. What remains is the contested
part. The step is exact: serving the contested part optimally and the rest in full is optimal for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.ringfence.model import Demand, SingleOnPair, UnitKind
from transforms.ringfence.signatures import Specification, Words, to_bits, to_words

CHUNK = 1024
EXACT_IN_FLOAT32 = 2**24

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """One round: who wants how many of what, and what is there.

    Attributes:
        demands: sorted by key; ``asks[i]`` is the specification of demand ``i``.
        specifications: what is asked.
        signatures: words by (word, unit profile).
        free: free units of each unit profile; ``several``: whether its units have more than one member.
        single_on_pair: policy.
    """

    demands: Sequence[Demand]
    asks: Ints
    specifications: Sequence[Specification]
    signatures: Words
    free: Ints
    several: NDArray[np.bool_]
    single_on_pair: SingleOnPair

    @property
    def base(self) -> Ints:
        """Return the base units each demand wants."""
        return np.array([demand.base for demand in self.demands], dtype=np.int64)

    @property
    def spare(self) -> Ints:
        """Return the spare units each demand wants."""
        return np.array([demand.spare for demand in self.demands], dtype=np.int64)

    def spares_pairs(self) -> NDArray[np.bool_]:
        """Tell which specifications should not use a unit of several members while another will do."""
        penalised = self.single_on_pair is SingleOnPair.PENALISE
        return np.array([penalised and s.kind is UnitKind.SINGLE for s in self.specifications], dtype=np.bool_)


@dataclass(frozen=True)
class Contested:
    """The contested part of a problem.

    Attributes:
        specifications: numbers of the contested specifications, ascending.
        aside: numbers of the others, in the order in which they are to be served (after the contested part).
        class_of: for each unit profile its class, -1 outside the contested part.
        supply: free units of each class; ``several``: whether its units have more than one member.
        bits: by (class, contested specification), whether it is eligible.
        eligible: for every specification of the problem the free units that satisfy it.
    """

    specifications: Ints
    aside: Ints
    class_of: NDArray[np.int32]
    supply: Ints
    several: NDArray[np.bool_]
    bits: NDArray[np.bool_]
    eligible: Ints

    @cached_property
    def arcs(self) -> tuple[Ints, Ints]:
        """Return class and place in ``specifications`` of every eligible pair, by class."""
        classes, asked = np.nonzero(self.bits)
        return classes, asked


def weigh(signatures: Words, weights: Ints, width: int) -> Ints:
    """Return, by specification, the sum of weights over the unit profiles that satisfy it.

    Args:
        signatures: words by (word, unit profile).
        weights: by unit profile, not negative.
        width: number of specifications.
    """
    total = np.zeros(width, dtype=np.int64)
    used = np.flatnonzero(weights)
    for begin in range(0, len(used), CHUNK):
        profiles = used[begin : begin + CHUNK]
        part = weights[profiles]
        kind: type[np.floating[Any]] = np.float32 if part.sum() < EXACT_IN_FLOAT32 else np.float64
        bits = to_bits(signatures[:, profiles].T, width).astype(kind)
        # einsum, because a threaded product spins on its threads when others share the cores.
        total += np.rint(np.einsum("c,cs->s", part.astype(kind), bits)).astype(np.int64)
    return total


def find_contested(problem: Problem) -> Contested:
    """Set aside the specifications that cannot fall short and group the rest's units into classes."""
    width = len(problem.specifications)
    eligible_alone = weigh(problem.signatures, np.where(problem.several, 0, problem.free), width)
    eligible = eligible_alone + weigh(problem.signatures, np.where(problem.several, problem.free, 0), width)
    safe_supply = np.where(problem.spares_pairs(), eligible_alone, eligible)
    wants = np.bincount(problem.asks, weights=problem.base + problem.spare, minlength=width).astype(np.int64)
    order = np.lexsort((np.arange(width), -safe_supply))
    left = int(wants.sum()) - np.concatenate([[0], np.cumsum(wants[order])[:-1]])
    safe = safe_supply[order] >= left
    number = int(np.argmin(safe)) if not safe.all() else width
    contested = np.sort(order[number:])
    class_of, several, bits = _classes(problem, contested)
    inside = class_of >= 0
    supply = np.bincount(class_of[inside], weights=problem.free[inside], minlength=len(bits)).astype(np.int64)
    return Contested(contested, order[:number][::-1], class_of, supply, several, bits, eligible)


def _classes(problem: Problem, contested: Ints) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Group the unit profiles that still have free units by which contested specifications they satisfy."""
    class_of = np.full(len(problem.free), -1, dtype=np.int32)
    width = len(problem.specifications)
    if not len(contested):
        return class_of, np.zeros(0, dtype=np.bool_), np.zeros((0, 0), dtype=np.bool_)
    wanted = np.zeros(width, dtype=np.bool_)
    wanted[contested] = True
    mask = to_words(wanted)[:, None]
    touched = np.zeros(len(problem.free), dtype=np.bool_)
    for word in range(len(mask)):
        touched |= (problem.signatures[word] & mask[word]) != 0
    profiles = np.flatnonzero(touched & (problem.free > 0))
    kept = (problem.signatures[:, profiles] & mask).T
    several = problem.several[profiles]
    first, which = distinct_signatures(np.concatenate([kept, several[:, None].astype(np.uint64)], axis=1))
    class_of[profiles] = which
    bits = np.empty((len(first), len(contested)), dtype=np.bool_)
    for begin in range(0, len(first), CHUNK):
        rows = slice(begin, begin + CHUNK)
        np.take(to_bits(kept[first[rows]], width), contested, axis=1, out=bits[rows], mode="clip")
    return class_of, several[first], bits


def distinct_signatures(rows: Words) -> tuple[Ints, NDArray[np.int32]]:
    """Number distinct rows in order of first appearance; return a first row of each and the number of every row."""
    mixed = np.zeros(len(rows), dtype=np.uint64)
    for column in range(rows.shape[1]):
        mixed ^= rows[:, column]
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, which = np.unique(mixed, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][which], rows):  # two signatures met in 64 bits: compare them whole
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        which = which.reshape(-1)
    order = np.argsort(first)
    rank = np.empty(len(first), dtype=np.int32)
    rank[order] = np.arange(len(first), dtype=np.int32)
    return first[order], rank[which]


def closure(bits: NDArray[np.bool_], held: Ints, reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add to specifications all that hold units which those could have, and so on.

    Args:
        bits: by (class, specification), whether it is eligible.
        held: (class, specification) of every unit given.
        reached: where to start.
    """
    near = np.zeros(len(bits), dtype=np.bool_)
    fresh = reached
    reached = reached.copy()
    while fresh.any():
        near |= bits[:, fresh].any(axis=1)
        further = np.zeros_like(reached)
        further[held[near[held[:, 0]], 1]] = True
        fresh = further & ~reached
        reached |= fresh
    return reached
