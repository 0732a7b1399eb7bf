"""From an entry of ``dtcLayouts`` to a layout: group and item references become positions of the shipped flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from contracts.documents.odcs import FoldEntry, LayoutEntry
from contracts.dtc.layout import ADDRESSEE, DtcLayout, Fold, Place
from contracts.dtc.model import Flow
from contracts.dtc.shipped import shipped_flow
from contracts.errors import ContractError


def resolve_layout(entry: LayoutEntry) -> DtcLayout:
    """Turn an entry of ``dtcLayouts`` into a layout with positions.

    Raises:
        ContractError: no such flow is shipped, or it has no such group or item.
    """
    flow = shipped_flow(entry.flow, entry.version)
    if faults := [what for _, what in layout_faults(entry)]:
        raise ContractError("; ".join(faults), where=f"layout {flow.flow}", remedy="run datacut contracts check")
    return DtcLayout(
        flow=flow.flow,
        row_group=entry.row_group,
        parents=MappingProxyType({g.name: g.parent for g in flow.groups.values() if g.parent in flow.groups}),
        fields=_at(flow, entry.fields),
        constants=MappingProxyType(entry.constants),
        fold=_fold(flow, entry.fold) if entry.fold else None,
        catalogue=flow,
        latest=MappingProxyType({g: _place(flow, f"{g}.{item}")[1] for g, item in entry.latest.items()}),
        header=MappingProxyType(entry.header),
        fills=MappingProxyType({_place(flow, place): value for place, value in entry.fills.items()}),
        returned_as=entry.returned_as,
        utc_days=entry.utc_days,
        agreed=_at(flow, entry.agreed),
        partners=MappingProxyType({column: _pair(flow, places) for column, places in entry.partners.items()}),
        completes=tuple(entry.completes),
        marks=MappingProxyType({_place(flow, place): value for place, value in entry.marks.items()}),
    )


def _at(flow: Flow, places: Mapping[str, str]) -> Mapping[str, Place]:
    return MappingProxyType({column: _place(flow, text) for column, text in places.items()})


def _place(flow: Flow, text: str) -> Place:
    """Return group and position of ``<group>.<item>``; the text was judged before."""
    group, _, item = text.partition(".")
    return group, flow.groups[group].places(item)[0]


def _pair(flow: Flow, places: Sequence[str]) -> tuple[str, int, int]:
    (group, one), (_, other) = (_place(flow, text) for text in places)
    return group, one, other


def _fold(flow: Flow, entry: FoldEntry) -> Fold:
    flag = entry.flag_item
    return Fold(
        group=entry.group,
        position=_place(flow, f"{entry.group}.{entry.item}")[1],
        columns=tuple(entry.columns),
        flag_position=_place(flow, f"{entry.group}.{flag}")[1] if flag else 0,
        flag_column=entry.flag_column,
    )


def layout_faults(entry: LayoutEntry) -> Iterator[tuple[str, str]]:
    """Yield what the flow of a layout does not have, as (kind, words): kind is ``flow``, ``place``, or ``nesting``."""
    try:
        flow = shipped_flow(entry.flow, entry.version)
    except ContractError as fault:
        yield "flow", fault.what
        return
    for text in _places(entry):
        if (what := _place_fault(flow, text)) is not None:
            yield "place", what
    yield from (("nesting", what) for what in _nesting_faults(flow, entry))


def _places(entry: LayoutEntry) -> Iterator[str]:
    """Yield every place that a layout names, as ``<group>.<item>``."""
    yield from entry.fields.values()
    yield from entry.fills
    yield from entry.marks
    yield from entry.agreed.values()
    yield from (text for pair in entry.partners.values() for text in pair)
    yield from (f"{group}.{item}" for group, item in entry.latest.items())
    if fold := entry.fold:
        yield from (f"{fold.group}.{item}" for item in (fold.item, fold.flag_item) if item)


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


def _nesting_faults(flow: Flow, entry: LayoutEntry) -> Iterator[str]:
    row = entry.row_group
    if row not in flow.groups:
        yield f"{flow.label} has no group {row} for its rows"
        return
    above = {row, *flow.ancestors(row)}
    latest = set(entry.latest)
    for group in {text.partition(".")[0] for text in entry.fields.values()} & set(flow.groups) - above:
        if row in flow.ancestors(group) and group not in latest:
            yield f"group {group} is below the rows of group {row}: say under latest which of its records counts"
    for group in sorted(latest & set(flow.groups)):
        if row not in flow.ancestors(group):
            yield f"latest names group {group}, which is not below the rows of group {row}"
    for column, what in entry.header.items():
        if what != ADDRESSEE:
            yield f"the header gives {column} no {what}: it has the {ADDRESSEE} alone"
    for column, pair in entry.partners.items():
        groups = {text.partition(".")[0] for text in pair}
        if len(pair) != 2 or len(groups) != 1 or not all(row in flow.ancestors(g) for g in groups & set(flow.groups)):
            yield f"{column} takes a pair of items of one group below the rows of group {row}"
    for column, text in entry.agreed.items():
        group = text.partition(".")[0]
        if group in flow.groups and (flow.groups[group].parent not in above or group in above):
            yield f"{column} takes group {group}, which is not beside the rows of group {row}"
    if (fold := entry.fold) and fold.group in flow.groups and row not in flow.ancestors(fold.group):
        yield f"the folded group {fold.group} is not below the rows of group {row}"
