"""The file itself: opened once, without following links out of the backup folder, and read as it lies on disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from contracts.errors import IntakeError, PlaceError, RefusedError

CHANGED = "changed while it was being read"
STEADY = "read it again when nothing writes to the backup"
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer must not hang the run
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_FOLDER = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class Digest(Protocol):
    """What a keyed digest must be able to do; ``hmac.HMAC`` can."""

    def update(self, data: bytes, /) -> None:
        """Take in the next bytes."""


class RawFile:
    """One open regular file: sequential reads feed the digest, positioned reads do not.

    Both kinds go through one descriptor, so what is digested is what is parsed.
    """

    def __init__(
        self,
        path: Path,
        *,
        root: Path | None,
        label: str,
        digest: Digest | None = None,
        folders: dict[str, str] | None = None,
    ) -> None:
        """Open ``path``, which must lie inside ``root``; ``label`` is what errors call it.

        Args:
            folders: real places of folders that were met before, for whoever opens thousands of files in one of them.

        Raises:
            IntakeError: there is no such file, or it is a folder, FIFO or device.
            RefusedError: it is a link, or lies outside the backup folder.
            PlaceError: the system denies or fails the access.
        """
        self.label = label
        self._digest = digest
        self._offset = 0
        self._closed = False
        try:
            self._real = _resolve(path, root, label, folders if folders is not None else {})
            self._fd = _open_regular(self._real, label)
        except (OSError, ValueError) as fault:
            raise _denied(fault, label) from None
        self._before = os.fstat(self._fd)
        self.size = self._before.st_size

    @property
    def digests(self) -> bool:
        """Whether somebody wants the digest."""
        return self._digest is not None

    def read(self, count: int) -> bytes:
        """Return the next bytes, at most ``count``; empty at the end. The digest takes them in."""
        data = self.pread(count, self._offset)
        self._offset += len(data)
        if self._offset > self.size:
            raise IntakeError(CHANGED, where=self.label, remedy=STEADY)
        if self._digest is not None and data:
            self._digest.update(data)
        return data

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes at ``offset``, without feeding the digest.

        Raises:
            PlaceError: the disk fails.
        """
        try:
            if hasattr(os, "pread"):
                return os.pread(self._fd, count, offset)
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, count)
        except OSError as fault:
            raise _denied(fault, self.label) from None

    def finish(self) -> None:
        """Read what is left, so that the digest covers the file, then see that the file stayed as it was.

        Raises:
            IntakeError: the file changed.
        """
        while self.read(1 << 20):
            pass
        if self._offset != self.size:
            raise IntakeError(CHANGED, where=self.label, remedy=STEADY)
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """See that the file is as it was when it was opened.

        Raises:
            IntakeError: size, time or identity of the file changed.
        """
        try:
            after, named = os.fstat(self._fd), os.stat(self._real, follow_symlinks=False)
        except OSError:
            raise IntakeError(CHANGED, where=self.label, remedy=STEADY) from None
        if not _same(self._before, after) or not _same(self._before, named):
            raise IntakeError(CHANGED, where=self.label, remedy=STEADY)

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Tell whether two looks saw the same, unchanged file; the change time cannot be set back by a writer."""
    if (one.st_dev, one.st_ino, one.st_size) != (other.st_dev, other.st_ino, other.st_size):
        return False
    return one.st_mtime_ns == other.st_mtime_ns and (os.name == "nt" or one.st_ctime_ns == other.st_ctime_ns)


def _resolve(path: Path, root: Path | None, label: str, folders: dict[str, str]) -> Path:
    """Return the file's place with links resolved inside ``root``, or refuse it."""

    def real_folder(folder: str) -> str:
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return folders[folder]

    place = os.path.join(real_folder(os.path.dirname(path)), os.path.basename(path))
    if root is None:
        return Path(place)
    folder = real_folder(os.fspath(root))
    real = os.path.realpath(place) if os.path.islink(place) or path.name in ("", "..") else place
    if real == folder or not real.startswith(folder.rstrip(os.sep) + os.sep):
        raise RefusedError("lies outside the backup folder", where=label, remedy="copy it into the folder")
    return Path(real)


def _open_regular(real: Path, label: str) -> int:
    """Open ``real`` folder by folder without following a link put there meanwhile; regular files only."""
    if os.open not in os.supports_dir_fd:
        _require_regular(os.stat(real, follow_symlinks=False), label)
        return os.open(real, _FLAGS)
    folder = os.open(real.anchor, _FOLDER)
    try:
        for part in real.parts[1:-1]:
            outer, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
            os.close(outer)
        # A device may act on being opened, hence the look before.
        _require_regular(os.stat(real.name, dir_fd=folder, follow_symlinks=False), label)
        opened = os.open(real.name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _require_regular(os.fstat(opened), label)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _require_regular(found: os.stat_result, label: str) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISLNK(found.st_mode):
        raise RefusedError("is a symbolic link", where=label, remedy="name the file it points to")
    kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
    raise IntakeError(f"is {kind}, not a file", where=label, remedy="name the backup file itself")


def _denied(fault: OSError | ValueError, label: str) -> IntakeError | PlaceError:
    """Put a failure of the system into words without its path."""
    code = getattr(fault, "errno", None)
    if code in (errno.ENOENT, errno.ENOTDIR) or not isinstance(fault, OSError):
        slashes = "; write folders with /, not with \\" if os.sep == "/" and "\\" in label else ""
        return IntakeError("there is no such file", where=label, remedy=f"check the path of the source{slashes}")
    if code == errno.ELOOP:
        return IntakeError("the path changed while it was opened, or loops", where=label, remedy=STEADY)
    reason = os.strerror(code) if code else "input or output failed"
    return PlaceError(f"cannot be read: {reason}", where=label, remedy="check permissions and disk")
