"""Verifies a pack with nothing but the pack and public keys: no data key, no network, no other file.

Trust runs one way: given keys -> signature -> statement -> tag manifest -> every other file. What a broken
link can no longer vouch for is not reported as broken itself: a fault names the file that somebody changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from contracts.errors import ConfigurationError, EvidenceError
from contracts.evidence import Evidence
from contracts.json_types import JsonObject
from flows.keys import dsse
from flows.keys.signing_key import PublicKey
from flows.pack import bag
from flows.pack.bag import PackFault
from flows.pack.checks import Check, OpenPack, Progress, contents_check, open_pack, structure_check
from flows.pack.previous import links_check
from flows.pack.schema import parse_evidence
from transforms.release.attestation import (
    accounting_faults,
    canonical_bytes,
    gate_faults,
    statement_parts,
    strict_json,
)

MAX_ENVELOPE = 128 << 20  # bytes; base64 of an evidence of 90 MB, a thousand times an ordinary one


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """What a reader asks of a pack beyond being unchanged.

    Attributes:
        require: how many of the given keys must have signed; all of them when ``None``.
        previous: packs that this one was made from, each held against the signed link to it.
        cut_id: the cut that the pack must belong to; any when empty.
        today: the day that an expiry date is held against; not checked when ``None``.
        pending: ids of declared keys that need not have signed yet: those of an approver who is about to.
    """

    require: int | None = None
    previous: tuple[Path, ...] = ()
    cut_id: str = ""
    today: date | None = None
    pending: frozenset[str] = frozenset()


@dataclass(slots=True)
class Verification:
    """What a verification found.

    Attributes:
        evidence: the signed evidence, once the given keys vouch for it and it keeps its schema.
        tagmanifest_sha256: digest of the tag manifest, as signed.
        signed_by: ids of the given keys whose signatures hold.
    """

    pack: str
    checks: list[Check] = field(default_factory=list)
    evidence: Evidence | None = None
    tagmanifest_sha256: str = ""
    signed_by: tuple[str, ...] = ()

    @property
    def sealed(self) -> Evidence:
        """The evidence of a pack that holds.

        Raises:
            EvidenceError: nobody vouches for it.
        """
        if self.evidence is None:
            raise EvidenceError("no given key vouches for its evidence", where=self.pack)
        return self.evidence

    @property
    def faults(self) -> list[PackFault]:
        return [fault for check in self.checks for fault in check.faults]

    @property
    def files(self) -> list[str]:
        """Every faulty file once, the first found first."""
        return list(dict.fromkeys(fault.file for fault in self.faults))


class PackFaultError(EvidenceError):
    """A pack does not hold; ``verification`` says what was checked and which files are at fault."""

    def __init__(self, verification: Verification) -> None:
        self.verification = verification
        first, *others = verification.files
        more = f"; also at fault: {', '.join(map(bag.shown, others))}" if others else ""
        super().__init__(f"{verification.faults[0].what}{more}", where=bag.shown(first))


def verify_pack(
    root: Path,
    public_keys: Sequence[PublicKey],
    terms: VerificationPolicy | None = None,
    *,
    seen: Progress | None = None,
) -> Verification:
    """Verify a pack against keys; no other key makes anything true.

    Args:
        seen: told the bytes of each chunk read, for a progress bar.

    Raises:
        PackFaultError: anything does not hold; names every file at fault.
        ConfigurationError: no key is given, or more signatures are required than keys.
    """
    terms = terms or VerificationPolicy()
    trusted = {key.keyid: key for key in public_keys}
    wanted = len(trusted) if terms.require is None else terms.require
    if not 1 <= wanted <= len(trusted):
        raise ConfigurationError(f"{wanted} signatures are required, {len(trusted)} different keys given")
    found = Verification(root.absolute().name)
    pack = open_pack(root)
    if isinstance(pack, PackFault):
        found.checks.append(Check("structure", "", (pack,)))
        raise PackFaultError(found)
    found.checks.append(structure_check(pack))
    signatures, document = _signatures_check(pack, list(trusted.values()), wanted, found, terms.pending)
    found.checks.append(signatures)
    found.checks.append(contents_check(pack, found.tagmanifest_sha256, seen))
    if document is not None:
        found.evidence, broken = parse_evidence(document)
        found.checks.append(_evidence_check(pack, document, found.evidence, broken))
    if found.evidence is not None:
        # A payload that is not the sealed one has another size as well: that is no second fault.
        whole = not found.faults
        found.checks.append(_cut_check(pack, found.evidence, terms, whole=whole))
        found.checks.append(links_check(terms.previous, found.evidence))
    if found.faults:
        raise PackFaultError(found)
    return found


def hold_together(root: Path, *, seen: Progress | None = None) -> None:
    """Hold a pack against its own manifests, for a reader without a public key: nothing damaged, nothing missing.

    Raises:
        PackFaultError: a file is not the one that the manifests list; whoever made the manifests is not known.
    """
    found = Verification(root.absolute().name)
    pack = open_pack(root)
    if isinstance(pack, PackFault):
        found.checks.append(Check("structure", "", (pack,)))
    else:
        found.checks += [structure_check(pack), contents_check(pack, "", seen)]
    if found.faults:
        raise PackFaultError(found)


def _signatures_check(
    pack: OpenPack, trusted: Sequence[PublicKey], wanted: int, found: Verification, pending: frozenset[str]
) -> tuple[Check, JsonObject | None]:
    """Check the envelope, and take evidence and digest from it only once the given keys vouch for them."""
    try:
        data = pack.read(bag.SIGNATURE, MAX_ENVELOPE)
        if data is None:
            return Check("signatures", "none to check"), None
        envelope = dsse.parse_envelope(data)
        good = dsse.holding(envelope, trusted)
        if trouble := _too_few(envelope, trusted, good, wanted):
            raise EvidenceError(trouble)
        document = strict_json(envelope.payload, where=bag.SIGNATURE)
        digest, evidence = statement_parts(document, where=bag.SIGNATURE)
        declared = _declared(evidence)
    except EvidenceError as fault:
        return Check("signatures", "", (PackFault(bag.SIGNATURE, fault.what),)), None
    found.signed_by, found.tagmanifest_sha256 = tuple(sorted(good)), digest
    whats = _unsigned(envelope, declared, good, pending)
    one = len(found.signed_by) == 1
    words = f"Ed25519 {'signature' if one else 'signatures'} of given {'key' if one else 'keys'} "
    words += f"{', '.join(found.signed_by)} {'holds' if one else 'hold'}"
    if others := sorted(set(declared) - set(found.signed_by) - pending):
        words += f"; named besides, and present: {', '.join(others)}"
    return Check("signatures", words, tuple(PackFault(bag.SIGNATURE, what) for what in whats)), evidence


def _unsigned(
    envelope: dsse.Envelope, declared: Mapping[str, tuple[PublicKey, str]], good: set[str], pending: frozenset[str]
) -> list[str]:
    """Name declared signatures that are missing or do not hold, and signatures that nobody declared."""
    holds = good | dsse.holding(envelope, [key for key, _ in declared.values()])
    whats = []
    for keyid, (_, role) in declared.items():
        if keyid in holds or (keyid in pending and keyid not in envelope.signatures):
            continue
        if keyid in envelope.signatures:
            whats.append(f"the signature of key {keyid} does not hold")
        elif role == "approver":
            whats.append(f"is not approved: the signature of key {keyid} is missing; its owner runs datacut approve")
        else:
            whats.append(f"the signature of key {keyid} is missing")
    if set(envelope.signatures) - holds:
        whats += [] if whats else ["holds a signature that no given and no declared key made"]
    return whats


def _too_few(envelope: dsse.Envelope, trusted: Sequence[PublicKey], good: set[str], wanted: int) -> str:
    if len(good) >= wanted:
        return ""
    bad = sorted(key.keyid for key in trusted if key.keyid in envelope.signatures and key.keyid not in good)
    if bad:
        return f"the signature of key {', '.join(bad)} does not hold"
    return f"is signed by {len(good)} of the given keys, {wanted} wanted"


def _declared(evidence: JsonObject) -> dict[str, tuple[PublicKey, str]]:
    """Read the signers that the evidence declares, which nobody has held against its schema yet: key id -> key, role.

    They make nobody believe a pack. They keep an approver's signature from being altered or taken away unseen
    by a reader who has the operator's key alone.
    """
    keys = []
    signers = evidence.get("signers", [])
    for signer in signers if isinstance(signers, list) else [None]:
        match signer:
            case {"public_key": str(raw), **rest}:
                try:
                    keys.append((PublicKey(bytes.fromhex(raw)), str(rest.get("role", ""))))
                    continue
                except ValueError:
                    pass
        raise EvidenceError("its evidence declares signers that cannot be read")
    return {key.keyid: (key, role) for key, role in keys}


def _evidence_check(pack: OpenPack, document: JsonObject, evidence: Evidence | None, broken: Sequence[str]) -> Check:
    """Hold the evidence against the statement, its schema, and itself.

    Args:
        document: as it was signed; ``evidence``: the same as a model, unless it breaks its schema.
        broken: where it does.
    """
    faults = []
    try:
        data = pack.read(bag.EVIDENCE)
        if data is not None and data != canonical_bytes(document):
            faults.append(PackFault(bag.EVIDENCE, "is not the evidence that was signed"))
    except EvidenceError as fault:
        faults.append(PackFault(bag.EVIDENCE, fault.what))
    wrong = broken if evidence is None else accounting_faults(evidence) or gate_faults(evidence)
    faults += [PackFault(bag.EVIDENCE, bag.shown(what)) for what in wrong]
    return Check("evidence", "" if wrong or evidence is None else _evidence_words(evidence), tuple(faults))


def _evidence_words(evidence: Evidence) -> str:
    rows_in, released, excluded = (
        sum(getattr(row, name) for row in evidence.accounting) for name in ("rows_in", "released", "excluded")
    )
    times, tool = evidence.times, evidence.tool
    made = bag.shown(f"made by {tool.name} {tool.version} from {times.started} to {times.finished}")
    words = f"evidence.json is what was signed; {made}; keeps its published schema; {rows_in:,} rows in = "
    words += f"{released:,} released + {excluded:,} excluded, each of {len(evidence.accounting)} extracts by itself"
    scan = evidence.leak_scan
    return f"{words}; the run searched for {scan.identifiers:,} raw identifiers and found none" if scan else words


def _cut_check(pack: OpenPack, evidence: Evidence, terms: VerificationPolicy, *, whole: bool) -> Check:
    """Hold the bag's own words, the expected cut and the expiry date against the evidence."""
    cut, expires = evidence.cut.id, evidence.cut.expires or ""
    faults = list(_info_faults(pack, cut)) if whole else []
    if terms.cut_id and terms.cut_id != cut:
        faults.append(PackFault(bag.EVIDENCE, "belongs to another cut"))
    if terms.today and expires and expires < terms.today.isoformat():
        faults.append(PackFault(bag.EVIDENCE, f"expired on {bag.shown(expires)}"))
    until = f"not expired: until {bag.shown(expires)}" if expires else "names no expiry date"
    return Check(
        "cut", f"{bag.shown(cut)} in evidence and bag-info.txt; payload size as stated; {until}", tuple(faults)
    )


def _info_faults(pack: OpenPack, cut: str) -> Iterator[PackFault]:
    try:
        declaration, data = pack.read(bag.DECLARATION), pack.read(bag.INFO)
        info = bag.parse_info(data) if data is not None else None
    except EvidenceError as fault:
        yield PackFault(bag.INFO, fault.what)
        return
    if declaration is not None and declaration != bag.DECLARATION_BYTES:
        yield PackFault(bag.DECLARATION, "does not declare BagIt 1.0 in UTF-8")
    if info is not None:
        sizes = [size for path, size in pack.listing.files.items() if path.startswith(f"{bag.PAYLOAD}/")]
        if info.get("Payload-Oxum") != f"{sum(sizes)}.{len(sizes)}":
            yield PackFault(bag.INFO, "its Payload-Oxum is not the payload's")
        if info.get(bag.CUT_LABEL) != cut:
            yield PackFault(bag.INFO, "names another cut than the evidence")
