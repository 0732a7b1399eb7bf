"""Independent work side by side, as much at once as there are cores; results in the order of what was asked.

Each call runs in a copy of the caller's context, so whoever listens to a run hears its threads too.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from flows.cut.boundary import is_failure
from flows.cut.stopping import request_stop

T = TypeVar("T")
R = TypeVar("R")
WORKERS = max(1, min(4, os.cpu_count() or 1))  # each holds a partition or two in memory


def map_parallel(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for every item; the heavy parts release the interpreter lock.

    Raises:
        What the first failing call raised, in the order of the items; the others are waited for.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        calls = [partial(copy_context().run, call, item) for item in items]
        try:
            return list(pool.map(lambda prepared: prepared(), calls))
        except BaseException as fault:
            if not is_failure(fault):  # the threads are waited for, and shall not go on for long
                request_stop()
            raise


def map_ordered(call: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
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
                ahead.append(pool.submit(copy_context().run, call, item))
                if len(ahead) > at_once:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()
