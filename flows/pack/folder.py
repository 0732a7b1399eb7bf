"""A folder of load files: readable by its owner alone, and whole or absent."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from contracts.errors import PlaceError
from flows.pack.writer import MARKER, clean_stale

try:
    import fcntl
except ImportError:  # Windows: a stopped restore cannot be told from a running one, so nothing is cleaned up
    fcntl = None  # type: ignore[assignment]

_FILES = "files"


@contextmanager
def private_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that only its owner can read, and rename it into place when all went well.

    It holds raw identifiers: what a stopped restore left beside ``out`` is removed first. It is told from a running
    one as a stopped writer of packs is, by a marker that its process keeps locked.

    Raises:
        PlaceError: ``out`` exists already, or the disk is unfit.
    """
    if os.path.lexists(out):
        raise PlaceError("exists already", where=out.name, remedy="name a new folder")
    out = out.absolute()
    aside = out.parent / f".{out.name}.partial-{secrets.token_hex(8)}"
    marker: IO[bytes] | None = None
    before = os.umask(0o077)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clean_stale(out.parent)
        aside.mkdir(mode=0o700)
        marker = _marked(aside, out.name)
        files = aside / _FILES
        files.mkdir(mode=0o700)
        yield files
        os.rename(files, out)
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=out.name) from None
    finally:
        os.umask(before)
        if fcntl is None and marker is not None:
            marker.close()  # Windows removes no file that is open
        shutil.rmtree(aside, ignore_errors=True)
        if marker is not None:
            marker.close()


def _marked(folder: Path, name: str) -> IO[bytes]:
    marker = open(folder / MARKER, "x+b")  # noqa: SIM115 - held open, and locked, as long as the restore runs
    if fcntl is not None:
        fcntl.flock(marker.fileno(), fcntl.LOCK_EX)
    marker.write(name.encode())
    marker.flush()
    return marker
