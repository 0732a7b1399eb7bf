"""Signed statements about a delivery: what a sealed backup holds, and that it arrived.

Source: Dead Simple Signing Envelope. The kind of a statement is part of what is signed, so that none can be taken for
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import EvidenceError
from flows.keys.dsse import Envelope, holding, parse_envelope, sign
from flows.keys.signing_key import PublicKey, Signer
from transforms.release.attestation import canonical_bytes, strict_json

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SealedFile(_Statement):
    """One file of a sealed backup: its name there, bytes, and the SHA-256 of these."""

    name: str
    bytes: int
    sha256: Sha256


class SealManifest(_Statement):
    """What a sealed backup holds, and whose it is.

    Attributes:
        cut, participant: what the sender said it is for; empty where nothing was said.
        day: the day on which it was sealed (UTC).
    """

    kind: Literal["https://datacut.example/sealed-backup/1"] = "https://datacut.example/sealed-backup/1"
    cut: str = ""
    participant: str = ""
    day: str
    files: tuple[SealedFile, ...]


class DeliveryReceipt(_Statement):
    """A recipient's word that a sealed backup arrived whole.

    Attributes:
        sealed_sha256: digest of the sealed file, as ``datacut seal`` printed it.
        manifest_sha256: digest of the manifest in it.
        day: the day of the receipt (UTC).
    """

    kind: Literal["https://datacut.example/receipt/1"] = "https://datacut.example/receipt/1"
    cut: str = ""
    participant: str = ""
    sealed_sha256: Sha256
    manifest_sha256: Sha256
    files: int
    bytes: int
    day: str
    signed_by_sender: bool


PAYLOAD_TYPE = "application/vnd.datacut.delivery+json"
Statement = TypeVar("Statement", SealManifest, DeliveryReceipt)


def statement_bytes(statement: SealManifest | DeliveryReceipt) -> bytes:
    """Return the one spelling of a statement."""
    return canonical_bytes(statement.model_dump(mode="json"))


def signed(statement: SealManifest | DeliveryReceipt, signer: Signer | None) -> bytes:
    """Return a statement in an envelope; without a signer nobody vouches for it."""
    payload = statement_bytes(statement)
    envelope = sign(payload, [signer], PAYLOAD_TYPE) if signer else Envelope(payload, {}, PAYLOAD_TYPE)
    return envelope.to_bytes()


def read_statement(
    data: bytes, kind: type[Statement], keys: Sequence[PublicKey], *, where: str
) -> tuple[Statement, set[str]]:
    """Return a statement and the ids of those of ``keys`` that signed it.

    Raises:
        EvidenceError: it is no such statement.
    """
    envelope = parse_envelope(data, PAYLOAD_TYPE)
    try:
        found = kind.model_validate_json(canonical_bytes(strict_json(envelope.payload, where=where)))
    except ValidationError:
        raise EvidenceError("does not hold the statement that is expected of it", where=where) from None
    if statement_bytes(found) != envelope.payload:
        raise EvidenceError("is not in canonical form", where=where)
    return found, holding(envelope, keys)


def payload_of(data: bytes) -> bytes:
    """Return the bytes that an envelope covers."""
    return parse_envelope(data, PAYLOAD_TYPE).payload
