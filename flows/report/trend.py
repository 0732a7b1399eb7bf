"""This cut against an earlier one: shares before and now. From the evidence's baseline, no markup, no wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
STEADY = 0.0005  # a share that moved by less than half a tenth of a percentage point is the same


def with_trend(rules: Sequence[Row], baseline: Mapping[str, Any] | None) -> list[Row]:
    """Add ``before`` and ``now`` (shares of rows that failed), ``change`` (their difference) and ``way`` to each rule.

    ``way`` is ``up``, ``down``, ``same``, or ``new`` for a rule that the earlier cut did not judge; all are ``None``
    without a baseline.
    """
    known = {(rule["extract"], rule["rule"]): rule for rule in (baseline or {}).get("rules", ())}
    rows = []
    for rule in rules:
        old = known.get((rule["extract"], rule["rule"]))
        now = _share(rule["failed"], rule["evaluated"])
        before = _share(old["failed"], old["evaluated"]) if old else None
        change = None if before is None or now is None else now - before
        rows.append({**rule, "now": now, "before": before, "change": change, "way": _way(baseline, before, change)})
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _way(baseline: Mapping[str, Any] | None, before: float | None, change: float | None) -> str | None:
    if not baseline:
        return None
    if before is None:
        return "new"
    if change is None or abs(change) < STEADY:
        return "same"
    return "up" if change > 0 else "down"


def gone_rules(rules: Sequence[Row], baseline: Mapping[str, Any] | None) -> list[str]:
    """Return rules of the earlier cut that this one does not judge, by extract and name."""
    now = {(rule["extract"], rule["rule"]) for rule in rules}
    names = {(rule["extract"], rule["rule"]) for rule in (baseline or {}).get("rules", ())}
    return [f"{extract}: {rule}" for extract, rule in sorted(names - now)]


def volumes(accounting: Sequence[Mapping[str, Any]], baseline: Mapping[str, Any] | None) -> list[Row]:
    """Return rows in and excluded by extract, before and now; nothing without a baseline."""
    if not baseline:
        return []
    before = {row["extract"]: row for row in baseline["rows"]}
    now: dict[str, Row] = {}
    for row in accounting:
        sums = now.setdefault(row["extract"], {"rows_in": 0, "excluded": 0})
        for name in sums:
            sums[name] += row[name]
    nothing = {"rows_in": 0, "excluded": 0}
    return [
        {"extract": extract, "before": before.get(extract, nothing), "now": now.get(extract, nothing)}
        for extract in sorted(set(before) | set(now))
    ]
