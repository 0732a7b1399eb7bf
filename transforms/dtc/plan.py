"""Catalogue and policy -> tables that say, for every field of every group of every flow, what is done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.dtc.model import Flow, FlowItem
from contracts.dtc.policy.model import ADDRESS, CONSTANT, IDENTIFIERS, IdentifierKind, MaskPolicy
from contracts.errors import ContractError
from transforms.dtc.nesting import RecordNesting, make_nesting
from transforms.dtc.records import Ints, Marks, group_code

FLOW_SHIFT = np.int64(1 << 24)  # a group id has 24 bits

# The longest value of a kept field of a format that states no length of its own.
_FIXED = {"DATE": 10, "TIME": 8, "DATETIME": 19, "BOOLEAN": 5}
_UNKNOWN_LENGTH = 4096
_NUMERIC = frozenset({"NUM", "INT", "DATE", "TIME", "DATETIME"})

_TEXT, _PHONE, _MAIL = "REMOVED", "01632960000", "nobody@example.com"  # Ofcom's numbers for drama; RFC 2606
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Place:
    """One field of one group of one flow.

    Attributes:
        flow, version, group: whose it is.
        item: the catalogue's field.
        kind: its kind by the policy; ``None`` if the policy does not classify it.
        constant: what a mandatory value becomes that cannot be anything else.
    """

    flow: str
    version: str
    group: str
    item: FlowItem
    kind: IdentifierKind | None
    constant: str

    @property
    def label(self) -> str:
        """Where it is, in words for a person."""
        return f"{self.flow}{self.version} group {self.group} position {self.item.position} ({self.item.item})"

    def fits(self, length: int) -> bool:
        """Tell whether a text of this length fits the item's format."""
        return length <= self.item.length or not self.item.length


@dataclass(frozen=True, slots=True)
class AddressPlaces:
    """One address of one group: the columns of the pseudonymiser that its fields are.

    Attributes:
        group: number of the group.
        columns: position -> name of the column (``address_line_1`` .. ``postcode``).
    """

    group: int
    columns: Mapping[int, str]


@dataclass(frozen=True)
class Plan:
    """Tables over cells: cell = number of the group * ``width`` + position; the last position is "beyond the layout".

    Attributes:
        flows: layouts by number; the index of a flow is its number.
        keys: flow number * ``FLOW_SHIFT`` + group id, ascending; the index of a key is the number of the group.
        width: cells of a group.
        limits: longest value that a cell keeps without a look at it: 0 where every value is looked at.
        numeric: cells whose kept values begin with no letter.
        kinds: number of the kind of each cell, in the order of ``KINDS``.
        lenient: cells of known fields, and beyond the layout, of groups that hold nothing to mask but identifiers that
            every record has: there a short value, a date or a decimal number may stand in a wrong place.
        mandatory: cells of mandatory items.
        required: cells of identifiers that a record must have.
        expected: number of those of each group.
        least: fields that a record of each group must have: up to its last mandatory item; 0 in lenient groups.
        widths: fields of each group.
        open_left: groups where a kept field has an item to be masked behind it, which a missing field moves left.
        open_right: groups where a kept field has one before it, which a field too many moves right.
        nesting: which group may stand where.
        places: what each cell is; cells of no field are absent.
        addresses: the addresses.
    """

    flows: tuple[Flow, ...]
    keys: NDArray[np.int64]
    width: int
    limits: Ints
    numeric: Marks
    kinds: NDArray[np.int8]
    lenient: Marks
    mandatory: Marks
    required: Marks
    expected: Ints
    least: Ints
    widths: Ints
    open_left: Marks
    open_right: Marks
    nesting: RecordNesting
    places: Mapping[int, Place]
    addresses: tuple[AddressPlaces, ...]

    @property
    def passing(self) -> int:
        """Cell of fields that pass unseen; the next one is of fields that are in no group."""
        return self.limits.size - 2

    def groups(self, flows: Ints, codes: Ints) -> Ints:
        """Return the number of the group of each record, -1 where its flow has no such group."""
        wanted = flows.astype(np.int64) * FLOW_SHIFT + codes
        at = np.minimum(np.searchsorted(self.keys, wanted), self.keys.size - 1)
        return np.where(self.keys[at] == wanted, at, -1).astype(np.int32)

    def unclassified(self, flow: int) -> list[Place]:
        """Return the fields of a flow that the policy does not classify."""
        flow_, version = self.flows[flow].key
        return [p for p in self.places.values() if p.kind is None and (p.flow, p.version) == (flow_, version)]


KINDS: tuple[IdentifierKind | None, ...] = (*IdentifierKind, None)  # None: not classified, or beyond the layout
UNCLASSIFIED = KINDS.index(None)


