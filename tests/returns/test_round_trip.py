"""Backup, submission, run, return, restore: each has its own again, under its own keys, and no more."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from contracts.augmentation import tables
from contracts.load import load_all
from flows.anonymise import anonymise_batch
from flows.augment.released import held_by
from flows.intake import SourceSpec
from flows.restored.folder import private_folder
from flows.restored.names import RealNames
from flows.restored.rows import _Batch, _digest
from flows.restored.unmatched import ALONE, DIFFERS, RECORD, compare, unmatched
from flows.sample import Request, generate
from tests.returns.conftest import MPAN, PARTICIPANTS, Market, facts, read, restore
from transforms.conform import map_columns
from transforms.keys import FieldKeys
from transforms.mpan import normalise
from transforms.pseudonymise import Pseudonymiser

everybody = pytest.mark.parametrize("mpid", PARTICIPANTS)
NUMBER = re.compile(rb"(?<![0-9A-Za-z])\d{13}(?![0-9A-Za-z])")
SUFFIX = {"comma": "csv", "tab": "tsv", "pipe": "csv"}


def load_file(market: Market, mpid: str, extract: str, folder: Path | None = None) -> Path:
    """Return the one load file of an extract."""
    made = {"augmented", "expected", "counterparties", "allocations"}
    found = [p for p in (folder or market.back(mpid)).glob(f"{extract}.*") if p.stem not in made]
    assert len(found) == 1, found
    return found[0]


def as_written(path: Path, like: SourceSpec) -> SourceSpec:
    """Return how a load file is read: as the backup was, but neither packed nor inside an archive."""
    form = {"usr": "dtc", "parquet": "parquet"}.get(path.suffix[1:], "csv")
    return SourceSpec(name="load", path=path, form=form, delimiter=like.delimiter, encoding=like.encoding)


def empty(column: str) -> pl.Expr:
    return pl.col(column).is_null() | (pl.col(column).str.strip_chars() == "")


@pytest.mark.requirement("Q62", "Q63")
@everybody
def test_each_record_is_back_as_it_was_or_is_excluded_with_a_reason(market, mpid):
    reported = {entry["extract"]: entry for entry in facts(market.back(mpid))["extracts"]}
    for extract, spec in market.sources(mpid).items():
        backup = read(spec, extract).with_row_index("row", offset=1)
        back = read(as_written(load_file(market, mpid, extract), spec), extract)
        listed = market.back(mpid) / f"excluded-{extract}.csv"
        gone = pl.read_csv(listed, infer_schema=False).with_columns(pl.col("row").cast(pl.UInt32))
        assert gone.filter(empty("first_cause") | empty("reasons")).is_empty()
        assert gone["row"].is_unique().all()
        own = backup.join(gone, on="row", how="anti", maintain_order="left").drop("row")
        filled = own.with_columns(pl.when(empty(c)).then(back[c]).otherwise(pl.col(c)).alias(c) for c in own.columns)
        assert back.equals(filled.select(back.columns)), extract
        excluded = backup.join(gone, on="row", how="semi")
        assert not set(normalise(excluded[MPAN]).drop_nulls()) & set(normalise(back[MPAN]))
        assert reported[extract] == {
            "extract": extract,
            "rows": backup.height,
            "returned": back.height,
            "excluded": dict(gone["first_cause"].value_counts().sort("first_cause").rows()),
            "only_in_backup": 0,
            "matching": back.height,
            "differing": 0,
            "only_in_pack": 0,
        }
        assert back.height > 50
        assert gone.height > 0


@pytest.mark.requirement("Q63")
@everybody
def test_each_item_is_present_with_its_source_or_absent_with_its_reason(market, mpid):
    (role,) = [p.role for p in market.job.model.participants if p.mpid == mpid]
    items = [item.item for item in held_by(tables().items, role)]
    folder = market.back(mpid)
    rows = pl.read_parquet(folder / "augmented.parquet")
    returned = {
        mpan
        for extract, spec in market.sources(mpid).items()
        for mpan in normalise(read(as_written(load_file(market, mpid, extract), spec), extract)[MPAN])
    }
    assert set(rows[MPAN]) == returned
    assert rows.height == len(returned)
    reported = {entry["item"]: entry for entry in facts(folder)["items"]}
    assert list(reported) == items
    for item in items:
        given = pl.col(item).is_not_null()
        if item in ("linked_mpan", "related_mpan"):  # of another participant: said in words
            given = given | pl.col(f"{item}_note").is_not_null()
        counts = rows.select(
            given.sum().alias("given"),
            (given & pl.col(f"{item}_source").is_in(["stated", "derived", "manufactured"])).sum().alias("sourced"),
            (~given & pl.col(f"{item}_rule").is_null()).sum().alias("unexplained"),
        ).row(0, named=True)
        assert counts["given"] == counts["sourced"], item
        assert counts["unexplained"] == 0, item
        told = reported[item]
        assert counts["given"] == told["stated"] + told["derived"] + told["manufactured"], item
        assert rows.height == counts["given"] + told["absent"] + told["undecided"], item
    text = pl.read_csv(folder / "augmented.csv", infer_schema=False, separator=mark(folder / "augmented.csv"))
    assert text.equals(rows.with_columns(pl.all().cast(pl.String)))


def mark(path: Path) -> str:
    """Return what divides the columns of a CSV file."""
    head = path.read_text().splitlines()[0]
    return next(m for m in "|\t," if m in head)


def numbers(folder: Path) -> set[str]:
    """Return every run of 13 digits in the files of a folder."""
    found: set[bytes] = set()
    for path in (p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path).with_columns(pl.all().cast(pl.String))
            found.update(NUMBER.findall(frame.write_csv().encode()))
        else:
            found.update(NUMBER.findall(path.read_bytes()))
    return {number.decode() for number in found}


@pytest.mark.requirement("Q62", "Q67")
@everybody
def test_none_of_another_participants_mpans(market, mpid):
    """Real ones are the own backup's; pseudonyms stay in the pack, of the own alone but where a partner is named."""
    own = market.mpans(mpid)
    spelt = {m.strip() for m in raw_numbers(market.sources(mpid))}
    assert numbers(market.back(mpid)) <= own | spelt
    pack = market.returned(mpid)
    assert not numbers(pack) & own - market.pseudonyms(own)
    assert {p.name for room in ("data", "excluded") for p in (pack / room).iterdir()} == {mpid}
    mine = market.pseudonyms(own)
    for path in pack.rglob("*.parquet"):
        assert set(pl.read_parquet(path, columns=[MPAN])[MPAN].drop_nulls()) <= mine, path.name


