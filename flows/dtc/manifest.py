"""What was masked, by name, and a signature over it; and the check of both against the files that are there."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import EvidenceError
from flows.dtc.files import CHUNK
from flows.keys.dsse import SIGNATURE, holding, parse_envelope, sign
from flows.keys.signing_key import PublicKey, Signer
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import STATEMENT_TYPE, canonical_bytes, strict_json

MANIFEST = "manifest.json"
RESERVED = frozenset({MANIFEST, SIGNATURE})
PREDICATE_TYPE = "https://datacut.example/dtc-mask/1"
_SCHEMA = "dtc-mask/1"


@dataclass
class MaskedFile:
    """One file of the output: its name, flows by label, records, bytes and SHA-256."""

    name: str
    flows: Counter[str] = field(default_factory=Counter)
    records: int = 0
    without_test_flag: int = 0
    size: int = 0
    sha256: str = ""


@dataclass
class Report:
    """What a run of ``datacut dtc mask`` came to.

    Attributes:
        files: the files, in order of name.
        masked: (item, name, kind) -> values replaced.
        uncovered: (item, name) -> values without a pseudonym: emptied, or the constant where mandatory.
        blanked: place in words -> values or records blanked under ``--blank-unknown``.
    """

    files: list[MaskedFile]
    masked: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    uncovered: Counter[tuple[str, str]] = field(default_factory=Counter)
    blanked: Counter[str] = field(default_factory=Counter)
    cut: str = ""
    fingerprint: str = ""
    catalogue_sha256: str = ""
    policy_sha256: str = ""
    blank_unknown: bool = False
    signed_by: str = ""

    def document(self) -> dict[str, Any]:
        """Return the manifest; it holds no value of any file, and no digest of an input."""
        return {
            "schema": _SCHEMA,
            "cut": {"id": self.cut, "key_fingerprint": self.fingerprint, "scheme": SCHEME},
            "catalogue_sha256": self.catalogue_sha256,
            "policy_sha256": self.policy_sha256,
            "blank_unknown": self.blank_unknown,
            "files": [
                {
                    "path": file.name,
                    "bytes": file.size,
                    "sha256": file.sha256,
                    "flows": dict(sorted(file.flows.items())),
                    "records": file.records,
                    "flows_without_test_flag": file.without_test_flag,
                }
                for file in self.files
            ],
            "masked": [
                {"item": item, "name": name, "kind": kind, "values": count}
                for (item, name, kind), count in sorted(self.masked.items())
            ],
            "not_covered": [
                {"item": item, "name": name, "values": count} for (item, name), count in sorted(self.uncovered.items())
            ],
            "blanked": [{"place": place, "count": count} for place, count in sorted(self.blanked.items())],
        }


def write_manifest(folder: Path, report: Report, signer: Signer | None) -> str:
    """Write the manifest, and its signature if there is a signer; return the id of the signer's key, or nothing."""
    manifest = canonical_bytes(report.document())
    (folder / MANIFEST).write_bytes(manifest)
    if signer is None:
        return ""
    payload = canonical_bytes(_statement(manifest, report.cut))
    (folder / SIGNATURE).write_bytes(sign(payload, [signer]).to_bytes())
    return signer.keyid


def _statement(manifest: bytes, cut: str) -> dict[str, Any]:
    """Return the in-toto Statement v1 that binds the signature to the manifest, and so to every file."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST, "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"cut": cut},
    }


def verify_folder(folder: Path, key: PublicKey) -> dict[str, Any]:
    """Hold a folder of masked flows against its manifest and that against its signature; return the manifest.

    Raises:
        EvidenceError: a signature, a digest or a name does not hold.
    """
    manifest = _read(folder / MANIFEST)
    envelope = parse_envelope(_read(folder / SIGNATURE))
    if key.keyid not in holding(envelope, [key]):
        raise EvidenceError("is not signed by this key", where=SIGNATURE)
    statement = strict_json(envelope.payload, where=SIGNATURE)
    document: dict[str, Any] = strict_json(manifest, where=MANIFEST)
    if statement != _statement(manifest, document["cut"]["id"]):
        raise EvidenceError("is not what was signed", where=MANIFEST)
    listed = {file["path"]: file["sha256"] for file in document["files"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - RESERVED
    for name in sorted(there ^ set(listed)):
        what = "is not in the manifest" if name in there else "is missing"
        raise EvidenceError(what, where=re.sub(r"[^ -~]", "?", name))
    for name, digest in listed.items():
        if _sha256(folder / name) != digest:
            raise EvidenceError("was changed", where=name)
    return document


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise EvidenceError(f"cannot be read: {fault.strerror}", where=path.name) from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
    except OSError as fault:
        raise EvidenceError(f"cannot be read: {fault.strerror}", where=path.name) from None
    return digest.hexdigest()
