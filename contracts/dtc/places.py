"""Every column of a contract that a flow carries, with the place and the name that the catalogue gives it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.dtc.layout import DtcLayout, group_of

if TYPE_CHECKING:
    from contracts.model import Contract


@dataclass(frozen=True, slots=True)
class FlowPlace:
    """Where one column stands in one flow.

    Attributes:
        flow: flow and version, as ``D0150002``.
        name: what the catalogue calls the item.
        matches: whether the item is one of the column's own (``item``, ``otherItems``).
    """

    extract: str
    column: str
    item: str
    flow: str
    group: str
    position: int
    name: str
    matches: bool


def flow_places(contract: Contract) -> Iterator[FlowPlace]:
    """Yield the places of a contract's columns, layout by layout."""
    own = {column.name: {column.item, *column.other_items} for column in contract.columns}
    for layout in contract.dtc_layouts:
        for column, group, position in _taken(layout):
            known = group_of(layout, group)
            if known is not None:
                item = known.items[position - 1]
                yield FlowPlace(
                    extract=contract.extract,
                    column=column,
                    item=item.item,
                    flow=layout.label,
                    group=group,
                    position=position,
                    name=item.name,
                    matches=item.item in own.get(column, ()),
                )


def _taken(layout: DtcLayout) -> Iterator[tuple[str, str, int]]:
    for column, (group, position) in layout.fields.items():
        yield column, group, position
    for column, (group, position) in layout.agreed.items():
        yield column, group, position
    for column, (group, *both) in layout.partners.items():
        yield from ((column, group, position) for position in both)
    if (fold := layout.fold) is not None:
        yield from ((column, fold.group, fold.position) for column in fold.columns)
        if fold.flag_column:
            yield fold.flag_column, fold.group, fold.flag_position
