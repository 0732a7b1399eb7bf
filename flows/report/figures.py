"""What each section shows, computed from the evidence: totals, groups, shares. No markup, no wording."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
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


Evidence: TypeAlias = Mapping[str, Any]
_NUMBERED = re.compile(r"(.*?)(\d+)")
# Reasons that no contract rule and no obligation carries.
MEANINGS = {
    "coincident": ["the pseudonym happens to be a real MPAN of the same cut"],
    "serial": ["the meter serial number is too short for a pseudonym"],
    "DQ31": ["the items of the metering point contradict each other after augmentation"],
    "companion": ["another metering point of the same premises is excluded"],
}


def totals(evidence: Evidence) -> Row:
    """Rows in, released, excluded over all extracts, and the largest share excluded of any extract."""
    rows = evidence["accounting"]
    sums = {name: sum(row[name] for row in rows) for name in ("rows_in", "released", "excluded")}
    worst = max((row["excluded"] / row["rows_in"] for row in rows if row["rows_in"]), default=0)
    return {**sums, "worst_share": worst}


def reasons(evidence: Evidence) -> list[Row]:
    """Rows and metering points by reason, the most frequent first, with the faults found and what is asked for."""
    rows: Counter[str] = Counter()
    for account in evidence["accounting"]:
        rows.update({reason: count for reason, count in account["by_reason"].items() if count})
    faults: dict[str, Counter[str]] = defaultdict(Counter)
    for rule in evidence["rules"]:
        if rule["effect"] != "warn" and rule["failed"]:
            faults[rule["reason"]][rule.get("fault") or rule["description"]] += rule["failed"]
    asks = {entry["id"]: entry["asks"] for entry in evidence.get("requirements", ())}
    mpans = evidence.get("exclusions", {}).get("by_first_cause", {})
    names = sorted(set(rows) | set(mpans), key=lambda reason: (-rows[reason], reason))
    return [
        {
            "reason": reason,
            "rows": rows[reason],
            "mpans": mpans.get(reason),
            "faults": [fault for fault, _ in faults[reason].most_common()] or MEANINGS.get(reason, []),
            "asks": asks.get(reason, ""),
        }
        for reason in names
    ]


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
    """Each item's fields by source, with their sum; ``absent`` counts metering points that have no such item."""
    names = ("stated", "derived", "manufactured", "undecided")
    return [{"absent": 0, **row, "total": sum(row[name] for name in names)} for row in evidence.get("augmentation", ())]


def associations(evidence: Evidence) -> Row:
    """How import and export metering points were linked, and which checks found anything."""
    section = evidence.get("associations", {})
    checks = {**section.get("constraints", {}), **section.get("incoherent", {})}
    broken = [{"code": code, "count": count} for code, count in sorted(checks.items()) if count]
    return {"evidence": list(section.get("evidence", ())), "checks": len(checks), "broken": broken}


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
            "members": members,
            **{name: sum(case.get(name, 0) for case in members) for name in sums},
        }
        for phase, members in cases.items()
    ]


def _phase_id(entry: Any) -> str:
    return str(entry.get("phase", "")) if isinstance(entry, dict) else str(entry)


def coverage(evidence: Evidence) -> Row:
    """How like the released population each ring-fenced set is: attributes down, sets across."""
    entries = evidence.get("ring_fence", {}).get("coverage", ())
    across = sorted({(entry.get("round", 1), entry["name"]) for entry in entries})
    cells = {(entry["attribute"], (entry.get("round", 1), entry["name"])): entry for entry in entries}
    several = len({name for _, name in across}) < len(across)
    return {
        "across": [f"{name}, round {number}" if several else name for number, name in across],
        "whole": [cells.get(("", at)) for at in across],
        "lines": [
            {"attribute": attribute, "cells": [_distance(cells.get((attribute, at))) for at in across]}
            for attribute in sorted({entry["attribute"] for entry in entries} - {""})
        ],
    }


def _distance(entry: Mapping[str, Any] | None) -> Row | None:
    if entry is None or entry.get("distance") is None:
        return None
    step = next((s for s, limit in enumerate((0.02, 0.05, 0.1, 0.2, 0.4)) if entry["distance"] < limit), 5)
    return {"distance": entry["distance"], "absent": list(map(str, entry.get("absent", ()))), "heat": step}


def leak_classes(evidence: Evidence) -> list[Row]:
    """Classes of raw identifiers that were sought: what looked like one, and what was one."""
    classes = evidence.get("leak_scan", {}).get("classes", {})
    return [
        {"name": name, "candidates": found.get("candidates"), "confirmed": found.get("confirmed", 0)}
        if isinstance(found, Mapping)
        else {"name": name, "candidates": None, "confirmed": found}
        for name, found in sorted(classes.items())
    ]


def treatments(evidence: Evidence) -> list[Row]:
    """The policy by treatment: which columns of which extracts it holds for, the strongest treatments first."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for extract, columns in sorted(evidence.get("policy", {}).get("extracts", {}).items()):
        for name, entry in columns.items():
            treatment = entry["treatment"] if isinstance(entry, dict) else entry
            groups[treatment][extract].append(name)
    words = {entry["treatment"]: entry for entry in evidence.get("dpia", {}).get("treatments", ())}
    return [
        {
            "treatment": treatment,
            "extracts": [{"extract": e, "columns": ranges(names)} for e, names in groups[treatment].items()],
            "count": sum(len(names) for names in groups[treatment].values()),
            "words": words.get(treatment),
        }
        for treatment in sorted(groups, key=lambda name: (_METHODS.get(name.partition(" ")[0], 9), name))
    ]


_METHODS = {"pseudonymise": 0, "token": 1, "generalise": 2, "suppress": 3, "drop": 4, "keep": 5}


def ranges(names: Iterable[str]) -> list[str]:
    """Return column names with runs of numbered ones, as the fifty periods, as one: ``period_01 to period_50``."""
    found: list[list[str]] = []
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if found and match and (last := _NUMBERED.fullmatch(found[-1][-1])) and last.group(1) == match.group(1):
            found[-1].append(name)
        else:
            found.append([name])
    return [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in found]


def lineage(evidence: Evidence) -> list[Row]:
    """Every column with what it was called in the sources, an empty list where no source had it."""
    return [
        {**row, "names": [_source_words(source) for source in row["sources"]]} for row in evidence.get("lineage", ())
    ]


def _source_words(source: Mapping[str, Any]) -> Row:
    who = source.get("participants", [])
    return {"column": source["column"], "who": who}


def requirements(evidence: Evidence) -> list[Row]:
    """Obligations with the rows that the rules resting on them judged and found at fault."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for rule in evidence["rules"]:
        counts[rule["rule"]].update({"evaluated": rule["evaluated"], "failed": rule["failed"]})
    rows = []
    for entry in evidence.get("requirements", ()):
        names = entry.get("rules", ())
        judged = [counts[name] for name in names if counts[name]["evaluated"]]
        failed = sum(count["failed"] for count in judged)
        rows.append({**entry, "rules": list(names), "judged": len(judged), "failed": failed})
    return rows


def steps(evidence: Evidence) -> list[Row]:
    """The chain that this pack stands in: backups or packs it was made from, and itself."""
    files, who = len(evidence["inputs"]), len({row["participant"] for row in evidence["inputs"]})
    found: list[Row] = [{"kind": "backups", "count": files, "who": who}]
    if previous := evidence.get("previous"):
        found.append({"kind": "packs", "count": len(previous), "who": 0})
    found.append({"kind": evidence["kind"], "count": 1, "who": 0})
    return found


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
