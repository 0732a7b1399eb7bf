"""The text of a policy file -> a policy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.dtc.policy.model import ADDRESS, CONSTANT, AddressSet, IdentifierKind, MaskPolicy
from contracts.errors import ContractError
from contracts.validation import load_values

SCHEMA = "dtc-mask/1"
SHIPPED = Path(__file__).parent / "mask-policy.yaml"
ADDRESS_LINES = 9
_ITEM = re.compile(r"J\d{4}", re.ASCII)
_FLOW = re.compile(r"D\d{4}", re.ASCII)
_GROUP = re.compile(r"[0-9A-Z]{2,3}", re.ASCII)
_REMEDY = "datacut dtc policy prints the shipped policy as an example"


def parse_policy(text: str, *, where: str = "policy") -> MaskPolicy:
    """Return the policy of a YAML text.

    Raises:
        ContractError: it is not YAML of the form of the shipped policy; a kind is unknown; an address line or postcode
            is in no set; an item of a set has another kind.
    """
    document = load_values(text.encode(), ContractError, where=where, remedy=_REMEDY)
    if not isinstance(document, dict) or document.get("policy") != SCHEMA:
        raise ContractError(f"is not a policy: `policy: {SCHEMA}` is missing", where=where, remedy=_REMEDY)
    if unknown := sorted(map(str, set(document) - {"policy", "addresses", "places", "items", "constants"})):
        raise ContractError(f"has unknown parts: {', '.join(unknown)}", where=where, remedy=_REMEDY)
    items = document.get("items")
    if not isinstance(items, dict) or not items:
        raise ContractError("classifies no item", where=where, remedy=_REMEDY)
    addresses = _mapping(document.get("addresses") or {}, where)
    policy = MaskPolicy(
        items=MappingProxyType({_reference(item, where): _kind(kind, item, where) for item, kind in items.items()}),
        places=MappingProxyType(dict(_place(entry, where) for entry in _entries(document.get("places"), where))),
        addresses=tuple(_address_set(str(name), entry, where) for name, entry in addresses.items()),
        constants=MappingProxyType(
            dict(_constant(*entry, where) for entry in _mapping(document.get("constants") or {}, where).items())
        ),
    )
    _judge_addresses(policy, where)
    if idle := sorted(item for item in policy.constants if policy.items.get(item) not in CONSTANT):
        what = f"has a constant for {', '.join(idle)}, which is neither secret nor sensitive"
        raise ContractError(what, where=where, remedy=_REMEDY)
    return policy


def shipped_policy_text() -> str:
    """Return the text of the shipped policy."""
    return SHIPPED.read_text(encoding="utf-8")


def _judge_addresses(policy: MaskPolicy, where: str) -> None:
    """See that sets and kinds say the same."""
    members = {item: IdentifierKind.ADDRESS_LINE for known in policy.addresses for item in known.lines}
    members |= {known.postcode: IdentifierKind.POSTCODE for known in policy.addresses if known.postcode}
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


def _kind(kind: Any, item: Any, where: str) -> IdentifierKind:
    if kind not in [known.value for known in IdentifierKind]:
        words = ", ".join(known.value for known in IdentifierKind)
        raise ContractError(f"gives {item} an unknown kind", where=where, remedy=f"choose one of {words}")
    return IdentifierKind(kind)


def _place(entry: Any, where: str) -> tuple[tuple[str, str, str], IdentifierKind]:
    fields = _mapping(entry, where)
    if set(fields) != {"flow", "group", "item", "kind"}:
        raise ContractError("has a place that is not flow, group, item and kind", where=where, remedy=_REMEDY)
    flow, group = _flow_group(f"{fields['flow']}/{fields['group']}", where)
    item = _reference(fields["item"], where)
    return (flow, group, item), _kind(fields["kind"], item, where)


def _constant(item: Any, text: Any, where: str) -> tuple[str, str]:
    if not isinstance(text, str) or not re.fullmatch(r"[ -{}~]{1,200}", text, re.ASCII):
        raise ContractError(f"has a constant for {item} that is not a text in quotes", where=where, remedy=_REMEDY)
    return _reference(item, where), text


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
