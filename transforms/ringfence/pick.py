"""Which units: a permanent keyed order, from which every demand takes the first that suit it.

The order is by HMAC-SHA-256 of the unit's id (its lowest MPAN, as text) under the ring-fence key; the HMAC key is the
64 lower-case hex digits of the 32 key bytes, in ASCII. It depends on nothing else: not on the order of a file, not on
what other units exist. Nobody without the key can tell beforehand which of two like units is taken, and a top-up
takes the next ones in the same order (permanent random numbers, Brewer, Early and Joyce 1972).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import KeyMaterialError
from transforms.keyed_hash import hmac_sha256
from transforms.keys import Subkey
from transforms.ringfence.kernel import Kernel, Problem
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


def pick_kernel(
    cells_in_order: NDArray[np.int32], kernel: Kernel, choice: tuple[Ints, Ints, Ints], free: NDArray[np.bool_]
) -> Picks:
    """Take units for the kernel: inside a class the first in keyed order, specification after specification.

    Args:
        cells_in_order: unit cell of every unit in keyed order.
        kernel: classes.
        choice: (class, place in ``Kernel.specifications``, units).
        free: by place in the order; the taken ones are cleared.
    """
    classes, asked, amounts = choice
    mine = np.zeros(len(kernel.supply), dtype=np.bool_)
    mine[classes] = True
    of_class = kernel.class_of[cells_in_order]
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
    return _sorted(taken, np.repeat(kernel.specifications[asked], amounts))


def pick_aside(
    cells_in_order: NDArray[np.int32], problem: Problem, kernel: Kernel, wanted: Ints, free: NDArray[np.bool_]
) -> Picks:
    """Take units for the specifications set aside: the first free ones in keyed order, one after another.

    Args:
        cells_in_order: unit cell of every unit in keyed order.
        problem: signatures.
        kernel: the order in which they are served.
        wanted: units by specification.
        free: by place in the order; the taken ones are cleared.
    """
    spares_pairs, taken, owners = problem.spares_pairs(), [], []
    for specification in kernel.aside:
        suits = column(problem.signatures, int(specification))
        if spares_pairs[specification]:
            suits &= ~problem.several
        at = _first(cells_in_order, suits, free, int(wanted[specification]), int(kernel.eligible[specification]))
        free[at] = False
        taken.append(at)
        owners.append(np.full(len(at), specification, dtype=np.int64))
    none = np.zeros(0, dtype=np.int64)
    return _sorted(np.concatenate([none, *taken]), np.concatenate([none, *owners]))


def _first(
    cells_in_order: NDArray[np.int32], suits: NDArray[np.bool_], free: NDArray[np.bool_], wanted: int, eligible: int
) -> Ints:
    """Return the first ``wanted`` places that are free and suit, reading no further than needed."""
    found, begin, number = [np.zeros(0, dtype=np.int64)], 0, 0
    stretch = max(4096, 2 * wanted * len(free) // max(eligible, 1))
    while number < wanted and begin < len(free):
        part = slice(begin, begin + stretch)
        hits = np.flatnonzero(free[part] & suits[cells_in_order[part]]) + begin
        found.append(hits)
        number, begin, stretch = number + len(hits), begin + stretch, stretch * 2
    return np.concatenate(found)[:wanted]


def _sorted(at: Ints, specification: Ints) -> Picks:
    order = np.lexsort((at, specification))
    return Picks(at[order], specification[order])