def raw_numbers(sources: dict[str, SourceSpec]) -> set[str]:
    """Return what stands in the MPAN column of a backup, malformed or not: the list of excluded rows repeats it."""
    return {m for extract, spec in sources.items() for m in read(spec, extract)[MPAN].drop_nulls()}


@pytest.mark.requirement("Q62")
@everybody
def test_the_pack_is_in_the_form_of_the_backup(market, mpid):
    for extract, spec in market.sources(mpid).items():
        folder = market.returned(mpid) / "data" / mpid
        parquet = pl.read_parquet(folder / f"{extract}.parquet")
        (written,) = [p for p in folder.glob(f"{extract}.*") if p.suffix != ".parquet"] or [None]
        if spec.path.suffix == ".parquet":
            assert written is None
            continue
        if spec.path.suffix == ".usr":
            assert written.suffix == ".usr"
            sound_dtc(written)
        else:
            assert written.suffix[1:] == SUFFIX.get(spec.delimiter, "csv")
        again = read(as_written(written, spec), extract)
        texts = [c for c, kind in parquet.schema.items() if kind == pl.String and c in again.columns]
        rows = [f.select(pl.col(c).fill_null("") for c in texts).sort(texts) for f in (again, parquet)]
        assert MPAN in texts
        assert rows[0].equals(rows[1])  # a DTC file has its rows by metering point, whatever the order


def sound_dtc(path: Path) -> None:
    """Its header says that it is a test, its trailer counts what is there."""
    head, *records, tail = path.read_text().splitlines()
    assert head.split("|")[0] == "ZHV"
    assert head.split("|")[11] == "TR01"
    assert tail.split("|")[:3] == ["ZPT", head.split("|")[1], str(len(records))]


