"""The release pack: payload, evidence, report and signature, written aside and published in one rename."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from contracts.vocabulary import Method
from flows.cut.config import Participant
from flows.cut.context import Context, context, now, sources_of, tool_version
from flows.cut.parallel import together
from flows.cut.self_test import self_test
from flows.cut.workspace import Workspace, disk
from flows.keys.signing_key import PublicKey, Signer, load_approver, load_signer
from flows.leak_scan import scan
from flows.pack import payload, previous
from flows.pack.writer import PackWriter
from flows.pipeline import ALLOCATIONS
from flows.quality.verdicts import Held, read_exclusions
from flows.release import augmented as released
from flows.release import expected_results, risk, sections
from flows.release import extracts as release
from flows.release.returns import Released, write_returns
from flows.report.files import report_files
from transforms import align
from transforms.pseudonymise.keys import SCHEME
from transforms.release.attestation import evidence_document


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
    with PackWriter(final, replace=True) as pack:
        with took.phase("write"):
            accounting = _payload(known, pack, kind)
        with took.phase("leak scan"):
            scanner = scan.Scanner(known.workspace, known.held, known.pseudonymiser)
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
        scan.refuse(scanner)
        info = {"Source-Organization": "datacut", "External-Identifier": final.name, "Cut-Id": model.cut.id}
        with took.phase("seal"):
            sealed = pack.seal(info, evidence, signers, awaiting)
    made = Released(sealed, evidence, signers, awaiting, scanner)
    with took.phase("return"):
        returns = write_returns(known, made) if kind == "release" else []
    return {
        "pack": str(sealed.path),
        "report": str(sealed.path / "report" / "index.html"),
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "accounting": accounting,
        "returns": returns,
        "phases": took.phases,
    }


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

    def one(held: Held) -> dict[str, Any]:
        facts = workspace.noted(f"sources/{held.participant}-{held.extract}") or {"rows": 0}
        return release.release_extract(known, held, facts["rows"], pack.path, model.release.formats)

    accounting = together(one, known.held)
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

        together(own, model.participants)
    return accounting


def _exclusions(known: Context) -> dict[str, Any]:
    causes = [read_exclusions(known.workspace, n).select("first_cause") for n in range(known.workspace.partitions)]
    counts = pl.concat(causes).group_by("first_cause").len().sort("first_cause")
    by_cause = dict(counts.iter_rows())
    return {"mpans": sum(by_cause.values()), "by_first_cause": by_cause}


def judged(workspace: Workspace) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return every rule's entry for the evidence, before and after augmentation, and every checkpoint's document."""
    notes = [workspace.noted(name) or {} for name in ("rules", "coherence")]
    entries = [entry for note in notes for entry in note.get("entries", ())]
    return entries, {name: text for note in notes for name, text in note.get("documents", {}).items()}


def _agreement(aligned: dict[str, Any], compared: Path | None) -> list[dict[str, Any]] | None:
    """Return agreement by participant, with the trend against an earlier cut; nothing where none was aligned."""
    if "alignment" not in aligned:
        return None
    before = previous.read_evidence(compared).get("alignment", ()) if compared else ()
    return align.by_participant(aligned["alignment"], before)


def _half_hourly(known: Context) -> str:
    """Return what half-hourly readings the pack has: ``none``, ``synthetic``, or ``real`` by a line of the policy."""
    if "half_hourly" not in {h.extract for h in known.held}:
        return "none"
    contract = known.contracts["half_hourly"]
    periods = [c for c in contract.columns if c.treatment.method is Method.SYNTHETIC]
    hiding = (Method.SYNTHETIC, Method.SUPPRESS, Method.DROP)
    return "synthetic" if all(contract.treatment(c).method in hiding for c in periods) else "real"


def _policy(known: Context) -> dict[str, Any]:
    extracts = {
        name: {
            c.name: {"treatment": contract.treatment(c).describe(), "classification": c.classification.value}
            for c in contract.columns
        }
        for name, contract in known.contracts.items()
        if name in {h.extract for h in known.held}
    }
    model = known.job.model
    return {
        "half_hourly": _half_hourly(known),
        "postcode": model.cut.policy.postcode.value,
        "approval": "two signatures" if model.release.approver else "one signature",
        "extracts": extracts,
    }


def _evidence(
    known: Context,
    kind: str,
    accounting: list[dict[str, Any]],
    found: dict[str, Any],
    seconds: list[dict[str, Any]],
    root: Path,
) -> dict[str, Any]:
    workspace, cut = known.workspace, known.job.model.cut
    used = [known.contracts[name] for name in sorted({h.extract for h in known.held})]
    aligned = workspace.noted("alignment") or {}
    augmented = workspace.noted("augmentation") or {}
    rules, _ = judged(workspace)
    added = released.item_tables(known).items if augmented else ()
    inputs, compared = sources_of(known), known.job.model.release.compare_with
    return evidence_document(
        kind=kind,
        cut={"id": cut.id, "date": cut.date.isoformat(), "trust_model": cut.trust_model}
        | ({"expires": cut.expires.isoformat()} if cut.expires else {}),
        tool={"name": "datacut", "version": tool_version(), "polars": pl.__version__},
        scheme=SCHEME,
        key_fingerprint=known.keys.fingerprint(),
        policy=_policy(known),
        contracts=[{"extract": c.extract, "version": c.version, "sha256": c.digest} for c in used],
        reference=[*known.reference.evidence(), *augmented.get("reference", [])],
        inputs=inputs,
        accounting=accounting,
        rules=rules,
        exclusions=_exclusions(known),
        alignment=aligned.get("alignment"),
        agreement=_agreement(aligned, known.job.path(compared) if compared else None),
        coincident=workspace.noted("coincident"),
        augmentation=augmented.get("augmentation"),
        associations=augmented.get("associations"),
        ring_fence=(workspace.noted("ring_fence") or {}).get("evidence"),
        **found,
        previous=previous.references(_source_files(known)),
        baseline=previous.baseline(known.job.path(compared)) if compared else None,
        lineage=_lineage(root, sections.lineage_section(used, inputs, added)),
        requirements=sections.requirements_section(rules, added),
        dpia=sections.dpia_section(used),
        times={"started": (workspace.noted("begun") or {}).get("at", now()), "finished": now(), "stages": seconds},
        self_test=self_test(),
    )


def _lineage(root: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the files that are put together from extracts, by what they really hold."""
    known = {row["extract"] for row in rows}
    found = payload.columns(root)
    return rows + [r for kind in found if kind not in known for r in sections.joined_section(kind, found[kind], rows)]


def _source_files(known: Context) -> list[Path]:
    job = known.job
    return [file for p in job.model.participants for e in p.extracts if (file := job.location(p, e)) is not None]


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


def _write(path: Path, content: bytes) -> None:
    with disk(path):
        path.write_bytes(content)
