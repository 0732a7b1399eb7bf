"""Many files through the whole job: the same payload however they are sent, and back file for file."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.command import Done, datacut

ROOT = Path(__file__).parents[2]
CASE = ROOT / "tests" / "cases" / "51-split-files"
SUPPLIER = "MPAN Core,Supplier,Registration From,DC,MOP,MSN,MC,ES,Site Name\n"
OTHER = "Energised|Supply Number|Seller|Since|Collector|Operator\n"
MPANS = ("2083396378431", "2006024575990", "2035672278374", "2000048575668", "2018809373200")


def cut(folder: Path, name: str, participants: list[dict]) -> Path:
    """Write a ``cut.yaml``; packs and work of each lie apart."""
    document = {
        "cut": {"id": "CASE-1", "date": "2023-08-19", "key": "keys/cut.key", "test": True},
        "participants": participants,
        "release": {"folder": f"out-{name}", "signing_key": "keys/signing.pem"},
        "work": f"work-{name}",
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder / f"{name}.yaml"


def evidence(pack: Path) -> dict:
    return json.loads((pack / "evidence" / "evidence.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("many")
    shutil.copytree(CASE, place, dirs_exist_ok=True)
    shutil.copytree(ROOT / "sample_data" / "keys", place / "keys")
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    return place


def metering(*paths: str) -> list[dict]:
    return [{"mpid": "MOPA", "role": "MOP", "extracts": [{"contract": "metering", "source": {"path": list(paths)}}]}]


@pytest.fixture(scope="module")
def market(folder) -> Path:
    """A release of a meter operator's twelve files, sent in four ways, and of a supplier with two systems."""
    flows = sorted((folder / "in").iterdir())
    place = folder / "mop"
    (place / "day 1").mkdir(parents=True)
    for path in flows[:4]:
        shutil.copy(path, place / "day 1")
    (place / "joined.usr").write_bytes(b"".join(path.read_bytes() for path in flows[4:7]))
    with zipfile.ZipFile(place / "rest.zip", "w") as archive:
        for path in flows[7:]:
            archive.write(path, f"x/{path.name}")
    sup = folder / "sup"
    sup.mkdir()
    rows = [f"{m},SUPA,01/04/2019,DCOL,MOPA,,A,E,Hall\n" for m in MPANS]
    (sup / "part-1.csv").write_text(SUPPLIER + rows[0] + rows[1])
    (sup / "part-2.csv").write_text(SUPPLIER + rows[2])
    (sup / "legacy.txt").write_text(OTHER + "".join(f"E|{m}|SUPA|2019-04-01|DCOL|MOPA\n" for m in MPANS[3:]))
    own = {
        "mpan_core": "Supply Number", "supplier_mpid": "Seller", "supplier_effective_from": "Since",
        "data_collector_mpid": "Collector", "meter_operator_mpid": "Operator", "energisation_status": "Energised",
    }  # fmt: skip
    participants = [
        *metering("mop"),
        {
            "mpid": "SUPA",
            "role": "SUP",
            "extracts": [
                {"contract": "portfolio", "source": {"path": "sup/*.csv", "harmless": ["Site Name"]}},
                {"contract": "portfolio", "source": {"path": "sup/legacy.txt", "columns": own}},
            ],
        },
    ]
    (folder / "mdd").mkdir()
    document = yaml.safe_load(cut(folder, "market", participants).read_text())
    document["reference"] = {"market_domain_data": str(ROOT / "sample_data" / "elexon" / "mdd")}
    (folder / "market.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", folder / "market.yaml", "--plain")
    assert done.code == 0, done.err
    return folder


def restored(market: Path, mpid: str, out: str, backup: str = "market.yaml") -> Done:
    pack = market / "out-market" / f"CASE-1-return-{mpid}"
    return datacut(
        "restore", pack, "--backup", market / backup, "--key", market / "keys" / "cut.key",
        "--public-key", market / "keys" / "signing.pub", "--out", market / out,
    )  # fmt: skip


@pytest.mark.requirement("Q86")
def test_one_payload_however_the_files_are_sent(folder):
    digests, said = set(), {}
    ways = {
        "folder": metering("in"),
        "joined": metering("all.usr"),
        "twelve": yaml.safe_load((CASE / "twelve.yaml").read_text())["participants"],
    }
    for name, participants in ways.items():
        done = datacut("anonymise", cut(folder, name, participants), "--plain")
        assert done.code == 0, done.err
        pack = folder / f"out-{name}" / "CASE-1-submission"
        digests.add((pack / "data" / "MOPA" / "metering.parquet").read_bytes())
        (said[name],) = evidence(pack)["inputs"]
    assert len(digests) == 1
    assert pl.read_parquet(folder / "out-folder/CASE-1-submission/data/MOPA/metering.parquet").height == 12
    assert [file["name"] for file in said["folder"]["files"]] == [f"in/D01500{n:02}.usr" for n in range(12)]
    assert {file["rows"] for file in said["folder"]["files"]} == {1}
    assert said["folder"]["file"] == said["twelve"]["file"] == "12 files"
    assert said["folder"]["hmac_sha256"] == said["twelve"]["hmac_sha256"]
    assert said["joined"]["file"] == "all.usr"


