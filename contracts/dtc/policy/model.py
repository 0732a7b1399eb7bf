"""What is done with each item of a flow when it is masked: kinds of item references, and where items differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class IdentifierKind(StrEnum):
    """What a value of an item is, and so how it is masked."""

    KEEP = "keep"
    MPAN = "mpan"
    METER_SERIAL = "meter_serial"
    ESME_ID = "esme_id"
    ADDRESS_LINE = "address_line"
    POSTCODE = "postcode"
    REFERENCE = "reference"
    NAME = "name"
    TELEPHONE = "telephone"
    EMAIL = "email"
    FREE_TEXT = "free_text"
    SENSITIVE = "sensitive"
    SECRET = "secret"  # noqa: S105 - a kind of item, not a password


IDENTIFIERS = frozenset({IdentifierKind.MPAN, IdentifierKind.METER_SERIAL, IdentifierKind.ESME_ID})
CONSTANT = frozenset({IdentifierKind.SECRET, IdentifierKind.SENSITIVE})
ADDRESS = frozenset({IdentifierKind.ADDRESS_LINE, IdentifierKind.POSTCODE})


@dataclass(frozen=True, slots=True)
class AddressSet:
    """The items that make one address when they stand in one record.

    Attributes:
        name: the policy's word for it.
        lines: items of lines 1 to 9, in order.
        postcode: item of the postcode; empty if the address has none.
        groups: (flow, group) that the set is for; ``None``: wherever its items are.
    """

    name: str
    lines: tuple[str, ...]
    postcode: str
    groups: frozenset[tuple[str, str]] | None

    def covers(self, flow: str, group: str) -> bool:
        """Tell whether the set is for this group."""
        return self.groups is None or (flow, group) in self.groups


@dataclass(frozen=True, slots=True)
class MaskPolicy:
    """Kinds of items, by reference alone or for one group of one flow.

    Attributes:
        items: item reference -> kind.
        places: (flow, group, item) -> kind, where an item means something else than elsewhere.
        addresses: the address sets.
        constants: item -> what a mandatory value of it becomes, where a constant of its format would be no code of it.
    """

    items: Mapping[str, IdentifierKind]
    places: Mapping[tuple[str, str, str], IdentifierKind]
    addresses: tuple[AddressSet, ...]
    constants: Mapping[str, str]

    def kind(self, flow: str, group: str, item: str) -> IdentifierKind | None:
        """Return the kind of an item in a group; ``None`` where the policy does not classify it.

        A line or postcode of an address is classified only where one of its sets is for the group.
        """
        found = self.places.get((flow, group, item), self.items.get(item))
        if found in ADDRESS and self.address_set(flow, group, item) is None:
            return None
        return found

    def address_set(self, flow: str, group: str, item: str) -> AddressSet | None:
        """Return the set that an item belongs to in a group."""
        for known in self.addresses:
            if known.covers(flow, group) and item in (*known.lines, known.postcode):
                return known
        return None
