"""A cut key wrapped for a participant in the age format: only the holder of the identity unwraps it.

The wrapped text is the plain key file, so the ordinary ``age`` program unwraps it as well. age authenticates no
sender: whoever unwraps has to know the fingerprint by another channel, and it depends on the cut.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from pyrage import DecryptError, EncryptError, IdentityError, RecipientError, decrypt, encrypt, x25519

from contracts.errors import KeyMaterialError, PlaceError
from flows.keys.secret_files import MAX_SECRET_FILE, shown
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


MOST_RECIPIENTS = 20


def new_identity() -> tuple[bytes, str]:
    """Return a new identity file as ``age-keygen`` writes it, and its recipient."""
    identity = x25519.Identity.generate()
    recipient = str(identity.to_public())
    return f"# public key: {recipient}\n{identity}\n".encode("ascii"), recipient


def recipients_of(argument: str) -> list[x25519.Recipient]:
    """Return the recipients that an option names: one ``age1...``, or a file of them, a line each.

    Raises:
        KeyMaterialError: no such file, or a line is no recipient.
    """
    if argument.startswith("age1"):
        return [_recipient(argument, "--to")]
    try:
        with Path(argument).open("rb") as stream:
            lines = stream.read(MAX_SECRET_FILE).decode("ascii").splitlines()
    except (OSError, ValueError):
        raise KeyMaterialError(
            "is neither a recipient nor a file of recipients", where="--to", remedy="a recipient begins with age1"
        ) from None
    where = shown(Path(argument))
    found = [_recipient(line.strip(), where) for line in lines if line.strip() and not line.startswith("#")]
    if not 1 <= len(found) <= MOST_RECIPIENTS:
        raise KeyMaterialError(f"names {len(found)} recipients", where=where, remedy=f"1 to {MOST_RECIPIENTS}")
    return found


def _recipient(text: str, where: str) -> x25519.Recipient:
    if text.upper().startswith("AGE-SECRET-KEY-"):
        raise KeyMaterialError(
            "is a secret identity, not a recipient", where=where, remedy="give its public key; make a new identity"
        )
    try:
        return x25519.Recipient.from_str(text)
    except RecipientError:
        raise KeyMaterialError("holds a text that is no age recipient", where=where) from None


def wrap(line: bytes, recipients: list[x25519.Recipient]) -> bytes:
    """Return an armoured age file of a plain key line.

    Raises:
        KeyMaterialError: age refuses the recipients.
    """
    try:
        return bytes(encrypt(line, recipients, armored=True))
    except EncryptError:
        raise KeyMaterialError("the key cannot be wrapped for these recipients") from None


def unwrap(data: bytes, identity_file: bytes, *, where: str) -> bytes:
    """Return the plain key line of an age file.

    Raises:
        KeyMaterialError: the identity is none, does not fit, or the file was changed.
    """
    try:
        lines = identity_file.decode("ascii").splitlines()
        identities = [x25519.Identity.from_str(ln.strip()) for ln in lines if ln.strip() and not ln.startswith("#")]
    except (UnicodeDecodeError, IdentityError):
        raise KeyMaterialError("is no age identity", where="the identity file") from None
    try:
        return bytes(decrypt(data, identities))
    except DecryptError:
        raise KeyMaterialError("is not wrapped for this identity, or was changed", where=where) from None