def make_plan(catalogue: Mapping[tuple[str, str], Flow], policy: MaskPolicy) -> Plan:
    """Return the tables of all flows of a catalogue under a policy."""
    flows = tuple(catalogue[key] for key in sorted(catalogue))
    numbered = sorted(
        (number * int(FLOW_SHIFT) + group_code(name), number, name)
        for number, flow in enumerate(flows)
        for name in flow.groups
    )
    width = 2 + max((group.width for flow in flows for group in flow.groups.values()), default=0)
    size = len(numbered) * width
    limits, kinds = np.zeros(size, dtype=np.int32), np.full(size, UNCLASSIFIED, dtype=np.int8)
    numeric, required = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    places: dict[int, Place] = {}
    addresses: list[AddressPlaces] = []
    for index, (_, number, name) in enumerate(numbered):
        flow = flows[number]
        for item in flow.groups[name].items:
            cell = index * width + item.position
            kind = policy.kind(flow.flow, name, item.item)
            place = Place(flow.flow, flow.version, name, item, kind, _constant(item, kind, policy))
            places[cell], kinds[cell] = place, KINDS.index(kind)
            if kind is IdentifierKind.KEEP:
                limits[cell], numeric[cell] = _limit(item), item.kind in _NUMERIC
            required[cell] = kind in IDENTIFIERS and item.mandatory
        addresses.extend(_addresses(flow, name, index, policy))
    lenient = _lenient(kinds.reshape(-1, width), required.reshape(-1, width), places) if size else required
    expected = required.reshape(-1, width).sum(axis=1, dtype=np.int32) if size else np.zeros(0, dtype=np.int32)
    least = np.zeros(len(numbered), dtype=np.int32)
    for cell, place in places.items():
        if place.item.mandatory and not lenient[cell]:
            least[cell // width] = max(least[cell // width], place.item.position)
    widths = np.array([flows[number].groups[name].width for _, number, name in numbered], dtype=np.int32)
    left, right = _open(kinds.reshape(-1, width), widths) if size else (widths > 0, widths > 0)
    keys = np.array([key for key, _, _ in numbered], dtype=np.int64)
    # two cells more: of fields that pass unseen, and of fields that are in no group
    limits = np.append(limits, np.array([np.iinfo(np.int32).max, 0], dtype=np.int32))
    kinds = np.append(kinds, np.full(2, UNCLASSIFIED, dtype=np.int8))
    mandatory = np.zeros(size + 2, dtype=np.bool_)
    mandatory[[cell for cell, place in places.items() if place.item.mandatory]] = True
    numeric, lenient, required = (np.append(marks, [False, False]) for marks in (numeric, lenient, required))
    return Plan(
        flows,
        keys,
        width,
        limits,
        numeric,
        kinds,
        lenient,
        mandatory,
        required,
        expected,
        least,
        widths,
        left,
        right,
        make_nesting(flows, [(number, name) for _, number, name in numbered]),
        places,
        tuple(addresses),
    )


def _open(kinds: NDArray[np.int8], widths: Ints) -> tuple[Marks, Marks]:
    """Return which groups have a kept field with an item to be masked behind it, and which with one before it."""
    known = np.arange(kinds.shape[1]) <= widths[:, None]
    known[:, 0] = False
    kept = kinds == KINDS.index(IdentifierKind.KEEP)
    others = known & ~kept
    before = np.logical_or.accumulate(others, axis=1)
    behind = np.logical_or.accumulate(others[:, ::-1], axis=1)[:, ::-1]
    left: Marks = (kept & behind).any(axis=1)
    right: Marks = (kept & before).any(axis=1)
    return left, right


def _lenient(kinds: NDArray[np.int8], required: Marks, places: Mapping[int, Place]) -> Marks:
    """Return the cells where harmless values are let through; never those of items without a kind."""
    known = np.zeros(kinds.size, dtype=np.bool_)
    known[list(places)] = True
    unclassified = known.reshape(kinds.shape) & (kinds == UNCLASSIFIED)
    masked = known.reshape(kinds.shape) & (kinds != KINDS.index(IdentifierKind.KEEP)) & ~required
    marks: Marks = (~masked.any(axis=1, keepdims=True) & ~unclassified).reshape(-1)
    return marks


def _limit(item: FlowItem) -> int:
    if item.kind in _FIXED:
        return max(_FIXED[item.kind], item.length)
    return item.length or _UNKNOWN_LENGTH


def _constant(item: FlowItem, kind: IdentifierKind | None, policy: MaskPolicy) -> str:
    """Return the constant of a kind in an item's format: the policy's, where it has one."""
    if kind in CONSTANT and (own := policy.constants.get(item.item)):
        if (item.length and len(own) > item.length) or (item.kind in _NUMERIC and not own.isdigit()):
            raise ContractError(f"has a constant for {item.item} that is not of its format, {item.format}")
        return own
    match item.kind:
        case "NUM" | "INT":
            return "0" * item.length if kind is IdentifierKind.MPAN else "0"
        case "DATE":
            return "19000101"
        case "TIME":
            return "000000"
        case "DATETIME":
            return "19000101000000"
        case "BOOLEAN":
            return "F"
    text = {
        IdentifierKind.TELEPHONE: _PHONE,
        IdentifierKind.EMAIL: _MAIL,
        IdentifierKind.POSTCODE: "ZZ99 9ZZ",
        IdentifierKind.MPAN: "0" * 13,
        IdentifierKind.METER_SERIAL: "0" * (item.length or 10),
        IdentifierKind.ESME_ID: "00-00-00-00-00-00-00-00",
        IdentifierKind.REFERENCE: "0" * min(item.length or _SHORT, _SHORT),
        IdentifierKind.SECRET: "X" * min(item.length or _SHORT, _SHORT),
        IdentifierKind.SENSITIVE: "X" * min(item.length or _SHORT, _SHORT),
    }.get(kind or IdentifierKind.FREE_TEXT, _TEXT)
    return text[: item.length] if item.length else text


def _addresses(flow: Flow, group: str, index: int, policy: MaskPolicy) -> Sequence[AddressPlaces]:
    """Return the addresses of one group: for each set of the policy the positions of its items."""
    columns: dict[str, dict[int, str]] = {}
    for item in flow.groups[group].items:
        if policy.kind(flow.flow, group, item.item) not in ADDRESS:
            continue
        known = policy.address_set(flow.flow, group, item.item)
        if known is not None:
            line = "postcode" if item.item == known.postcode else f"address_line_{known.lines.index(item.item) + 1}"
            columns.setdefault(known.name, {})[item.position] = line
    return [AddressPlaces(index, found) for found in columns.values()]