@pytest.mark.requirement("DQ03")
def test_a_duplicate_in_another_file_is_found(folder):
    shutil.copytree(folder / "in", folder / "twice")
    again = (folder / "in" / "D0150000.usr").read_bytes()
    (folder / "twice" / "z.usr").write_bytes(again)
    done = datacut("anonymise", cut(folder, "twice", metering("twice")), "--plain")
    assert done.code == 0, done.err
    (counts,) = evidence(folder / "out-twice" / "CASE-1-submission")["accounting"]
    assert (counts["rows_in"], counts["excluded"]) == (13, 2)
    assert counts["by_reason"] == {"DQ03": 2}


@pytest.mark.requirement("Q62", "Q63", "Q86")
@pytest.mark.parametrize("backup", ["market.yaml", "."])
def test_flows_come_back_file_for_file(market, backup):
    out = f"back-mop-{len(backup)}"
    done = restored(market, "MOPA", out, backup)
    assert done.code == 0, done.err
    place = market / out / "metering" / "mop"
    found = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    names = [f"D01500{n:02}.usr" for n in range(12)]
    assert found == sorted([*(f"day 1/{n}" for n in names[:4]), "joined.usr", *(f"rest.zip/x/{n}" for n in names[7:])])
    for path in sorted((market / "in").iterdir()):
        number = int(path.stem[-2:])
        back = place / (
            f"day 1/{path.name}" if number < 4 else "joined.usr" if number < 7 else f"rest.zip/x/{path.name}"
        )
        text = path.read_text().replace("|OPER|", "|TR01|")
        assert text in back.read_text()
        if not 4 <= number < 7:
            assert text == back.read_text()
    report = json.loads((market / out / "restore.json").read_text())
    counts = {file["name"]: (file["rows"], file["returned"]) for file in report["extracts"][0]["files"]}
    assert counts["mop/joined.usr"] == (3, 3)
    assert sum(rows for rows, _ in counts.values()) == 12


@pytest.mark.requirement("Q62", "Q63", "Q86")
def test_tables_of_two_systems_come_back_file_for_file(market):
    assert restored(market, "SUPA", "back-sup").code == 0
    place = market / "back-sup" / "portfolio" / "sup"
    assert sorted(path.name for path in place.iterdir()) == ["legacy.txt", "part-1.csv", "part-2.csv"]
    for path in place.iterdir():
        assert path.read_text() == (market / "sup" / path.name).read_text()


@pytest.mark.requirement("Q68")
def test_names_of_a_party_are_shown_to_it_alone(market):
    out = market / "out-market"
    release = (out / "CASE-1-release" / "evidence" / "evidence.json").read_text()
    pages = "".join(
        p.read_text() for p in (out / "CASE-1-release" / "report").rglob("*") if p.suffix in (".html", ".csv", ".json")
    )
    names = ["Supply Number", "Seller", "legacy.txt", "part-1.csv", "joined.usr", "Site Name", "day 1"]
    for name in names:
        assert name not in release
        assert name not in pages
    sup = (out / "CASE-1-return-SUPA" / "evidence" / "evidence.json").read_text()
    mop = (out / "CASE-1-return-MOPA" / "evidence" / "evidence.json").read_text()
    assert all(name in sup for name in ("legacy.txt", "part-1.csv", "Site Name", "MPAN Core"))
    assert all(name not in mop for name in ("legacy.txt", "part-1.csv", "Seller", "Site Name"))
    assert "joined.usr" in mop
    assert "joined.usr" not in sup


@pytest.mark.requirement("Q64")
def test_a_rule_over_a_column_that_is_not_there_is_not_judged(market):
    rules = {
        r["rule"]: r for r in evidence(market / "out-market" / "CASE-1-release")["rules"] if r["participant"] == "SUPA"
    }
    assert rules["DQ01_mpan_core"]["evaluated"] == 5
    silent = {name for name, rule in rules.items() if "consent" in name}
    assert silent
    assert all(rules[name]["evaluated"] == 0 for name in silent)


def test_what_is_missing_and_dropped_is_said(folder):
    sup = folder / "alone"
    sup.mkdir()
    (sup / "p.csv").write_text(SUPPLIER + f"{MPANS[0]},SUPA,01/04/2019,DCOL,MOPA,,A,E,Hall\n")
    entry = {"contract": "portfolio", "source": {"path": "alone/p.csv", "harmless": "Site Name"}}
    done = datacut("anonymise", cut(folder, "said", [{"mpid": "SUPA", "role": "SUP", "extracts": [entry]}]), "--plain")
    assert done.code == 0, done.err
    assert "SUPA/portfolio: optional columns not in the source: " in done.out
    assert "linked_mpan" in done.out
    assert "SUPA/portfolio: columns dropped, not in the contract: Site Name" in done.out
