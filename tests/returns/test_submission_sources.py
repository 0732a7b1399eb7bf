"""Submission packs in place of backups: the same payload, and refused before a row is read where they do not hold."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.errors import EvidenceError, RefusedError
from contracts.evidence import PolicyEvidence
from contracts.load import load_all
from flows.cut.config import load_cut
from flows.cut.deliveries import FOLDER, DeliveryNote
from flows.keys.signing_key import load_signer, new_signing_key
from flows.pack.held_files import HeldFiles
from flows.pack.verify import Verification
from flows.pack.writer import PackWriter
from flows.pseudonymise import submission
from flows.pseudonymise.submission import treated_columns
from flows.ringfence.pool import pool_file
from flows.sample import SampleRequest, generate
from tests.command import Done, datacut
from tests.evidence.specimen import model
from tests.returns.conftest import CUT, submit
from transforms.quality.lookups import columns_behind

PACK = f"sent/distributors/{CUT}-submission"
DATA = "data/EELC/registration.parquet"
GONE = "excluded/EELC/registration.parquet"


@pytest.fixture(scope="module")
def sent(tmp_path_factory) -> Path:
    """Return the folder of a market whose backups were sent as packs."""
    folder = tmp_path_factory.mktemp("sent") / "market"
    generate(SampleRequest(150, 6, 0.05), folder)
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    document["release"]["recipients"] = []
    (folder / "cut.yaml").write_text(yaml.safe_dump(document))
    submit(folder, recipients=[])
    return folder


def payload(pack: Path) -> dict[str, str]:
    """Return path -> SHA-256 of what a pack releases, as its manifest states them."""
    lines = (pack / "manifest-sha256.txt").read_text().splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def day_sums(path: Path) -> pl.DataFrame:
    """Return the sum of all series of a day and measurement quantity, in watt-hours, and how many there are."""
    periods = [pl.col(f"period_{n:02d}").cast(pl.Float64).fill_null(0) for n in range(1, 51)]
    whole = (pl.sum_horizontal(periods) * 1000).round().cast(pl.Int64)
    keys = ["settlement_date", "measurement_quantity"]
    sums = pl.read_parquet(path).group_by(keys).agg(pl.len().alias("homes"), whole.sum().alias("wh"))
    return sums.filter(pl.col("homes") >= 10).sort(keys)  # fewer are not mixed, and no sum of theirs is real


def excluded(pack: Path) -> dict[str, list[tuple]]:
    """Return the excluded rows of each extract; those that a pack had excluded stand after the others."""
    return {
        str(p.relative_to(pack)): pl.read_parquet(p).sort(pl.all()).rows() for p in pack.glob("excluded/*/*.parquet")
    }


@pytest.mark.requirement("Q62", "Q74")
def test_packs_and_backups_give_the_same_payload(sent):
    for name in ("cut.yaml", "si.yaml"):
        done = datacut("run", sent / name, "--plain")
        assert done.code == 0, done.err
        # What one run allocates is no longer free for the other: it begins anew.
        (sent / "ledger.db").unlink()
        pool_file(load_cut(sent / name)).unlink()
    raw, packs = (sent / folder / f"{CUT}-release" for folder in ("out", "from-packs"))
    mixed = "data/DCOL/half_hourly.parquet"  # no pack holds the readings that a backup's series are mixed from
    one, other = ({name: digest for name, digest in payload(pack).items() if name != mixed} for pack in (raw, packs))
    assert len(one) > 40
    assert other == one
    sums = [day_sums(pack / mixed) for pack in (raw, packs)]
    assert sums[0].equals(sums[1])
    assert sums[0].height
    assert excluded(packs) == excluded(raw)
    one, other = (json.loads((p / "evidence/evidence.json").read_text()) for p in (raw, packs))
    for section in ("accounting", "exclusions", "augmentation", "inputs"):
        assert other[section] == one[section], section
    judged = {rule["rule"]: rule for rule in other["rules"] if rule["extract"] == "meter_reading"}
    hidden = {"DQ04_reading", "DQ03_reading", "DQ11_reading_date", "DQ30_negative", "DQ30_digits"}
    assert {name for name, rule in judged.items() if not rule["evaluated"] and "DQ24" not in name} >= hidden
    assert not any(judged[name]["failed"] for name in hidden)
    assert judged["DQ05_reading_type"]["evaluated"] > 0, "a column that is kept is judged here too"
    named = {entry["pack"] for entry in other["previous"]}
    assert named == {f"{CUT}-submission"}


COARSER = {
    "registration": {"uprn": "token", "address_line_5": "token", "postcode": "suppress",
                     "supplier_effective_from": {"method": "generalise", "rule": "month"}},
    "metering": {"make_and_model": {"method": "generalise", "rule": "first 4"}, "esme_id": "token"},
    "annual_consumption": {"eac": {"method": "generalise", "rule": "round 100"}},
    "bmu_mapping": {"bm_unit_id": "token"},
}  # fmt: skip


@pytest.mark.requirement("Q58", "Q62")
def test_packs_of_a_stricter_policy_are_taken(tmp_path):
    """A participant's own policy may say token, suppress or coarser where the SI's contract says another thing."""
    folder = tmp_path / "market"
    generate(SampleRequest(150, 6, 0.05), folder)
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    (folder / "overlay.yaml").write_text(yaml.safe_dump({"reason": "test", "treatments": COARSER}))
    document["cut"]["policy"] = {"overlay": "overlay.yaml", "promises": {"joins": 1.0}}  # months link two cuts
    (folder / "cut.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", submit(folder, recipients=[]), "--plain")
    assert done.code == 0, done.err


@pytest.mark.requirement("Q58", "Q62")
def test_what_a_rule_rests_on_through_tables_and_derived_columns():
    contracts = load_all()
    rules = {rule.id: rule for rule in contracts["meter_reading"].rules}
    behind = {name: columns_behind(contracts, "meter_reading", rule) for name, rule in rules.items()}
    assert {("", "reading"), ("", "reading_date")} <= behind["DQ04_reading"]
    assert {("", "reading"), ("register", "number_of_digits"), ("register", "register_id")} <= behind["DQ30_digits"]
    assert ("register", "register_id") in behind["DQ24_register"]
    assert behind["DQ05_reading_type"] == {("", "reading_type")}


@pytest.mark.requirement("Q58", "Q62")
def test_treated_columns_are_those_that_the_evidence_states():
    contract = load_all()["metering"]
    stated = {c.name: {"treatment": c.treatment.describe()} for c in contract.columns}
    stated |= {"esme_id": {"treatment": "token"}, "make_and_model": "generalise (first 4)"}
    shipped = {c.name: c.treatment.describe() for c in contract.columns}
    usual = set(treated_columns(PolicyEvidence(extracts={"metering": shipped}), contract, "MOPA/metering"))
    policy = PolicyEvidence.model_validate({"extracts": {"metering": stated}})
    found = set(treated_columns(policy, contract, "MOPA/metering"))
    assert found - usual == {"esme_id", "make_and_model"}
    del stated["esme_id"]
    with pytest.raises(RefusedError, match="does not state what was done to esme_id"):
        treated_columns(PolicyEvidence.model_validate({"extracts": {"metering": stated}}), contract, "MOPA/metering")


@pytest.fixture
def spoilt(sent, tmp_path) -> Callable[..., Done]:
    """Return a function that spoils a copy of the market, runs it, and sees that nothing came of it."""

    def run(change: Callable[[Path, dict], None]) -> Done:
        folder = tmp_path / "market"
        shutil.copytree(sent, folder, ignore=shutil.ignore_patterns("out", "from-packs", "work*", "ledger.db"))
        document = yaml.safe_load((folder / "si.yaml").read_text())
        change(folder, document)
        (folder / "si.yaml").write_text(yaml.safe_dump(document))
        done = datacut("run", folder / "si.yaml", "--plain")
        assert len(done.told) == 1, done.err
        assert "Traceback" not in done.err + done.out
        assert not list(folder.glob("from-packs/*"))
        left = [p for p in folder.glob("work/**/*EELC*registration*") if p.is_file()]
        notes = [p for p in left if FOLDER in p.parts]
        assert left == notes, "no row was taken"
        read = [DeliveryNote.model_validate_json(p.read_bytes()) for p in notes]
        assert all((n.outcome, n.rows) == ("refused", 0) and n.line in done.told[0] for n in read)
        return done

    return run


def sign_again(folder: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame], pack: str = PACK) -> None:
    """Change a table of a pack and seal it anew with its sender's own key: signature and digests hold."""
    old, new = folder / pack, folder / "again" / Path(pack).name
    table = old / name
    change(pl.read_parquet(table)).write_parquet(table)
    evidence = json.loads((old / "evidence/evidence.json").read_text())
    with PackWriter(new) as writer:
        for room in ("data", "excluded"):
            for path in (p for p in (old / room).rglob("*") if p.is_file()):
                writer.path(str(path.relative_to(old))).write_bytes(path.read_bytes())
        writer.seal({}, model(evidence), [load_signer(folder / "keys/signing.pem")])
    shutil.rmtree(old)
    new.rename(old)


