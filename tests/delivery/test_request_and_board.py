"""Who is asked for what, and who has sent it; only what was agreed is taken."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
import yaml

from contracts.load import load_all
from contracts.vocabulary import Method
from flows.cli.run import _source_lines
from flows.delivery.request import WORDS
from flows.release.published import SourceNote
from tests.command import Done, datacut

SAMPLE = Path(__file__).parents[2] / "sample_data"
AGREED = ["mpan_core", "supplier_mpid", "supplier_effective_from", "meter_serial_number"]
MONTH_FIRST = b"MPAN_CORE,SUPPLIER_MPID,SUPPLIER_EFFECTIVE_FROM\n1012345678903,SUPA,08/19/2023\n"
SENT = {"data_collector_mpid", "energisation_status", "measurement_class", "meter_operator_mpid"}


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Three suppliers of the sample: one complete, one late, one that is not due yet."""
    for mpid in ("SUPA", "SUPB", "SUPC"):
        shutil.copytree(SAMPLE / mpid, tmp_path / mpid)
    shutil.copytree(SAMPLE / "keys", tmp_path / "keys")
    for key in (tmp_path / "keys").iterdir():
        key.chmod(0o600)
    file = tmp_path / "cut.yaml"
    files = {"SUPA": "portfolio.csv.gz", "SUPB": "late.tsv", "SUPC": "late.zip"}
    due = {"SUPB": {"due": "2023-08-25"}, "SUPC": {"due": "2223-08-25"}}
    parties = [
        {"mpid": mpid, "role": "SUP", **due.get(mpid, {}), "extracts": [_portfolio(f"{mpid}/{name}")]}
        for mpid, name in files.items()
    ]
    write(file, parties)
    return file


def _portfolio(path: str) -> dict[str, object]:
    return {"contract": "portfolio", "source": {"path": path, "cut_date": "2023-08-19"}}


def write(file: Path, parties: list[dict[str, object]]) -> None:
    head = {"id": "SAMPLE-2023-08-19", "date": "2023-08-19", "key": "keys/cut.key", "test": True}
    document = {"cut": head, "participants": parties, "release": {"folder": "out", "signing_key": "keys/signing.pem"}}
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def change(file: Path, mpid: str, **more: object) -> None:
    parties = yaml.safe_load(file.read_text())["participants"]
    for party in parties:
        if party["mpid"] == mpid:
            extracts = more.pop("extract", None)
            party.update(more)
            party["extracts"][0].update(extracts or {})
    write(file, parties)


def standing(file: Path) -> dict[str, str]:
    document = json.loads(datacut("status", file, "--json").out)
    return {one["participant"]: one["state"] for one in document["deliveries"]}


def anonymised(file: Path) -> Done:
    return datacut("anonymise", file, "--plain", "--json")


@pytest.mark.requirement("Q64", "Q76", "Q83")
def test_a_request_names_every_column_and_what_happens_to_it(cut: Path) -> None:
    out = cut.parent / "requests"
    assert datacut("request", cut, "--out", out).code == 0
    document = json.loads((out / "SUPA.json").read_text())
    contract = load_all()["portfolio"]
    (extract,) = document["extracts"]
    assert [c["name"] for c in extract["columns"]] == [c.name for c in contract.columns]
    happens = {c["name"]: c["happens"] for c in extract["columns"]}
    assert happens["mpan_core"] == "replaced by a pseudonym"
    for suffix in ("html", "md"):
        text = (out / f"SUPA.{suffix}").read_text()
        assert not [c.name for c in contract.columns if c.name not in text]
        assert document["digest"] in text
    assert "<script" not in (out / "SUPA.html").read_text()


@pytest.mark.requirement("Q99")
def test_a_request_tells_who_has_taken_over_whom(cut: Path) -> None:
    document = yaml.safe_load(cut.read_text())
    entries = [{"mpid": "QZQZ", "successor": "SUPC", "on": day} for day in ("2023-08-01",)]
    later = {"mpid": "QZQY", "successor": "SUPC", "on": "2023-08-20"}
    cut.write_text(yaml.safe_dump(document | {"succession": [*entries, later]}))
    assert datacut("request", cut, "--out", cut.parent / "r", "--participant", "SUPA").code == 0
    assert json.loads((cut.parent / "r" / "SUPA.json").read_text())["succession"] == entries
    for suffix in ("html", "md"):
        text = (cut.parent / "r" / f"SUPA.{suffix}").read_text()
        assert "- {mpid: QZQZ, successor: SUPC, on: 2023-08-01}" in text
        assert "QZQY" not in text, "it has not happened on the day of the cut"


def test_a_request_follows_the_policy_and_what_was_agreed(cut: Path) -> None:
    (cut.parent / "policy.yaml").write_text(
        "reason: DPIA of August\n"
        "treatments: {portfolio: {supplier_effective_from: {method: generalise, rule: month}}}\n"
    )
    change(cut, "SUPA", extract={"agreed": AGREED})
    whole = yaml.safe_load(cut.read_text())
    whole["cut"]["policy"] = {"overlay": "policy.yaml"}
    cut.write_text(yaml.safe_dump(whole))
    datacut("request", cut, "--out", cut.parent / "r", "--participant", "SUPA")
    document = json.loads((cut.parent / "r" / "SUPA.json").read_text())
    (extract,) = document["extracts"]
    assert {c["name"]: c["happens"] for c in extract["columns"]}["supplier_effective_from"] == "coarsened (month)"
    assert set(extract["not_agreed"]) >= SENT
    assert not (cut.parent / "r" / "SUPB.json").exists()
    assert datacut("request", cut, "--participant", "SUPX").code == 2


