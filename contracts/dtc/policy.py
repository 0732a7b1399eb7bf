"""What is done with each item of a flow when it is masked: a policy file on item references, and where items differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from contracts.errors import ContractError
from contracts.yaml_loader import safe_load

SCHEMA = "dtc-mask/1"
SHIPPED = Path(__file__).parent / "mask-policy.yaml"
ADDRESS_LINES = 9
_ITEM = re.compile(r"J\d{4}", re.ASCII)
_FLOW = re.compile(r"D\d{4}", re.ASCII)
_GROUP = re.compile(r"[0-9A-Z]{2,3}", re.ASCII)
_REMEDY = "datacut dtc policy prints the shipped policy as an example"


class Kind(StrEnum):
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


IDENTIFIERS = frozenset({Kind.MPAN, Kind.METER_SERIAL, Kind.ESME_ID})
ADDRESS = frozenset({Kind.ADDRESS_LINE, Kind.POSTCODE})


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
    """

    items: Mapping[str, Kind]
    places: Mapping[tuple[str, str, str], Kind]
    addresses: tuple[AddressSet, ...]

    def kind(self, flow: str, group: str, item: str) -> Kind | None:
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


def parse_policy(text: str, *, where: str = "policy") -> MaskPolicy:
    """Return the policy of a YAML text.

    Raises:
        ContractError: it is not YAML of the form of the shipped policy; a kind is unknown; an address line or postcode
            is in no set; an item of a set has another kind.
    """
    try:
        document = safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise ContractError(f"is not YAML{place}", where=where, remedy=_REMEDY) from None
    if not isinstance(document, dict) or document.get("policy") != SCHEMA:
        raise ContractError(f"is not a policy: `policy: {SCHEMA}` is missing", where=where, remedy=_REMEDY)
    if unknown := sorted(map(str, set(document) - {"policy", "addresses", "places", "items"})):
        raise ContractError(f"has unknown parts: {', '.join(unknown)}", where=where, remedy=_REMEDY)
    items = document.get("items")
    if not isinstance(items, dict) or not items:
        raise ContractError("classifies no item", where=where, remedy=_REMEDY)
    addresses = _mapping(document.get("addresses") or {}, where)
    policy = MaskPolicy(
        items=MappingProxyType({_reference(item, where): _kind(kind, item, where) for item, kind in items.items()}),
        places=MappingProxyType(dict(_place(entry, where) for entry in _entries(document.get("places"), where))),
        addresses=tuple(_address_set(str(name), entry, where) for name, entry in addresses.items()),
    )
    _judge_addresses(policy, where)
    return policy


@cache
def shipped_policy() -> MaskPolicy:
    """Return the policy that the product ships; it classifies every item of catalogue 15.4."""
    return parse_policy(shipped_policy_text(), where=SHIPPED.name)


def shipped_policy_text() -> str:
    """Return the text of the shipped policy."""
    return SHIPPED.read_text(encoding="utf-8")


def _judge_addresses(policy: MaskPolicy, where: str) -> None:
    """See that sets and kinds say the same."""
    members = {item: Kind.ADDRESS_LINE for known in policy.addresses for item in known.lines}
    members |= {known.postcode: Kind.POSTCODE for known in policy.addresses if known.postcode}
    for item, kind in policy.items.items():
        if (kind in ADDRESS or item in members) and members.get(item) != kind:
            raise ContractError(
                f"classifies {item} as {kind.value}, and its address sets do not say so", where=where, remedy=_REMEDY
            )
    if missing := sorted(set(members) - set(policy.items)):
        raise ContractError(f"has items of addresses without a kind: {', '.join(missing)}", where=where)
    for (flow, group, item), kind in policy.places.items():
        if kind in ADDRESS and policy.address_set(flow, group, item) is None:
            raise ContractError(f"has no address set for {item} in {flow}/{group}", where=where, remedy=_REMEDY)


def _mapping(found: Any, where: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise ContractError("has a list or text where names are expected", where=where, remedy=_REMEDY)
    return found


def _entries(found: Any, where: str) -> Sequence[Any]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ContractError("has places that are no list", where=where, remedy=_REMEDY)
    return found


def _reference(item: Any, where: str) -> str:
    if not isinstance(item, str) or not _ITEM.fullmatch(item):
        raise ContractError("names an item that is not J and four digits", where=where, remedy=_REMEDY)
    return item


def _kind(kind: Any, item: Any, where: str) -> Kind:
    if kind not in [known.value for known in Kind]:
        words = ", ".join(known.value for known in Kind)
        raise ContractError(f"gives {item} an unknown kind", where=where, remedy=f"choose one of {words}")
    return Kind(kind)


def _place(entry: Any, where: str) -> tuple[tuple[str, str, str], Kind]:
    fields = _mapping(entry, where)
    if set(fields) != {"flow", "group", "item", "kind"}:
        raise ContractError("has a place that is not flow, group, item and kind", where=where, remedy=_REMEDY)
    flow, group = _flow_group(f"{fields['flow']}/{fields['group']}", where)
    item = _reference(fields["item"], where)
    return (flow, group, item), _kind(fields["kind"], item, where)


def _flow_group(text: Any, where: str) -> tuple[str, str]:
    flow, _, group = str(text).partition("/")
    if not _FLOW.fullmatch(flow) or not _GROUP.fullmatch(group):
        raise ContractError("names a group that is not flow/group, as D0150/290", where=where, remedy=_REMEDY)
    return flow, group


def _address_set(name: str, entry: Any, where: str) -> AddressSet:
    fields = _mapping(entry, where)
    lines = fields.get("lines", [])
    if set(fields) - {"lines", "postcode", "groups"} or not isinstance(lines, list) or len(lines) > ADDRESS_LINES:
        raise ContractError(f"has an address {name} that is not up to nine lines, postcode and groups", where=where)
    groups = fields.get("groups", "any")
    if groups != "any" and not isinstance(groups, list):
        raise ContractError(f"has groups of the address {name} that are neither any nor a list", where=where)
    known = AddressSet(
        name=name,
        lines=tuple(_reference(item, where) for item in lines),
        postcode=_reference(fields["postcode"], where) if fields.get("postcode") else "",
        groups=None if groups == "any" else frozenset(_flow_group(text, where) for text in groups),
    )
    members = [item for item in (*known.lines, known.postcode) if item]
    if not members or len(set(members)) != len(members):
        raise ContractError(f"has an address {name} with an item twice, or with none", where=where, remedy=_REMEDY)
    return known
