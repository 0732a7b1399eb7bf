"""Signing keys: Ed25519 in PEM. A private key lives in its file and in one opaque object."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.errors import KeyMaterialError, PlaceError
from flows.keys.passphrase import signing_passphrase
from flows.keys.secret_files import read_key_file, shown, write_new

PROTECTED = b"ENCRYPTED PRIVATE KEY"


def key_id(public: bytes) -> str:
    """Return the name of a key in envelopes: the first 16 hex digits of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: ``raw`` are its 32 bytes, ``keyid`` its name in envelopes."""

    raw: bytes

    @property
    def keyid(self) -> str:
        return key_id(self.raw)

    def holds(self, signature: bytes, message: bytes) -> bool:
        """Tell whether ``signature`` over ``message`` is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that can sign and is never shown."""

    _key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> PublicKey:
        encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return PublicKey(self._key.public_key().public_bytes(encoding, form))

    @property
    def keyid(self) -> str:
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of ``message`` (RFC 8032: the same every time)."""
        return self._key.sign(message)


def new_signing_key(private_path: Path, public_path: Path, *, passphrase: bytes | None = None) -> PublicKey:
    """Make a signing key: PKCS8 PEM readable by its owner alone, and its public half beside it.

    Raises:
        KeyMaterialError: one of the files exists already.
        PlaceError: one of them cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, protection)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_new(private_path, private)
    try:
        write_new(public_path, public, 0o644)
    except (KeyMaterialError, PlaceError):
        with contextlib.suppress(OSError):  # the first fault is the one to tell
            private_path.unlink()
        raise
    return Signer(key).public


def _named(path: Path) -> str:
    """Return a file's name for a message, unless a key was given in its place."""
    return path.name if shown(path) == str(path) else shown(path)


def _read(path: Path, *, private: bool) -> bytes:
    return read_key_file(path, name=_named(path), private=private)


def load_signer(path: Path, *, passphrase: bytes | None = None) -> Signer:
    """Read a private signing key.

    Args:
        passphrase: of a protected key; without it that of the file which ``DATACUT_SIGNING_PASSPHRASE_FILE`` names,
            or it is asked for.

    Raises:
        KeyMaterialError: unreadable, open to others, no Ed25519 PKCS8 PEM, or the passphrase does not fit.
    """
    return opened_signer(_read(path, private=True), passphrase, where=_named(path))


def opened_signer(data: bytes, passphrase: bytes | None, *, where: str) -> Signer:
    """Return a private signing key that was read already.

    Args:
        where: what messages call the place that it is from.

    Raises:
        KeyMaterialError: as :func:`load_signer`.
    """
    if PROTECTED in data:
        passphrase = passphrase or signing_passphrase()
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        what = "is not a private key in PEM, or the passphrase is wrong"
        raise KeyMaterialError(what, where=where) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyMaterialError("is not an Ed25519 key", where=where)
    return Signer(key)


def load_public(path: Path) -> PublicKey:
    """Read a public key.

    Raises:
        KeyMaterialError: unreadable, or not an Ed25519 public key in PEM.
    """
    data = _read(path, private=False)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        remedy = "give the .pub file, never the private key" if b"PRIVATE KEY" in data else ""
        raise KeyMaterialError("is not a public key in PEM", where=_named(path), remedy=remedy) from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyMaterialError("is not an Ed25519 key", where=_named(path))
    return PublicKey(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def load_approver(path: Path, *, passphrase: bytes | None = None) -> Signer | PublicKey:
    """Read an approver's key: a private one signs at once, a public one says who must sign later.

    Raises:
        KeyMaterialError: as :func:`load_signer` and :func:`load_public`.
    """
    if b"PRIVATE KEY" in _read(path, private=False):
        return load_signer(path, passphrase=passphrase)
    return load_public(path)
