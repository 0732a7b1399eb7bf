"""Return packs: one per participant, its own metering points alone, in the form in which its backup came.

A return is made from a sealed release: its Parquet files are taken as they are; beside them stand the same rows as
CSV or DTC, as the participant wrote them, and what its counterparties hold about its metering points. The evidence
names the release by the digest of its tag manifest.

Source: Q62, Q63 (augmented data goes back for loading), Q74 and Q83 (aligned across parties), domain 9.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.evidence import ColumnSource, Evidence, Exclusions, LimitsEvidence, Lineage, PolicyEvidence
from contracts.evidence_inputs import InputEvidence, ReturnedFlow
from contracts.evidence_results import LeakScan, RingFenceEvidence
from flows.cut.config import Participant
from flows.cut.context import Context, sources_of
from flows.cut.parallel import map_parallel
from flows.cut.records import ReturnForms
from flows.cut.workspace import disk, second_name
from flows.keys.signing_key import PublicKey, Signer
from flows.leak_scan.scan import Scanner, refuse
from flows.leak_scan.section import require_searched
from flows.pack.bag import FileDigests
from flows.pack.writer import PackWriter, SealedPack
from flows.release import payload, searches
from flows.release.augmented import own_counts
from flows.release.feedback import feedback_counts
from flows.release.own_forms import recipients
from flows.release.published import PublishedReturn
from flows.report.feedback import feedback_files
from flows.report.files import report_files
from transforms.release.attestation import ordered

SHARED = (
    "cut",
    "tool",
    "scheme",
    "key_fingerprint",
    "reference",
    "publications",
    "requirements",
    "dpia",
    "times",
    "self_test",
    "succession",
    "qualification",
)


@dataclass(frozen=True, slots=True, repr=False)
class Released:
    """A sealed release, not yet published, and what it takes to make returns of it."""

    pack: SealedPack
    root: Path  # where it lies until it is published
    evidence: Evidence
    signers: Sequence[Signer]
    awaiting: Sequence[PublicKey]
    scanner: Scanner
    digests: FileDigests  # of its files, some of which the returns hold too
    earlier: Evidence | None = None  # of the last cut


def write_returns(known: Context, released: Released, held: ExitStack) -> list[tuple[PackWriter, PublishedReturn]]:
    """Write the return pack of every recipient that ``cut.yaml`` names, to be published with the release.

    Args:
        held: keeps the packs open until they are published.

    Returns:
        The sealed pack of each, and what is said of it.

    Raises:
        PlaceError: the disk is unfit. EvidenceError: a pack would not hold.
    """
    return map_parallel(lambda participant: _write(known, released, participant, held), recipients(known))


def _write(
    known: Context, released: Released, participant: Participant, held: ExitStack
) -> tuple[PackWriter, PublishedReturn]:
    cut = known.job.model.cut.id
    final = released.pack.path.parent / f"{cut}-return-{participant.mpid}"
    pack = held.enter_context(PackWriter(final, replace=True, hold=True, digests=released.digests))
    _place(known, released, participant, pack)
    refuse(released.scanner)
    _copy(released.root, participant, pack)
    flows = known.workspace.recorded(ReturnForms, participant.mpid)
    evidence = return_evidence(known, released, participant, pack.root, flows.flows if flows else {})
    files = report_files(
        evidence,
        signed_by=[s.keyid for s in released.signers],
        approvers=[k.keyid for k in released.awaiting],
        feedback=True,
    )
    files |= feedback_files(evidence, feedback_counts(known, participant.mpid), released.earlier)
    for name, content in files.items():
        path = pack.path(name)
        with disk(path):
            path.write_bytes(content)
    released.scanner.document(evidence.document(), "evidence of a return")
    released.scanner.folder(pack.root / "report", counts=True)
    released.scanner.folder(pack.root)
    refuse(released.scanner)
    require_searched(released.scanner, pack.root)
    info = {"Source-Organization": "datacut", "External-Identifier": final.name, "Cut-Id": cut}
    sealed = pack.seal(info, evidence, released.signers, released.awaiting)
    return pack, PublishedReturn(
        participant=participant.mpid, pack=str(sealed.path), tagmanifest_sha256=sealed.tagmanifest_sha256
    )


def _place(known: Context, released: Released, participant: Participant, pack: PackWriter) -> None:
    """Take over what was written for a participant, and searched."""
    files, room = payload.returned(known, participant), payload.folder(known, payload.RETURN, participant.mpid)
    searched = searches.of_returns(known, [participant])
    payload.place(room, files, pack)
    searches.take_over(released.scanner, pack.root, pack.digests, searched, files)


def _copy(release: Path, participant: Participant, pack: PackWriter) -> None:
    """Give the pack a participant's own rooms of the release, but its CSV files: they come in its own form.

    Where the disk can, a file gets a second name: one place on the disk, and what is copied from a pack is a copy.
    """
    extracts = {f"{e.contract}.csv" for e in participant.extracts}
    for room in ("data", "excluded"):
        folder = release / room / participant.mpid
        for source in sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else ():
            if source.name not in extracts:
                target = pack.path(f"{room}/{participant.mpid}/{source.relative_to(folder).as_posix()}")
                with disk(target):
                    second_name(source, target)


def return_evidence(
    known: Context, released: Released, participant: Participant, root: Path, left: Mapping[str, ReturnedFlow]
) -> Evidence:
    """Return the evidence of a return pack: the release's, as far as it is about this participant.

    Args:
        left: extract -> what became of it in its flow, as :func:`write_form` says.
    """
    whole, mpid = released.evidence, participant.mpid
    extracts = {e.contract for e in participant.extracts}
    inputs = [source for source in sources_of(known) if source.participant == mpid]
    lineage = [_own_names(e, inputs) for e in whole.lineage or () if e.extract in extracts | {"augmented"}]
    aligned = [pair for pair in whole.alignment or () if mpid in (pair.left, pair.right)]
    made = Evidence(
        schema=whole.schema_,
        kind="return",
        **{name: getattr(whole, name) for name in SHARED},
        policy=_own_policy(whole.policy, extracts),
        contracts=tuple(c for c in whole.contracts or () if c.extract in extracts),
        inputs=tuple(_returned(source, left.get(source.extract)) for source in inputs),
        accounting=tuple(row for row in whole.accounting if row.participant == mpid),
        rules=tuple(row for row in whole.rules if row.participant == mpid),
        exclusions=_exclusions(root / "excluded" / mpid),
        limits=_own_limits(whole.limits, mpid),
        alignment=tuple(aligned) or None,
        augmentation=tuple(own_counts(known, mpid)) or None,
        ring_fence=_own_cases(whole.ring_fence, mpid),
        leak_scan=_of_release(whole.leak_scan),
        lineage=tuple(lineage) or None,
        previous=(released.pack.reference,),
    )
    return ordered(made)


def _own_policy(policy: PolicyEvidence | None, extracts: Collection[str]) -> PolicyEvidence | None:
    own = {name: columns for name, columns in ((policy and policy.extracts) or {}).items() if name in extracts}
    return policy.model_copy(update={"extracts": own}) if policy else None


def _own_limits(limits: LimitsEvidence | None, mpid: str) -> LimitsEvidence | None:
    own = tuple(entry for entry in (limits.accepted if limits else ()) if entry.participant == mpid)
    return limits.model_copy(update={"accepted": own}) if limits else None


def _own_cases(fence: RingFenceEvidence | None, mpid: str) -> RingFenceEvidence | None:
    own = tuple(case for case in (fence.test_cases if fence else ()) if case.participant == mpid)
    return RingFenceEvidence(test_cases=own) if fence else None


def _of_release(scan: LeakScan | None) -> LeakScan | None:
    return scan.model_copy(update={"scope": "the release that this pack was made from"}) if scan else None


def _own_names(entry: Lineage, inputs: Sequence[InputEvidence]) -> Lineage:
    """Return an entry of the lineage with the participant's own headings, and nobody else's."""
    own = [
        ColumnSource(column=source.columns[entry.column], participants=(source.participant,))
        for source in inputs
        if source.extract == entry.extract and entry.column in source.columns
    ]
    others = [source for source in entry.sources if source.participants is None]
    return entry.model_copy(update={"sources": (*own, *others)})


def _returned(source: InputEvidence, flow: ReturnedFlow | None) -> InputEvidence:
    """Return an entry of the inputs; of a flow, with what became of it in the return."""
    if flow is None or source.source_form is None:
        return source
    return source.model_copy(update={"source_form": source.source_form.model_copy(update={"returned": flow})})


def _exclusions(folder: Path) -> Exclusions:
    """Count the participant's excluded metering points by first cause; one without a pseudonym counts by its token."""
    files = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if not files:
        return Exclusions(mpans=0, by_first_cause={})
    name = pl.coalesce("mpan_core", "token")
    points = pl.concat(pl.scan_parquet(f).select(name.alias("point"), "first_cause") for f in files)
    counts = points.unique("point").group_by("first_cause").len().sort("first_cause").collect()
    by_cause = {str(cause): int(count) for cause, count in counts.rows()}
    return Exclusions(mpans=sum(by_cause.values()), by_first_cause=by_cause)
