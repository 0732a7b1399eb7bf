"""The end of a cut key: its file overwritten and removed, a signed certificate left, its fingerprint refused after.

A certificate attests what its signer did to one file. It cannot prove that there is no other copy: the programme
counts one certificate per holder and per share (``docs/keys.md``).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import EvidenceError, KeyMaterialError, PlaceError
from contracts.json_types import JsonObject
from flows.files import sync_folder
from flows.keys.dsse import holding, parse_envelope, sign
from flows.keys.secret_files import growing_name, shown, write_new
from flows.keys.signing_key import PublicKey, Signer
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import STATEMENT_TYPE, canonical_bytes, strict_json

PREDICATE_TYPE = "https://datacut.example/key-destruction/1"
LIMITS = "attests one file; copies, backups and blocks that the device keeps are not covered"
CERTIFICATE_MODE = 0o644
_ASIDE = ".destroying"
MAX_LIST = 1 << 20  # bytes of a list of revoked fingerprints
_LINE = re.compile(r"([0-9a-f]{32}|[0-9a-f]{16})(?:\s+#.*)?|#.*|")


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What a certificate says: which key, who destroyed it, when."""

    cut: str
    fingerprint: str
    by: str
    at: str
    file: str


def destroy(
    path: Path,
    *,
    cut: str,
    fingerprint: Callable[[], str],
    by: str,
    signer: Signer,
    certificate: Path,
    revoked: Path | None = None,
) -> Destroyed:
    """Overwrite and remove a key file, list its fingerprint as revoked, and leave a signed certificate.

    The certificate is written aside first, under a name that holds the file's number on its disk; it appears under its
    own name after everything else is done. Whoever was killed in between runs the same command again: what is written
    aside says which key it was, when the file itself no longer can. Once all is done, the same command changes nothing.

    Args:
        fingerprint: opens the key and returns its fingerprint; not asked where a destruction is gone on with.
        revoked: list of revoked fingerprints to add to.

    Raises:
        KeyMaterialError: the certificate exists already, or the key file cannot be opened.
        PlaceError: the file cannot be overwritten or removed, or the certificate cannot be written.
    """
    if certificate.exists():
        return _destroyed_before(path, cut, signer, certificate, revoked)
    begun = sorted(certificate.parent.glob(f".{certificate.name}.*{_ASIDE}"))
    descriptor = _open_to_overwrite(path) if os.path.lexists(path) or not begun else None
    try:
        aside, facts = _begin(
            path, descriptor, begun, cut=cut, fingerprint=fingerprint, by=by, signer=signer, certificate=certificate
        )
        if descriptor is not None:
            _overwrite(path, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    with _refused_by_disk(path):
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    if revoked is not None:
        revoke(revoked, facts.fingerprint, f"destroyed, cut {cut}")
    with _refused_by_disk(certificate):
        os.replace(aside, certificate)
        for other in (*begun, growing_name(aside)):
            other.unlink(missing_ok=True)
        sync_folder(certificate.parent)
    return facts


def _begin(
    path: Path,
    descriptor: int | None,
    begun: list[Path],
    *,
    cut: str,
    fingerprint: Callable[[], str],
    by: str,
    signer: Signer,
    certificate: Path,
) -> tuple[Path, Destroyed]:
    """Return the certificate that is written aside, and what it says: one that was begun, or a new one.

    Raises:
        KeyMaterialError: as ``fingerprint`` raises it; the key is gone and nothing says which it was.
    """
    state = os.fstat(descriptor) if descriptor is not None else None
    mine = f".{certificate.name}.{state.st_dev:x}-{state.st_ino:x}{_ASIDE}" if state else None
    for aside in begun:
        if mine in (None, aside.name) and (facts := _told(aside, path, cut, signer)) is not None:
            return aside, facts
    if mine is None:
        raise KeyMaterialError(
            "is gone, and what was begun to be certified of it is another key's or another signer's",
            where=shown(path),
            remedy="give cut, signing key and certificate as at first",
        )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    facts = Destroyed(cut, fingerprint(), by, at, path.name)
    aside = certificate.with_name(mine)
    with _refused_by_disk(certificate):
        aside.unlink(missing_ok=True)  # half written by a run that was killed before it touched the key
    write_new(aside, sign(canonical_bytes(statement(facts)), [signer]).to_bytes(), CERTIFICATE_MODE)
    return aside, facts


def _told(certificate: Path, path: Path, cut: str, signer: Signer) -> Destroyed | None:
    """Return what a certificate says, nothing where it is not this signer's, or of another file or cut."""
    try:
        facts = verify_certificate(certificate, signer.public)
    except EvidenceError:
        return None
    return facts if (facts.file, facts.cut) == (path.name, cut) else None


def _destroyed_before(path: Path, cut: str, signer: Signer, certificate: Path, revoked: Path | None) -> Destroyed:
    facts = _told(certificate, path, cut, signer)
    if facts is None or os.path.lexists(path):
        raise KeyMaterialError("already exists", where=shown(certificate), remedy="choose another name")
    if revoked is not None:
        revoke(revoked, facts.fingerprint, f"destroyed, cut {cut}")
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


@contextlib.contextmanager
def _refused_by_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise PlaceError("cannot be destroyed", where=shown(path), remedy=fault.strerror or "") from None


def _open_to_overwrite(path: Path) -> int:
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    with _refused_by_disk(path):
        return os.open(path, flags)


def _overwrite(path: Path, descriptor: int) -> None:
    """Overwrite a file in place with random bytes and sync it; it keeps its number on the disk."""
    with _refused_by_disk(path):
        left = os.fstat(descriptor).st_size
        while left:
            left -= os.write(descriptor, secrets.token_bytes(left))
        os.fsync(descriptor)


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
    """Add a fingerprint to a list of revoked keys, once; the list is made when missing.

    Raises:
        PlaceError: the list cannot be written.
    """
    line = f"{fingerprint}  # {' '.join(reason.split())}\n".encode()
    try:
        there = path.read_bytes() if path.exists() else b""
        if any(known.startswith(fingerprint.encode()) for known in there.splitlines()):
            return
        if there and not there.endswith(b"\n"):
            line = b"\n" + line
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
            raise KeyMaterialError(f"line {number} is not a fingerprint", where=str(path), remedy="32 hex digits")
        if form[1] and fingerprint.startswith(form[1]):  # lists of earlier versions hold the first 16 digits
            raise KeyMaterialError(
                f"the key {fingerprint} is revoked or destroyed", where=str(path), remedy="use the key of this cut"
            )