@pytest.mark.requirement("Q64")
def test_what_was_not_agreed_is_dropped_and_named(cut: Path) -> None:
    change(cut, "SUPA", extract={"agreed": [*AGREED, "esme_id"]})
    for mpid in ("SUPB", "SUPC"):
        change(cut, mpid, left_out="joins the next cut")
    done = json.loads(anonymised(cut).out)
    evidence = json.loads((Path(done["pack"]) / "evidence/evidence.json").read_text())
    (source,) = evidence["inputs"]
    assert set(source["columns"]) == set(AGREED), "agreed and taken"
    assert source["missing"] == ["esme_id"], "agreed and missing"
    assert set(source["not_agreed"]) == SENT, "sent and not agreed"
    assert [one["participant"] for one in evidence["left_out"]] == ["SUPB", "SUPC"]
    page = (Path(done["pack"]) / "report/index.html").read_text()
    assert "joins the next cut" in page
    assert "not agreed and dropped" in page


@pytest.mark.parametrize(
    ("agreed", "said"),
    [(["mpan_core"], "agreed lacks"), ([*AGREED, "supplier_mpidd"], "no column of portfolio")],
)
def test_an_agreement_that_cannot_be_is_told_with_its_line(cut: Path, agreed: list[str], said: str) -> None:
    change(cut, "SUPA", extract={"agreed": agreed})
    done = datacut("status", cut)
    assert (done.code, said in done.err, "line" in done.err) == (2, True, True), done.err


@pytest.mark.requirement("Q61")
def test_the_board_follows_what_happens_to_an_input(cut: Path) -> None:
    assert standing(cut) == {"SUPA": "arrived", "SUPB": "late", "SUPC": "expected"}
    done = anonymised(cut)
    assert done.code == 11
    assert "2 inputs are not there: SUPB/portfolio, SUPC/portfolio" in done.err, "all of them at once"
    change(cut, "SUPC", left_out="joins the next cut")
    done = anonymised(cut)
    assert "1 input is not there: SUPB/portfolio" in done.err, "and before the others are read"
    assert standing(cut)["SUPA"] == "arrived"
    change(cut, "SUPB", left_out="did not deliver")
    page = cut.parent / "board.html"
    datacut("status", cut, "--page", page)
    assert "everything is there but SUPB and SUPC, left out by name" in page.read_text()
    assert anonymised(cut).code == 0
    assert standing(cut) == {"SUPA": "accepted", "SUPB": "left out", "SUPC": "left out"}
    (cut.parent / "SUPA/portfolio.csv.gz").write_bytes(gzip.compress(MONTH_FIRST))
    assert standing(cut)["SUPA"] == "arrived", "it was sent again"
    assert anonymised(cut).code in (11, 12)
    assert standing(cut)["SUPA"] == "refused"
    told = datacut("status", cut, "--page", page)
    assert "To chase: SUPA" in told.out
    assert "supplier_effective_from" in page.read_text()


@pytest.mark.requirement("Q48")
def test_what_a_run_read_and_did_not_publish_is_not_accepted(cut: Path) -> None:
    for mpid in ("SUPB", "SUPC"):
        change(cut, mpid, left_out="joins the next cut")
    rows = gzip.decompress((cut.parent / "SUPA/portfolio.csv.gz").read_bytes()).splitlines()
    short = [rows[0], *(b"1.2E+12," + row.partition(b",")[2] for row in rows[1:])]
    (cut.parent / "SUPA/portfolio.csv.gz").write_bytes(gzip.compress(b"\n".join(short)))
    assert anonymised(cut).code == 20
    assert standing(cut)["SUPA"] == "read"


def test_what_was_agreed_with_a_pack_is_not_asked_again(cut: Path) -> None:
    change(cut, "SUPA", extract={"agreed": AGREED, "source": {"pack": "p", "public_key": "k.pub"}})
    done = datacut("status", cut)
    assert (done.code, "agreed is for backups" in done.err) == (2, True), done.err


def test_nobody_can_be_left_out_by_everybody(cut: Path) -> None:
    for mpid in ("SUPA", "SUPB", "SUPC"):
        change(cut, mpid, left_out="late")
    done = datacut("status", cut)
    assert (done.code, "leaves everybody out" in done.err) == (2, True), done.err


def test_every_treatment_has_words() -> None:
    assert set(WORDS) == set(Method)


@pytest.mark.requirement("Q64")
def test_columns_of_no_contract_are_counted_where_their_names_are_for_the_sender_alone() -> None:
    told = dict.fromkeys(("missing", "null_words", "unread_dates", "rounded"), ())
    note = SourceNote(participant="SUPA", extract="portfolio", not_agreed=("esme_id",), dropped_columns=2, **told)
    assert _source_lines(note) == [
        "SUPA/portfolio: columns dropped, sent and not agreed: esme_id",
        "SUPA/portfolio: columns dropped, not in the contract: 2; the sender's own pack names them",
    ]
    named = _source_lines(note.model_copy(update={"dropped": ("Campaign", "Colour")}))
    assert named[1] == "SUPA/portfolio: columns dropped, not in the contract: Campaign, Colour"
