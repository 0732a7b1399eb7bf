"""Everything in a pack's ``report`` folder: the page, its tables, the annex, Great Expectations' results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.report import figures
from flows.report.csv_safe import csv_bytes
from flows.report.dpia import dpia_html, dpia_markdown
from flows.report.render import Attachments, render_report
from transforms.release.attestation import canonical_bytes, strict_json

# Table -> section of the evidence and its columns.
_PLAIN = {
    "accounting": ("accounting", "participant extract rows_in released excluded"),
    "rules": ("rules", "participant extract rule reason effect description evaluated failed crashed"),
    "alignment": (
        "alignment",
        "left right extract_left extract_right item compared disagree missing_left missing_right",
    ),
    "augmentation": ("augmentation", "item stated derived manufactured undecided absent"),
    "inputs": ("inputs", "participant role extract file form rows bytes cut_date dropped_columns hmac_sha256"),
}
_CASES = "test_case phase stage participant wanted allocated short spares_wanted spares"


def report_tables(evidence: Mapping[str, Any]) -> dict[str, bytes]:
    """Return CSV by table name; a section that the evidence lacks has no table."""
    tables = {name: (evidence.get(section) or [], columns) for name, (section, columns) in _PLAIN.items()}
    inputs, columns = tables["inputs"]
    tables["inputs"] = [{**row, "cut_date": row["cut_date"] or "not stated"} for row in inputs], columns
    fence = evidence.get("ring_fence", {})
    tables |= {
        "excluded_by_reason": (_by_reason(evidence), "participant extract reason rows"),
        "reasons": (
            [{**row, "faults": "; ".join(row["faults"])} for row in figures.reasons(evidence)],
            "reason faults asks rows mpans",
        ),
        "trend": (_trend(evidence), "extract rule failed evaluated share_before share_now way"),
        "test_cases": (fence.get("test_cases") or [], _CASES),
        "shortages": (fence.get("shortages") or [], "text"),
        "lineage": (_lineage(evidence), "extract source_columns treatment column classification released description"),
        "requirements": (_requirements(evidence), "id asks shown_by rows_at_fault"),
    }
    return {name: _table(rows, columns.split()) for name, (rows, columns) in tables.items() if rows}


def _by_reason(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"participant": row["participant"], "extract": row["extract"], "reason": reason, "rows": count}
        for row in evidence["accounting"]
        for reason, count in row["by_reason"].items()
    ]


def _trend(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    baseline = evidence.get("baseline")
    rows = figures.with_trend(figures.rules_by_id(evidence), baseline) if baseline else []
    return [{**row, "share_before": row["before"], "share_now": row["now"]} for row in rows]


def _lineage(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**row, "source_columns": "; ".join(name["column"] for name in row["names"])}
        for row in figures.lineage(evidence)
    ]


def _requirements(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**row, "shown_by": "; ".join(row["rules"] or row.get("sections", ())), "rows_at_fault": row["failed"]}
        for row in figures.requirements(evidence)
    ]


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    return csv_bytes(columns, ([row.get(column) for column in columns] for row in rows))


def report_files(
    evidence: Mapping[str, Any],
    *,
    signed_by: Sequence[str],
    approvers: Sequence[str] = (),
    checkpoints: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Return every file of the ``report`` folder by its path in the pack; the same evidence gives the same bytes.

    Args:
        signed_by: ids of the keys that will sign the pack.
        approvers: ids of the keys whose owners must sign it after reading.
        checkpoints: Great Expectations' results as JSON text, by participant and extract.
    """
    # As it will be read back from the pack: the order in which a run filled its sections must not show.
    evidence = strict_json(canonical_bytes(evidence), where="evidence")
    tables = report_tables(evidence)
    found = {f"report/tables/{name}.csv": data for name, data in tables.items()}
    found |= {f"report/gx/{name}.json": text.encode() for name, text in (checkpoints or {}).items()}
    annex = bool(evidence.get("dpia"))
    if annex:
        found |= {"report/dpia.html": dpia_html(evidence), "report/dpia.md": dpia_markdown(evidence)}
    attachments = Attachments(frozenset(tables), tuple(sorted(checkpoints or {})), annex)
    page = render_report(evidence, signed_by=signed_by, approvers=approvers, attachments=attachments)
    return {"report/index.html": page, **found}
