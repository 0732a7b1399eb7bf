"""Cut keys on disk: made, read and checked. Key bytes never reach argv, the environment, a log or an error.

A key file is one of three, told apart by its first bytes: plain (one line of 64 hex digits that says nothing else), or
that line in an age file, sealed under a passphrase or wrapped for an identity (``flows.keys.age_files``). All three are
readable by their owner alone.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from contracts.errors import KeyMaterialError
from flows.keys import age_files, shares
from flows.keys.passphrase import Unlock
from flows.keys.process import guard_memory
from flows.keys.secret_files import is_age_file, read_private, shown, write_new
from transforms.pseudonymise.keys import CUT_KEY_BYTES, FieldKeys

RING_FENCE_FIELD = "ring-fence"  # its key orders equal units; a run, a top-up and the direct mode must agree
REVOKED = "revoked-keys.txt"  # beside ``cut.yaml``; looked at when it is there
_LINE = re.compile(rb"[0-9a-fA-F]{64}\r?\n?")


def new_key(path: Path, cut_id: str, passphrase: str | None = None) -> str:
    """Write a new random cut key, readable by its owner alone, and return its fingerprint.

    Raises:
        KeyMaterialError: the file exists already: a key is never overwritten.
        PlaceError: the file cannot be written.
    """
    return keep_key(path, secrets.token_bytes(CUT_KEY_BYTES), cut_id, passphrase)


def keep_key(path: Path, key: bytes, cut_id: str, passphrase: str | None) -> str:
    """Write a cut key to a new file, sealed if there is a passphrase, and return its fingerprint.

    Raises:
        KeyMaterialError: the file exists already, or the key is not fit to be one.
        PlaceError: the file cannot be written.
    """
    fingerprint = FieldKeys(key, cut_id).fingerprint()
    line = plain_line(key)
    write_new(path, age_files.seal(line, passphrase) if passphrase else line)
    return fingerprint


def plain_line(key: bytes) -> bytes:
    """Return the one line of a plain key file."""
    return key.hex().encode("ascii") + b"\n"


def read_key(path: Path, cut_id: str, fingerprint: str | None = None, unlock: Unlock | None = None) -> FieldKeys:
    """Read a cut key of any kind and bind it to a cut.

    Args:
        fingerprint: what the key's fingerprint must be; a wrong key is noticed before a row is read.
        unlock: how a protected key is opened; without it, by what the environment names, else by a prompt.

    Raises:
        KeyMaterialError: missing, readable by others, in none of the three forms, not opened, or the wrong key.
    """
    return FieldKeys(read_cut_key(path, cut_id, fingerprint, unlock), cut_id)


def read_cut_key(path: Path, cut_id: str, fingerprint: str | None = None, unlock: Unlock | None = None) -> bytes:
    """Return the 32 bytes of a cut key, for custody alone; everything else wants :func:`read_key`.

    Raises:
        KeyMaterialError: as :func:`read_key`.
    """
    return opened_cut_key(read_private(path), cut_id, fingerprint, unlock, where=shown(path))


def opened_cut_key(raw: bytes, cut_id: str, fingerprint: str | None, unlock: Unlock | None, *, where: str) -> bytes:
    """Return the 32 bytes of a cut key that was read already, in any of the three forms.

    Args:
        where: what messages call the place that it is from.

    Raises:
        KeyMaterialError: as :func:`read_key`.
    """
    guard_memory()
    key = _plain(_opened(raw, unlock or Unlock(), where), where)
    _match(FieldKeys(key, cut_id).fingerprint(), cut_id, fingerprint, where)
    return key


def held_fingerprint(path: Path, cut_id: str, unlock: Unlock) -> str:
    """Return the fingerprint of a key file of any kind, or of the key that a share file is a share of.

    Raises:
        KeyMaterialError: as :func:`read_key`, or a share of another cut.
    """
    raw = read_private(path)
    if not raw.startswith(shares.MAGIC):
        return read_key(path, cut_id, unlock=unlock).fingerprint()
    share = shares.parse(raw, where=shown(path))
    if share.cut != cut_id:
        raise KeyMaterialError(f"is a share of another cut, not of {cut_id}", where=shown(path))
    return share.fingerprint


def _opened(raw: bytes, unlock: Unlock, where: str) -> bytes:
    if not is_age_file(raw):
        return raw
    if age_files.opened_by(raw, where=where) == "passphrase":
        return age_files.unseal(raw, unlock.passphrase(), where=where)
    return age_files.unwrap(raw, unlock.identity(), where=where)


def _plain(raw: bytes, where: str) -> bytes:
    if not _LINE.fullmatch(raw):
        raise KeyMaterialError(
            "is not a cut key: one line of 64 hex digits, or an age file",
            where=where,
            remedy="make one with datacut key new",
        )
    return bytes.fromhex(raw.decode("ascii").strip())


def _match(found: str, cut_id: str, wanted: str | None, where: str) -> None:
    if wanted is not None and found != wanted:
        raise KeyMaterialError(
            f"is another key: its fingerprint for cut {cut_id} is {found}, not {wanted}",
            where=where,
            remedy="ask the key's custodian",
        )
