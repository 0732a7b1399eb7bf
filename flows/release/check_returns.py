"""Return packs as their recipients will check them: verified one by one before they are handed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.errors import EvidenceError
from flows.cut.config import Job, load_cut
from flows.keys.signing_key import PublicKey, Signer, load_approver, load_signer
from flows.pack.verify import VerificationPolicy, verify_pack


def check_returns(cut_file: Path) -> list[dict[str, Any]]:
    """Verify the release of a cut and every return pack, and that each was made from that release.

    Returns:
        Participant, folder of the pack, rows and digest of each, in the order of ``cut.yaml``.

    Raises:
        ConfigurationError: the cut's configuration is wrong. KeyMaterialError: a signing key is unfit.
        EvidenceError: a pack is missing, was changed, lacks a signature, was made from another release, or is another
        participant's.
    """
    job = load_cut(cut_file)
    keys, terms = _keys(job), VerificationPolicy(cut_id=job.model.cut.id)
    folder = job.path(job.model.release.folder)
    release = verify_pack(folder / f"{job.model.cut.id}-release", keys, terms)
    wanted = job.model.release.recipients
    ready = []
    for participant in job.model.participants:
        if wanted == "all" or participant.mpid in wanted:
            pack = folder / f"{job.model.cut.id}-return-{participant.mpid}"
            found = verify_pack(pack, keys, terms)
            evidence = found.evidence or {}
            if [made["tagmanifest_sha256"] for made in evidence.get("previous", ())] != [release.tagmanifest_sha256]:
                raise EvidenceError("was made from another release", where=pack.name, remedy="run datacut run again")
            if {entry["participant"] for entry in evidence["accounting"]} - {participant.mpid}:
                raise EvidenceError("holds another participant's data", where=pack.name, remedy="run datacut run again")
            ready.append(
                {
                    "participant": participant.mpid,
                    "pack": str(pack),
                    "rows": sum(entry["released"] for entry in evidence["accounting"]),
                    "tagmanifest_sha256": found.tagmanifest_sha256,
                }
            )
    return ready


def _keys(job: Job) -> list[PublicKey]:
    release = job.model.release
    keys = [load_signer(job.path(release.signing_key)).public]
    if release.approver:
        approver = load_approver(job.path(release.approver))
        keys.append(approver.public if isinstance(approver, Signer) else approver)
    return keys