FOREIGN = {
    "a street": (DATA, pl.lit("CAF YARD").alias("address_line_5"), "address_line_5"),
    "a second line": (DATA, pl.lit("THE OLD FORGE").alias("address_line_2"), "address_line_2"),
    "a house name": (DATA, pl.lit("25A").alias("address_line_1"), "address_line_1"),
    "an MPAN with another check digit": (DATA, pl.lit("1000000000041").alias("mpan_core"), "mpan_core"),
    "a UPRN as it was written": (DATA, pl.lit("100062").alias("uprn"), "uprn"),
    "a name for a code": (DATA, pl.lit("MRS O SMITH").alias("gsp_group_id"), "gsp_group_id"),
    "a terminal's command": (GONE, pl.lit("\x1b]0;x\x07\x1b[2J").alias("first_cause"), "first_cause"),
    "a sentence": (GONE, pl.lit("DQ01 of Jones").alias("reasons"), "reasons"),
    "an MPAN for a token": (GONE, pl.lit("1000000000030").alias("token"), "token"),
}


@pytest.mark.requirement("Q62", "Q58")
@pytest.mark.parametrize("name", FOREIGN)
def test_a_signed_pack_with_what_no_run_writes(spoilt, name):
    table, changed, column = FOREIGN[name]
    done = spoilt(lambda folder, _: sign_again(folder, table, lambda frame: frame.with_columns(changed)))
    assert done.code == 12, done.err
    assert done.told[0].endswith(f"in {column} (ask for a pack made by datacut anonymise)")


