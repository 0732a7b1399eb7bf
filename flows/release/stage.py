"""The release pack: payload, evidence, report and signature, written aside and published in one rename."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from flows.cut.config import Participant
from flows.cut.context import Context, context, sources_of
from flows.cut.parallel import map_parallel
from flows.cut.partitions import ALLOCATIONS, ParticipantExtract
from flows.cut.records import SourceFacts
from flows.cut.workspace import disk
from flows.keys.signing_key import PublicKey, Signer, load_approver, load_signer
from flows.leak_scan import scan
from flows.pack.writer import PackWriter, publish_together
from flows.release import augmented as released
from flows.release import expected_results, risk
from flows.release import extracts as release
from flows.release.evidence import _evidence, judged
from flows.release.returns import Released, write_returns
from flows.report.files import report_files
from flows.report.formatting import counted


def publish(cut_file: str, *, kind: str = "release", seconds: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Write and sign the pack of a cut.

    Args:
        kind: ``release``, or ``submission`` for a participant's own stages.
        seconds: how long each stage took, for the evidence.

    Returns:
        Path of the pack and of its report, and the accounting of every extract.

    Raises:
        QualityError: a row was lost. PlaceError: the disk is unfit. EvidenceError: the pack would not hold.
        KeyMaterialError: a signing key is unfit.
    """
    known = context(cut_file)
    model = known.job.model
    signers, awaiting = _signers(known)
    final = known.job.path(model.release.folder) / f"{model.cut.id}-{kind}"
    took = _Phases(seconds if seconds is not None else [])
    with contextlib.ExitStack() as held:  # release and returns appear together or not at all
        pack = held.enter_context(PackWriter(final, replace=True, hold=True))
        with took.phase("write"):
            accounting = _payload(known, pack, kind)
        with took.phase("leak scan"):
            scanner = scan.Scanner(known.workspace, known.extracts, known.pseudonymiser)
            scanner.folder(pack.root)
            scan.refuse(scanner)
        with took.phase("risk"):
            singled_out = risk.measure(known)
            risk.refuse(known, singled_out)
        found = {"leak_scan": scan.evidence(scanner), "risk": singled_out}
        evidence = _evidence(known, kind, accounting, found, took.seconds, pack.root)
        _report(known, pack, evidence, signers, awaiting)
        scanner.document(evidence, "evidence")  # what is written about the data is searched like the data
        scanner.folder(pack.root / "report", counts=True)
        scanner.folder(pack.root / "evidence", counts=True)
        scan.refuse(scanner)
        info = {"Source-Organization": "datacut", "External-Identifier": final.name, "Cut-Id": model.cut.id}
        with took.phase("seal"):
            sealed = pack.seal(info, evidence, signers, awaiting)
        made = Released(sealed, pack.root, evidence, signers, awaiting, scanner)
        with took.phase("return"):
            written = write_returns(known, made, held) if kind == "release" else []
        publish_together([pack, *(writer for writer, _ in written)])
    returns = [told for _, told in written]
    return {
        "pack": str(sealed.path),
        "report": str(sealed.path / "report" / "index.html"),
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "accounting": accounting,
        "returns": returns,
        "sources": source_notes(known, kind),
        "phases": took.phases,
    }


def source_notes(known: Context, kind: str) -> list[dict[str, Any]]:
    """Return what a person is told of each source: columns that are missing, and, to its sender, what was not read."""
    own = ("files", "dropped", "passed_over", "remarks") if kind == "submission" else ()
    notes = []
    for facts in sources_of(known):
        told: dict[str, Any] = {name: facts.get(name, ()) for name in ("missing", "not_agreed", *own)}
        told |= {name: counted(facts.get(name) or {}) for name in ("null_words", "unread_dates", "rounded")}
        if "files" in told:
            told["files"] = len(told["files"])
        notes.append({"participant": facts["participant"], "extract": facts["extract"], **told})
    return notes


class _Phases:
    """How long each part of the release took."""

    def __init__(self, seconds: list[dict[str, Any]]) -> None:
        self.seconds, self.phases = seconds, dict[str, float]()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block, also for the evidence while that is not written yet."""
        began = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - began, 3)
        self.seconds.append({"stage": f"release: {name}", "seconds": self.phases[name]})


def _signers(known: Context) -> tuple[list[Signer], list[PublicKey]]:
    """Return who signs now, operator first, and who must approve later."""
    release_ = known.job.model.release
    signers = [load_signer(known.job.path(release_.signing_key))]
    approver = load_approver(known.job.path(release_.approver)) if release_.approver else None
    if isinstance(approver, Signer):
        signers.append(approver)
    return signers, [approver] if isinstance(approver, PublicKey) else []


def _payload(known: Context, pack: PackWriter, kind: str) -> list[dict[str, Any]]:
    model, workspace = known.job.model, known.workspace

    def one(source: ParticipantExtract) -> dict[str, Any]:
        facts = workspace.recorded(SourceFacts, source.participant, source.extract)
        return release.release_extract(known, source, facts.rows if facts else 0, pack.path, model.release.formats)

    accounting = map_parallel(one, known.extracts)
    if kind == "release":
        allocations = workspace.root / ALLOCATIONS
        frame = pl.read_ipc(allocations) if allocations.is_file() else None
        if frame is not None:
            expected_results.build_expected(known, frame)

        released.release_augmented(known, model.participants, pack)

        def own(participant: Participant) -> None:
            if frame is not None:
                released.release_allocations(known, participant, frame, pack)
                expected_results.release_expected(known, participant, pack.path)

        map_parallel(own, model.participants)
    return accounting


def _report(
    known: Context, pack: PackWriter, evidence: dict[str, Any], signers: list[Signer], awaiting: list[PublicKey]
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
    if evidence.get("ring_fence") and fence is not None:  # so that a reader sees what was asked for
        plan = known.job.path(fence.plan)
        _write(pack.path(f"evidence/plan{plan.suffix}"), plan.read_bytes())


def _write(path: Path, content: bytes) -> None:
    with disk(path):
        path.write_bytes(content)
