"""The signature file of a pack: a DSSE envelope with one Ed25519 signature or several, in one spelling only.

A DSSE envelope leaves room that no signature covers: spaces, key ids, base64 padding bits, further
fields. Here an envelope must be spelt exactly as it would be written again, so that no byte of it can
change unseen.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import EvidenceError
from contracts.evidence import DeclaredSigner
from flows.keys.signing_key import PublicKey, Signer
from transforms.release.attestation import PAYLOAD_TYPE, canonical_bytes, pre_authentication_encoding, strict_json

SIGNATURE = "signature.dsse.json"

_KEYID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its signatures by key id, and what kind of payload it is; the kind is part of what is signed."""

    payload: bytes
    signatures: Mapping[str, bytes]
    payload_type: str = PAYLOAD_TYPE

    def to_bytes(self) -> bytes:
        """Return the envelope as it stands in a pack: canonical JSON, signatures ordered by key id."""
        return canonical_bytes(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": keyid, "sig": base64.b64encode(self.signatures[keyid]).decode()}
                    for keyid in sorted(self.signatures)
                ],
            }
        )


def sign(payload: bytes, signers: Sequence[Signer], payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Sign a payload with every key.

    Raises:
        EvidenceError: no key, or one key twice.
    """
    message = pre_authentication_encoding(payload_type, payload)
    signatures = {signer.keyid: signer.sign(message) for signer in signers}
    if not signers or len(signatures) != len(signers):
        raise EvidenceError("needs one signing key or several different ones", where=SIGNATURE)
    return Envelope(payload, signatures, payload_type)


def declared(keys: Sequence[PublicKey]) -> tuple[DeclaredSigner, ...]:
    """Return the evidence's ``signers``: the operator, then the approvers.

    Raises:
        EvidenceError: one key stands for two people.
    """
    if len({key.keyid for key in keys}) != len(keys):
        raise EvidenceError(
            "one key is used for two people", where=SIGNATURE, remedy="each approver needs their own key"
        )
    return tuple(
        DeclaredSigner(keyid=key.keyid, public_key=key.raw.hex(), role="approver" if number else "operator")
        for number, key in enumerate(keys)
    )


def parse_envelope(data: bytes, payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """Read an envelope without believing it yet.

    Raises:
        EvidenceError: it is not an envelope, or not in its one spelling.
    """
    document: Any = strict_json(data, where=SIGNATURE)  # of any form: nobody vouches for it
    try:
        envelope = Envelope(
            payload=_bytes(document["payload"]),
            signatures={_keyid(entry["keyid"]): _bytes(entry["sig"]) for entry in document["signatures"]},
            payload_type=payload_type,
        )
        same = envelope.to_bytes() == data
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise EvidenceError("is not a DSSE envelope", where=SIGNATURE) from None
    if not same:
        raise EvidenceError("is not in canonical form", where=SIGNATURE)
    return envelope


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _keyid(text: Any) -> str:
    if not _KEYID.fullmatch(text):
        raise ValueError("not a key id")
    return str(text)


def holding(envelope: Envelope, keys: Iterable[PublicKey]) -> set[str]:
    """Return the ids of those keys whose signature the envelope carries and whose signature holds."""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    return {
        key.keyid
        for key in keys
        if key.keyid in envelope.signatures and key.holds(envelope.signatures[key.keyid], message)
    }
