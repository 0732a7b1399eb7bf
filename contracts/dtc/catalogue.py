"""Text of the published CSV form <-> flows. Pure: whoever has the text may parse it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from contracts.dtc.model import Cardinality, Flow, FlowItem, Group
from contracts.errors import ContractError

COLUMNS = (
    "flow",
    "version",
    "group",
    "parent",
    "cardinality",
    "position",
    "item",
    "name",
    "format",
    "optionality",
)
_PATTERNS = {
    "flow": r"D\d{4}",
    "version": r"\d{3}",
    "group": r"[0-9A-Z]{2,3}",
    "parent": r"|[0-9A-Z]{2,3}",
    "cardinality": r"[01]\.\.[1*]",
    "position": r"[1-9]\d{0,2}",
    "item": r"J\d{4}",
    "name": r".*\S.*",
    "format": r"(?:|CHAR|NUM|INT|DATE|TIME|DATETIME|BOOLEAN)\(\d{1,4}\)",
    "optionality": r"[MO]",
}
_RULES = {column: re.compile(pattern, re.ASCII) for column, pattern in _PATTERNS.items()}
_FORM = "give the catalogue as CSV with the headings " + ",".join(COLUMNS)
_Row = Mapping[str, str]


def parse_catalogue(text: str, *, where: str = "catalogue") -> Mapping[tuple[str, str], Flow]:
    """Return the flows of a catalogue by (flow, version).

    Args:
        text: CSV with the headings of ``COLUMNS``, in any order; one line a field.
        where: name of the text in an error.

    Raises:
        ContractError: a heading is missing, a cell is not of its form, a group has gaps in its positions, two parents
            or two cardinalities, groups hang from each other in a circle, or there is no line at all.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        rows = _read(reader, where)
    except csv.Error:
        raise ContractError(f"is not CSV at line {reader.line_num}", where=where, remedy=_FORM) from None
    if not rows:
        raise ContractError("holds no field of any flow", where=where, remedy=_FORM)
    by_flow: dict[tuple[str, str], list[tuple[int, _Row]]] = {}
    for line, row in rows:
        by_flow.setdefault((row["flow"], row["version"]), []).append((line, row))
    return MappingProxyType({key: _flow(key, lines, where) for key, lines in sorted(by_flow.items())})


def _read(reader: Iterable[list[str]], where: str) -> list[tuple[int, _Row]]:
    """Return the lines as maps of column to cell, each with its number; empty lines are passed over."""
    lines = iter(reader)
    header = [name.strip().lower() for name in next(lines, [])]
    if missing := [column for column in COLUMNS if header.count(column) != 1]:
        raise ContractError(f"lacks the headings {', '.join(missing)}", where=where, remedy=_FORM)
    rows: list[tuple[int, _Row]] = []
    for number, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise ContractError(
                f"has {len(cells)} cells at line {number}, not {len(header)}", where=where, remedy=_FORM
            )
        row = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
        if wrong := [column for column in COLUMNS if not _RULES[column].fullmatch(row[column])]:
            raise ContractError(f"has no valid {wrong[0]} at line {number}", where=where, remedy=_FORM)
        rows.append((number, row))
    return rows


def _flow(key: tuple[str, str], rows: list[tuple[int, _Row]], where: str) -> Flow:
    by_group: dict[str, list[tuple[int, _Row]]] = {}
    for line, row in rows:
        by_group.setdefault(row["group"], []).append((line, row))
    flow = Flow(*key, MappingProxyType({name: _group(lines, where) for name, lines in by_group.items()}))
    for name in flow.groups:
        _judge_circle(flow, name, where)
    return flow


def _group(rows: list[tuple[int, _Row]], where: str) -> Group:
    line, first = rows[0]
    about = f"group {first['group']} of {first['flow']}"
    for field in ("parent", "cardinality"):
        if different := [n for n, row in rows if row[field] != first[field]]:
            raise ContractError(f"gives {about} another {field} at line {different[0]}", where=where, remedy=_FORM)
    items = sorted((_item(row) for _, row in rows), key=lambda item: item.position)
    if [item.position for item in items] != list(range(1, len(items) + 1)):
        raise ContractError(f"has positions of {about} twice or with a gap, from line {line}", where=where)
    least, most = first["cardinality"].split("..")
    limit = None if most == "*" else int(most)
    return Group(first["group"], first["parent"], Cardinality(int(least), limit), tuple(items))


def _item(row: _Row) -> FlowItem:
    kind, length = row["format"].rstrip(")").split("(")
    return FlowItem(
        position=int(row["position"]),
        item=row["item"],
        name=row["name"],
        kind=kind,
        length=int(length),
        mandatory=row["optionality"] == "M",
    )


def _judge_circle(flow: Flow, name: str, where: str) -> None:
    seen = {name}
    above = flow.groups[name].parent
    while above in flow.groups:
        if above in seen:
            raise ContractError(f"has groups of {flow.flow} in a circle, at {name}", where=where)
        seen.add(above)
        above = flow.groups[above].parent


def catalogue_text(flows: Iterable[Flow]) -> str:
    """Return flows in the published CSV form: CRLF, one line a field; ``parse_catalogue`` reads it back."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for flow in flows:
        for group, item in flow.items():
            nesting = (flow.flow, flow.version, group.name, group.parent, str(group.cardinality))
            writer.writerow((*nesting, item.position, item.item, item.name, item.format, "MO"[not item.mandatory]))
    return out.getvalue()
