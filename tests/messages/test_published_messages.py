"""Every message of a release against the published blocks and events, by interface and event; and spoilt ones."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contracts.processes import market_processes
from tests.messages import oracle

EVENTS = market_processes().events()
HALF_HOURLY = ("IF-013", "IF-014", "IF-021")
each_event = pytest.mark.parametrize(("interface", "event"), EVENTS)


@cache
def messages(folder: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/*/*.json")):
        for message in oracle.read(path):
            s0 = message["payload"]["CommonBlock"]["S0"]
            found.setdefault((s0["interfaceID"], s0["eventCode"].strip("[]")), []).append(message)
    return found


@pytest.mark.requirement("Q34")
@each_event
def test_messages_are_as_published(written, interface, event):
    mine = messages(written).get((interface, event))
    assert mine, f"no message of {interface} [{event}]"
    broken = Counter(fault for message in mine for fault in oracle.faults(message))
    assert broken == {}
    if interface in HALF_HOURLY:
        assert [fault for message in mine for fault in oracle.day_faults(message)] == []


def test_no_event_is_made_that_no_process_names(written):
    assert sorted(messages(written)) == EVENTS


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of each key below a node, of lists only the first entry."""
    steps = node.items() if isinstance(node, dict) else list(enumerate(node))[:1] if isinstance(node, list) else ()
    for step, child in steps:
        yield (*path, step)
        yield from places(child, (*path, step))


@pytest.mark.requirement("Q106", "Q107")
@each_event
def test_a_spoilt_message_is_noticed(written, interface, event):
    """The judge itself: each key removed, misspelt or given nonsense, each block removed."""
    message = max(messages(written)[interface, event], key=lambda m: len(json.dumps(m)))
    published = oracle.events()[interface, f"[{event}]"]
    optional = {b for part in ("common", "custom") for b in published[part][1] - published[part][0]}
    for path in places(message["payload"]):
        if isinstance(path[-1], int) or path[0] == path[-1]:
            continue
        for change in ("removed", "misspelt", "nonsense"):
            broken = copy.deepcopy(message)
            parent = broken["payload"]
            for step in path[:-1]:
                parent = parent[step]
            value = parent.pop(path[-1])
            if change == "misspelt":
                parent[f"{path[-1]}x"] = value
            elif change == "nonsense":
                parent[path[-1]] = {"no": ["such", "value"]}
            may = len(path) == 2 and path[1] in optional
            may = may or (path[-1] in ("existingMAP", "existingMeter", "historyMAP") and "B906" not in path)
            may = may or (path[-1] == "historyMAP" and published["variant"])
            free = path[1] in oracle.OPEN and change == "misspelt"
            if not (may and change == "removed") and not free:
                assert oracle.faults(broken), (change, path)


@pytest.mark.requirement("Q34")
def test_messages_carry_what_the_record_says(written, release):
    """Read a second way: from the expected records, without the tables of values."""
    import polars as pl

    records = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/expected.parquet")).unique("mpan_core")
    by_mpan = {r["mpan_core"]: r for r in records.to_dicts()}
    seen = Counter()
    for (interface, _), several in messages(written).items():
        for message in several:
            common, custom = message["payload"]["CommonBlock"], message["payload"].get("CustomBlock", {})
            identity = common.get("M0") or common["M1"]
            record = by_mpan[identity.get("MPANCore") or identity["principalMPAN"]]
            assert identity["GSPGroupID"] == record["gsp_group_id"]
            assert identity["distributorDIPID"] == record["distributor_dip_id"]
            assert common["A0"]["secondaryRecipients"] == common["A0"]["always"] == []
            if interface == "IF-018" and "B023" in custom:
                assert custom["B023"]["connectionTypeIndicator"] == record["connection_type"]
                assert custom["B023"]["meteredIndicator"] == (record["metered_indicator"] == "true")
            if interface == "IF-005" and common["S0"]["eventCode"] == "[MeterInstall]":
                assert custom["B906"]["existingMeter"]["meterID"] == record["meter_serial_number"]
                assert custom["B906"]["historyMAP"][0]["meterAssetProviderID"] == record["meter_asset_provider_mpid"]
                assert common["S1"]["senderDIPID"] == record["metering_service_dip_id"]
            if interface in ("IF-019", "IF-020"):
                linked = "Linked" in common["S0"]["eventCode"]
                for entry in custom["B090List"]:
                    other = by_mpan[entry["subsidiaryMPAN"]]
                    assert other["linked_mpan" if linked else "related_mpan"] == record["mpan_core"]
            if interface == "IF-040":
                assert custom["B059"]["annualConsumption"] == str(record["annual_consumption"])
            if "B032" in custom:
                assert custom["B032"]["profileClass"] == record["profile_class"]
            seen[interface] += 1
    assert len(seen) == len({name for name, _ in EVENTS})


@pytest.mark.slow
@pytest.mark.requirement("Q34", "Q74")
def test_every_message_of_twenty_thousand_metering_points_is_as_published(tmp_path):
    """A sample of 20,000, as many of them ring-fenced as its plan asks for, every process of the SIT's cases too."""
    from flows.sample import SampleRequest, generate
    from tests.command import datacut

    generate(SampleRequest(20_000, 7, 0.02), tmp_path / "s")
    assert datacut("run", tmp_path / "s/cut.yaml", "--plain").code == 0
    pack = next((tmp_path / "s/out").glob("*-release"))
    import polars as pl

    cases = pl.concat(pl.read_parquet(p) for p in pack.glob("data/*/allocations.parquet"))["test_case"].unique()
    asked = [part for case in cases.sort() for part in ("--test-case", case)]
    assert datacut("messages", pack, "--out", tmp_path / "out", *asked).code == 0
    judged: Counter[tuple[str, str]] = Counter()
    broken: Counter[tuple[str, str]] = Counter()
    for path in sorted((tmp_path / "out").glob("*/*/*.json")):
        for message in oracle.read(path):
            s0 = message["payload"]["CommonBlock"]["S0"]
            judged[s0["interfaceID"], s0["eventCode"]] += 1
            broken[s0["interfaceID"], s0["eventCode"]] += bool(oracle.faults(message))
    for (interface, event), count in sorted(judged.items()):
        print(f"{interface} {event} {count:,} messages, {broken[interface, event]:,} broken")
    assert sum(broken.values()) == 0
    assert sum(judged.values()) > 10_000
