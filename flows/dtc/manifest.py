"""What was masked, by name, and a signature over it; and the check of both against the files that are there."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import EvidenceError
from contracts.evidence_types import Maybe
from contracts.json_types import JsonObject
from flows.dtc.files import CHUNK
from flows.keys.dsse import SIGNATURE, holding, parse_envelope, sign
from flows.keys.signing_key import PublicKey, Signer
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import STATEMENT_TYPE, canonical_bytes, strict_json

MANIFEST = "manifest.json"
RESERVED = frozenset({MANIFEST, SIGNATURE})
PREDICATE_TYPE = "https://datacut.example/dtc-mask/1"
_SCHEMA: Literal["dtc-mask/1"] = "dtc-mask/1"


class _ManifestPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ManifestCut(_ManifestPart):
    """The cut whose key masked the files."""

    id: str
    key_fingerprint: str
    scheme: str


class ManifestFile(_ManifestPart):
    """One file of the folder."""

    path: str
    bytes: int
    sha256: str
    flows: dict[str, int]
    records: int
    flows_without_test_flag: int


class ManifestItem(_ManifestPart):
    """Values of one item of the catalogue: replaced, with the kind of identifier, or without a pseudonym."""

    item: str
    name: str
    kind: Maybe[str] = None
    values: int


class ManifestBlank(_ManifestPart):
    """Values or records that were blanked at one place."""

    place: str
    count: int


class MaskManifest(_ManifestPart):
    """``manifest.json``; it holds no value of any file, and no digest of an input."""

    schema_: Literal["dtc-mask/1"] = Field(alias="schema")
    cut: ManifestCut
    catalogue_sha256: str
    policy_sha256: str
    blank_unknown: bool
    files: tuple[ManifestFile, ...]
    masked: tuple[ManifestItem, ...]
    not_covered: tuple[ManifestItem, ...]
    blanked: tuple[ManifestBlank, ...]

    def document(self) -> JsonObject:
        """Return it as JSON."""
        return self.model_dump(mode="json", by_alias=True)


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

    def manifest(self) -> MaskManifest:
        """Return what ``manifest.json`` says."""
        return MaskManifest(
            schema=_SCHEMA,
            cut=ManifestCut(id=self.cut, key_fingerprint=self.fingerprint, scheme=SCHEME),
            catalogue_sha256=self.catalogue_sha256,
            policy_sha256=self.policy_sha256,
            blank_unknown=self.blank_unknown,
            files=tuple(
                ManifestFile(
                    path=file.name,
                    bytes=file.size,
                    sha256=file.sha256,
                    flows=dict(sorted(file.flows.items())),
                    records=file.records,
                    flows_without_test_flag=file.without_test_flag,
                )
                for file in self.files
            ),
            masked=tuple(
                ManifestItem(item=item, name=name, kind=kind, values=count)
                for (item, name, kind), count in sorted(self.masked.items())
            ),
            not_covered=tuple(
                ManifestItem(item=item, name=name, values=count)
                for (item, name), count in sorted(self.uncovered.items())
            ),
            blanked=tuple(ManifestBlank(place=place, count=n) for place, n in sorted(self.blanked.items())),
        )


def write_manifest(folder: Path, report: Report, signer: Signer | None) -> str:
    """Write the manifest, and its signature if there is a signer; return the id of the signer's key, or nothing."""
    manifest = canonical_bytes(report.manifest().document())
    (folder / MANIFEST).write_bytes(manifest)
    if signer is None:
        return ""
    payload = canonical_bytes(_statement(manifest, report.cut))
    (folder / SIGNATURE).write_bytes(sign(payload, [signer]).to_bytes())
    return signer.keyid


def _statement(manifest: bytes, cut: str) -> JsonObject:
    """Return the in-toto Statement v1 that binds the signature to the manifest, and so to every file."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST, "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"cut": cut},
    }


def verify_folder(folder: Path, key: PublicKey) -> MaskManifest:
    """Hold a folder of masked flows against its manifest and that against its signature; return the manifest.

    Raises:
        EvidenceError: a signature, a digest or a name does not hold, or the manifest is none.
    """
    data = _read(folder / MANIFEST)
    envelope = parse_envelope(_read(folder / SIGNATURE))
    if key.keyid not in holding(envelope, [key]):
        raise EvidenceError("is not signed by this key", where=SIGNATURE)
    statement = strict_json(envelope.payload, where=SIGNATURE)
    manifest = _parsed(data)
    if statement != _statement(data, manifest.cut.id):
        raise EvidenceError("is not what was signed", where=MANIFEST)
    listed = {file.path: file.sha256 for file in manifest.files}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - RESERVED
    for name in sorted(there ^ set(listed)):
        what = "is not in the manifest" if name in there else "is missing"
        raise EvidenceError(what, where=re.sub(r"[^ -~]", "?", name))
    for name, digest in listed.items():
        if _sha256(folder / name) != digest:
            raise EvidenceError("was changed", where=name)
    return manifest


def _parsed(data: bytes) -> MaskManifest:
    strict_json(data, where=MANIFEST)  # no repeated key, which a model would not notice
    try:
        return MaskManifest.model_validate_json(data, strict=True)
    except ValidationError as fault:
        raise EvidenceError(
            f"is not a manifest of masked flows: {fault.error_count()} faults", where=MANIFEST
        ) from None


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
