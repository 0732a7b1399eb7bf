"""Connected groups of metering points, without a Python loop over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def smallest_connected(nodes: int, left: Ints, right: Ints) -> Ints:
    """Return for every node the smallest node it is connected to.

    Roots hook onto their smallest neighbour and all paths are halved until every node points at its root; each
    round merges every group that is not a local minimum, so the rounds grow with the logarithm of the group size.

    Args:
        nodes: number of nodes, numbered from 0.
        left, right: the two ends of every edge; repeated edges and loops are harmless.
    """
    parent = np.arange(nodes, dtype=np.int64)
    while left.size:
        first, second = parent[left], parent[right]
        apart = first != second
        if not apart.any():
            break
        left, right, first, second = left[apart], right[apart], first[apart], second[apart]
        np.minimum.at(parent, np.maximum(first, second), np.minimum(first, second))
        while True:
            grandparent = parent[parent]
            if np.array_equal(grandparent, parent):
                break
            parent = grandparent
    return parent
