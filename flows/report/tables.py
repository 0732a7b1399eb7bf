"""The report's tables as CSV, for readers who count for themselves in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.evidence.csv_safe import csv_bytes
from flows.report import view

# Table -> section of the evidence and its columns.
_PLAIN = {
    "accounting": ("accounting", ("participant", "extract", "rows_in", "released", "excluded")),
    "rules": (
        "rules",
        (
            "participant",
            "extract",
            "rule",
            "reason",
            "effect",
            "description",
            "evaluated",
            "failed",
            "crashed",
        ),
    ),
    "alignment": (
        "alignment",
        (
            "left",
            "right",
            "extract_left",
            "extract_right",
            "item",
            "compared",
            "disagree",
            "missing_left",
            "missing_right",
        ),
    ),
    "augmentation": ("augmentation", ("item", "stated", "derived", "manufactured", "undecided")),
}
_CASES = (
    "test_case",
    "phase",
    "stage",
    "participant",
    "wanted",
    "allocated",
    "short",
    "spares_wanted",
    "spares",
)


def report_tables(evidence: Mapping[str, Any]) -> dict[str, bytes]:
    """Return CSV by table name; a section that the evidence lacks has no table."""
    found = {
        name: _table(evidence[section], columns) for name, (section, columns) in _PLAIN.items() if evidence.get(section)
    }
    causes = [{**cause, "description": " ".join(cause["descriptions"])} for cause in view.reasons(evidence)]
    if causes:
        found["reasons"] = _table(causes, ("reason", "description", "rows", "mpans"))
    if cases := evidence.get("ring_fence", {}).get("test_cases"):
        found["test_cases"] = _table(cases, _CASES)
    columns = [{"extract": part["extract"], **column} for part in view.policy(evidence) for column in part["columns"]]
    if columns:
        found["policy"] = _table(columns, ("extract", "first", "last", "treatment", "classification"))
    return found


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    return csv_bytes(columns, ([row.get(column) for column in columns] for row in rows))
