"""The second signature: an approver signs the very statement that the operator signed, after reading the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from contracts.errors import EvidenceError, PlaceError
from flows.files import partial_folder, whole
from flows.keys import dsse
from flows.keys.signing_key import PublicKey, Signer
from flows.pack import bag
from flows.pack.checks import Progress
from flows.pack.verify import MAX_ENVELOPE, Verification, VerificationPolicy, verify_pack


def approve_pack(
    root: Path,
    approver: Signer,
    operators: Sequence[PublicKey],
    terms: VerificationPolicy | None = None,
    *,
    seen: Progress | None = None,
) -> Verification:
    """Add an approver's signature to a pack; its payload, evidence and manifests stay as they are.

    The pack must hold in every other respect under the operator's key, and its evidence must name the approver.
    Approving twice changes nothing.

    Raises:
        PackFaultError: the pack does not hold.
        EvidenceError: the pack does not ask for this key's signature.
        PlaceError: the signature file cannot be written.
    """
    terms = replace(terms or VerificationPolicy(), pending=frozenset({approver.keyid}))
    found = verify_pack(root, operators, terms, seen=seen)
    signers = found.evidence.signers if found.evidence else None
    if (approver.keyid, "approver") not in [(signer.keyid, signer.role) for signer in signers or ()]:
        raise EvidenceError("its evidence does not name this key as an approver", where=bag.SIGNATURE)
    envelope = dsse.parse_envelope(bag.read_small(root / bag.SIGNATURE, MAX_ENVELOPE))
    ours = dsse.sign(envelope.payload, [approver])
    whole = dsse.Envelope(envelope.payload, {**envelope.signatures, **ours.signatures})
    _replace(root / bag.SIGNATURE, whole.to_bytes())
    return found


def _replace(path: Path, data: bytes) -> None:
    """Put new bytes in a file's place at once; the bytes grow outside the pack, which may hold no other file."""
    try:
        with (
            partial_folder(path.parent.absolute()) as folder,
            whole(path, aside=folder / path.name, durable=True) as growing,
        ):
            growing.write_bytes(data)
    except OSError as fault:
        raise PlaceError(
            f"cannot be written: {fault.strerror}", where=path.name, remedy="nothing was changed"
        ) from None
