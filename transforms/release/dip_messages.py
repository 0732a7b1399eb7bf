"""A ring-fenced metering point's record -> the payload of a DIP message, by the composition in ``contracts/messages``.

Pure: the same record, event and terms give the same payload. Source: domain 8; Q34 (message, metering point and test
case belong together), Q106 and Q107 (where sender and connection provider stand).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from contracts.errors import ContractError
from contracts.json_types import JsonObject
from contracts.messages.model import Interface, Key, Messages

LOCAL = ZoneInfo("Europe/London")  # settlement days are local days
ROLES = {"MS": "metering_service", "DS": "data_service", "SUP": "supplier", "REGS": "registration_service"}
PERIOD_MINUTES = 30
TYPICAL_KWH = Decimal(3000)  # a year of a metering point whose consumption is not held
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageDefaults:
    """What a batch of messages has in common.

    Attributes:
        sent: the sender's time; no clock is read.
        action: the day from which what a message asks for is to hold.
        settlement: the settlement day whose consumption is sent.
        scenario: appointment scenario (DI-800).
        environment: environment tag.
        version: schema version in place of the one of ``messages.yaml``; empty for that one.
        connection_provider: DIP id of a connection provider (Q107); empty for none.
    """

    sent: datetime
    action: date
    settlement: date
    scenario: str = "CSP"
    environment: str = ""
    version: str = ""
    connection_provider: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about.

    Attributes:
        record: the expected record of a ring-fenced metering point.
        test_case: the test case it is ring-fenced for.
        linked: records of its exports, or of its import.
        related: records of the secondaries of its related group.
    """

    record: Record
    test_case: str
    linked: Sequence[Record] = ()
    related: Sequence[Record] = ()


def why_not(table: Messages, interface: Interface, event: str, record: Record) -> str:
    """Return why no message of an event is made for a metering point; empty where one is.

    No message is made that would lack what its blocks must hold: an item that nothing decided is empty (DQ31).
    """
    for column, values in interface.refuses.items():
        if (value := record.get(column)) in values:
            return values[str(value)]
    to = [] if interface.to.startswith(".") else [interface.to]
    for column in (*interface.needs, *interface.event_needs.get(event, ()), *to, _dip_id(interface)):
        if record.get(column) is None:
            return f"{column} is not held"
    for block in interface.events[event]:
        without = interface.optional.get(block)
        if block in table.lists or (without is not None and record.get(without) is None):
            continue
        for key in table.blocks[block]:
            if not key.nullable and not key.context and record.get(key.column) is None:
                return f"{key.column} is not held"
    return ""


def _dip_id(interface: Interface) -> str:
    return f"{ROLES[interface.sender]}_dip_id"


def compose(table: Messages, name: str, event: str, subject: Subject, terms: MessageDefaults) -> JsonObject:
    """Return one message: ``{"payload": {"CommonBlock": ..., "CustomBlock": ...}}`` in the schema's spelling.

    Raises:
        ContractError: the composition names a column that the record does not have, or a block it cannot fill.
    """
    interface, record = table.interfaces[name], subject.record
    context = _context(table, interface, event, subject, terms)
    common: JsonObject = {
        block: _block(table.common[block], record, context) for block in ("S0", "S1", interface.identity)
    }
    to = table.parties[interface.to[1:]] if interface.to.startswith(".") else record[interface.to]
    common["A0"] = {"primaryRecipients": [to], "secondaryRecipients": [], "always": []}
    custom: JsonObject = {}
    for block in interface.events[event]:
        without = interface.optional.get(block)
        if without is not None and record.get(without) is None:
            continue
        listed = block in table.lists
        custom[block] = (
            _entries(table, block, subject, context) if listed else _block(table.blocks[block], record, context)
        )
    return {"payload": {"CommonBlock": common, "CustomBlock": custom}}