@pytest.mark.requirement("Q62", "DQ29")
@pytest.mark.parametrize("mpid", ["MOPA", "DCOL"])
def test_restored_dtc_is_the_backup_less_the_excluded(market, mpid):
    """Record for record, those about the file among them; counted anew, and never for the live system."""
    for extract, spec in market.sources(mpid).items():
        path = load_file(market, mpid, extract)
        sound_dtc(path)
        before, after = spec.path.read_text().splitlines(), path.read_text().splitlines()
        assert after[0] == before[0]
        groups = {"MOPA": ("288", 1), "DCOL": ("ZIN", 3)}[mpid]
        kept = set(read(as_written(path, spec), extract)[MPAN])
        wanted, keep = [], True
        for record in before[1:-1]:
            fields = record.split("|")
            if fields[0] == groups[0]:
                keep = normalise(pl.Series([fields[groups[1]]]))[0] in kept
            wanted += [record] if keep else []
        assert after[1:-1] == wanted
        assert len(after) < len(before)


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize("flag", ["OPER", "oper", "", None])
def test_a_live_dtc_file_comes_back_as_a_test_file(market, tmp_path, flag):
    backup = tmp_path / "DCOL"
    backup.mkdir()
    head, rest = (market.folder / "DCOL/D0019.usr").read_text().split("\n", 1)
    fields = head.split("|")[:11] if flag is None else [*head.split("|")[:11], flag]
    (backup / "D0019.usr").write_text("|".join([*fields, ""]) + "\n" + rest)
    done = restore(market, "DCOL", tmp_path / "back", backup=backup)
    assert done.code == 0, done.err
    sound_dtc(tmp_path / "back/annual_consumption.usr")


def test_a_zipped_member_comes_back_by_way_of_cut_yaml(market, tmp_path):
    done = restore(market, "SUPC", tmp_path / "back", backup=market.folder / "cut.yaml")
    assert done.code == 0, done.err
    ours, theirs = market.back("SUPC"), tmp_path / "back"
    assert {p.name: p.read_bytes() for p in ours.iterdir()} == {p.name: p.read_bytes() for p in theirs.iterdir()}


@pytest.mark.requirement("Q67")
@everybody
def test_restored_files_are_their_owners_alone(market, mpid):
    folder = market.back(mpid)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert sorted(p.name for p in folder.iterdir() if p.name != "restore.json") == facts(folder)["files"]


def test_nothing_is_left_beside_the_restored_folder(market, tmp_path, monkeypatch):
    """No temporary file, no half-made folder, and what was given is as it was."""
    assert {p.name for p in market.back("EELC").parent.iterdir()} == set(PARTICIPANTS)
    inputs = {p: p.stat().st_mtime_ns for p in market.folder.rglob("*") if p.is_file()}
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    assert restore(market, "SUPA", tmp_path / "out/back").code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"back"}
    assert list(elsewhere.iterdir()) == []
    assert {p: p.stat().st_mtime_ns for p in market.folder.rglob("*") if p.is_file()} == inputs


