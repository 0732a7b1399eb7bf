"""A real run with planted defects: its pack, its report and its annex, twice and under two keys."""

from __future__ import annotations

import json
import re
import shutil
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml

from flows.keys.signing_key import load_public, load_signer, new_signing_key
from flows.pack import bag
from flows.pack.approve import approve_pack
from flows.pack.schema import schema_faults
from flows.pack.verify import PackFaultError, VerificationPolicy, verify_pack
from flows.report.files import report_files
from flows.report.openlineage import events
from tests.evidence.specimen import model
from tests.report.chromium import Chromium

pytestmark = pytest.mark.slow
# Companions of an augmented item, and what allocation adds: not columns of a contract.
COMPANIONS = re.compile(r"(.+)_(source|rule|confidence|from|decided_by)")


def configure(cut: Path, **release: str) -> None:
    document = yaml.safe_load(cut.read_text("utf-8"))
    document["release"] |= release
    cut.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def expire(cut: Path) -> None:
    document = yaml.safe_load(cut.read_text("utf-8"))
    document["cut"]["expires"] = date(2031, 8, 19)
    cut.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run one sample twice, and a third time with an approver and an earlier cut to compare with."""
    from flows.pipeline import run_plain
    from flows.sample import SampleRequest, generate

    root = tmp_path_factory.mktemp("real")
    generate(SampleRequest(800, 5, 0.15), root / "sample")
    made = {}
    for name in ("one", "two", "approved"):
        shutil.copytree(root / "sample", root / name)
    new_signing_key(root / "approved/keys/approver.pem", root / "approved/keys/approver.pub")
    for name in ("one", "two", "approved"):
        if name == "approved":
            configure(root / name / "cut.yaml", approver="keys/approver.pub", compare_with=str(made["one"]))
            expire(root / name / "cut.yaml")
        made[name] = Path(run_plain(root / name / "cut.yaml").pack)
    return made


def evidence(pack: Path) -> dict:
    return json.loads((pack / bag.EVIDENCE).read_bytes())


def keys(pack: Path) -> Path:
    return pack.parents[1] / "keys"


@pytest.mark.requirement("Q74")
def test_the_same_backups_give_the_same_bytes_but_for_the_times(packs) -> None:
    one, two = packs["one"], packs["two"]
    files = sorted(bag.listing(one).files)
    assert files == sorted(bag.listing(two).files)
    changed = {name for name in files if (one / name).read_bytes() != (two / name).read_bytes()}
    assert changed <= {bag.EVIDENCE, bag.TAGMANIFEST, bag.SIGNATURE}
    first, second = evidence(one), evidence(two)
    for found in (first, second):
        found["ring_fence"].pop("ledger_head")  # covers the moment of the commit
        found["ring_fence"].pop("ledger_id")  # drawn when a ledger is made
    assert {key for key in first if first[key] != second[key]} == {"times"}


def test_the_report_says_what_the_evidence_says(packs) -> None:
    """Rendered again from the signed evidence, every file of the report is the one in the pack."""
    for name, pack in packs.items():
        found = evidence(pack)
        checkpoints = {p.stem: p.read_text("utf-8") for p in (pack / "report/gx").glob("*.json")}
        signers = [(s["keyid"], s["role"]) for s in found["signers"]]
        again = report_files(
            model(found),
            signed_by=[keyid for keyid, role in signers if role == "operator"],
            approvers=[keyid for keyid, role in signers if role == "approver"],
            checkpoints=checkpoints,
        )
        lying = {n for n in bag.listing(pack).files if n.startswith("report/")}
        assert set(again) == lying, name
        assert [n for n, data in again.items() if (pack / n).read_bytes() != data] == [], name


def test_every_released_column_has_its_lineage(packs) -> None:
    rows = evidence(packs["one"])["lineage"]
    known = {(row["extract"], row["column"]) for row in rows if row["released"]}
    for path in sorted((packs["one"] / "data").glob("*/*.parquet")):  # what is expected lies deeper, and is no extract
        for column in pl.read_parquet_schema(path):
            match = COMPANIONS.fullmatch(column)
            names = {column, match.group(1) if match else column}
            if path.stem == "augmented" and column == "mpan_core":
                continue
            assert names & {name for extract, name in known if extract == path.stem}, f"{path.stem}.{column}"
    for row in rows:
        if row["extract"] == "registration" and row["column"] == "mpan_core":
            assert {who for source in row["sources"] for who in source["participants"]} == {"EELC", "IPNL", "YELG"}


def test_evidence_keeps_its_schema_and_says_nothing_of_a_raw_value(packs) -> None:
    for pack in packs.values():
        assert schema_faults(evidence(pack)) == []
    raw = pl.read_csv(keys(packs["one"]).parent / "EELC/registration.csv", infer_schema=False)
    texts = b"".join(p.read_bytes() for p in sorted((packs["one"] / "report").rglob("*")) if p.is_file())
    texts += (packs["one"] / bag.EVIDENCE).read_bytes()
    mpans = {v.replace(" ", "") for v in raw[raw.columns[0]].drop_nulls().to_list()}
    assert len(mpans) > 100
    assert not [m for m in mpans if len(m) == 13 and m.encode() in texts]


def test_two_people_sign(packs) -> None:
    pack, folder = packs["approved"], keys(packs["approved"])
    operator, approver = load_public(folder / "signing.pub"), load_public(folder / "approver.pub")
    with pytest.raises(PackFaultError, match="is not approved"):
        verify_pack(pack, [operator])
    approve_pack(pack, load_signer(folder / "approver.pem"), [operator])
    assert len(verify_pack(pack, [operator, approver]).signed_by) == 2
    assert evidence(pack)["policy"]["approval"] == "two signatures"
    assert "must approve" in (pack / "report/index.html").read_text("utf-8")


def test_a_pack_expires_on_the_day_that_was_named(packs) -> None:
    key = load_public(keys(packs["approved"]) / "approver.pub")
    verify_pack(packs["approved"], [key], VerificationPolicy(today=date(2031, 8, 19)))
    with pytest.raises(PackFaultError, match="expired on 2031-08-19"):
        verify_pack(packs["approved"], [key], VerificationPolicy(today=date(2031, 8, 20)))


def test_the_trend_is_against_the_cut_that_was_named(packs) -> None:
    found = evidence(packs["approved"])["baseline"]
    assert found["tagmanifest_sha256"] == bag.pack_reference(packs["one"]).tagmanifest_sha256
    assert (packs["approved"] / "report/tables/trend.csv").is_file()
    assert not (packs["one"] / "report/tables/trend.csv").exists()


def test_verification_takes_seconds(packs) -> None:
    began = time.process_time()
    verify_pack(packs["one"], [load_public(keys(packs["one"]) / "signing.pub")])
    assert time.process_time() - began < 3


def test_every_extract_has_its_events(packs) -> None:
    found = events(model(evidence(packs["one"])), "0" * 64)
    outputs = {d["name"] for event in found for d in event["outputs"]}
    assert outputs == {f"data/{r['participant']}/{r['extract']}" for r in evidence(packs["one"])["accounting"]}
    lineage = [d["facets"]["columnLineage"]["fields"] for e in found for d in e["outputs"]]
    assert all(lineage)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_in_a_browser(packs, browser: Chromium, tmp_path: Path, width: int) -> None:
    page = packs["approved"] / "report/index.html"
    browser.open(page, width=width)
    browser.screenshot(tmp_path / "page.png", whole=True)
    assert browser.requested == [page.as_uri()]
    assert browser.logged == []
    assert browser.evaluate("document.querySelectorAll('#why tbody tr').length") > 10
