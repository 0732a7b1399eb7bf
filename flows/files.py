"""Files that are whole or absent: what has its name is finished, whenever the process was killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path, *, aside: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """Give a place to write a file to; it takes the file's name when all went well, and is removed when not.

    Args:
        aside: where the file grows, on the same file system; beside ``path`` unless said otherwise.
        durable: ask the disk to keep the bytes before they take the name.

    Raises:
        OSError: the disk refuses.
    """
    growing = aside or path.with_name(f".{path.name}.new")
    try:
        yield growing
        if durable:
            with open(growing, "rb") as file:
                os.fsync(file.fileno())
        os.replace(growing, path)
    except BaseException:
        with contextlib.suppress(OSError):
            growing.unlink(missing_ok=True)
        raise
