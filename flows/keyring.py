"""Cut keys on disk: made, read and fingerprinted. Key bytes never reach argv, the environment, a log or an error.

A plain key file is one line of 64 hex digits, mode 0600, that says nothing else.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from contracts.errors import KeyMaterialError, PlaceError
from transforms.keys import CUT_KEY_BYTES, FieldKeys

_LINE = re.compile(rb"[0-9a-fA-F]{64}\r?\n?")


def new_key(path: Path) -> None:
    """Write a new random cut key, readable by its owner alone.

    Raises:
        KeyMaterialError: the file exists already: a key is never overwritten.
        PlaceError: the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyMaterialError("exists already", where=str(path), remedy="choose another name") from None
    except OSError as fault:
        raise PlaceError("cannot be written", where=str(path), remedy=fault.strerror or "") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(CUT_KEY_BYTES).hex().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_key(path: Path, cut_id: str, fingerprint: str | None = None) -> FieldKeys:
    """Read a cut key and bind it to a cut.

    Args:
        fingerprint: what the key's fingerprint must be; a wrong key is noticed before a row is read.

    Raises:
        KeyMaterialError: missing, readable by others, not one line of 64 hex digits, or the wrong key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as fault:
        raise KeyMaterialError("cannot be read", where=str(path), remedy=fault.strerror or "") from None
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise KeyMaterialError("is not a regular file", where=str(path))
        if os.name == "posix" and mode & 0o077:
            raise KeyMaterialError("can be read by others", where=str(path), remedy=f"chmod 600 {path}")
        raw = stream.read(256)
    if not _LINE.fullmatch(raw):
        raise KeyMaterialError(
            "is not a cut key: one line of 64 hex digits", where=str(path), remedy="make one with datacut key new"
        )
    keys = FieldKeys(bytes.fromhex(raw.decode("ascii").strip()), cut_id)
    if fingerprint is not None and keys.fingerprint() != fingerprint:
        raise KeyMaterialError(
            f"is another key: its fingerprint for cut {cut_id} is {keys.fingerprint()}, not {fingerprint}",
            where=str(path),
            remedy="ask the key's custodian",
        )
    return keys
