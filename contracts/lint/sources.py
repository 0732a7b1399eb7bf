"""House rules of what stands around the contracts: DTC layouts, code lists, market domain data, alignment."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.lint.document import LintFindings
from contracts.lint.rules import condition_fault
from contracts.model import Contract, DtcLayout, column_type

# Groups of passwords, telephone numbers and SIM cards (domain 7.3, Q73): nothing is ever taken from them.
BARRED_GROUPS = {"D0268": ("02A",)}
_FLOW, _GROUP = re.compile(r"D\d{4}"), re.compile(r"[0-9A-Z]{3}")


def check_layouts(contract: Contract, findings: LintFindings) -> None:
    """Check where the columns of a contract stand in DTC user files."""
    parents: dict[str, Mapping[str, str]] = {}
    for layout in contract.dtc_layouts:
        where = f"layout {layout.flow} {layout.row_group}"
        _check_layout(contract, layout, where, findings)
        if parents.setdefault(layout.flow, layout.parents) != layout.parents:
            findings.add("C44", where, "has other parents than the layout of the same flow before it")


def _check_layout(contract: Contract, layout: DtcLayout, where: str, findings: LintFindings) -> None:
    if not _FLOW.fullmatch(layout.flow):
        findings.add("C41", where, "a flow is D and four digits")
    folded = [*layout.fold.columns, *filter(None, [layout.fold.flag_column])] if layout.fold else []
    given = [*layout.fields, *layout.constants, *folded]
    names = {column.name for column in contract.columns}
    for name in given:
        if name not in names:
            findings.add("C42", where, f"there is no column {name!r}")
    missing = [c.name for c in contract.columns if c.required and c.name not in given]
    same_flow = {n for other in contract.dtc_layouts if other.flow == layout.flow for n in other.fields}
    if missing := [name for name in missing if name not in same_flow]:
        findings.add("C42", where, f"lacks the required {', '.join(missing)}")
    places = [*layout.fields.values(), *([(layout.fold.group, layout.fold.position)] if layout.fold else [])]
    for group, position in places:
        if group in BARRED_GROUPS.get(layout.flow, ()):
            findings.add(
                "C43", where, f"group {group} holds passwords and numbers to call: nothing may be taken from it"
            )
        if not _GROUP.fullmatch(group) or position < 1:
            findings.add("C41", where, f"{group}.{position} is no place: a group of three characters, a field from 1")
        if group != layout.row_group and group not in layout.parents and group not in layout.parents.values():
            findings.add("C44", where, f"group {group} has no parent and is none")
    if _circle(layout.parents):
        findings.add("C44", where, "parents go in a circle")


def _circle(parents: Mapping[str, str]) -> bool:
    for start in parents:
        seen, group = set(), start
        while group in parents:
            if group in seen:
                return True
            seen.add(group)
            group = parents[group]
    return False


def check_code_list(path: Path, findings: LintFindings) -> None:
    """Check one code list: a header, rows that fit it, no code twice."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
    except (OSError, UnicodeDecodeError, ValueError):
        findings.add("C45", "", "is no CSV file with a header")
        return
    if not rows:
        findings.add("C45", "", "has no rows")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            findings.add("C45", f"line {number}", f"has {len(row)} cells where the header has {len(header)}")
    if header[0] == "code" and len({row[0] for row in rows if row}) != len(rows):
        findings.add("C45", "", "a code stands twice")


def check_alignment(document: Mapping[str, Any], contracts: Mapping[str, Contract], findings: LintFindings) -> None:
    """Check the comparisons between participants."""
    registration = contracts.get("registration")
    if registration is None:
        return
    own = {c.name: column_type(c) for c in registration.staged}
    if document.get("policy", {}).get("beyond") not in ("report", "fail"):
        findings.add("C46", "policy", "beyond is none of report, fail")
    for spec in document.get("comparisons", ()):
        where = f"comparison with {spec.get('right')}"
        other = contracts.get(str(spec.get("right")))
        if other is None:
            findings.add("C46", where, "there is no such extract")
            continue
        theirs = {c.name for c in other.staged} | {"participant"}
        if spec.get("expected") and spec["expected"] not in own:
            findings.add("C46", where, f"expected: registration has no column {spec['expected']!r}")
        if fault := condition_fault(str(spec.get("scope", "")), dict(own), boolean=True)[0]:
            findings.add("C31", where, f"scope: {fault}")
        for mine, item in spec.get("items", {}).items():
            if mine not in own or str(item.get("column")) not in theirs:
                findings.add("C46", where, f"item {mine!r} is not in both extracts")
        for name, share in _tolerances(spec):
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                findings.add("C46", where, f"{name}: a tolerance is a share from 0 to 1")


def _tolerances(spec: Mapping[str, Any]) -> list[tuple[str, object]]:
    items = [(f"item {name}", item.get("tolerance")) for name, item in spec.get("items", {}).items()]
    return [*items, ("presence", spec.get("presence", {}).get("tolerance"))]
