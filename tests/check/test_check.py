"""``check`` says what a run would, and publishes nothing; ``init`` makes a cut.yaml that runs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from flows.cut.deliveries import DeliveryNote
from flows.intake import FirstRows
from tests.command import datacut


def edited(folder: Path, **changes: object) -> Path:
    path = folder / "cut.yaml"
    document = yaml.safe_load(path.read_text())
    document["cut"].update(changes)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_check_publishes_nothing_and_leaves_its_list_and_a_note_of_each_input(sample, monkeypatch):
    monkeypatch.chdir(sample)  # paths are told from the current folder, and no path is folded
    before = {p for p in sample.rglob("*") if p.is_file()}
    done = datacut("check", sample / "cut.yaml")
    assert done.code == 0, done.err
    notes = sample / "work/.deliveries/SAMPLE-2023-08-19"
    people = yaml.safe_load((sample / "cut.yaml").read_text())["participants"]
    inputs = [f"{person['mpid']}-{entry['contract']}" for person in people for entry in person["extracts"]]
    left = {p for p in sample.rglob("*") if p.is_file()} - before
    assert left == {sample / "work/cleanse.csv", *(notes / f"{name}.json" for name in inputs)}
    assert {p.name for p in (sample / "work").iterdir()} == {"cleanse.csv", ".deliveries"}
    for name in inputs:
        note = DeliveryNote.model_validate_json((notes / f"{name}.json").read_bytes())
        assert (note.outcome, note.line) == ("checked", "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "mpan_core" in done.out
    assert "would end with code 0" in done.out


def test_check_counts_what_the_run_counts(sample):
    checked = json.loads(datacut("check", sample / "cut.yaml", "--json").out)
    datacut("anonymise", sample / "cut.yaml")
    (evidence,) = sample.glob("out/*-submission/evidence/evidence.json")
    counted = {
        (e["participant"], e["extract"], e["rule"]): (e["evaluated"], e["failed"])
        for e in json.loads(evidence.read_text())["rules"]
    }
    mine = {
        (s["participant"], s["extract"], r["rule"]): (r["evaluated"], r["failed"])
        for s in checked["sources"]
        for r in s["rules"]
    }
    assert mine == counted


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda s: (s / "MOPB/metering.csv").write_text("A,B\n1,2\n"), 11),
        (lambda s: (s / "keys/cut.key").write_text("0" * 63 + "\n"), 13),
        (lambda s: edited(s, fingerprint="0123456789abcdef" * 2), 13),
        (lambda s: edited(s, date="2023-08-20"), 12),
        (lambda s: (s / "keys/signing.pem").unlink(), 13),
        (lambda s: (s / "SUPB/portfolio.tsv").write_text((s / "SUPB/portfolio.tsv").read_text().split("\n")[0]), 20),
    ],
    ids=["columns", "key", "fingerprint", "date", "signing", "empty"],
)
def test_check_ends_with_the_code_of_the_run(sample, spoil, code):
    spoil(sample)
    checked = datacut("check", sample / "cut.yaml")
    run = datacut("anonymise", sample / "cut.yaml")
    assert (checked.code, run.code) == (code, code), checked.err + run.err
    assert not list((sample / "work").glob(".check-*"))


def test_only_the_first_rows_are_judged_and_rules_that_need_all_are_not(sample):
    done = json.loads(datacut("check", sample / "cut.yaml", "--rows", "1000", "--json").out)
    found = {(s["participant"], s["extract"]): s for s in done["sources"]}
    cut = found["DCOL", "annual_consumption"]
    assert (cut["whole"], cut["rows"]) == (False, 1000)
    assert 0.5 < cut["rows_estimated"] / 1_750 < 3
    mapping = found["ELEX", "bmu_mapping"]
    assert mapping["whole"]


def test_a_portfolio_is_not_held_against_half_a_registration(sample):
    done = json.loads(datacut("check", sample / "cut.yaml", "--rows", "100", "--json").out)
    assert FirstRows.LEAST == 1_000
    assert done["exit_code"] == 0


def test_check_holds_participant_role_and_date_against_rows_and_clock(sample):
    path = sample / "cut.yaml"
    text = path.read_text().replace("mpid: SUPB\n    role: SUP", "mpid: SUPZ\n    role: MOP")
    path.write_text(text)
    out = re.sub(r"\s+", " ", datacut("check", path).out)
    assert "rows have SUPZ as supplier" in out
    assert "is this the backup of another participant" in out
    assert "SUPZ has the role MOP; portfolio is what a SUP sends" in out
    assert "days ago" in out
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    edited(sample, date=tomorrow)
    assert "is in the future" in re.sub(r"\s+", " ", datacut("check", path).out)


@pytest.mark.requirement("Q86")
def test_init_then_check_then_anonymise(foreign, monkeypatch):
    monkeypatch.chdir(foreign)
    done = datacut("init", "crm.txt", "--role", "SUP", "--mpid", "SUPB", "--cut", "SIT-1", "--date", "2023-08-19")
    assert done.code == 0, done.err
    text = (foreign / "CUT.yaml").read_text()
    columns = yaml.safe_load(text)["participants"][0]["extracts"][0]["source"]["columns"]
    assert columns == {
        "mpan_core": "S Number",
        "supplier_mpid": "Company",
        "supplier_effective_from": "On Supply Since",
        "data_collector_mpid": "DC_PARTY",
        "meter_operator_mpid": "MO_PARTY",
        "meter_serial_number": "Serial",
        "energisation_status": "Energised?",
    }
    assert all("UNSURE" in line for line in text.splitlines() if '"S Number"' in line or '"Company"' in line)
    assert "Row Kind" in text
    checked = datacut("check", "CUT.yaml")
    assert checked.code == 0, checked.out + checked.err
    made = datacut("anonymise", "CUT.yaml")
    assert made.code == 0, made.err
    real = set(pl.read_csv(foreign / "crm.txt", separator="|", infer_schema=False)["S Number"].drop_nulls())
    told = done.out + text + checked.out + checked.err + made.out + made.err
    assert not any(mpan in told for mpan in real)


def test_init_knows_every_extract_of_the_sample(sample, monkeypatch):
    monkeypatch.chdir(sample)
    done = datacut(
        "init", "EELC", "YELG", "IPNL", "SUPA", "SUPB", "SUPC", "MOPA", "MOPB", "DCOL", "elexon/bmu_mapping.csv"
    )
    assert done.code == 0, done.err
    made = yaml.safe_load((sample / "CUT.yaml").read_text())
    known = yaml.safe_load((sample / "cut.yaml").read_text())

    def places(document):
        found = {}
        for participant in document["participants"]:
            for extract in participant["extracts"]:
                path = extract["source"]["path"]
                for one in path if isinstance(path, list) else [path]:
                    found.setdefault(one, set()).add(extract["contract"])
        return found

    assert {p: c for p, c in places(made).items() if p in places(known)} == places(known)


def test_init_does_not_overwrite_and_says_what_is_missing(foreign, monkeypatch):
    monkeypatch.chdir(foreign)
    assert datacut("init", "crm.txt").code == 0
    again = datacut("init", "crm.txt")
    assert again.code == 2
    assert "is there already" in again.err
    assert datacut("init", "nowhere").code == 2
    assert datacut("init", "crm.txt", "--role", "KING").code == 2
    assert datacut("init", "crm.txt", "--date", "19/08/2023", "--out", "x.yaml").code == 2
    (foreign / "note.txt").write_text("nothing to see\n")
    done = datacut("init", "note.txt", "--out", "y.yaml")
    assert "no contract fits" in done.out + done.err


def test_init_marks_a_customer_name_and_leaves_meter_id_to_the_user(foreign, monkeypatch):
    monkeypatch.chdir(foreign)
    text = (
        (foreign / "crm.txt").read_text().replace("Row Kind", "Customer Name", 1).replace("|Serial|", "|METER_ID|", 1)
    )
    (foreign / "crm.txt").write_text(text)
    datacut("init", "crm.txt", "--role", "SUP", "--mpid", "SUPB")
    made = (foreign / "CUT.yaml").read_text()
    assert "must not be sent" in made
    assert re.search(r'#\s+meter_serial_number: "METER_ID"', made)
    columns = yaml.safe_load(made)["participants"][0]["extracts"][0]["source"]["columns"]
    assert "meter_serial_number" not in columns