KILLED = """
import os, signal, sys
from pathlib import Path
from flows.restored.folder import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "registration.csv").write_text("raw")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks and signals of POSIX")
@pytest.mark.requirement("Q67")
def test_what_a_killed_restore_left_goes_with_the_next_one(market, tmp_path):
    out = tmp_path / "back"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    assert not out.exists()
    with private_folder(tmp_path / "other"):  # one that runs is let be
        assert restore(market, "YELG", out).code == 0
        assert len(list(tmp_path.glob(".*"))) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"back", "other"}


@pytest.mark.requirement("Q62")
def test_restoring_again_gives_the_same_bytes_and_overwrites_nothing(market, tmp_path):
    done = restore(market, "EELC", tmp_path / "again")
    assert done.code == 0, done.err
    one, two = market.back("EELC"), tmp_path / "again"
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in two.iterdir()}
    done = restore(market, "EELC", tmp_path / "again")
    assert (done.code, len(done.told)) == (19, 1)
    assert "exists already" in done.told[0]


def test_the_wrong_key_is_told_before_a_row_is_read(market, tmp_path):
    assert datacut_key(tmp_path / "other.key").code == 0
    done = restore(market, "EELC", tmp_path / "back", key=tmp_path / "other.key", backup=tmp_path / "nowhere")
    assert (done.code, len(done.told)) == (13, 1)
    assert "is another key" in done.told[0]
    assert not (tmp_path / "back").exists()


def datacut_key(path: Path):
    from tests.command import datacut

    return datacut("key", "new", "--cut", "SAMPLE-2023-08-19", "--out", path)


@pytest.mark.requirement("Q62")
def test_the_backup_of_another_is_refused(market, tmp_path):
    """The same layout, another's metering points: nothing is written."""
    generate(Request(60, 99, 0.0), tmp_path / "stranger")
    done = restore(market, "EELC", tmp_path / "back", backup=tmp_path / "stranger/EELC")
    assert (done.code, len(done.told)) == (12, 1)
    assert "EELC/registration: no record of the pack is of this backup" in done.told[0]
    assert {p.name for p in tmp_path.iterdir()} == {"stranger"}


@pytest.mark.requirement("Q62")
def test_records_that_do_not_match_the_backup_are_counted_and_listed(market, tmp_path):
    """Two changed, one taken away, one added since the cut was taken."""
    backup = tmp_path / "EELC"
    backup.mkdir()
    whole = pl.read_csv(market.folder / "EELC/registration.csv", infer_schema=False)
    kept = normalise(read(as_written(load_file(market, "EELC", "registration"), spec_of(market)), "registration")[MPAN])
    mine = normalise(whole["MPAN Core"])
    places = [n for n, m in enumerate(mine) if m in set(kept)]
    row = pl.int_range(pl.len())
    changed = whole.with_columns(
        pl.when(row.is_in(places[:2])).then(pl.lit("999")).otherwise(pl.col("MTC")).alias("MTC")
    ).filter(row != places[2])
    stranger = "1000000000009" if "1000000000009" not in set(mine) else "1000000000018"
    added = changed.head(1).with_columns(pl.lit(valid(stranger)).alias("MPAN Core"))
    pl.concat([changed, added]).write_csv(backup / "registration.csv")
    done = restore(market, "EELC", tmp_path / "back", backup=backup)
    assert done.code == 12
    assert "3 records do not match the backup" in done.told[0]
    assert "2 records differ, 1 stand in the pack alone" in done.out
    (entry,) = facts(tmp_path / "back")["extracts"]
    assert (entry["differing"], entry["only_in_pack"], entry["only_in_backup"]) == (2, 1, 1)
    assert entry["returned"] == len(places) - 1
    listed = pl.read_csv(tmp_path / "back/unmatched-registration.csv", infer_schema=False)
    assert listed["row"].to_list() == [str(places[0] + 1), str(places[1] + 1), None]
    assert listed["mpan_core"].to_list() == [mine[places[0]], mine[places[1]], None]
    assert listed["finding"].to_list() == ["differs from the backup"] * 2 + ["stands in the pack alone"]
    data = pl.read_parquet(market.returned("EELC") / "data/EELC/registration.parquet")
    assert set(listed["pseudonym"]) <= set(data["mpan_core"])
    assert "unmatched-registration.csv" in facts(tmp_path / "back")["files"]


def test_of_equal_records_as_many_match_as_both_have():
    """The pack has two alike where the backup has one, and one that is another; a second metering point is unknown."""
    one, two = 123456789010, 987654321022  # body, distributor
    given = pl.DataFrame({"point": [one] * 3 + [two], "row": [7, 7, 8, 7]}, schema=dict.fromkeys(RECORD, pl.UInt64))
    met = pl.DataFrame(
        {"point": [one] * 2, "row": [7, 9], "at": [4, 5]}, schema=dict.fromkeys([*RECORD, "at"], pl.UInt64)
    )
    assert compare(given, met) == {"matching": 1, "differing": 2, "only_in_pack": 1}
    listed = unmatched(given, met, RealNames.of([np.array([one], np.uint64)], [np.array([5], np.uint64)], []))
    assert listed["row"].to_list() == [5, None, None]
    assert listed["mpan_core"].to_list() == ["0000000000005"] * 2 + [None]
    assert listed["finding"].to_list() == [DIFFERS, DIFFERS, ALONE]


