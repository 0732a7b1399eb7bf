"""Files and folders that are whole or absent: what has its name is finished, whenever the process was killed.

A folder grows in ``.<name>.partial-<hex>`` beside its place, which holds a marker that its process keeps locked. After
a crash the lock is gone, and whoever writes beside it next removes what is left, and puts back what was being replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: without a lock nobody can tell a crashed writer, so nothing is cleaned up
    fcntl = None  # type: ignore[assignment]
MARKER = "datacut-partial"
GROWING, REPLACED = "pack", "replaced"  # what grows, and what stood in its place, below a partial folder
_PARTIAL = re.compile(r"\.(.+)\.partial-[0-9a-f]{16}")


@contextmanager
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


@contextmanager
def whole_folder(out: Path, *, private: bool = False, empty: bool = False, durable: bool = False) -> Iterator[Path]:
    """Give a folder to write to; it takes the name ``out`` when all went well, and is removed when not.

    What commands that were killed left beside ``out`` goes first, also where ``out`` is there already.

    Args:
        private: files and folders are for their owner alone.
        empty: ``out`` may be there as an empty folder.
        durable: ask the system once to keep all bytes before the folder takes its name.

    Raises:
        FileExistsError: ``out`` is there already. OSError: the disk refuses.
    """
    out = out.absolute()
    before = os.umask(0o077) if private else None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(out, free=lambda: _refuse_taken(out, empty=empty)) as aside:
            files = aside / GROWING
            files.mkdir()
            yield files
            if durable and hasattr(os, "sync"):
                os.sync()  # a file at a time costs a wait for the disk each
            if empty and out.is_dir():
                out.rmdir()
            os.rename(files, out)
    finally:
        if before is not None:
            os.umask(before)


def _refuse_taken(out: Path, *, empty: bool) -> None:
    if os.path.lexists(out) and not (empty and out.is_dir() and not out.is_symlink() and not any(out.iterdir())):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(out))


@contextmanager
def partial_folder(out: Path, *, free: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Give a folder beside ``out`` that goes with the block, or, if that is killed, with the next command there.

    Args:
        free: is asked, once what others left is gone, whether the place is free; raises if not.

    Raises:
        OSError: the disk refuses.
    """
    clean_stale(out.parent)
    free()
    folder, marker = begin_partial(out)
    try:
        yield folder
    finally:
        end_partial(folder, marker)


def begin_partial(out: Path) -> tuple[Path, IO[bytes]]:
    """Make a partial folder beside ``out``; return it and its marker, whose lock lasts as long as it is open.

    Raises:
        OSError: the disk refuses.
    """
    folder = out.parent / f".{out.name}.partial-{secrets.token_hex(8)}"
    with _alone_in(out.parent):  # nobody takes a folder without a marker for a dead one meanwhile
        folder.mkdir(mode=0o700)
        try:
            marker = open(folder / MARKER, "x+b")  # noqa: SIM115 - held open, and locked, as long as its writer lives
            _lock(marker)
            marker.write(out.name.encode())
            marker.flush()
            os.fsync(marker.fileno())
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder, marker


def end_partial(folder: Path, marker: IO[bytes]) -> None:
    """Remove a partial folder and what is in it; what cannot be removed now, the next command there removes."""
    if fcntl is None:
        marker.close()  # Windows removes no file that is open
    _remove(folder)
    marker.close()


def clean_stale(parent: Path) -> int:
    """Remove what crashed writers left in ``parent`` and put back what they were replacing; return how many.

    Touches only folders named like a partial one, owned by the same user, with a marker whose lock is free.

    Raises:
        OSError: the disk refuses.
    """
    removed = 0
    with _alone_in(parent):
        try:
            entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
        except PermissionError:  # a folder that may be written to and not looked into
            return 0
        for entry in entries:
            match = _PARTIAL.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # a writer that ended just now cleaned up after itself
                    removed += _clean_one(Path(entry.path), parent / match.group(1))
    return removed


def _clean_one(work: Path, final: Path) -> bool:
    marker = work / MARKER
    if fcntl is None or marker.is_symlink() or work.stat().st_uid != os.getuid():
        return False
    if not any(work.iterdir()):  # killed before it was marked
        work.rmdir()
        return True
    if not marker.is_file():
        return False
    with open(marker, "r+b") as lock:
        if not _lock(lock, wait=False):
            return False  # its writer is alive
        name = lock.read()
        if name != final.name.encode() and (name or len(list(work.iterdir())) > 1):
            return False  # not ours; an empty marker alone is of a writer that was killed over it
        aside = work / REPLACED
        if aside.is_dir() and not os.path.lexists(final):
            os.rename(aside, final)
            sync_folder(final.parent)
        _remove(work)
    return not work.exists()


def _remove(work: Path) -> None:
    """Remove a partial folder, its marker last: a removal that is cut short leaves something recognisable."""
    for path in work.iterdir() if work.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != MARKER:
            with contextlib.suppress(OSError):
                path.unlink()
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """Hold a folder's own lock, for as long as it takes to begin or to clean up; not every file system has one."""
    descriptor = None
    if fcntl is not None:
        with contextlib.suppress(OSError):
            descriptor = os.open(parent, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(file: IO[bytes], *, wait: bool = True) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
