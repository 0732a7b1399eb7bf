"""Facts of a run -> evidence -> in-toto Statement -> the exact bytes to sign. No key and no clock here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from contracts.errors import EvidenceError
from contracts.evidence import Evidence
from contracts.evidence_types import Section
from contracts.json_types import JsonObject

SUBJECT = "tagmanifest-sha256.txt"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"  # in-toto attestation framework, spec v1
PREDICATE_TYPE = "https://datacut.example/evidence/1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

# Sections that are lists, and what orders them: the order in which stages ended must not reach the bytes.
ORDER = {
    "contracts": ("extract",),
    "reference": ("table",),
    "publications": ("publication",),
    "inputs": ("participant", "extract", "file"),
    "accounting": ("participant", "extract"),
    "rules": ("participant", "extract", "rule"),
    "alignment": ("left", "right", "extract_left", "extract_right", "item"),
    "previous": ("pack", "tagmanifest_sha256"),
    "lineage": ("extract",),  # stable: within an extract the contract's order stays
}


def ordered(evidence: Evidence) -> Evidence:
    """Return evidence with its lists in an order that depends on their content alone."""
    found = {name: getattr(evidence, name) for name in ORDER}
    return evidence.model_copy(update={name: _sorted(rows, ORDER[name]) for name, rows in found.items() if rows})


def _sorted(rows: Iterable[Section], keys: Sequence[str]) -> tuple[Section, ...]:
    return tuple(sorted(rows, key=lambda row: [str(getattr(row, key)) for key in keys]))


def canonical_bytes(document: object) -> bytes:
    """Return the one spelling of a JSON document: sorted keys, no spaces, UTF-8, one line feed at the end.

    Raises:
        EvidenceError: the document holds something JSON cannot say (NaN, a lone surrogate, a foreign type).
    """
    try:
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError):
        raise EvidenceError("holds something that JSON cannot say", where="evidence") from None


def strict_json(data: bytes, *, where: str) -> JsonValue:
    """Parse UTF-8 JSON without the usual laxities: no repeated key, no NaN or Infinity.

    Raises:
        EvidenceError: the bytes are not strict JSON; names ``where`` and quotes nothing of the content.
    """

    def once(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is repeated")
        return found

    def never(constant: str) -> JsonValue:
        raise ValueError(f"{constant} is not JSON")

    try:
        found: JsonValue = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError) as fault:
        reason = "a key is repeated" if str(fault) == "a key is repeated" else "cannot be parsed"
        raise EvidenceError(f"is not strict JSON: {reason}", where=where) from None
    return found


def statement(evidence: JsonObject, *, tagmanifest_sha256: str) -> JsonObject:
    """Return the in-toto Statement v1 that binds evidence to a tag manifest, and so to every file of a pack.

    Source: in-toto attestation framework, ``spec/v1/statement.md``; RFC 8493 section 2.2.1 (tag manifest).
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": SUBJECT, "digest": {"sha256": tagmanifest_sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": evidence,
    }


def statement_parts(document: object, *, where: str) -> tuple[str, JsonObject]:
    """Return the tag manifest's digest and the evidence that a statement carries.

    Raises:
        EvidenceError: the document is not a statement of this project about exactly one tag manifest.
    """
    wrong = EvidenceError("its payload is not a statement about one tag manifest", where=where)
    if not isinstance(document, dict) or set(document) != {"_type", "subject", "predicateType", "predicate"}:
        raise wrong
    evidence, digest = document["predicate"], None
    match document["subject"]:
        case [{"name": str(name), "digest": {"sha256": str(found), **others}, **rest}]:
            digest = found if name == SUBJECT and not others and not rest else None
    kinds = (document["_type"], document["predicateType"])
    if digest is None or kinds != (STATEMENT_TYPE, PREDICATE_TYPE) or not isinstance(evidence, dict):
        raise wrong
    return digest, evidence


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature covers: type and payload, each with its length.

    Source: Dead Simple Signing Envelope, ``protocol.md``, PAE.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def gate_faults(evidence: Evidence) -> list[str]:
    """Name every gate that the evidence itself says was not passed; such a pack must never be relied on."""
    faults = []
    if evidence.leak_scan and (found := evidence.leak_scan.confirmed):
        faults.append(f"says that {found} raw identifiers survived")
    if (evidence.self_test or {}).get("passed") is False:
        faults.append("says that the pseudonym scheme failed its self-test")
    return faults


def accounting_faults(evidence: Evidence) -> list[str]:
    """Name every extract whose rows do not balance.

    Rows in = released + excluded, and the rows by reason add up to excluded: a row is never lost in silence.
    """
    faults = []
    for row in evidence.accounting:
        name = f"{row.participant} {row.extract}"
        if row.rows_in != row.released + row.excluded:
            faults.append(f"{name}: {row.rows_in} rows in, {row.released} released, {row.excluded} excluded")
        reasons = sum(row.by_reason.values())
        if reasons != row.excluded:
            faults.append(f"{name}: {row.excluded} rows excluded, {reasons} with a reason")
    return faults
