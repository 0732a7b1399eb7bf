"""A cut key wrapped for a participant in the age format: only the holder of the identity unwraps it.

The wrapped text is the plain key file, so the ordinary ``age`` program unwraps it as well. age authenticates no
sender: whoever unwraps has to know the fingerprint by another channel, and it depends on the cut.
"""

from __future__ import annotations

from pathlib import Path

from pyrage import DecryptError, EncryptError, IdentityError, RecipientError, decrypt, encrypt, x25519

from contracts.errors import KeyMaterialError
from flows.keys.secret_files import MAX_SECRET_FILE, shown

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
        return encrypt(line, recipients, armored=True)
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
        return decrypt(data, identities)
    except DecryptError:
        raise KeyMaterialError("is not wrapped for this identity, or was changed", where=where) from None
