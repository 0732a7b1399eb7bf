"""Files that hold secrets: written once for their owner alone, read through one descriptor that was checked."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from contracts.errors import KeyMaterialError, PlaceError
from flows.files import sync_folder

MAX_SECRET_FILE = 16 << 10  # bytes; the longest, an armoured age file for many recipients, has a few thousand
OWNER_ONLY = 0o600
AGE_ARMOUR, AGE_VERSION = b"-----BEGIN AGE ENCRYPTED FILE-----", b"age-encryption.org/v1"
# no link is followed, and a pipe that nobody writes to does not hold the program up; neither exists on Windows
_PLAIN_READ = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# a key in hex, an age identity, a PEM or the base64 of one, whole or what is left behind its last slash
_SECRET = re.compile(r"[0-9A-F]{64}|AGE-SECRET-KEY-|PRIVATE KEY|MC4CAQAwBQYDK2VwBCIEI|[A-Z0-9+=]{40}|[\x00-\x1f]", re.I)


def is_age_file(data: bytes) -> bool:
    """Tell whether a file is an age file, armoured or not."""
    return data.startswith((AGE_ARMOUR, AGE_VERSION))


def shown(path: Path) -> str:
    """Return a path for a message, unless a secret was given in its place: that must not reach a log."""
    return "the key file" if _SECRET.search(str(path)) else str(path)


def write_new(path: Path, data: bytes, mode: int = OWNER_ONLY) -> None:
    """Write a new file, readable by its owner alone unless ``mode`` says otherwise: whole and synced, or not at all.

    It grows beside its place, as ``.NAME.new``, and what a killed process left there is removed by the next.

    Raises:
        KeyMaterialError: the file exists already: nothing is ever written over a key.
        PlaceError: the file cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    growing = growing_name(path)
    try:
        if os.path.lexists(path):
            if growing.exists() and growing.samefile(path):  # killed once the file had its name: it keeps that alone
                growing.unlink()
            raise FileExistsError
        growing.unlink(missing_ok=True)
        try:
            _write(growing, data, flags, mode)
            try:
                os.link(growing, path)  # a rename would put it over what has come meanwhile
            except FileExistsError:
                raise
            except OSError:  # no second names on this file system: in its place then
                _write(path, data, flags, mode)
        finally:
            growing.unlink(missing_ok=True)
    except FileExistsError:
        raise KeyMaterialError("already exists", where=shown(path), remedy="choose another name") from None
    except OSError as fault:
        raise PlaceError("cannot be written", where=shown(path), remedy=fault.strerror or "") from None
    sync_folder(path.parent)


def _write(path: Path, data: bytes, flags: int, mode: int) -> None:
    with os.fdopen(os.open(path, flags, mode), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def growing_name(path: Path) -> Path:
    """Return where a new file grows before it is whole."""
    return path.with_name(f".{path.name}.new")


def new_folder(path: Path) -> None:
    """Make a folder for its owner alone, unless it is there.

    Raises:
        PlaceError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise PlaceError("cannot be made", where=str(path), remedy=fault.strerror or "") from None


def read_private(path: Path, *, name: str | None = None) -> bytes:
    """Read a small file that only its owner may read; as :func:`read_key_file`.

    Raises:
        KeyMaterialError: missing, a link, not a regular file, too large, or open to others.
    """
    return read_key_file(path, name=name, private=True)


def read_key_file(path: Path, *, name: str | None = None, private: bool) -> bytes:
    """Read a small file through one descriptor, so that what was checked is what is used.

    Args:
        name: what to call it in a message instead of its path, which may be a secret put in the wrong place.
        private: refuse links, and what others may read.

    Raises:
        KeyMaterialError: missing, not a regular file (a pipe is not waited for), or too large; if private, open to
            others.
    """
    where = name or shown(path)
    flags = _PLAIN_READ if private else _PLAIN_READ & ~getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, os.O_RDONLY | flags)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or "no such name"
        raise KeyMaterialError("cannot be read", where=where, remedy=reason) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyMaterialError("is not a regular file", where=where)
        if private and os.name == "posix" and mode & 0o077:
            raise KeyMaterialError("can be read by others", where=where, remedy="chmod 600, if nobody has read it yet")
        data = os.read(descriptor, MAX_SECRET_FILE + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_SECRET_FILE:
        raise KeyMaterialError("is too large for a key", where=where)
    return data
