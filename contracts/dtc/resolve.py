"""From an entry of ``dtcLayouts`` to a layout: group and item references become positions of the shipped flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from contracts.dtc.layout import ADDRESSEE, DtcLayout, Fold, Place
from contracts.dtc.model import Flow
from contracts.dtc.shipped import shipped_flow
from contracts.errors import ContractError


def resolve_layout(node: Mapping[str, Any]) -> DtcLayout:
    """Turn an entry of ``dtcLayouts`` into a layout with positions.

    Raises:
        ContractError: no such flow is shipped, or it has no such group or item.
        KeyError: an entry is missing.
    """
    flow = shipped_flow(str(node["flow"]), str(node.get("version", "")))
    if faults := [what for _, what in layout_faults(node)]:
        raise ContractError("; ".join(faults), where=f"layout {flow.flow}", remedy="run datacut contracts check")
    return DtcLayout(
        flow=flow.flow,
        row_group=str(node["rowGroup"]),
        parents=MappingProxyType({g.name: g.parent for g in flow.groups.values() if g.parent in flow.groups}),
        fields=MappingProxyType({column: _place(flow, str(text)) for column, text in node["fields"].items()}),
        constants=MappingProxyType({str(k): str(v) for k, v in (node.get("constants") or {}).items()}),
        fold=_fold(flow, node["fold"]) if "fold" in node else None,
        catalogue=flow,
        latest=MappingProxyType({str(g): _place(flow, f"{g}.{i}")[1] for g, i in (node.get("latest") or {}).items()}),
        header=MappingProxyType({str(k): str(v) for k, v in (node.get("header") or {}).items()}),
        fills=MappingProxyType({_place(flow, str(k)): str(v) for k, v in (node.get("fills") or {}).items()}),
        returned_as=str(node.get("returnedAs", "")),
        utc_days=bool(node.get("utcDays", False)),
        agreed=MappingProxyType({str(k): _place(flow, str(v)) for k, v in (node.get("agreed") or {}).items()}),
        partners=MappingProxyType({str(k): _pair(flow, v) for k, v in (node.get("partners") or {}).items()}),
        completes=tuple(map(str, node.get("completes") or ())),
        marks=MappingProxyType({_place(flow, str(k)): str(v) for k, v in (node.get("marks") or {}).items()}),
    )


def _place(flow: Flow, text: str) -> Place:
    """Return group and position of ``<group>.<item>``; the text was judged before."""
    group, _, item = text.partition(".")
    return group, flow.groups[group].places(item)[0]


def _pair(flow: Flow, places: Sequence[str]) -> tuple[str, int, int]:
    (group, one), (_, other) = (_place(flow, str(text)) for text in places)
    return group, one, other


def _fold(flow: Flow, node: Mapping[str, Any]) -> Fold:
    group = str(node["group"])
    flag = node.get("flagItem")
    return Fold(
        group=group,
        position=_place(flow, f"{group}.{node['item']}")[1],
        columns=tuple(node["columns"]),
        flag_position=_place(flow, f"{group}.{flag}")[1] if flag else 0,
        flag_column=str(node.get("flagColumn", "")),
    )


def layout_faults(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the flow of a layout does not have, as (kind, words): kind is ``flow``, ``place``, or ``nesting``."""
    try:
        flow = shipped_flow(str(node["flow"]), str(node.get("version", "")))
    except ContractError as fault:
        yield "flow", fault.what
        return
    for text in _places(node):
        if (what := _place_fault(flow, text)) is not None:
            yield "place", what
    yield from (("nesting", what) for what in _nesting_faults(flow, node))


def _places(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield every place that a layout names, as ``<group>.<item>``."""
    yield from map(str, node["fields"].values())
    yield from map(str, node.get("fills") or {})
    yield from map(str, node.get("marks") or {})
    yield from map(str, (node.get("agreed") or {}).values())
    yield from (str(text) for pair in (node.get("partners") or {}).values() for text in pair)
    yield from (f"{group}.{item}" for group, item in (node.get("latest") or {}).items())
    if fold := node.get("fold"):
        yield from (f"{fold['group']}.{fold[key]}" for key in ("item", "flagItem") if key in fold)


def _place_fault(flow: Flow, text: str) -> str | None:
    group, dot, item = text.partition(".")
    if not dot or not item.startswith("J"):
        return f"{text} is not a place: name group and item reference, as 290.J0004"
    if group not in flow.groups:
        return f"{flow.label} has no group {group}"
    found = flow.groups[group].places(item)
    if not found:
        return f"group {group} of {flow.label} has no item {item}"
    return f"group {group} of {flow.label} has item {item} more than once" if len(found) > 1 else None


def _nesting_faults(flow: Flow, node: Mapping[str, Any]) -> Iterator[str]:
    row = str(node["rowGroup"])
    if row not in flow.groups:
        yield f"{flow.label} has no group {row} for its rows"
        return
    above = {row, *flow.ancestors(row)}
    latest = {str(group) for group in node.get("latest") or {}}
    for group in {str(text).partition(".")[0] for text in node["fields"].values()} & set(flow.groups) - above:
        if row in flow.ancestors(group) and group not in latest:
            yield f"group {group} is below the rows of group {row}: say under latest which of its records counts"
    for group in sorted(latest & set(flow.groups)):
        if row not in flow.ancestors(group):
            yield f"latest names group {group}, which is not below the rows of group {row}"
    for column, what in (node.get("header") or {}).items():
        if what != ADDRESSEE:
            yield f"the header gives {column} no {what}: it has the {ADDRESSEE} alone"
    for column, pair in (node.get("partners") or {}).items():
        groups = {str(text).partition(".")[0] for text in pair}
        if len(pair) != 2 or len(groups) != 1 or not all(row in flow.ancestors(g) for g in groups & set(flow.groups)):
            yield f"{column} takes a pair of items of one group below the rows of group {row}"
    for column, text in (node.get("agreed") or {}).items():
        group = str(text).partition(".")[0]
        if group in flow.groups and (flow.groups[group].parent not in above or group in above):
            yield f"{column} takes group {group}, which is not beside the rows of group {row}"
    if (fold := node.get("fold")) and str(fold["group"]) in flow.groups and row not in flow.ancestors(fold["group"]):
        yield f"the folded group {fold['group']} is not below the rows of group {row}"
