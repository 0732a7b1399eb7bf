"""Independent work side by side, as much at once as there are cores; results in the order of what was asked."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


def in_turn(call: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """Call a function for every item, a few at once, and yield the results in order; items are drawn as needed.

    Raises:
        What a call raised, when its turn comes.
    """
    if at_once <= 1:
        yield from map(call, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(call, item))
                if len(ahead) > at_once:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()
