"""The alignment of participants: registration against portfolio, metering, consumption and BM unit mapping.

Works on pseudonyms alone, partition by partition, and reads no more columns than the comparisons name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from contracts.alignment import FAIL, Comparison
from contracts.conditions import sql
from contracts.errors import AlignmentError
from contracts.evidence import AgreementEvidence
from contracts.load import comparisons
from contracts.model import column_type
from flows.cut.partitions import JUDGED, ORDER, ParticipantExtract, treated, uncarried
from flows.cut.workspace import Workspace
from transforms import align
from transforms.align import REGISTRATION
from transforms.quality.lookups import PARTICIPANT

TOLD = 3


def alignment(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> list[AgreementEvidence]:
    """Count agreement between the registration and every other extract, per pair of participants and item.

    Returns:
        One row per pair, extract and item for the evidence, with share, tolerance and outcome
        (:func:`transforms.align.judged`).
    """
    if not any(h.extract == REGISTRATION for h in extracts):
        return []
    specs = [spec for spec in comparisons() if any(h.extract == spec.right for h in extracts)]
    needed = {PARTICIPANT, *(name for spec in specs for name in [*spec.items, spec.expected, *_roots(spec)])}
    lacking = _silent(workspace, extracts)
    counts = []
    for number in range(workspace.partitions):
        registration = _sent(workspace, extracts, REGISTRATION, number, needed)
        for spec in specs:
            senders = sorted({h.participant for h in extracts if h.extract == spec.right})
            other = _sent(workspace, extracts, spec.right, number, {item.column for item in spec.items.values()})
            silent = (lacking.get(REGISTRATION, {}), lacking.get(spec.right, {}))
            counts.append(align.compare(registration, other, spec, senders, silent))
    return align.judged(align.total(counts), specs)


def require_alignment(rows: Sequence[AgreementEvidence]) -> None:
    """End the run where participants disagree beyond what the policy bears.

    Raises:
        AlignmentError: a comparison whose policy is ``fail`` is beyond its tolerance; names pairs and items.
    """
    broken = [row for row in rows if row.outcome == align.BEYOND and row.policy == FAIL]
    if broken:
        words = [f"{r.item} of {r.left} and {r.right}/{r.extract_right} {r.share or 0:.2%}" for r in broken]
        more = f" and {len(words) - TOLD} more" if len(words) > TOLD else ""
        raise AlignmentError(
            f"{len(broken)} comparisons are beyond their tolerance: {'; '.join(words[:TOLD])}{more}",
            where="alignment.yaml",
            remedy="have the participants cut again on one day, or let the policy report",
        )


def _silent(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> columns that say nothing: not sent, or hidden by the policy of a pack."""
    found = uncarried(workspace, extracts)
    for extract, senders in treated(workspace, extracts).items():
        for participant, columns in senders.items():
            found.setdefault(extract, {}).setdefault(participant, set()).update(columns)
    return found


def _roots(spec: Comparison) -> list[str]:
    return list(sql(spec.scope).meta.root_names())


def _sent(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], extract: str, number: int, columns: Collection[str]
) -> pl.DataFrame:
    """Return some columns of a judged partition of all participants, with who sent each row; empty where none is."""
    parts = []
    for h in extracts:
        frame = workspace.scan(JUDGED, h.participant, extract, number) if h.extract == extract else None
        if frame is not None:
            names = [c for c in frame.collect_schema().names() if c in columns]
            parts.append(frame.select(ORDER, *names, pl.lit(h.participant).alias(PARTICIPANT)))
    if parts:
        return pl.concat(pl.collect_all(parts))
    known = {c.name: column_type(c) for c in workspace.contracts[extract].staged if c.name in columns}
    return pl.DataFrame(schema={ORDER: pl.UInt64(), **known, PARTICIPANT: pl.String()})