def _context(table: Messages, interface: Interface, event: str, subject: Subject, terms: MessageDefaults) -> Record:
    record = subject.record
    service = ROLES[interface.sender]
    role = record[f"{service}_role"] if interface.sender in ("MS", "DS") else interface.sender
    sender, number = record[f"{service}_dip_id"], interface.name.removeprefix("IF-")
    mark = f"{subject.test_case}\n{record['mpan_core']}\n{interface.name}\n{event}"
    suffix = hashlib.sha256(mark.encode()).hexdigest()[:16]
    return {
        "interface": interface.name,
        "schema_version": terms.version or table.version(interface.name),
        "event_code": f"[{event}]",
        "environment": terms.environment or table.environment,
        "test_case": subject.test_case,
        "reference": f"S-{number}-{sender}-{role}-{terms.sent:%Y%m%d}-{suffix}",
        "timestamp": _stamp(terms.sent),
        "sender_dip_id": sender,
        "sender_role": role,
        "correlation": None,
        "connection_provider": terms.connection_provider or None,
        "action_date": terms.action,
        "scenario": terms.scenario,
        "contract_reference": f"TEST-{suffix[:12].upper()}",
        "nominated_mdr": None,
        "meter_location": None,
        "primary_mpan": record["mpan_core"] if record.get("related_role") == "PRIMARY" else record.get("related_mpan"),
        **_day(record, terms.settlement),
    }


def _block(keys: Sequence[Key], record: Record, context: Record) -> JsonObject:
    return {key.key: _value(key, record, context) for key in keys}


def _entries(table: Messages, block: str, subject: Subject, context: Record) -> list[JsonValue]:
    spec = table.lists[block]
    match spec.each:
        case "linked":
            others = subject.linked
        case "related":
            others = subject.related if subject.record.get("related_role") == "PRIMARY" else [subject.record]
        case "day":
            others = [subject.record]
        case _:
            raise ContractError(f"block {block} has an entry for each of nothing known", where="messages.yaml")
    return [_block(spec.keys, other, context) for other in others]


def _value(key: Key, record: Record, context: Record) -> Any:
    source = context if key.context else record
    if key.column not in source:
        raise ContractError(f"{key.key} is taken from {key.column}, which is not there", where="messages.yaml")
    value = source[key.column]
    if value is None:
        return None
    match key.form:
        case "datetime":
            return midnight(value)
        case "boolean":
            return str(value) in ("T", "true")
        case "integer":
            return int(value)
        case "decimal":
            return float(value)
        case "text":
            return str(value)
    return value


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def midnight(day: date) -> str:
    """Return the local beginning of a day with its offset, 25 characters."""
    return _stamp(datetime.combine(day, time(), LOCAL))


def periods(day: date) -> int:
    """Return how many settlement periods a day has: 48, or 46 and 50 when the clocks change."""
    begin, end = (datetime.combine(d, time(), LOCAL).timestamp() for d in (day, day + timedelta(days=1)))
    return int((end - begin) // 60) // PERIOD_MINUTES


def _day(record: Record, day: date) -> JsonObject:
    """Return an invented day of consumption: a year's mean, spread over the periods by digest of MPAN and day."""
    count = periods(day)
    mark = f"{record['mpan_core']}\n{day.isoformat()}".encode()
    weights = hashlib.shake_256(mark).digest(count)
    year = record.get("annual_consumption") or TYPICAL_KWH
    mean = abs(Decimal(str(year))) / 365
    values = [mean * (64 + weight) / sum(64 + w for w in weights) for weight in weights]
    return {
        "quantity": "AE" if record.get("energy_direction") == "E" else "AI",
        "settlement_day": {"settlementDayDate": day.isoformat(), "settlementPeriodDuration": PERIOD_MINUTES},
        "periods": [
            {"sp": number, "v": float(round(value, 3)), "q": "A", "e": None, "arc": None}
            for number, value in enumerate(values, start=1)
        ],
    }


def respelt(message: JsonObject, table: Messages, spelling: str) -> JsonObject:
    """Return a message with its keys in another spelling."""
    if spelling == table.spellings[0]:
        return message
    groups = [*table.common.values(), *table.blocks.values(), *(block.keys for block in table.lists.values())]
    other = {key.key: key.catalogue for keys in groups for key in keys}

    def renamed(node: Any) -> Any:
        if isinstance(node, dict):
            return {other.get(key, key): renamed(value) for key, value in node.items()}
        return [renamed(entry) for entry in node] if isinstance(node, list) else node

    done: JsonObject = renamed(message)
    return done
