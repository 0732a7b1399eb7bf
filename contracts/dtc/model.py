"""What the Data Transfer Catalogue says of a flow: its groups, their nesting, and their items in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Cardinality:
    """How often a group stands under one record of its parent.

    Attributes:
        least: 0 or 1.
        most: 1, or ``None`` for any number.
    """

    least: int
    most: int | None

    def __str__(self) -> str:
        """Return it as the catalogue writes it."""
        return f"{self.least}..{self.most or '*'}"


@dataclass(frozen=True, slots=True)
class FlowItem:
    """One field of a group.

    Attributes:
        position: place among the fields of the record, from 1; the group id is 0.
        item: the catalogue's reference, as ``J0003``.
        name: the catalogue's name.
        kind: ``CHAR``, ``NUM``, ``INT``, ``DATE``, ``TIME``, ``DATETIME``, ``BOOLEAN``; empty where it is not known.
        length: longest value in characters, 0 where it is not known. Decimals are not known.
        mandatory: whether a record must fill it.
    """

    position: int
    item: str
    name: str
    kind: str
    length: int
    mandatory: bool

    @property
    def format(self) -> str:
        """Return the format as the catalogue writes it, as ``NUM(13)``."""
        return f"{self.kind}({self.length})"


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of record.

    Attributes:
        name: group id, the first field of its records.
        parent: id of the group it hangs from; empty at the top.
        items: its fields in order of position, without a gap.
    """

    name: str
    parent: str
    cardinality: Cardinality
    items: tuple[FlowItem, ...]

    def places(self, item: str) -> tuple[int, ...]:
        """Return the positions of an item: none, one, or several where a group holds it more than once."""
        return tuple(field.position for field in self.items if field.item == item)

    @property
    def width(self) -> int:
        """Number of fields after the group id."""
        return len(self.items)


@dataclass(frozen=True)
class Flow:
    """One version of a flow.

    Attributes:
        flow: id without version, as ``D0150``.
        version: three digits, as ``002``.
        groups: group id -> group, in the order of the catalogue.
        name: its title; empty where the source of the layout does not give it.
    """

    flow: str
    version: str
    groups: Mapping[str, Group] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Flow and version."""
        return self.flow, self.version

    @property
    def label(self) -> str:
        """Flow and version as a header record has them, as ``D0150002``."""
        return self.flow + self.version

    @cached_property
    def unlisted(self) -> frozenset[str]:
        """Parents that the catalogue names and does not describe: their groups stand at the top."""
        return frozenset(g.parent for g in self.groups.values() if g.parent and g.parent not in self.groups)

    def ancestors(self, group: str) -> tuple[str, ...]:
        """Return the groups that ``group`` hangs from, nearest first.

        Raises:
            KeyError: the flow has no such group.
        """
        found: list[str] = []
        above = self.groups[group].parent
        while above in self.groups:
            found.append(above)
            above = self.groups[above].parent
        return tuple(found)

    def items(self) -> Iterator[tuple[Group, FlowItem]]:
        """Yield every field with its group, in the order of the catalogue."""
        for group in self.groups.values():
            for item in group.items:
                yield group, item
