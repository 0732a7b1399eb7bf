"""Where a passphrase or an identity comes from: a file of its owner, or the terminal. Never argv, never a variable.

An environment variable may name the file. Its value is not shown, in case it is the secret itself.
"""

from __future__ import annotations

import getpass
import os
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import KeyMaterialError
from flows.keys.secret_files import read_private

PASSPHRASE_FILE = "DATACUT_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable that names a file
IDENTITY_FILE = "DATACUT_IDENTITY_FILE"
SIGNING_PASSPHRASE_FILE = "DATACUT_SIGNING_PASSPHRASE_FILE"  # noqa: S105 - the same
MIN_LENGTH = 12  # characters; scrypt slows a guess down, it does not save a short word


@dataclass(frozen=True, slots=True)
class Unlock:
    """How to open a protected key: files named by an option, by ``cut.yaml``, or by the environment; else a prompt."""

    passphrase_file: Path | None = None
    identity_file: Path | None = None
    passphrase_given: Callable[[], bytes] | None = None  # by a program or a store

    def passphrase(self) -> str:
        """Return the passphrase of a protected key.

        Raises:
            KeyMaterialError: no file is named and nobody can be asked, or the file is unfit.
        """
        if self.passphrase_given is not None:
            return _one_line(self.passphrase_given())
        file = self.passphrase_file or _named(PASSPHRASE_FILE)
        if file is not None:
            return passphrase_of(file)
        return _ask("Passphrase: ")

    def identity(self) -> bytes:
        """Return the content of the age identity file.

        Raises:
            KeyMaterialError: no file is named, or the file is unfit.
        """
        file = self.identity_file or _named(IDENTITY_FILE)
        if file is None:
            raise KeyMaterialError(
                "the key is wrapped and no identity is named",
                remedy=f"give --identity FILE, cut.key_identity_file, or {IDENTITY_FILE}",
            )
        return read_private(file, name="the identity file")


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def passphrase_of(file: Path) -> str:
    """Return the one line of a passphrase file.

    Raises:
        KeyMaterialError: unreadable, open to others, not one line of UTF-8, or too short.
    """
    return _one_line(read_private(file, name="the passphrase file"))


def signing_passphrase() -> bytes:
    """Return the passphrase of a signing key: of the file that the environment names, or from the terminal.

    Raises:
        KeyMaterialError: as :meth:`Unlock.passphrase`.
    """
    file = _named(SIGNING_PASSPHRASE_FILE)
    if file is not None:
        return passphrase_of(file).encode()
    where = f"release.signing_passphrase, or {SIGNING_PASSPHRASE_FILE}"
    return _ask("Passphrase of the signing key: ", where).encode()


def _one_line(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyMaterialError("is not UTF-8 text", where="the passphrase file") from None
    lines = text.splitlines()
    if len(lines) != 1:
        raise KeyMaterialError("must have exactly one line", where="the passphrase file")
    return _checked(lines[0])


def ask_new() -> str:
    """Ask for a new passphrase twice, without showing it.

    Raises:
        KeyMaterialError: there is no terminal, the two differ, or it is too short.
    """
    first = _ask("New passphrase: ")
    if _ask("Once more: ") != first:
        raise KeyMaterialError("the two passphrases differ", remedy="start again")
    return first


def _ask(prompt: str, where: str = f"--passphrase-file FILE, cut.key_passphrase_file, or {PASSPHRASE_FILE}") -> str:
    if not sys.stdin.isatty():
        raise KeyMaterialError(
            "a passphrase is needed and there is no terminal to ask at",
            remedy=f"give {where}",
        )
    return _checked(getpass.getpass(prompt))


def _checked(text: str) -> str:
    if len(text) < MIN_LENGTH:
        raise KeyMaterialError(f"a passphrase has at least {MIN_LENGTH} characters", remedy="take six random words")
    return unicodedata.normalize("NFC", text)