TOLD = "MRS SMITH TEL 07700 900123"


@pytest.mark.requirement("Q62", "Q58", "DQ22")
def test_a_sender_is_not_believed_where_its_pack_can_be_judged(sent, tmp_path):
    """A pack that its own sender sealed anew: its rows are judged again, and what cannot be is told as its word."""
    folder = tmp_path / "market"
    shutil.copytree(sent, folder, ignore=shutil.ignore_patterns("out", "from-packs", "work*", "ledger.db"))
    table, forged = "data/MOPB/metering.parquet", []

    def forge(frame: pl.DataFrame) -> pl.DataFrame:
        forged.extend(frame["mpan_core"][:3].to_list())
        told = pl.when(pl.col("mpan_core").is_in(forged)).then(pl.lit(TOLD))
        return frame.with_columns(make_and_model=told.otherwise("make_and_model"))

    sign_again(folder, table, forge, f"sent/agents/{CUT}-submission")
    done = datacut("run", folder / "si.yaml", "--plain")
    assert done.code == 0, done.err
    pack = folder / "from-packs" / f"{CUT}-release"
    evidence = json.loads((pack / "evidence/evidence.json").read_text())
    rules = {rule["rule"]: rule for rule in evidence["rules"] if (rule["participant"], rule["extract"]) == MOPB}
    again, word = rules["DQ22_make_and_model"], rules["DQ22_own_identifier"]
    assert again["failed"] >= len(forged) == 3
    assert again["evaluated"] > 3
    assert "stated_by" not in again
    assert (word["evaluated"], word["stated_by"]) == (0, "MOPB")
    assert {name for name, rule in rules.items() if "stated_by" in rule and rule["evaluated"]} == set()
    for path in pack.glob("data/*/*.parquet"):
        frame = pl.read_parquet(path)
        assert not frame["mpan_core"].is_in(forged).any(), path.name
    assert set(forged) <= set(pl.read_parquet(pack / "excluded/MOPB/metering.parquet")["mpan_core"])
    report = (pack / "report/index.html").read_text()
    assert "not judged here, stated by MOPB" in report
    assert "SMITH" not in report


MOPB = ("MOPB", "metering")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize("place", [4, -20])
def test_a_changed_byte(spoilt, place):
    done = spoilt(lambda folder, _: flip(folder / PACK / DATA, place))
    assert done.code == 18
    assert "digest differs" in done.told[0]
    assert DATA in done.told[0]


