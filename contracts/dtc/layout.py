"""How an extract is read from a flow: columns by group and item reference, which the catalogue turns into positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from contracts.dtc.model import Flow, Group

ADDRESSEE = "addressee"
CUT_DATE = "cut date"
_EMPTY: Mapping[Any, Any] = MappingProxyType({})
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """Records below a row that become columns of the row: the half-hours of a day.

    Attributes:
        group: the group of these records.
        position: 1-based field that holds the value.
        columns: contract columns for the first record, the second and so on.
        flag_position: 1-based field of a one-character flag, 0 for none.
        flag_column: contract column that takes the flags of all records, one after the other.
    """

    group: str
    position: int
    columns: tuple[str, ...]
    flag_position: int = 0
    flag_column: str = ""


@dataclass(frozen=True, slots=True)
class DtcLayout:
    """Where an extract's columns stand in a flow.

    Attributes:
        flow: flow id without version, as ``D0150``.
        row_group: the group whose every record is one row of the extract.
        parents: group -> its parent group; the top group has no entry.
        fields: contract column -> (group, 1-based field position after the group id).
        constants: contract column -> the value that every row of this flow has.
        fold: a group whose records below a row become columns of it, in file order; ``None`` where there is none.
        catalogue: the flow as published; ``None`` where nobody knows it: cardinalities are then not judged.
        latest: group below the row -> position of the date from which a record of it holds; of its records the one
            counts that holds on the cut date.
        header: contract column -> what it takes from the header record: ``addressee``, the supplier it is sent to.
        fills: (group, position) of a mandatory item that no column has -> what a return writes there; ``cut date``
            stands for the date of the cut.
        returned_as: flow in which rows go back; empty for the same one.
        utc_days: whether the days of the flow are days in UTC, to be joined into settlement days.
        agreed: contract column -> item of a group beside the row; it counts where all its records say the same.
        partners: contract column -> (group below the row, positions of the two MPANs of a pair): the one that is not
            the row's own.
        completes: flows whose rows the rows of this one complete, and to which they add what those do not have.
        marks: (group, position) of a flag -> column: a return writes ``T`` there where the column has a value.
    """

    flow: str
    row_group: str
    parents: Mapping[str, str]
    fields: Mapping[str, Place]
    constants: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    fold: Fold | None = None
    catalogue: Flow | None = None
    latest: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    header: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    fills: Mapping[Place, str] = field(default_factory=lambda: _EMPTY)
    returned_as: str = ""
    utc_days: bool = False
    agreed: Mapping[str, Place] = field(default_factory=lambda: _EMPTY)
    partners: Mapping[str, tuple[str, int, int]] = field(default_factory=lambda: _EMPTY)
    completes: tuple[str, ...] = ()
    marks: Mapping[Place, str] = field(default_factory=lambda: _EMPTY)

    @property
    def label(self) -> str:
        """Flow and, where the catalogue is known, its version, as ``D0150002``."""
        return self.catalogue.label if self.catalogue is not None else self.flow

    def takes(self, header: str) -> bool:
        """Tell whether the layout is one for a header's flow: the version counts, since positions change with it."""
        return header == self.label if self.catalogue is not None else header.startswith(self.flow)


def group_of(layout: DtcLayout, name: str) -> Group | None:
    """Return a group as published; ``None`` where the catalogue or the group is not known."""
    return layout.catalogue.groups.get(name) if layout.catalogue is not None else None


def layout_columns(layout: DtcLayout) -> list[str]:
    """Return the contract columns that a layout gives."""
    folded = [*layout.fold.columns, layout.fold.flag_column] if layout.fold is not None else []
    said = [*layout.fields, *layout.agreed, *layout.partners, *layout.constants, *layout.header]
    return [*said, *(name for name in folded if name)]
