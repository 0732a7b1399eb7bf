"""Every message against the JSON schema, which is kept apart from the table that composes them: whole, and broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.messages import SCHEMA, messages

TABLE = messages()
INTERFACES = ("IF-005", "IF-018", "IF-019", "IF-021", "IF-031", "IF-036", "IF-043", "IF-044")
EVENTS = [(name, event) for name in INTERFACES for event in TABLE.interfaces[name].events]
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_bytes()))
each_event = pytest.mark.parametrize(("interface", "event"), EVENTS)


def valid(message: Any) -> bool:
    return VALIDATOR.is_valid([message])


@pytest.fixture
def examples(written, interface, event) -> list[dict[str, Any]]:
    found = [m for path in sorted(written.glob(f"*/{interface}-{event}.json")) for m in json.loads(path.read_text())]
    assert found, f"no message of {interface} [{event}]: the sample has no metering point for it"
    return found


def test_the_schema_is_one_and_knows_the_interfaces():
    Draft202012Validator.check_schema(VALIDATOR.schema)
    assert set(INTERFACES) == set(TABLE.interfaces)


@pytest.mark.requirement("Q34")
@each_event
def test_messages_are_valid(examples, interface, event):
    for message in examples:
        assert [e.message for e in VALIDATOR.iter_errors([message])] == []
        common = message["payload"]["CommonBlock"]
        assert (common["S0"]["interfaceID"], common["S0"]["eventCode"]) == (interface, f"[{event}]")
        needed = set(TABLE.interfaces[interface].events[event]) - set(TABLE.interfaces[interface].optional)
        assert needed <= set(message["payload"]["CustomBlock"])


@pytest.mark.requirement("Q106", "Q107")
@each_event
def test_each_block_removed_is_noticed(examples, interface, event):
    """Common blocks, and the custom blocks that the event must have; a block that may be left out is not among them."""
    optional = TABLE.interfaces[interface].optional
    for part in ("CommonBlock", "CustomBlock"):
        for block in examples[0]["payload"][part]:
            broken = copy.deepcopy(examples[0])
            del broken["payload"][part][block]
            assert valid(broken) == (block in optional), block
    for part in ("CommonBlock", "CustomBlock"):
        broken = copy.deepcopy(examples[0])
        del broken["payload"][part]
        assert not valid(broken)


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of each key and each entry below a node."""
    steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in steps:
        yield (*path, step)
        yield from places(child, (*path, step))


def at(node: Any, path: tuple) -> Any:
    for step in path:
        node = node[step]
    return node


@pytest.mark.requirement("Q106", "Q107")
@each_event
def test_each_key_broken_removed_or_added_is_noticed(examples, interface, event):
    message = max(examples, key=lambda m: len(json.dumps(m)))
    for part in ("CommonBlock", "CustomBlock"):
        for block, content in message["payload"][part].items():
            for path in [p for p in places(content) if len(p) <= 2 or p[1] == 0]:
                if isinstance(path[-1], int):
                    continue
                whole = ("payload", part, block, *path)
                for change in ("removed", "broken", "misspelt"):
                    broken = copy.deepcopy(message)
                    parent = at(broken, whole[:-1])
                    value = parent.pop(whole[-1])
                    if change == "broken":
                        parent[whole[-1]] = {"no": "such value"}
                    elif change == "misspelt":
                        parent[f"{whole[-1]}x"] = value
                    assert not valid(broken), (change, whole)
            broken = copy.deepcopy(message)
            broken["payload"][part][block] = [] if isinstance(content, list) else {}
            assert not valid(broken), block


@each_event
def test_a_message_under_another_interface_or_event_is_noticed(examples, interface, event):
    for name, key in (("IF-999", f"[{event}]"), (interface, "[NoSuchEvent]")):
        broken = copy.deepcopy(examples[0])
        broken["payload"]["CommonBlock"]["S0"].update(interfaceID=name, eventCode=key)
        assert not valid(broken)
    mpan = copy.deepcopy(examples[0])
    identity = mpan["payload"]["CommonBlock"].get("M0") or mpan["payload"]["CommonBlock"]["M1"]
    name = "MPANCore" if "MPANCore" in identity else "principalMPAN"
    for value in ("123", None, identity[name] + "0", int(identity[name])):
        identity[name] = value
        assert not valid(mpan)


@pytest.mark.requirement("Q34")
def test_messages_carry_what_the_record_says(written, release):
    """Read a second way: from the expected records, without the table of compositions."""
    import polars as pl

    records = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/expected.parquet")).unique("mpan_core")
    by_mpan = {r["mpan_core"]: r for r in records.to_dicts()}
    seen = 0
    for path in written.glob("*/*.json"):
        for message in json.loads(path.read_text()):
            common, custom = message["payload"]["CommonBlock"], message["payload"]["CustomBlock"]
            identity = common.get("M0") or common["M1"]
            record = by_mpan[identity.get("MPANCore") or identity["principalMPAN"]]
            assert identity["GSPGroupID"] == record["gsp_group_id"]
            assert identity["distributorDIPID"] == record["distributor_dip_id"]
            assert common["S1"]["subText"] == path.parent.name
            sender = {"SUP": "supplier", "REGS": "registration_service", "MSS": "metering_service"}
            sender |= {"MSA": "metering_service", "SDS": "data_service", "ADS": "data_service", "UMSDS": "data_service"}
            assert common["S1"]["senderDIPID"] == record[f"{sender[common['S1']['senderRoleID']]}_dip_id"]
            assert common["S1"]["DIPConnectionProviderID"] is None
            if "B023" in custom:
                assert custom["B023"]["connectionTypeIndicator"] == record["connection_type"]
                assert custom["B023"]["energyDirection"] == record["energy_direction"]
            if "B026" in custom:
                assert custom["B026"]["marketSegmentIndicator"] == record["market_segment"]
            if "B070" in custom:
                assert custom["B070"]["proposedMeteringServiceMPID"] == record["metering_service_mpid"]
            if "B033" in custom:
                assert custom["B033"]["meterID"] == record["meter_serial_number"]
            for entry in custom.get("B035List", ()):
                other = by_mpan[entry["linkedImportExportMPAN"]]
                export, own = (other, record) if other["energy_direction"] == "E" else (record, other)
                assert export["linked_mpan"] == own["mpan_core"]
                assert own["energy_direction"] == "I"
            for entry in custom.get("B037List", ()):
                assert by_mpan[entry["secondaryMPAN"]]["related_mpan"] == entry["primaryMPAN"]
            seen += 1
    assert seen > 150


def test_a_composition_that_slips_is_found_by_the_schema(written):
    """``message_faults`` names the place and quotes no value."""
    from flows.messages.write import message_faults

    path: Path = next(iter(sorted(written.glob("*/IF-044-*.json"))))
    (message, *_) = json.loads(path.read_text())
    assert message_faults(message) == []
    message["payload"]["CustomBlock"]["B026"]["marketSegmentIndicator"] = "SECRET"
    assert message_faults(message) == ["payload/CustomBlock/B026/marketSegmentIndicator breaks enum"]
