"""Look into a sealed backup: decrypted in a stream, held against its manifest, receipted; nothing is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import EvidenceError, IntakeError
from flows.delivery.seal import MANIFEST
from flows.delivery.statements import DeliveryReceipt, SealedFile, SealManifest, payload_of, read_statement, signed
from flows.intake.archives import members_of
from flows.intake.raw_file import RawFile
from flows.intake.sealed_stream import AGE
from flows.intake.source import Limits, safe_name
from flows.keys.signing_key import PublicKey, Signer

_MOST_MANIFEST = 64 << 20  # bytes
_PIECE = 1 << 20
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed backup that was read to its end and holds what its manifest says.

    Attributes:
        signed_by: ids of those keys of the sender's that signed the manifest; empty where nobody did.
    """

    manifest: SealManifest
    manifest_sha256: str
    sealed_sha256: str
    signed_by: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.manifest.files)


def unseal(
    sealed: Path, identities: Sequence[object], keys: Sequence[PublicKey] = (), *, progress: Progress | None = None
) -> Opened:
    """Read a sealed backup to its end.

    Args:
        keys: public keys of the sender; the manifest must be signed by each of them.

    Raises:
        KeyMaterialError: it is sealed for somebody else. IntakeError, RefusedError: no sealed backup, or damaged.
        EvidenceError: it does not hold what its manifest says, or the sender did not sign that.
    """
    whole, called = hashlib.sha256(), safe_name(sealed.name)
    raw = RawFile(sealed, root=None, label=called, digest=whole)
    found, manifest = [], b""
    try:
        if raw.pread(len(AGE), 0) != AGE:
            raise IntakeError("is no sealed backup", where=called, remedy="name the file that datacut seal wrote")
        for name, stream in members_of(raw, Limits(), identities):
            digest, size, head = hashlib.sha256(), 0, bytearray()
            while piece := stream.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                if name == MANIFEST and size <= _MOST_MANIFEST:
                    head += piece
                elif progress:
                    progress(len(piece))
            if name == MANIFEST:
                manifest = bytes(head)
            else:
                found.append(SealedFile(name=name, bytes=size, sha256=digest.hexdigest()))
        raw.finish()
    finally:
        raw.close()
    if not manifest:
        raise EvidenceError("has no manifest", where=called, remedy="seal it with datacut seal")
    stated, signers = read_statement(manifest, SealManifest, keys, where=MANIFEST)
    _compare(stated.files, found, called)
    if missing := [key.keyid for key in keys if key.keyid not in signers]:
        raise EvidenceError(
            f"its manifest is not signed by key {', '.join(missing)}",
            where=called,
            remedy="ask who sent it",
        )
    payload = hashlib.sha256(payload_of(manifest)).hexdigest()
    return Opened(stated, payload, whole.hexdigest(), tuple(sorted(signers)))


def _compare(stated: Sequence[SealedFile], found: Sequence[SealedFile], where: str) -> None:
    """See that the files are those of the manifest, byte for byte."""
    wanted, there = {file.name: file for file in stated}, {file.name: file for file in found}
    for what, names in (
        ("lacks", sorted(set(wanted) - set(there))),
        ("holds, and its manifest does not,", sorted(set(there) - set(wanted))),
        (
            "holds with other bytes than its manifest says",
            sorted(n for n in set(wanted) & set(there) if wanted[n] != there[n]),
        ),
    ):
        if names:
            raise EvidenceError(f"{what} {len(names)} files", where=where, remedy="have it sealed and sent again")


def receipt(opened: Opened, signer: Signer) -> bytes:
    """Return a signed receipt for a sealed backup that arrived whole."""
    manifest = opened.manifest
    return signed(
        DeliveryReceipt(
            cut=manifest.cut,
            participant=manifest.participant,
            sealed_sha256=opened.sealed_sha256,
            manifest_sha256=opened.manifest_sha256,
            files=len(manifest.files),
            bytes=opened.bytes,
            day=datetime.now(UTC).date().isoformat(),
            signed_by_sender=bool(opened.signed_by),
        ),
        signer,
    )


def check_receipt(data: bytes, key: PublicKey, sealed: Path, *, where: str) -> DeliveryReceipt:
    """Return a receipt that its recipient signed for this very file.

    Raises:
        EvidenceError: another file, another signer, or no receipt.
    """
    stated, signers = read_statement(data, DeliveryReceipt, [key], where=where)
    if key.keyid not in signers:
        raise EvidenceError("is not signed by that key", where=where, remedy="ask whose receipt it is")
    raw = RawFile(sealed, root=None, label=safe_name(sealed.name), digest=(whole := hashlib.sha256()))
    try:
        raw.finish()
    finally:
        raw.close()
    if whole.hexdigest() != stated.sealed_sha256:
        raise EvidenceError(
            f"is for another file than {safe_name(sealed.name)}", where=where, remedy="look for its own receipt"
        )
    return stated
