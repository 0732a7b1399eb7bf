"""The end of a cut key: its file overwritten and removed, a signed certificate left, its fingerprint refused after.

A certificate attests what its signer did to one file. It cannot prove that there is no other copy: the programme
counts one certificate per holder and per share (``docs/keys.md``).
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import EvidenceError, KeyMaterialError, PlaceError
from contracts.json_types import JsonObject
from flows.keys.dsse import holding, parse_envelope, sign
from flows.keys.secret_files import shown, sync_folder, write_new
from flows.keys.signing_key import PublicKey, Signer
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import STATEMENT_TYPE, canonical_bytes, strict_json

PREDICATE_TYPE = "https://datacut.example/key-destruction/1"
LIMITS = "attests one file; copies, backups and blocks that the device keeps are not covered"
CERTIFICATE_MODE = 0o644
MAX_LIST = 1 << 20  # bytes of a list of revoked fingerprints
_LINE = re.compile(r"([0-9a-f]{16})(?:\s+#.*)?|#.*|")


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What a certificate says: which key, who destroyed it, when."""

    cut: str
    fingerprint: str
    by: str
    at: str
    file: str


def destroy(path: Path, *, cut: str, fingerprint: str, by: str, signer: Signer, certificate: Path) -> Destroyed:
    """Overwrite and remove a key file, and leave a signed certificate.

    The certificate appears under its name only after the file is gone; a failure before leaves the file named.

    Raises:
        KeyMaterialError: the certificate exists already, or the key file cannot be opened.
        PlaceError: the file cannot be overwritten or removed, or the certificate cannot be written.
    """
    if certificate.exists():
        raise KeyMaterialError("already exists", where=shown(certificate), remedy="choose another name")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    facts = Destroyed(cut, fingerprint, by, at, path.name)
    envelope = sign(canonical_bytes(statement(facts)), [signer])
    pending = certificate.with_name(f".{certificate.name}.{secrets.token_hex(4)}")
    write_new(pending, envelope.to_bytes(), CERTIFICATE_MODE)
    try:
        overwrite(path)
    except BaseException:
        pending.unlink()
        raise
    os.replace(pending, certificate)
    sync_folder(certificate.parent)
    return facts


def statement(facts: Destroyed) -> JsonObject:
    """Return the in-toto Statement of a destruction; its subject is the key by its fingerprint."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"cut-key/{facts.cut}", "digest": {"datacutFingerprint": facts.fingerprint}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "cut": facts.cut,
            "fingerprint": facts.fingerprint,
            "scheme": SCHEME,
            "destroyed_by": facts.by,
            "destroyed_at": facts.at,
            "file": facts.file,
            "method": "overwritten with random bytes, synced, removed",
            "limits": LIMITS,
        },
    }


def overwrite(path: Path) -> None:
    """Overwrite a file in place with random bytes, sync it, and remove it.

    Raises:
        PlaceError: any of it failed; the key may still be there.
    """
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "wb") as stream:
            stream.write(secrets.token_bytes(os.fstat(stream.fileno()).st_size))
            stream.flush()
            os.fsync(stream.fileno())
        path.unlink()
        sync_folder(path.parent)
    except OSError as fault:
        raise PlaceError("cannot be destroyed", where=shown(path), remedy=fault.strerror or "") from None


def verify_certificate(path: Path, key: PublicKey) -> Destroyed:
    """Return what a certificate says, once its signature holds.

    Raises:
        EvidenceError: unreadable, not signed by ``key``, or not a statement of destruction.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise EvidenceError("cannot be read", where=path.name, remedy=fault.strerror or "") from None
    envelope = parse_envelope(data)
    if key.keyid not in holding(envelope, [key]):
        raise EvidenceError("is not signed by this key", where=path.name)
    document: Any = strict_json(envelope.payload, where=path.name)
    try:
        told = document["predicate"]
        facts = Destroyed(told["cut"], told["fingerprint"], told["destroyed_by"], told["destroyed_at"], told["file"])
        same = canonical_bytes(statement(facts)) == envelope.payload
    except (KeyError, TypeError):
        same = False
    if not same:
        raise EvidenceError("is not a certificate of destruction", where=path.name)
    return facts


def revoke(path: Path, fingerprint: str, reason: str) -> None:
    """Add a fingerprint to a list of revoked keys; the list is made when missing.

    Raises:
        PlaceError: the list cannot be written.
    """
    line = f"{fingerprint}  # {' '.join(reason.split())}\n".encode()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, CERTIFICATE_MODE), "ab") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as fault:
        raise PlaceError("cannot be written", where=str(path), remedy=fault.strerror or "") from None


def refuse_revoked(fingerprint: str, path: Path) -> None:
    """Refuse a key whose fingerprint is on the list of revoked ones.

    Raises:
        KeyMaterialError: it is, or the list cannot be read: then nothing can be said, and the key is not used.
    """
    try:
        with path.open("rb") as stream:
            lines = stream.read(MAX_LIST + 1).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise KeyMaterialError("the list of revoked keys is unreadable", where=str(path)) from None
    for number, line in enumerate(lines, start=1):
        form = _LINE.fullmatch(line.strip())
        if form is None:
            raise KeyMaterialError(f"line {number} is not a fingerprint", where=str(path), remedy="16 hex digits")
        if form[1] == fingerprint:
            raise KeyMaterialError(
                f"the key {fingerprint} is revoked or destroyed", where=str(path), remedy="use the key of this cut"
            )
