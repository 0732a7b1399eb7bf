"""``datacut messages``: the manifest of test case, pseudonym and payload; the same bytes again; what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from contracts.processes import market_processes
from flows.messages import expected, write
from tests.command import datacut
from tests.messages import oracle
from tests.messages.conftest import CRITERIA, CUT


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.requirement("Q34")
def test_the_manifest_ties_test_case_pseudonym_and_payload(written, release):
    """Each allocation and step has one line: its message by digest, or why there is none; no message is unnamed."""
    lines = manifest(written)
    given = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/allocations.parquet"))
    allocated = set(given.filter(pl.col("phase") == "CIT").select("test_case", "mpan_core", "role").rows())
    steps = {
        (p.id, str(s.number), s.interface, s.event) for p in market_processes().processes.values() for s in p.steps
    }
    keys = [
        ((e["test_case"], e["mpan_core"], e["role"]), (e["process"], e["step"], e["interface"], e["event"]))
        for e in lines
    ]
    assert len(keys) == len(set(keys)) == len(allocated) * len(steps)
    assert set(keys) == {(one, other) for one in allocated for other in steps}
    named = set()
    for line in lines:
        if line["reason"]:
            assert (line["file"], line["position"], line["sha256"]) == ("", "", "")
            continue
        text = (written / line["file"]).read_text().split("\n")[int(line["position"]) + 1].removesuffix(",")
        assert hashlib.sha256(text.encode()).hexdigest() == line["sha256"]
        common = json.loads(text)["payload"]["CommonBlock"]
        assert line["mpan_core"] in common.get("M0", common.get("M1")).values()
        assert common["S1"]["subText"] == line["test_case"]
        assert common["S0"] == {
            "interfaceID": line["interface"], "eventCode": f"[{line['event']}]", "schemaVersion": "011",
        }  # fmt: skip
        named.add((line["file"], int(line["position"])))
    there = {
        (str(path.relative_to(written)), n)
        for path in written.glob("*/*/*.json")
        for n in range(len(json.loads(path.read_text())))
    }
    assert named == there
    facts = json.loads((written / "manifest.json").read_text())
    assert facts["messages"] == len(there) == sum(facts["events"].values())
    assert facts["pack"] == release.name
    sealed = hashlib.sha256((release / "tagmanifest-sha256.txt").read_bytes()).hexdigest()
    assert facts["tagmanifest_sha256"] == sealed


@pytest.mark.requirement("Q110", "Q115")
def test_the_manifest_says_which_dip_ids_are_made_up(written):
    told = {(d["mpid"], d["role"]): d for d in json.loads((written / "manifest.json").read_text())["dip_ids"]}
    assert told["SUPA", "SUP"]["source"] == told["MOPA", "MSS"]["source"] == "stated"
    assert told["MOPB", "MSS"]["source"] == told["MDSX", "MDS"]["source"] == "manufactured"


@pytest.mark.requirement("Q34")
def test_references_are_unique_and_the_bytes_come_again(written, release, tmp_path):
    references = [
        message["payload"]["CommonBlock"]["S1"]["senderUniqueReference"]
        for path in written.glob("*/*/*.json")
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
    assert told["left_out"] + told["passed_over"] == sum(1 for e in lines if e["reason"])
    asked = ("--test-case", "FUN-001", "--test-case", "CIT-001", "--interface", "IF-001")
    assert datacut("messages", release, "--out", tmp_path / "some", *asked).code == 0
    assert {e["test_case"] for e in manifest(tmp_path / "some")} == {"FUN-001", "CIT-001"}


@pytest.mark.requirement("Q62")
def test_a_participant_makes_them_from_its_own_return(release, tmp_path):
    pack = release.parent / f"{CUT}-return-EELC"
    assert datacut("messages", pack, "--out", tmp_path / "out", "--interface", "IF-018").code == 0
    own = set(pl.read_parquet(pack / "data/EELC/allocations.parquet")["mpan_core"])
    assert {e["mpan_core"] for e in manifest(tmp_path / "out")} <= own
    assert {e["interface"] for e in manifest(tmp_path / "out")} == {"IF-018"}


def first(folder: Path, name: str) -> dict:
    return json.loads(next(iter(sorted(folder.glob(f"*/*/*-{name}.json")))).read_text())[0]


@pytest.mark.requirement("Q94")
def test_what_is_chosen_stands_in_the_message(release, tmp_path):
    given = {
        "--interface": "IF-031", "--sent": "2023-10-30T09:00:00", "--action": "2023-11-15", "--scenario": "MCA",
        "--environment": "SITB", "--schema-version": "009", "--process": "metering_service_appointment",
    }  # fmt: skip
    done = datacut("messages", release, "--out", tmp_path / "out", *(part for pair in given.items() for part in pair))
    assert done.code == 0, done.err
    message = first(tmp_path / "out", "IF-031-MSApp")
    common, custom = message["payload"]["CommonBlock"], message["payload"]["CustomBlock"]
    assert common["S0"]["schemaVersion"] == "009"
    assert common["S1"]["environmentTag"] == "SITB"
    assert common["S1"]["senderTimestamp"] == "2023-10-30T09:00:00+00:00"
    assert common["S1"]["DIPConnectionProviderID"] is None
    assert list(custom["B013"]) == ["CSSRegistrationRequestID"]  # a table, not a label
    assert custom["B070"]["appointmentScenario"] == "MCA"
    assert custom["B070"]["proposedMeteringServiceDIPEffectiveFromDate"] == "2023-11-15T00:00:00+00:00"
    assert {e["process"] for e in manifest(tmp_path / "out")} == {"metering_service_appointment"}


@pytest.mark.requirement("Q104", "Q107")
def test_a_sender_has_one_connection_provider_an_interface(release, written, tmp_path):
    ids = {d["mpid"]: d["dip_id"] for d in json.loads((written / "manifest.json").read_text())["dip_ids"]}
    a, b = ids["SUPA"], ids["SUPB"]
    table = tmp_path / "providers.csv"
    table.write_text(
        f"interface,dip_id,connection_provider\n,{a},9900000001\nIF-031,{a},9900000002\nIF-031,{b},9900000003\n"
    )
    asked = ("--connection-providers", table, "--interface", "IF-031", "--interface", "IF-019")
    assert datacut("messages", release, "--out", tmp_path / "out", *asked).code == 0
    seen = set()
    for path in (tmp_path / "out").glob("*/*/*.json"):
        for message in json.loads(path.read_text()):
            s0, s1 = (message["payload"]["CommonBlock"][b] for b in ("S0", "S1"))
            seen.add((s0["interfaceID"], s1["senderDIPID"], s1["DIPConnectionProviderID"]))
    assert {row for row in seen if row[1] in (a, b)} >= {("IF-031", a, "9900000002"), ("IF-031", b, "9900000003")}
    assert {row[2] for row in seen if row[:2] == ("IF-019", a)} <= {"9900000001"}
    assert {row[2] for row in seen if row[1] not in (a, b)} <= {None}
    for line, words in (
        (f"IF-031,{a},9900000009", "a second connection provider for IF-031"),
        ("IF-999,2300000001,9900000009", "interface that there is not"),
        ("IF-031,23,9900000009", "dip_id is not a DIP id"),
        ("IF-031,2300000001", "another number of cells"),
    ):
        wrong = tmp_path / "wrong.csv"
        wrong.write_text(table.read_text() + line + "\n")
        done = datacut("messages", release, "--out", tmp_path / "none", "--connection-providers", wrong)
        assert (done.code, len(done.told)) == (2, 1)
        assert words in done.told[0]
        assert "line 5" in done.told[0]
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("day", ["2023-08-19", "2023-03-26", "2023-10-29"])
def test_a_settlement_day_is_a_utc_day_of_48_periods_when_clocks_change_too(release, tmp_path, day):
    asked = ("--interface", "IF-021", "--settlement", day, "--process", "consumption")
    assert datacut("messages", release, "--out", tmp_path / "out", *asked).code == 0
    message = first(tmp_path / "out", "IF-021-ActivePower")
    assert oracle.faults(message) == []
    assert oracle.day_faults(message) == []
    (held,) = message["payload"]["CustomBlock"]["B900"]["settlementDayConsumptionPeriods"]
    assert held["settlementDay"]["settlementDayDate"] == f"{day}T00:00:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--interface", "IF-099"), 2, "no such interface: IF-099"),
        (("--test-case", "NOPE"), 2, "no metering point is allocated to NOPE"),
        (("--process", "change_of_suplier"), 2, "did you mean 'change_of_supplier'"),
        (("--environment", "LIVE"), 2, "--environment"),
        (("--schema-version", "11"), 2, "--schema-version"),
        (("--scenario", ""), 2, "--scenario"),
        (("--schema-version", "010"), 2, "there is no table of version"),
        (("--connection-providers", "no-such-file"), 2, "cannot be read"),
        (("--validate-with", "no-such-file"), 2, "cannot be read"),
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


@pytest.mark.parametrize("command", ["messages", "expected"])
def test_a_pack_that_changes_while_it_is_read_gives_nothing(release, tmp_path, monkeypatch, command):
    pack = tmp_path / "pack"
    shutil.copytree(release, pack)
    place, name = (write, "expected_records") if command == "messages" else (expected, "expected_steps")
    read = getattr(place, name)

    def changed(*given: object, **named: object) -> object:
        found = read(*given, **named)
        file = pack / "data/SUPA/portfolio.parquet"
        file.rename(tmp_path / "aside")
        (tmp_path / "aside").rename(file)
        return found

    monkeypatch.setattr(place, name, changed)
    out = tmp_path / "out"
    asked = ["--test-case", sorted(CRITERIA)[0]] if command == "expected" else []
    done = datacut(command, pack, "--out", out, *asked)
    assert done.code == 18, done.err
    assert "changed while it was read" in done.err
    assert not out.exists()
