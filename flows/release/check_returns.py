"""Return packs as their recipients will check them: verified one by one before they are handed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.errors import EvidenceError
from flows.cut.config import Job, load_cut
from flows.cut.context import cut_signer
from flows.cut.qualification import gets_return
from flows.keys.signing_key import PublicKey, Signer, load_approver
from flows.pack.verify import VerificationPolicy, verify_pack


@dataclass(frozen=True, slots=True)
class CheckedReturn:
    """A return pack that holds and was made from the release of the cut: whose, where, rows and digest."""

    participant: str
    pack: str
    rows: int
    tagmanifest_sha256: str


def check_returns(cut_file: Path) -> list[CheckedReturn]:
    """Verify the release of a cut and every return pack, and that each was made from that release.

    Returns:
        One for each recipient, in the order of ``cut.yaml``.

    Raises:
        ConfigurationError: the cut's configuration is wrong. KeyMaterialError: a signing key is unfit.
        EvidenceError: a pack is missing, was changed, lacks a signature, was made from another release, or is another
        participant's.
    """
    job = load_cut(cut_file)
    keys, terms = _keys(job), VerificationPolicy(cut_id=job.model.cut.id)
    folder = job.path(job.model.release.folder)
    release = verify_pack(folder / f"{job.model.cut.id}-release", keys, terms)
    ready = []
    for participant in job.model.participants:
        if gets_return(job.model, participant.mpid):
            pack = folder / f"{job.model.cut.id}-return-{participant.mpid}"
            found = verify_pack(pack, keys, terms)
            made = [reference.tagmanifest_sha256 for reference in found.sealed.previous or ()]
            if made != [release.tagmanifest_sha256]:
                raise EvidenceError("was made from another release", where=pack.name, remedy="run datacut run again")
            accounting = found.sealed.accounting
            if {entry.participant for entry in accounting} - {participant.mpid}:
                raise EvidenceError("holds another participant's data", where=pack.name, remedy="run datacut run again")
            rows = sum(entry.released for entry in accounting)
            ready.append(CheckedReturn(participant.mpid, str(pack), rows, found.tagmanifest_sha256))
    return ready


def _keys(job: Job) -> list[PublicKey]:
    release = job.model.release
    keys = [cut_signer(job).public]
    if release.approver:
        approver = load_approver(job.path(release.approver))
        keys.append(approver.public if isinstance(approver, Signer) else approver)
    return keys
