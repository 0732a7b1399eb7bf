"""Backup, submission, run, return, restore: each has its own again, under its own keys, and no more."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.augmentation import tables
from contracts.load import load_all
from contracts.scheme import scheme_lists
from flows.intake import SourceSpec
from flows.pseudonymise.source import pseudonymise_batch
from flows.release.augmented import held_by
from flows.restore.backup import _Batch
from flows.restore.extracts import _digest
from tests.returns.conftest import MPAN, PARTICIPANTS, as_written, facts, load_file, read, restore
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import normalise
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

everybody = pytest.mark.parametrize("mpid", PARTICIPANTS)
NUMBER = re.compile(rb"(?<![0-9A-Za-z])\d{13}(?![0-9A-Za-z])")
SUFFIX = {"comma": "csv", "tab": "tsv", "pipe": "csv"}


SOUND = ("meter_reading", "half_hourly")  # extracts of the sample that may hold no defect
GONE = dict.fromkeys(("row", MPAN, "first_cause", "reasons", "why"), pl.String)
STARTS = {  # extract -> first record of a metering point in its flow, and the field of the MPAN
    "metering": ("288", 1),
    "register": ("288", 1),
    "annual_consumption": ("ZIN", 3),
    "meter_reading": ("026", 1),
    "half_hourly": ("101", 1),
}


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
        assert listed.exists() == bool(reported[extract]["excluded"])
        gone = pl.read_csv(listed, infer_schema=False) if listed.exists() else pl.DataFrame(schema=GONE)
        gone = gone.with_columns(pl.col("row").cast(pl.UInt32))
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
        assert gone.height > 0 or extract in SOUND


@pytest.mark.requirement("Q63")
@everybody
def test_each_item_is_present_with_its_source_or_absent_with_its_reason(market, mpid):
    (role,) = [p.role for p in market.job.model.participants if p.mpid == mpid]
    items = [item.item for item in held_by(tables().items, [role])]
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
    narrow = pl.read_csv(folder / "mhhs.csv", infer_schema=False, separator=mark(folder / "mhhs.csv"))
    assert narrow.columns == ["mpan_core", "item", "value"]
    assert narrow.height == sum(text[item].is_not_null().sum() for item in items)
    wide = text.select("mpan_core", *items).unpivot(items, index="mpan_core", variable_name="item").drop_nulls("value")
    assert sorted(narrow.rows()) == sorted(wide.rows())


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
        forms = [p for p in folder.iterdir() if extract in p.stem.split("-") and p.suffix != ".parquet"]
        (written,) = forms or [None]
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
    fewer = 0
    for extract, spec in market.sources(mpid).items():
        path = load_file(market, mpid, extract)
        sound_dtc(path)
        before, after = spec.path.read_text().splitlines(), path.read_text().splitlines()
        assert after[0] == before[0]
        start, place = STARTS[extract]
        kept = set(read(as_written(path, spec), extract)[MPAN])
        wanted, keep = [], True
        for record in before[1:-1]:
            fields = record.split("|")
            if fields[0] == start:
                keep = normalise(pl.Series([fields[place]]))[0] in kept
            wanted += [record] if keep else []
        assert after[1:-1] == wanted
        fewer += len(after) < len(before)
        assert len(after) < len(before) or extract in SOUND
    assert fewer


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize("flag", ["OPER", "oper", "", None])
def test_a_live_dtc_file_comes_back_as_a_test_file(market, tmp_path, flag):
    backup = tmp_path / "DCOL"
    shutil.copytree(market.folder / "DCOL", backup)
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
    contract, pseudonymiser = (
        load_all()["metering"],
        Pseudonymiser(FieldKeys(bytes(range(32)), "ESME"), lists=scheme_lists()),
    )
    pack, backup = "00-1C-5E-01-23-45-67-89", "00:1c:5e:01:23:45:67:89"
    batches = {}
    for esme in (pack, backup):
        row = {"mpan_core": "1800000123458", "meter_serial_number": "L04C15502", "meter_type": "S2A", "esme_id": esme}
        raw = pl.DataFrame([row])
        columns = map_columns(contract, raw.columns, where="MOPA/metering")
        named = pseudonymise_batch(raw, contract, columns, pseudonymiser, SourceSpec("MOPA/metering", Path("memory")))
        batches[esme] = _Batch(raw, named, columns)
    digests = [_digest(batch.named, ["mpan_core", "esme_id"]).item() for batch in batches.values()]
    assert digests[0] == digests[1]
    assert batches[backup].meters().row(0) == (batches[pack].named["esme_id"].item(), backup)
