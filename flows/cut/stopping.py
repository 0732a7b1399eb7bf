"""STOPPING: a run that was asked to end publishes nothing any more; one that has published has ended well."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from contracts.errors import PlaceError

_STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
"""Travels with the context, as the listener of a run does: who waits for a thread asks it to stop."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the work of the block be asked to stop."""
    token = _STOP.set(threading.Event())
    try:
        yield
    finally:
        _STOP.reset(token)


def request_stop() -> None:
    """Ask the work that this is part of to stop before it publishes."""
    if stop := _STOP.get():
        stop.set()


def refuse_stopped() -> None:
    """End here if the work was asked to stop.

    Raises:
        PlaceError: it was.
    """
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise PlaceError("was stopped before it published", remedy="run the same command again")
