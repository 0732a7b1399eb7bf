"""Which units: a permanent keyed order, from which every demand takes the first that suit it.

The order is by HMAC-SHA-256 of the unit's id (its lowest MPAN, as text) under the ring-fence key; the HMAC key is the
64 lower-case hex digits of the 32 key bytes, in ASCII. It depends on nothing else: not on the order of a file, not on
what other units exist. Nobody without the key can tell beforehand which of two like units is taken, and a top-up
takes the next ones in the same order (permanent random numbers, Brewer, Early and Joyce 1972).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import KeyMaterialError
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import Subkey
from transforms.ringfence.contested import Contested, Problem
from transforms.ringfence.population import Names
from transforms.ringfence.signatures import column

KEY_BYTES = 32
CHUNK = 2_000_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Picks:
    """Units given to specifications.

    Attributes:
        at: place in the keyed order; ``specification``: who gets it. Sorted by specification, then place.
    """

    at: Ints
    specification: Ints


@dataclass(frozen=True)
class Draw:
    """So many units for one specification, from the unit profiles that suit it, beginning at ``start`` in [0, 1)."""

    specification: int
    units: int
    start: float
    suits: Callable[[], NDArray[np.bool_]]


def keyed_order(ids: Ints, roots: NDArray[np.int32], names: Names, key: bytes) -> NDArray[np.int32]:
    """Return ``roots`` in keyed order.

    Args:
        ids: of all rows; ``roots`` rows that stand for units.
        names: turns ids into text.
        key: 32 bytes.

    Raises:
        KeyMaterialError: the key has another length.
    """
    if len(key) != KEY_BYTES:
        raise KeyMaterialError("a ring-fence key has 32 bytes")
    marks = np.empty(len(roots), dtype=np.uint64)
    for begin in range(0, len(roots), CHUNK):
        part = slice(begin, begin + CHUNK)
        marks[part] = _marks(names.text(ids[roots[part]]), key)
    order = np.argsort(marks, kind="stable")
    return roots[order]


def _marks(units: pl.Series, key: bytes) -> NDArray[np.uint64]:
    """Return the first 64 bits of the keyed hash of every unit."""
    # Not the engine's own HMAC: its key would be part of an expression, and an expression can be printed.
    digests = hmac_sha256(Subkey(key.hex().encode("ascii"), "ring-fence"), units)
    return np.ascontiguousarray(digests[:, :8]).view(">u8")[:, 0].astype(np.uint64)


def interleave(order: NDArray[np.int32], strata: Ints) -> NDArray[np.int32]:
    """Return ``order`` rearranged so that every stretch of it holds each stratum in proportion.

    Args:
        order: rows in keyed order.
        strata: stratum of each of them.
    """
    stratum, size = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    grouped = np.argsort(stratum, kind="stable")
    starts = np.cumsum(size) - size
    rank = np.empty(len(order), dtype=np.float64)
    rank[grouped] = np.arange(len(order)) - starts[stratum[grouped]]
    return order[np.argsort((rank + 0.5) / size[stratum], kind="stable")]


def pick_contested(
    profiles_in_order: NDArray[np.int32], contested: Contested, choice: tuple[Ints, Ints, Ints], free: NDArray[np.bool_]
) -> Picks:
    """Take units for the contested part: inside a class the first in keyed order, specification after specification.

    Args:
        profiles_in_order: unit profile of every unit in keyed order.
        contested: classes.
        choice: (class, place in ``Contested.specifications``, units).
        free: by place in the order; the taken ones are cleared.
    """
    classes, asked, amounts = choice
    mine = np.zeros(len(contested.supply), dtype=np.bool_)
    mine[classes] = True
    of_class = contested.class_of[profiles_in_order]
    at = np.flatnonzero(free & (of_class >= 0) & mine[np.maximum(of_class, 0)] if len(mine) else free & False)
    at = at[np.argsort(of_class[at], kind="stable")]
    start = np.searchsorted(of_class[at], np.arange(len(mine)))
    order = np.lexsort((asked, classes))
    classes, asked, amounts = classes[order], asked[order], amounts[order]
    before = np.cumsum(amounts) - amounts
    new_class = np.flatnonzero(np.diff(classes, prepend=-1))
    base = np.repeat(before[new_class], np.diff(np.append(new_class, len(classes))))
    first = start[classes] + before - base
    place = np.arange(int(amounts.sum())) - np.repeat(before, amounts) + np.repeat(first, amounts)
    taken = at[place]
    free[taken] = False
    return _sorted(taken, np.repeat(contested.specifications[asked], amounts))


def pick_aside(
    profiles_in_order: NDArray[np.int32],
    contested: Contested,
    draws: Sequence[Draw],
    free: NDArray[np.bool_],
    rank: Ints | None,
) -> Picks:
    """Take units for the specifications set aside: a systematic sample over unit profiles, keyed order inside one.

    The first free units in keyed order would not do: those that come before others take the beginning of the order
    bare of the kinds they want.

    Args:
        profiles_in_order: unit profile of every unit in keyed order.
        contested: unit profiles, for their number.
        draws: who takes how many, in the order in which they are served.
        free: by place in the order; the taken ones are cleared.
        rank: order of the unit profiles in which the ruler is laid; None: by their numbers.
    """
    size = len(contested.class_of)
    at = np.flatnonzero(free)
    at = at[np.argsort(profiles_in_order[at], kind="stable")]
    left = np.bincount(profiles_in_order[at], minlength=size).astype(np.int64)
    following = np.cumsum(left) - left
    taken, owners = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for draw in draws:
        profiles = np.flatnonzero(draw.suits() & (left > 0))
        if rank is not None:
            profiles = profiles[np.argsort(rank[profiles], kind="stable")]
        ends = np.cumsum(left[profiles])
        total = int(ends[-1]) if len(ends) else 0
        if not draw.units or draw.units > total:
            continue
        marks = (np.arange(draw.units) * total + int(draw.start * total)) // draw.units
        chosen, amounts = np.unique(profiles[np.searchsorted(ends, marks, side="right")], return_counts=True)
        place = np.arange(draw.units) - np.repeat(np.cumsum(amounts) - amounts, amounts)
        taken.append(at[np.repeat(following[chosen], amounts) + place])
        owners.append(np.full(draw.units, draw.specification, dtype=np.int64))
        following[chosen] += amounts
        left[chosen] -= amounts
    found = np.concatenate(taken)
    free[found] = False
    return _sorted(found, np.concatenate(owners))


def draws_of(problem: Problem, contested: Contested, wanted: Ints, key: bytes) -> list[Draw]:
    """Return what the specifications set aside take, in the order in which they are served.

    Args:
        problem: signatures.
        contested: the order.
        wanted: units by specification.
        key: places the start of each systematic sample.
    """
    spares_pairs = problem.spares_pairs()
    starts = keyed_starts(problem, contested.aside, key)

    def suits(specification: int) -> NDArray[np.bool_]:
        fit = column(problem.signatures, specification)
        return fit & ~problem.several if spares_pairs[specification] else fit

    return [
        Draw(int(each), int(wanted[each]), float(start), partial(suits, int(each)))
        for each, start in zip(contested.aside, starts, strict=True)
    ]


def keyed_starts(problem: Problem, specifications: Ints, key: bytes) -> NDArray[np.float64]:
    """Return for each of ``specifications`` a keyed number in [0, 1): where its systematic sample begins."""
    words = [repr(problem.specifications[number]).encode() for number in specifications]
    digests = [hmac.digest(key, b"start/" + word, "sha256")[:6] for word in words]
    return np.array([int.from_bytes(digest, "big") / 2**48 for digest in digests], dtype=np.float64)


def _sorted(at: Ints, specification: Ints) -> Picks:
    order = np.lexsort((at, specification))
    return Picks(at[order], specification[order])
