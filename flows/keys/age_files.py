"""A cut key in the age format: under a passphrase, or wrapped for a participant's identity.

What is encrypted is the plain key file, so the ordinary ``age`` program opens both kinds as well. age authenticates no
sender: whoever unwraps has to know the fingerprint by another channel, and it depends on the cut.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Literal

from pyrage import DecryptError, EncryptError, IdentityError, RecipientError, decrypt, encrypt, passphrase, x25519

from contracts.errors import KeyMaterialError
from flows.keys.secret_files import AGE_ARMOUR, AGE_VERSION, MAX_SECRET_FILE, shown

MOST_WORK = 20  # log2 of scrypt's N: 1 GiB and seconds; a foreign file must not exhaust the machine
MOST_RECIPIENTS = 20
_SCRYPT = re.compile(rb"scrypt [A-Za-z0-9+/]{22} (?P<work>[1-9][0-9]{0,8})")  # C2SP age, the scrypt recipient stanza


def opened_by(data: bytes, *, where: str) -> Literal["passphrase", "identity"]:
    """Tell what opens an age file, from its header alone; nothing is computed yet.

    Raises:
        KeyMaterialError: the header is damaged, or asks for more work than any honest machine chooses.
    """
    stanzas = [line[3:] for line in _header(data, where).split(b"\n") if line.startswith(b"-> ")]
    if not any(stanza.startswith(b"scrypt") for stanza in stanzas):
        return "identity"
    form = _SCRYPT.fullmatch(stanzas[0])
    if form is None or len(stanzas) != 1:  # a passphrase must be the only way in
        raise KeyMaterialError("is a damaged age file", where=where, remedy="copy it again, byte by byte")
    if int(form["work"]) > MOST_WORK:
        raise KeyMaterialError(
            f"asks for scrypt work 2^{int(form['work'])}, more than 2^{MOST_WORK}",
            where=where,
            remedy="do not trust it; ask the key's custodian",
        )
    return "passphrase"


def _header(data: bytes, where: str) -> bytes:
    """Return the header of an age file without its MAC line."""
    if data.startswith(AGE_ARMOUR):
        try:
            data = base64.b64decode(b"".join(data.split()[4:-4]), validate=True)
        except binascii.Error:
            raise KeyMaterialError("is a damaged age file", where=where, remedy="copy it again, byte by byte") from None
    header, mac, _ = data.partition(b"\n---")
    if not mac or not header.startswith(AGE_VERSION + b"\n"):
        raise KeyMaterialError("is a damaged age file", where=where, remedy="copy it again, byte by byte")
    return header


def seal(line: bytes, words: str) -> bytes:
    """Return an armoured age file of a plain key line under a passphrase; age chooses about a second of scrypt."""
    sealed: bytes = passphrase.encrypt(line, words, armored=True)
    return sealed


def unseal(data: bytes, words: str, *, where: str) -> bytes:
    """Return the plain key line of an age file under a passphrase.

    Raises:
        KeyMaterialError: no such file, changed since it was written, another passphrase, or more work than is allowed.
    """
    if opened_by(data, where=where) != "passphrase":
        raise KeyMaterialError("is wrapped for an identity, not sealed under a passphrase", where=where)
    try:
        line: bytes = passphrase.decrypt(data, words)
    except DecryptError:
        raise KeyMaterialError("the passphrase is wrong, or the file was changed", where=where) from None
    return line


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
        raise KeyMaterialError("holds a line that is not an age recipient", where=where) from None


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
    if opened_by(data, where=where) != "identity":
        raise KeyMaterialError("is sealed under a passphrase, not wrapped for an identity", where=where)
    try:
        return bytes(decrypt(data, list(identities_of(identity_file))))
    except DecryptError:
        raise KeyMaterialError("is not wrapped for this identity, or was changed", where=where) from None


def identities_of(identity_file: bytes) -> tuple[x25519.Identity, ...]:
    """Return the identities of a file as ``age-keygen`` writes it.

    Raises:
        KeyMaterialError: it holds none, or something else.
    """
    try:
        lines = identity_file.decode("ascii").splitlines()
        found = tuple(x25519.Identity.from_str(ln.strip()) for ln in lines if ln.strip() and not ln.startswith("#"))
    except (UnicodeDecodeError, IdentityError):
        found = ()
    if not found:
        raise KeyMaterialError(
            "is not an age identity", where="the identity file", remedy="make one with datacut key identity"
        )
    return found
