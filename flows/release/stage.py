"""The release pack: payload, evidence, report and signature, written aside and published in one rename."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from contracts.evidence import Evidence, StageSeconds
from flows.cut.context import Context, context, cut_signer, sources_of
from flows.cut.progress import Kind
from flows.cut.records import SourceFacts
from flows.cut.stopping import refuse_stopped
from flows.cut.workspace import disk
from flows.keys.signing_key import PublicKey, Signer, load_approver
from flows.leak_scan import scan
from flows.leak_scan.canaries import scan_canaries
from flows.leak_scan.digests_of_run import scanner_of_run
from flows.leak_scan.section import leak_scan_section, require_known, require_searched
from flows.pack.writer import PackWriter, publish_together
from flows.release import extracts as release
from flows.release import intruders, payload, risk, searches
from flows.release.augmented import as_released
from flows.release.evidence import Measured, earlier_evidence, judged, release_evidence
from flows.release.feedback import write_told
from flows.release.guards import require_held
from flows.release.published import Published, SourceNote
from flows.release.returns import Released, write_returns
from flows.report.figures import meanings
from flows.report.files import report_files
from flows.report.formatting import counted


def publish(cut_file: str, *, kind: Kind = "release", stages: Sequence[StageSeconds] = ()) -> Published:
    """Write and sign the pack of a cut.

    Args:
        kind: ``release``, or ``submission`` for a participant's own stages.
        stages: how long each stage took, for the evidence.

    Raises:
        QualityError: a row was lost. PlaceError: the disk is unfit. EvidenceError: the pack would not hold.
        KeyMaterialError: a signing key is unfit.
    """
    known = context(cut_file)
    if kind == "release":  # a submission pack is exact: who reads it holds the key and judges it again
        known = as_released(known)
    model = known.job.model
    signers, awaiting = _signers(known)
    final = known.job.path(model.release.folder) / f"{model.cut.id}-{kind}"
    took = _Phases(stages)
    with contextlib.ExitStack() as held:  # release and returns appear together or not at all
        pack = held.enter_context(PackWriter(final, replace=True, hold=True))
        with took.phase("write"):
            accounting = payload.whole(known, kind, pack)
            if kind == "submission":
                write_told(known, pack)
        with took.phase("leak scan"):
            scanner = scanner_of_run(known)
            require_known(known, scanner)
            found_raw = scan_canaries(known, scanner, release.sink_table)
            searched = searches.of_pack(known, kind)
            searches.take_over(scanner, pack.root, pack.digests, searched, payload.noted(known, kind))
            scanner.folder(pack.root)  # what no step wrote
            scan.refuse(scanner)
            require_searched(scanner, pack.root)
            require_held(known, pack.root)
        with took.phase("risk"):
            singled_out = risk.measure(known)
            risk.refuse(known, singled_out)
        attacked = None
        if kind == "release":
            with took.phase("attack"):
                attacked = intruders.measure(known, payload.folder(known, kind))
                intruders.refuse(attacked, singled_out)
        found = Measured(accounting, leak_scan_section(known, scanner, found_raw), singled_out, attacked)
        evidence = release_evidence(known, kind, found, took.stages, pack.root)
        _report(known, pack, evidence, signers, awaiting)
        scanner.document(evidence.document(), "evidence")  # what is written about the data is searched like the data
        scanner.folder(pack.root / "report", counts=True)
        scanner.folder(pack.root / "evidence", counts=True)
        scan.refuse(scanner)
        require_searched(scanner, pack.root)
        info = {"Source-Organization": "datacut", "External-Identifier": final.name, "Cut-Id": model.cut.id}
        with took.phase("seal"):
            sealed = pack.seal(info, evidence, signers, awaiting)
        with took.phase("return"):
            before = earlier_evidence(known)
            made = Released(sealed, pack.root, evidence, signers, awaiting, scanner, pack.digests, before)
            written = write_returns(known, made, held) if kind == "release" else []
        refuse_stopped()
        publish_together([pack, *(writer for writer, _ in written)])
    return Published(
        pack=str(sealed.path),
        report=str(sealed.path / "report" / "index.html"),
        tagmanifest_sha256=sealed.tagmanifest_sha256,
        accounting=tuple(accounting),
        reasons=meanings(evidence),
        returns=tuple(published for _, published in written),
        sources=tuple(_note(facts, own=kind == "submission") for facts in sources_of(known)),
        phases=took.phases,
    )


def _note(facts: SourceFacts, *, own: bool) -> SourceNote:
    """Return what a person is told of a source: columns that are missing, and, to its sender, what was not read."""
    return SourceNote(
        participant=facts.participant,
        extract=facts.extract,
        missing=facts.missing,
        not_agreed=facts.not_agreed,
        null_words=tuple(counted(facts.null_words)),
        unread_dates=tuple(counted(facts.unread_dates)),
        rounded=tuple(counted(facts.rounded)),
        dropped_columns=facts.dropped_columns,
        files=len(facts.files) if own else None,
        dropped=facts.dropped if own else None,
        passed_over=facts.passed_over if own else None,
        remarks=facts.remarks if own else None,
    )


class _Phases:
    """How long each part of the release took."""

    def __init__(self, stages: Sequence[StageSeconds]) -> None:
        self.stages, self.phases = list(stages), dict[str, float]()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block, also for the evidence while that is not written yet."""
        began = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - began, 3)
        self.stages.append(StageSeconds(stage=f"release: {name}", seconds=self.phases[name]))


def _signers(known: Context) -> tuple[list[Signer], list[PublicKey]]:
    """Return who signs now, operator first, and who must approve later."""
    release_ = known.job.model.release
    signers = [cut_signer(known.job)]
    approver = load_approver(known.job.path(release_.approver)) if release_.approver else None
    if isinstance(approver, Signer):
        signers.append(approver)
    return signers, [approver] if isinstance(approver, PublicKey) else []


def _report(
    known: Context, pack: PackWriter, evidence: Evidence, signers: list[Signer], awaiting: list[PublicKey]
) -> None:
    files = report_files(
        evidence,
        signed_by=[signer.keyid for signer in signers],
        approvers=[key.keyid for key in awaiting],
        checkpoints=judged(known.workspace)[1],
    )
    for name, content in files.items():
        _write(pack.path(name), content)
    fence = known.job.model.ring_fence
    if evidence.ring_fence and fence is not None:  # so that a reader sees what was asked for
        plan = known.job.path(fence.plan)
        _write(pack.path(f"evidence/plan{plan.suffix}"), plan.read_bytes())


def _write(path: Path, content: bytes) -> None:
    with disk(path):
        path.write_bytes(content)
