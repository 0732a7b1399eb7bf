"""Independent work side by side, as much at once as there are cores; results in the order of what was asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
WORKERS = max(1, min(4, os.cpu_count() or 1))  # each holds a partition or two in memory


def together(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for every item; the heavy parts release the interpreter lock.

    Raises:
        What the first failing call raised, in the order of the items; the others are waited for.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(call, items))
