"""A cut key under a passphrase: Argon2id stretches it, AES-256-GCM seals the key and binds every byte of the header.

The file is text, in one spelling only, so that a changed bit anywhere is refused (format 1, ``docs/keys.md``)::

    datacut-sealed-key 1
    cut <cut id>
    fingerprint <16 hex digits>
    argon2id iterations=3 lanes=4 memory=65536
    salt <32 hex digits>
    aes-256-gcm nonce=<24 hex digits>
    sealed <96 hex digits>

The header, all lines but the last, is the associated data. RFC 9106 (Argon2id, second recommended choice), NIST SP
800-38D (GCM). Lower-case hex, line feeds, memory in KiB.
"""

from __future__ import annotations

import re
import secrets

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from contracts.errors import KeyMaterialError, PlaceError
from transforms.pseudonymise.keys import CUT_KEY_BYTES, FieldKeys

MAGIC = b"datacut-sealed-key "
SALT_BYTES, NONCE_BYTES = 16, 12
ITERATIONS, LANES, MEMORY = 3, 4, 64 << 10  # RFC 9106 section 4, second choice; memory in KiB
MOST_ITERATIONS, MOST_LANES, MOST_MEMORY = 32, 16, 2 << 20  # a foreign file must not exhaust the machine
_FORM = re.compile(
    rb"(?P<header>datacut-sealed-key 1\n"
    rb"cut (?P<cut>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\n"
    rb"fingerprint (?P<fingerprint>[0-9a-f]{16})\n"
    rb"argon2id iterations=(?P<iterations>[1-9][0-9]{0,3}) lanes=(?P<lanes>[1-9][0-9]{0,2})"
    rb" memory=(?P<memory>[1-9][0-9]{0,8})\n"
    rb"salt (?P<salt>[0-9a-f]{32})\n"
    rb"aes-256-gcm nonce=(?P<nonce>[0-9a-f]{24})\n)"
    rb"sealed (?P<sealed>[0-9a-f]{96})\n",
)


def seal(key: bytes, cut_id: str, passphrase: bytes) -> bytes:
    """Return the sealed file of a cut key."""
    fingerprint = FieldKeys(key, cut_id).fingerprint()
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    header = (
        f"datacut-sealed-key 1\ncut {cut_id}\nfingerprint {fingerprint}\n"
        f"argon2id iterations={ITERATIONS} lanes={LANES} memory={MEMORY}\n"
        f"salt {salt.hex()}\naes-256-gcm nonce={nonce.hex()}\n"
    ).encode("ascii")
    cipher = AESGCM(stretch(passphrase, salt, ITERATIONS, LANES, MEMORY))
    return header + b"sealed " + cipher.encrypt(nonce, key, header).hex().encode("ascii") + b"\n"


def unseal(data: bytes, cut_id: str, passphrase: bytes, *, where: str) -> bytes:
    """Return the cut key of a sealed file.

    Raises:
        KeyMaterialError: not this format, for another cut, changed since it was written, or another passphrase.
        PlaceError: the installed OpenSSL has no Argon2id.
    """
    form = _parse(data, cut_id, where=where)
    iterations, lanes, memory = (int(form[name]) for name in ("iterations", "lanes", "memory"))
    if not (iterations <= MOST_ITERATIONS and lanes <= MOST_LANES and MEMORY <= memory <= MOST_MEMORY):
        raise KeyMaterialError("asks for a stretching that is not allowed", where=where)
    salt, nonce, sealed = (bytes.fromhex(form[name].decode()) for name in ("salt", "nonce", "sealed"))
    try:
        return AESGCM(stretch(passphrase, salt, iterations, lanes, memory)).decrypt(nonce, sealed, form["header"])
    except InvalidTag:
        raise KeyMaterialError("the passphrase does not fit, or the file was changed", where=where) from None


def stated_fingerprint(data: bytes, cut_id: str, *, where: str) -> str:
    """Return the fingerprint that the header states; proven only once the file is unsealed.

    Raises:
        KeyMaterialError: not this format, or for another cut.
    """
    return _parse(data, cut_id, where=where)["fingerprint"].decode()


def _parse(data: bytes, cut_id: str, *, where: str) -> re.Match[bytes]:
    form = _FORM.fullmatch(data)
    if form is None:
        raise KeyMaterialError("is not a sealed cut key of format 1", where=where, remedy="copy it again, byte by byte")
    if form["cut"].decode() != cut_id:
        raise KeyMaterialError(f"is the key of another cut, not of {cut_id}", where=where)
    return form


def stretch(passphrase: bytes, salt: bytes, iterations: int, lanes: int, memory: int) -> bytes:
    """Return the 32-byte sealing key of a passphrase.

    Raises:
        PlaceError: the installed OpenSSL has no Argon2id.
    """
    try:
        kdf = Argon2id(salt=salt, length=CUT_KEY_BYTES, iterations=iterations, lanes=lanes, memory_cost=memory)
        return kdf.derive(passphrase)
    except (UnsupportedAlgorithm, MemoryError):
        raise PlaceError(
            "Argon2id cannot run here", remedy="install the cryptography wheel; free 64 MiB of memory"
        ) from None
