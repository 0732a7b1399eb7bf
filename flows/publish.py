"""The release pack: payload, evidence, report and signature, written aside and published in one rename."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from contracts.load import load_all
from flows import release
from flows.context import Context, context, now, sources_of, tool_version
from flows.evidence.keys import load_signer
from flows.evidence.write import PackWriter
from flows.quality import read_exclusions
from flows.report.render import render_report
from flows.selftest import self_test
from flows.stages import ALLOCATIONS
from flows.workspace import disk
from transforms.keys import SCHEME
from transforms.statement import evidence_document


def publish(cut_file: str, *, kind: str = "release", seconds: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Write and sign the pack of a cut.

    Args:
        kind: ``release``, or ``submission`` for a participant's own stages.
        seconds: how long each stage took, for the evidence.

    Returns:
        Path of the pack and of its report, and the accounting of every extract.

    Raises:
        QualityError: a row was lost. PlaceError: the disk is unfit. EvidenceError: the pack would not hold.
        KeyMaterialError: the signing key is unfit.
    """
    known = context(cut_file)
    model = known.job.model
    signer = load_signer(known.job.path(model.release.signing_key))
    final = known.job.path(model.release.folder) / f"{model.cut.id}-{kind}"
    with PackWriter(final, replace=True) as pack:
        accounting = _payload(known, pack, kind)
        evidence = _evidence(known, kind, accounting, seconds or [])
        _report(known, pack, evidence, [signer.keyid])
        info = {"Source-Organization": "datacut", "External-Identifier": final.name, "Cut-Id": model.cut.id}
        sealed = pack.seal(info, evidence, [signer])
    return {
        "pack": str(sealed.path),
        "report": str(sealed.path / "report" / "index.html"),
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "accounting": accounting,
    }


def _payload(known: Context, pack: PackWriter, kind: str) -> list[dict[str, Any]]:
    model, workspace = known.job.model, known.workspace
    accounting = []
    for held in known.held:
        facts = workspace.noted(f"sources/{held.participant}-{held.extract}") or {"rows": 0}
        entry = release.release_extract(workspace, held, facts["rows"], pack.path, model.release.formats)
        accounting.append(entry)
    if kind == "release":
        allocations = workspace.root / ALLOCATIONS
        for participant in model.participants:
            extracts = [e.contract for e in participant.extracts]
            release.release_augmented(workspace, participant.mpid, extracts, pack.path)
            if allocations.is_file():
                frame = pl.read_ipc(allocations)
                release.release_allocations(workspace, participant.mpid, extracts, frame, pack.path)
    return accounting


def _exclusions(known: Context) -> dict[str, Any]:
    causes = [read_exclusions(known.workspace, n).select("first_cause") for n in range(known.workspace.partitions)]
    counts = pl.concat(causes).group_by("first_cause").len().sort("first_cause")
    by_cause = dict(counts.iter_rows())
    return {"mpans": sum(by_cause.values()), "by_first_cause": by_cause}


def _policy(known: Context) -> dict[str, Any]:
    extracts = {
        name: {
            c.name: {"treatment": c.treatment.describe(), "classification": c.classification.value}
            for c in load_all()[name].columns
        }
        for name in sorted({h.extract for h in known.held})
    }
    return {"half_hourly": "none", "postcode": known.job.model.cut.policy.postcode.value, "extracts": extracts}


def _evidence(
    known: Context, kind: str, accounting: list[dict[str, Any]], seconds: list[dict[str, Any]]
) -> dict[str, Any]:
    workspace, cut = known.workspace, known.job.model.cut
    used = [load_all()[name] for name in sorted({h.extract for h in known.held})]
    aligned = workspace.noted("alignment") or {}
    augmented = workspace.noted("augmentation") or {}
    return evidence_document(
        kind=kind,
        cut={"id": cut.id, "date": cut.date.isoformat(), "trust_model": cut.trust_model},
        tool={"name": "datacut", "version": tool_version(), "polars": pl.__version__},
        scheme=SCHEME,
        key_fingerprint=known.keys.fingerprint(),
        policy=_policy(known),
        contracts=[{"extract": c.extract, "version": c.version, "sha256": c.digest} for c in used],
        reference=known.reference.evidence(),
        inputs=sources_of(known),
        accounting=accounting,
        rules=(workspace.noted("rules") or {}).get("entries", []),
        exclusions=_exclusions(known),
        alignment=aligned.get("alignment"),
        coincident=aligned.get("coincident"),
        augmentation=augmented.get("augmentation"),
        ring_fence=(workspace.noted("ring_fence") or {}).get("evidence"),
        leak_scan=workspace.noted("leak_scan"),
        previous=[],
        times={"started": (workspace.noted("begun") or {}).get("at", now()), "finished": now(), "stages": seconds},
        self_test=self_test(),
    )


def _report(known: Context, pack: PackWriter, evidence: dict[str, Any], signed_by: list[str]) -> None:
    documents = (known.workspace.noted("rules") or {}).get("documents", {})
    for name, text in documents.items():
        _write(pack.path(f"report/gx/{name}.json"), text.encode())
    _write(pack.path("report/index.html"), render_report(evidence, signed_by=signed_by))


def _write(path: Path, content: bytes) -> None:
    with disk(path):
        path.write_bytes(content)