@pytest.mark.requirement("Q62", "Q58")
@pytest.mark.parametrize("name", [DATA, GONE, "manifest-sha256.txt"])
def test_a_file_swapped_after_the_signature_was_checked(sent, tmp_path, monkeypatch, name):
    """Between verification and use somebody renames another file over one of the pack: it is not read."""
    folder = tmp_path / "market"
    shutil.copytree(sent, folder, ignore=shutil.ignore_patterns("out", "from-packs", "work*", "ledger.db"))
    other = folder / "other"
    shutil.copy(folder / PACK / name, other)
    if name.endswith("parquet"):
        pl.read_parquet(other).head(3).write_parquet(other)
    else:
        other.write_text(other.read_text().replace("a", "b"))
    check = submission.verify_pack

    def checked(pack: Path, *a: object, **k: object) -> Verification:
        found = check(pack, *a, **k)
        if pack == folder / PACK and other.is_file():
            other.rename(pack / name)
        return found

    monkeypatch.setattr(submission, "verify_pack", checked)

    def use() -> None:
        _, files = submission.verified(folder / PACK, folder / "keys/signing.pub", CUT)
        with files.open(name):
            raise AssertionError("was opened")

    with pytest.raises(EvidenceError, match="is not the file that was verified") as caught:
        use()
    assert caught.value.exit_code == 18


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    (tmp_path / "f").write_bytes(b"one")
    files = HeldFiles(tmp_path, {"f": hashlib.sha256(b"one").hexdigest()})
    with files.open("f") as file:
        assert file.read() == b"one"
    with pytest.raises(EvidenceError, match="changed while it was read"), files.open("f") as file:
        (tmp_path / "f").write_bytes(b"two")
    (tmp_path / "f").unlink()
    (tmp_path / "f").symlink_to(tmp_path / "g")
    with pytest.raises(OSError, match="symbolic"), files.open("f"):
        pass


def test_a_file_added(spoilt):
    done = spoilt(lambda folder, _: (folder / PACK / "data/EELC/more.parquet").write_bytes(b"PAR1"))
    assert done.code == 18


def test_a_bad_signature(spoilt):
    def forge(folder: Path, _: dict) -> None:
        path = folder / PACK / "signature.dsse.json"
        envelope = json.loads(path.read_text())
        sig = envelope["signatures"][0]["sig"]
        envelope["signatures"][0]["sig"] = ("B" if sig[0] == "A" else "A") + sig[1:]
        path.write_text(json.dumps(envelope))
        (folder / PACK / DATA).write_bytes(b"not Parquet: whoever reads this before the signature says so")

    done = spoilt(forge)
    assert done.code == 18
    assert "signature" in done.told[0]


def test_signed_by_somebody_else(spoilt):
    def other(folder: Path, document: dict) -> None:
        new_signing_key(folder / "keys/other.pem", folder / "keys/other.pub")
        for extract in document["participants"][0]["extracts"]:
            extract["source"]["public_key"] = "keys/other.pub"

    assert spoilt(other).code == 18


@pytest.mark.requirement("Q72")
def test_made_under_another_key(spoilt):
    def another(folder: Path, document: dict) -> None:
        done = datacut("key", "new", "--cut", CUT, "--out", folder / "keys/another.key")
        assert done.code == 0
        document["cut"]["key"] = "keys/another.key"

    done = spoilt(another)
    assert done.code == 13
    assert "was made under another key: its fingerprint is" in done.told[0]


def test_of_another_cut_day_kind_or_without_the_extract(spoilt, sent, tmp_path):
    changes = {
        18: lambda folder, document: document["cut"].update(id="ANOTHER"),
        12: lambda folder, document: document["cut"].update(date="2023-09-19"),
        11: lambda folder, document: document["participants"][0]["extracts"][0]["source"].update(
            pack=f"sent/suppliers/{CUT}-submission"
        ),
    }
    for code, change in changes.items():
        assert spoilt(change).code == code, code
        shutil.rmtree(tmp_path / "market")


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"digest": "0" * 64}, "another contract that calls itself version {version} too"),
        ({"version": "99"}, "under version {version} of the contract, here it is 99"),
    ],
)
def test_made_under_another_contract(spoilt, monkeypatch, changed, told):
    theirs = load_all()["registration"]
    mine = {**load_all(), "registration": dataclasses.replace(theirs, **changed)}
    monkeypatch.setattr("flows.cut.context.load_all", lambda *of: load_all(*of) if of else mine)
    done = spoilt(lambda *_: None)
    assert done.code == 12
    assert told.format(version=theirs.version) in done.told[0]
