"""LATER CUT: a cut for Qualification is apart from the one for SIT; what is known of it, and what is assumed."""

from __future__ import annotations

from contracts.errors import ConfigurationError
from contracts.evidence_inputs import QualificationEvidence
from contracts.profiles import qualification_answers
from flows.cut.context import Context
from flows.pack.previous import read_evidence


def qualification(known: Context) -> QualificationEvidence | None:
    """Return what makes a cut one for Qualification, or nothing where it is none.

    Raises:
        ConfigurationError: it is not apart from the cut for SIT, or names a tranche of nobody.
        EvidenceError: the release for SIT cannot be read.
    """
    job = known.job
    stated = job.model.qualification
    if stated is None:
        return None
    earlier, cut = read_evidence(job.path(stated.after)), job.model.cut
    faults = {
        f"{earlier.cut.id} is a {earlier.kind} pack, not the release for SIT": earlier.kind != "release",
        f"the cut for SIT has the id {cut.id} too": earlier.cut.id == cut.id,
        "the cut for SIT was made under this key": earlier.key_fingerprint == known.keys.fingerprint(),
        f"the cut for SIT is of {earlier.cut.date}, and this one is not later": earlier.cut.date
        >= cut.date.isoformat(),
    }
    strangers = sorted(set(stated.tranches) - {participant.mpid for participant in job.everyone})
    faults |= {f"tranches names {', '.join(strangers)}, not a participant of this cut": bool(strangers)}
    if told := [fault for fault, found in faults.items() if found]:
        remedy = "a cut for Qualification is a later one, with an id and a key of its own (Q65)"
        raise ConfigurationError("; ".join(told), where=f"{job.file.name}, qualification", remedy=remedy)
    answered, assumed = qualification_answers()
    return QualificationEvidence(
        after=earlier.cut.id,
        after_date=earlier.cut.date,
        after_fingerprint=earlier.key_fingerprint,
        tranches=dict(sorted(stated.tranches.items())),
        known=answered,
        assumed=assumed,
    )
