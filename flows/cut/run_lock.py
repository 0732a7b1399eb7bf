"""One run of a cut at a time: a lock beside the work folder that names its holder.

On one machine the kernel holds it, and lets go when the holder dies, however it dies. Where machines share the disk the
lock is a lease besides: its holder renews it, and one that another machine has not renewed for a minute is void.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from contracts.errors import PlaceError
from contracts.json_types import JsonObject
from flows.cut.config import Job
from flows.cut.workspace import disk

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows: the lease alone
    flock = None  # type: ignore[assignment]

LEASE = 60.0  # seconds
_MOST = 4096  # bytes of a lock file
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@contextlib.contextmanager
def alone(job: Job) -> Iterator[None]:
    """Hold the lock of a cut.

    Raises:
        PlaceError: another run holds it; it is named by process, machine and time.
    """
    path = job.path(job.model.work) / f".{job.model.cut.id}.lock"
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, _FLAGS, 0o600)
    try:
        _take(descriptor, job.file.name)
        ended = threading.Event()
        renewing = threading.Thread(target=_renew, args=(descriptor, ended), name="run lock", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(descriptor: int, where: str) -> None:
    held = False
    if flock is not None:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except OSError:
            held = True
    holder = _holder(descriptor)
    fresh = time.time() - os.fstat(descriptor).st_mtime < LEASE
    if held or (holder and fresh and (flock is None or holder.get("host") != socket.gethostname())):
        who = f"by process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}" if holder else ""
        raise PlaceError(
            f"is being run already {who}".rstrip(),
            where=where,
            remedy="wait until that run has ended, or end it; one that was killed holds nothing",
        )
    since = datetime.now(UTC).isoformat(timespec="seconds")
    mine = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, mine, 0) if hasattr(os, "pwrite") else os.write(descriptor, mine)


def _holder(descriptor: int) -> JsonObject:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(descriptor, _MOST) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _renew(descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(LEASE / 4):
        with contextlib.suppress(OSError):
            os.utime(descriptor)
