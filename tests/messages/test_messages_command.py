"""``datacut messages``: the manifest of test case, pseudonym and payload; the same bytes again; what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from contracts.messages import messages
from tests.command import datacut
from tests.messages.conftest import CUT


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def text(message: dict) -> bytes:
    return json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.requirement("Q34")
def test_the_manifest_ties_test_case_pseudonym_and_payload(written, release):
    """Each allocation and event has one line: its message by digest, or why there is none; no message is unnamed."""
    lines = manifest(written)
    given = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/allocations.parquet"))
    allocated = set(given.filter(pl.col("phase") == "CIT").select("test_case", "mpan_core", "role").rows())
    events = {(name, event) for name, i in messages().interfaces.items() for event in i.events}
    keys = [((e["test_case"], e["mpan_core"], e["role"]), (e["interface"], e["event"])) for e in lines]
    assert len(keys) == len(set(keys)) == len(allocated) * len(events)
    assert set(keys) == {(one, other) for one in allocated for other in events}
    named = set()
    for line in lines:
        if line["reason"]:
            assert (line["file"], line["position"], line["sha256"]) == ("", "", "")
            continue
        message = json.loads((written / line["file"]).read_text())[int(line["position"])]
        assert hashlib.sha256(text(message)).hexdigest() == line["sha256"]
        common = message["payload"]["CommonBlock"]
        assert line["mpan_core"] in common.get("M0", common.get("M1")).values()
        assert common["S1"]["subText"] == line["test_case"]
        assert common["S0"] == {
            "interfaceID": line["interface"], "eventCode": f"[{line['event']}]", "schemaVersion": "011",
        }  # fmt: skip
        named.add((line["file"], int(line["position"])))
    there = {
        (str(path.relative_to(written)), n)
        for path in written.glob("*/*.json")
        for n in range(len(json.loads(path.read_text())))
    }
    assert named == there
    facts = json.loads((written / "manifest.json").read_text())
    assert facts["messages"] == len(there)
    assert facts["pack"] == release.name
    sealed = hashlib.sha256((release / "tagmanifest-sha256.txt").read_bytes()).hexdigest()
    assert facts["tagmanifest_sha256"] == sealed


@pytest.mark.requirement("Q34")
def test_references_are_unique_and_the_bytes_come_again(written, release, tmp_path):
    references = [
        message["payload"]["CommonBlock"]["S1"]["senderUniqueReference"]
        for path in written.glob("*/*.json")
        for message in json.loads(path.read_text())
    ]
    assert len(references) == len(set(references))
    assert datacut("messages", release, "--out", tmp_path / "again").code == 0
    assert contents(tmp_path / "again") == contents(written)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_by_default_the_test_cases_of_cit_else_those_asked_for(release, tmp_path):
    key = release.parents[1] / "keys/signing.pub"
    done = datacut("messages", release, "--out", tmp_path / "out", "--json", "--public-key", key)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    given = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/allocations.parquet"))
    assert told["test_cases"] == sorted(set(given.filter(pl.col("phase") == "CIT")["test_case"]))
    lines = manifest(tmp_path / "out")
    assert told["messages"] == sum(1 for e in lines if e["file"])
    assert told["left_out"] == sum(1 for e in lines if e["reason"])
    asked = ("--test-case", "FUN-001", "--test-case", "CIT-001", "--interface", "IF-044")
    assert datacut("messages", release, "--out", tmp_path / "some", *asked).code == 0
    assert {e["test_case"] for e in manifest(tmp_path / "some")} == {"FUN-001", "CIT-001"}


@pytest.mark.requirement("Q62")
def test_a_participant_makes_them_from_its_own_return(release, tmp_path):
    pack = release.parent / f"{CUT}-return-EELC"
    assert datacut("messages", pack, "--out", tmp_path / "out", "--interface", "IF-018").code == 0
    own = set(pl.read_parquet(pack / "data/EELC/allocations.parquet")["mpan_core"])
    assert {e["mpan_core"] for e in manifest(tmp_path / "out")} <= own
    assert {e["interface"] for e in manifest(tmp_path / "out")} == {"IF-018"}


@pytest.mark.requirement("Q107")
def test_what_is_chosen_stands_in_the_message(release, tmp_path):
    given = {
        "--interface": "IF-031", "--sent": "2023-10-30T09:00:00", "--action": "2023-11-15", "--scenario": "COS",
        "--environment": "SITB", "--schema-version": "009", "--connection-provider": "9900000001",
    }  # fmt: skip
    done = datacut("messages", release, "--out", tmp_path / "out", *(part for pair in given.items() for part in pair))
    assert done.code == 0, done.err
    (message, *_) = json.loads(next((tmp_path / "out").glob("*/IF-031-MSApp.json")).read_text())
    common, custom = message["payload"]["CommonBlock"], message["payload"]["CustomBlock"]
    assert common["S0"]["schemaVersion"] == "009"
    assert common["S1"]["environmentTag"] == "SITB"
    assert common["S1"]["senderTimestamp"] == "2023-10-30T09:00:00+00:00"
    assert common["S1"]["DIPConnectionProviderID"] == "9900000001"
    assert custom["B070"]["appointmentScenario"] == "COS"
    assert custom["B070"]["proposedMeteringServiceDIPEffectiveFromDate"] == "2023-11-15T00:00:00+00:00"


@pytest.mark.parametrize(("day", "periods"), [("2023-08-19", 48), ("2023-03-26", 46), ("2023-10-29", 50)])
def test_a_settlement_day_has_its_periods(release, tmp_path, day, periods):
    asked = ("--interface", "IF-021", "--settlement", day)
    assert datacut("messages", release, "--out", tmp_path / "out", *asked).code == 0
    (message, *_) = json.loads(next((tmp_path / "out").glob("*/IF-021-*.json")).read_text())
    (entry,) = message["payload"]["CustomBlock"]["B900List"]
    assert [p["sp"] for p in entry["consumptionPeriods"]] == list(range(1, periods + 1))


def test_the_catalogues_spelling(release, tmp_path):
    asked = ("--interface", "IF-018", "--spelling", "catalogue")
    assert datacut("messages", release, "--out", tmp_path / "out", *asked).code == 0
    (address, *_) = json.loads(next((tmp_path / "out").glob("*/IF-018-AddressChg.json")).read_text())
    assert "postcode" in address["payload"]["CustomBlock"]["B022"]
    assert "meteringPointPostcode" not in address["payload"]["CustomBlock"]["B022"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--interface", "IF-099"), 2, "no such interface: IF-099"),
        (("--test-case", "NOPE"), 2, "no metering point is allocated to NOPE"),
        (("--spelling", "own"), 2, "no such spelling"),
        (("--environment", "LIVE"), 2, "--environment"),
        (("--schema-version", "11"), 2, "--schema-version"),
        (("--scenario", ""), 2, "--scenario"),
        (("--connection-provider", "12"), 2, "--connection-provider"),
        (("--sent", "yesterday"), 2, "--sent"),
        (("--settlement", "2023-02-30"), 2, "--settlement"),
        (("--public-key", "no-such-file"), 13, "cannot be read"),
        (("--no-such-option",), 2, "no such option"),
    ],
)
def test_bad_arguments_are_told_and_nothing_is_written(release, tmp_path, arguments, code, words):
    done = datacut("messages", release, "--out", tmp_path / "out", *arguments)
    assert done.code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_release_with_allocations_is_refused(release, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    assert datacut("messages", release, "--out", taken).code == 19
    assert datacut("messages", taken, "--out", tmp_path / "out").code == 18
    assert datacut("messages", "--out", tmp_path / "out").code == 2
    changed = tmp_path / "changed"
    shutil.copytree(release, changed)
    path = changed / "data/EELC/expected.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    done = datacut("messages", changed, "--out", tmp_path / "out")
    assert (done.code, len(done.told)) == (18, 1)
    assert "data/EELC/expected.parquet" in done.told[0]
    shutil.rmtree(path.parents[1])
    assert datacut("messages", changed, "--out", tmp_path / "out").code == 18
    assert not (tmp_path / "out").exists()
