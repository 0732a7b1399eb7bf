"""Processes that a test kills, forked from a server that has imported the product: a start takes 10 ms, not 1 s."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["flows.pack.writer", "tests.evidence.killed", "tests.ringfence.committer"])


def start(function: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Start a process that calls a function of a module; killed with signal N its ``exitcode`` is -N."""
    process = _FORKS.Process(target=function, args=arguments)
    process.start()
    return process
