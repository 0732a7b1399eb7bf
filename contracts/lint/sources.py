"""House rules of what stands around the contracts: DTC layouts, code lists, market domain data, alignment."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from contracts.documents.alignment import AlignmentDocument
from contracts.documents.odcs import ContractDocument
from contracts.dtc.layout import layout_columns
from contracts.dtc.places import flow_places
from contracts.dtc.resolve import layout_faults
from contracts.lint.document import LintFindings
from contracts.lint.rules import condition_fault
from contracts.load import custom
from contracts.model import Contract, column_type

# Items that nobody may take (domain 7.3, Q73): PINs, passwords, user names, keys, what to call and how, SIM cards.
BARRED_ITEMS = frozenset((
    "J0385", "J0464", "J0468", "J0470", "J1257", "J1258", "J1713", "J1714", "J1715", "J1716", "J2263", "J2265",
))  # fmt: skip
_RULES = {"flow": "C41", "place": "C41", "nesting": "C44"}


def check_places(document: ContractDocument, findings: LintFindings) -> bool:
    """Hold the groups and items that a contract names against the flows as published; tell whether all are there."""
    before = len(findings.found)
    for entry in custom(document.custom_properties).get("dtcLayouts", ()):
        where = f"layout {entry.flow} {entry.row_group}"
        for kind, what in layout_faults(entry):
            findings.add(_RULES[kind], where, what)
    return len(findings.found) == before


def check_layouts(contract: Contract, findings: LintFindings) -> None:
    """Check where the columns of a contract stand in DTC user files."""
    names = {column.name: column for column in contract.columns}
    for layout in contract.dtc_layouts:
        where = f"layout {layout.label} {layout.row_group}"
        given = layout_columns(layout)
        for name in given:
            if name not in names:
                findings.add("C42", where, f"there is no column {name!r}")
        same_flow = {n for other in contract.dtc_layouts if other.flow == layout.flow for n in other.fields}
        missing = [c.name for c in contract.columns if c.required and c.name not in {*given, *same_flow}]
        if missing:
            findings.add("C42", where, f"lacks the required {', '.join(missing)}")
        if layout.returned_as and layout.returned_as not in {other.flow for other in contract.dtc_layouts}:
            findings.add("C44", where, f"goes back as {layout.returned_as}, of which the contract has no layout")
    for row in flow_places(contract):
        where = f"layout {row.flow} {row.group}"
        if row.item in BARRED_ITEMS:
            findings.add("C43", where, f"item {row.item} is a password or a number to call: nothing may be taken")
        if row.column in names and not row.matches:
            wanted = ", ".join(filter(None, (names[row.column].item, *names[row.column].other_items))) or "none"
            findings.add("C48", where, f"column {row.column} is item {wanted}, and {row.item} is {row.name}")


def check_code_list(path: Path, findings: LintFindings) -> None:
    """Check one code list: a header, rows that fit it, no code twice."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
    except (OSError, UnicodeDecodeError, ValueError):
        findings.add("C45", "", "is not a CSV file with a header")
        return
    if not rows:
        findings.add("C45", "", "has no rows")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            findings.add("C45", f"line {number}", f"has {len(row)} cells where the header has {len(header)}")
    if header[0] == "code" and len({row[0] for row in rows if row}) != len(rows):
        findings.add("C45", "", "a code is there twice")


def check_alignment(document: AlignmentDocument, contracts: Mapping[str, Contract], findings: LintFindings) -> None:
    """Check the comparisons between participants."""
    registration = contracts.get("registration")
    if registration is None:
        return
    own = {c.name: column_type(c) for c in registration.staged}
    for entry in document.comparisons:
        where = f"comparison with {entry.right}"
        other = contracts.get(entry.right)
        if other is None:
            findings.add("C46", where, "no such extract")
            continue
        theirs = {c.name for c in other.staged} | {"participant"}
        if entry.expected and entry.expected not in own:
            findings.add("C46", where, f"expected: registration has no column {entry.expected!r}")
        if fault := condition_fault(entry.scope, dict(own), boolean=True)[0]:
            findings.add("C31", where, f"scope: {fault}")
        derived = dict.fromkeys((d.name for d in other.derived), column_type(other.column("mpan_core")))
        beside = {**{c.name: column_type(c) for c in other.staged}, **derived}
        if entry.held and (fault := condition_fault(entry.held, beside, boolean=True)[0]):
            findings.add("C31", where, f"held: {fault}")
        known = {rule.reason for rule in (*registration.rules, *other.rules)}
        if odd := sorted(set(entry.reasons) - known):
            findings.add("C46", where, f"reasons: no rule of either extract has {', '.join(odd)}")
        for mine, item in entry.items.items():
            if mine not in own or item.column not in theirs:
                findings.add("C46", where, f"item {mine!r} is not in both extracts")
