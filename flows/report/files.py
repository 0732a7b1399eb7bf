"""Everything in a pack's ``report`` folder: the page, its tables, the annex, Great Expectations' results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contracts.evidence import Evidence
from contracts.evidence_inputs import InputEvidence
from contracts.evidence_types import Section
from flows.report import figures
from flows.report.csv_safe import csv_bytes
from flows.report.dpia import dpia_html, dpia_markdown
from flows.report.render import Attachments, render_report
from transforms.release.attestation import canonical_bytes

# Table -> section of the evidence and its columns.
_PLAIN = {
    "accounting": ("accounting", "participant extract rows_in released excluded"),
    "rules": ("rules", "participant extract rule reason effect description evaluated failed crashed stated_by"),
    "alignment": (
        "alignment",
        "left right extract_left extract_right item compared disagree missing_left missing_right outside",
    ),
    "augmentation": ("augmentation", "item stated derived manufactured undecided absent"),
    "smart": ("smart", "supplier gsp_group metered smart"),
    "inputs": ("inputs", "participant role extract file form rows bytes cut_date dropped_columns hmac_sha256"),
}
Row = Sequence[object]
_CASES = "test_case phase stage participant wanted allocated short spares_wanted spares"


def report_tables(evidence: Evidence) -> dict[str, bytes]:
    """Return CSV by table name; a section that the evidence lacks has no table."""
    fence = evidence.ring_fence
    plain = {name: (getattr(evidence, section) or (), columns) for name, (section, columns) in _PLAIN.items()}
    plain["inputs"] = tuple(_dated(source) for source in evidence.inputs), plain["inputs"][1]
    plain["test_cases"] = (fence.test_cases if fence else (), _CASES)
    plain["shortages"] = ((fence.shortages if fence else None) or (), "text")
    tables = {name: _table(rows, columns.split()) for name, (rows, columns) in plain.items() if rows}
    computed = {
        "excluded_by_reason": ("participant extract reason rows", _by_reason(evidence)),
        "reasons": ("reason faults asks rows mpans", _reasons(evidence)),
        "trend": ("extract rule failed evaluated share_before share_now way", _trend(evidence)),
        "columns": ("extract column value rows filled_rows all_rows", _columns(evidence)),
        "lineage": ("extract source_columns treatment column classification released description", _lineage(evidence)),
        "requirements": ("id asks shown_by rows_at_fault", _requirements(evidence)),
    }
    return tables | {name: csv_bytes(columns.split(), rows) for name, (columns, rows) in computed.items() if rows}


def _dated(source: InputEvidence) -> InputEvidence:
    return source.model_copy(update={"cut_date": source.cut_date or "not stated"})


def _by_reason(evidence: Evidence) -> list[Row]:
    return [(r.participant, r.extract, reason, n) for r in evidence.accounting for reason, n in r.by_reason.items()]


def _reasons(evidence: Evidence) -> list[Row]:
    return [(c.reason, "; ".join(c.faults), c.asks, c.rows, c.mpans) for c in figures.reasons(evidence)]


def _trend(evidence: Evidence) -> list[Row]:
    if evidence.baseline is None:
        return []
    rules = figures.with_trend(figures.rules_by_id(evidence), evidence.baseline)
    return [(r.extract, r.rule, r.failed, r.evaluated, r.before, r.now, r.way) for r in rules]


def _lineage(evidence: Evidence) -> list[Row]:
    return [
        (
            row.extract,
            "; ".join(name.column for name in row.names),
            row.treatment,
            row.column,
            row.classification,
            row.released,
            row.description,
        )
        for row in figures.lineage(evidence)
    ]


def _columns(evidence: Evidence) -> list[Row]:
    return [
        (row.extract, row.column, value, rows, row.filled, row.rows)
        for row in evidence.column_values or ()
        for value, rows in [*((v.value, v.rows) for v in row.values), ("(others)", row.rest)]
        if rows
    ]


def _requirements(evidence: Evidence) -> list[Row]:
    return [(r.id, r.asks, "; ".join(r.rules or r.sections), r.failed) for r in figures.requirements(evidence)]


def _table(rows: Iterable[Section], columns: Sequence[str]) -> bytes:
    return csv_bytes(columns, ([getattr(row, column) for column in columns] for row in rows))


def report_files(
    evidence: Evidence,
    *,
    signed_by: Sequence[str],
    approvers: Sequence[str] = (),
    checkpoints: Mapping[str, str] | None = None,
    feedback: bool = False,
) -> dict[str, bytes]:
    """Return every file of the ``report`` folder by its path in the pack; the same evidence gives the same bytes.

    Args:
        signed_by: ids of the keys that will sign the pack.
        approvers: ids of the keys whose owners must sign it after reading.
        checkpoints: Great Expectations' results as JSON text, by participant and extract.
        feedback: whether the pack has a page of what its participant can correct.
    """
    # As it will be read back from the pack: the order in which a run filled its sections must not show.
    evidence = Evidence.model_validate_json(canonical_bytes(evidence.document()))
    tables = report_tables(evidence)
    found = {f"report/tables/{name}.csv": data for name, data in tables.items()}
    found |= {f"report/gx/{name}.json": text.encode() for name, text in (checkpoints or {}).items()}
    annex = evidence.dpia is not None
    if annex:
        found |= {"report/dpia.html": dpia_html(evidence), "report/dpia.md": dpia_markdown(evidence)}
    attachments = Attachments(frozenset(tables), tuple(sorted(checkpoints or {})), annex, feedback)
    page = render_report(evidence, signed_by=signed_by, approvers=approvers, attachments=attachments)
    return {"report/index.html": page, **found}
