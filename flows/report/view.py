"""What each section shows, computed from the evidence: totals, groups, shares. No markup, no wording."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Evidence = Mapping[str, Any]

_NUMBERED = re.compile(r"(.*?)(\d+)")


def totals(evidence: Evidence) -> Row:
    """Rows in, released, excluded over all extracts, and the largest share excluded of any extract."""
    rows = evidence["accounting"]
    sums = {name: sum(row[name] for row in rows) for name in ("rows_in", "released", "excluded")}
    worst = max((row["excluded"] / row["rows_in"] for row in rows if row["rows_in"]), default=0)
    return {**sums, "worst_share": worst}


def reasons(evidence: Evidence) -> list[Row]:
    """Rows and metering points by reason, the most frequent first, with the rules that carry the reason."""
    rows: Counter[str] = Counter()
    for account in evidence["accounting"]:
        rows.update({reason: count for reason, count in account["by_reason"].items() if count})
    words: dict[str, dict[str, None]] = defaultdict(dict)
    for rule in evidence["rules"]:
        if rule["effect"] != "warn":
            words[rule["reason"]].setdefault(rule["description"])
    mpans = evidence.get("exclusions", {}).get("by_first_cause", {})
    names = sorted(set(rows) | set(mpans), key=lambda reason: (-rows[reason], reason))
    return [{"reason": r, "rows": rows[r], "mpans": mpans.get(r), "descriptions": list(words[r])} for r in names]


def rules_by_id(evidence: Evidence) -> list[Row]:
    """Rules over all participants: one row a rule and extract, those that excluded most first."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for rule in evidence["rules"]:
        groups[rule["extract"], rule["rule"]].append(rule)
    rows = []
    for (extract, rule), members in groups.items():
        rows.append(
            {
                **members[0],
                "extract": extract,
                "rule": rule,
                "evaluated": sum(member["evaluated"] for member in members),
                "failed": sum(member["failed"] for member in members),
                "crashed": sum(member["crashed"] for member in members),
                "failing": sorted(member["participant"] for member in members if member["failed"]),
                "parties": len(members),
            }
        )
    return sorted(rows, key=lambda row: (-row["failed"], row["extract"], row["rule"]))


def heat(part: int, whole: int) -> int:
    """Return a share's step on the matrix's scale: 0 none, then under 0.1, 1, 2, 5 per cent, and more."""
    if not part:
        return 0
    share = part / whole if whole else 1
    return next((step for step, limit in enumerate((0.001, 0.01, 0.02, 0.05), 1) if share < limit), 5)


def matrix(evidence: Evidence) -> Row:
    """Disagreement between participants: left ones down, right ones across, items summed up in a cell."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in evidence.get("alignment", ()):
        names = ("compared", "disagree", "missing_left", "missing_right")
        cells[row["left"], row["right"]].update({name: row[name] for name in names})
    across = sorted({right for _, right in cells})
    lines = [
        {"left": left, "cells": [_cell(cells.get((left, right))) for right in across]}
        for left in sorted({left for left, _ in cells})
    ]
    return {"across": across, "lines": lines}


def _cell(sums: Counter[str] | None) -> Row | None:
    return {**sums, "heat": heat(sums["disagree"], sums["compared"])} if sums else None


def augmentation(evidence: Evidence) -> list[Row]:
    """Each item's fields by source, with their sum."""
    names = ("stated", "derived", "manufactured", "undecided")
    return [{**row, "total": sum(row[name] for name in names)} for row in evidence.get("augmentation", ())]


def phases(evidence: Evidence) -> list[Row]:
    """Fulfilment by phase, in the plan's order: test cases, how many in full, units and spares."""
    fence = evidence.get("ring_fence", {})
    cases: dict[str, list[Row]] = defaultdict(list)
    for entry in fence.get("phases", ()):
        _ = cases[_phase_id(entry)]
    for case in fence.get("test_cases", ()):
        cases[case["phase"]].append(case)
    names = {_phase_id(entry): entry.get("name", "") for entry in fence.get("phases", ()) if isinstance(entry, dict)}
    sums = ("wanted", "allocated", "short", "spares_wanted", "spares")
    return [
        {
            "phase": phase,
            "name": names.get(phase, ""),
            "cases": len(members),
            "full": sum(not case["short"] for case in members),
            **{name: sum(case.get(name, 0) for case in members) for name in sums},
        }
        for phase, members in cases.items()
    ]


def _phase_id(entry: Any) -> str:
    return str(entry.get("phase", "")) if isinstance(entry, dict) else str(entry)


def policy(evidence: Evidence) -> list[Row]:
    """Treatment by extract; a run of numbered columns treated alike, as the fifty periods, is one row."""
    extracts = evidence.get("policy", {}).get("extracts", {})
    return [{"extract": name, "columns": _columns(extracts[name])} for name in sorted(extracts)]


def _columns(treatments: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name, entry in treatments.items():
        known = entry if isinstance(entry, dict) else {"treatment": entry}
        row = {"first": name, "last": "", "classification": "", **known}
        match = _NUMBERED.fullmatch(name)
        row["stem"] = match.group(1) if match else None
        if rows and row["stem"] and all(rows[-1][k] == row[k] for k in ("stem", "treatment", "classification")):
            rows[-1]["last"] = name
        else:
            rows.append(row)
    return rows


def flat(section: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """Return an open section as name and value pairs, inner objects with their path."""
    pairs: list[tuple[str, Any]] = []
    for name, value in (section or {}).items():
        if isinstance(value, Mapping):
            pairs += [(f"{name} / {inner}", found) for inner, found in flat(value)]
        else:
            pairs.append((name, value if isinstance(value, int | float | str) else str(value)))
    return pairs


def stacked(parts: Iterable[int], width: float) -> list[tuple[float, float]]:
    """Return (x, width) of each part of a bar; a part that is not nothing stays at least one unit wide."""
    counts = list(parts)
    total = sum(counts)
    if not total:
        return [(0.0, 0.0) for _ in counts]
    raw = [max(1.0, width * count / total) if count else 0.0 for count in counts]
    # What the slivers gained, the widest part gives.
    widest = raw.index(max(raw))
    raw[widest] -= sum(raw) - width
    spans, x = [], 0.0
    for part in raw:
        spans.append((round(x, 2), round(part, 2)))
        x += part
    return spans