def spec_of(market: Market) -> SourceSpec:
    return market.sources("EELC")["registration"]


def valid(mpan: str) -> str:
    """Return an MPAN with the right check digit."""
    weights = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
    total = sum(int(d) * w for d, w in zip(mpan[:12], weights, strict=True))
    return f"{mpan[:12]}{total % 11 % 10}"


@pytest.mark.parametrize("trust", [True, False])
def test_a_changed_byte_of_the_pack_is_refused_with_or_without_a_public_key(market, copied, tmp_path, trust):
    pack = copied("from-packs/SAMPLE-2023-08-19-return-EELC")
    path = pack / "data/EELC/augmented.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = restore(market, "EELC", tmp_path / "back", pack=pack, trust=trust)
    assert (done.code, len(done.told)) == (18, 1)
    assert "data/EELC/augmented.parquet" in done.told[0]
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("kind", ["release", "submission"])
def test_no_other_pack_is_restored(market, tmp_path, kind):
    pack = market.folder / ("from-packs" if kind == "release" else "sent/distributors") / f"SAMPLE-2023-08-19-{kind}"
    done = restore(market, "EELC", tmp_path / "back", pack=pack)
    assert (done.code, len(done.told)) == (12, 1)
    assert f"is a {kind} pack, not a return" in done.told[0]


def test_a_backup_without_a_row_is_not_the_one(market, tmp_path):
    backup = tmp_path / "EELC"
    backup.mkdir()
    head = (market.folder / "EELC/registration.csv").read_text().splitlines(keepends=True)[0]
    (backup / "registration.csv").write_text(head)
    done = restore(market, "EELC", tmp_path / "back", backup=backup)
    assert (done.code, len(done.told)) == (12, 1)
    assert not (tmp_path / "back").exists()


def test_every_extract_that_is_returned_has_a_contract(market):
    assert {e for mpid in PARTICIPANTS for e in market.sources(mpid)} <= set(load_all())
    assert yaml.safe_load((market.folder / "si.yaml").read_text())["participants"][0]["extracts"][0]["source"]["pack"]


@pytest.mark.skipif(not hasattr(os, "link"), reason="no hard links here")
def test_a_file_of_the_release_takes_one_place_on_the_disk(market):
    pack = market.returned("SUPA")
    (release,) = pack.parent.glob("*-release")
    shared = [p for p in (pack / "data" / "SUPA").glob("*.parquet") if (release / "data" / "SUPA" / p.name).is_file()]
    assert {"portfolio.parquet", "augmented.parquet"} <= {path.name for path in shared}
    assert all(path.samefile(release / "data" / "SUPA" / path.name) for path in shared)


@pytest.mark.requirement("Q62", "Q6")
def test_a_backup_may_spell_an_esme_id_otherwise():
    contract, pseudonymiser = load_all()["metering"], Pseudonymiser(FieldKeys(bytes(range(32)), "ESME"))
    pack, backup = "00-1C-5E-01-23-45-67-89", "00:1c:5e:01:23:45:67:89"
    batches = {}
    for esme in (pack, backup):
        row = {"mpan_core": "1800000123458", "meter_serial_number": "L04C15502", "meter_type": "S2A", "esme_id": esme}
        raw = pl.DataFrame([row])
        columns = map_columns(contract, raw.columns, where="MOPA/metering")
        named = anonymise_batch(raw, contract, columns, pseudonymiser, SourceSpec("MOPA/metering", Path("memory")))
        batches[esme] = _Batch(raw, named, columns)
    digests = [_digest(batch.named, ["mpan_core", "esme_id"]).item() for batch in batches.values()]
    assert digests[0] == digests[1]
    assert batches[backup].meters().row(0) == (batches[pack].named["esme_id"].item(), backup)
