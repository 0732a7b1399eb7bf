"""Bytes on a terminal while a command reads or writes a lot of them; elsewhere it is silent until it ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def byte_bar(what: str) -> Iterator[Callable[[int], None] | None]:
    """Give a function that takes numbers of bytes as they go by; nothing where nobody looks.

    Args:
        what: what is being done, in words that stand before the bar.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn(what),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda count: bar.advance(task, count)
