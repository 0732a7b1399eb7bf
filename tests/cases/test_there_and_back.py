"""Cases 40 and 41, the whole way: run, the return of each participant in its own form, and its restore."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.command import datacut

HERE = Path(__file__).parent
PUBLISHED = HERE.parent / "dtc" / "published-15.4.csv"
FLOWS = {
    "D006": "annual_consumption",
    "D007": "half_hourly",
    "D008": "half_hourly",
    "D013": "metering",
    "D001": "meter_reading",
    "D002": "meter_reading",
}
TABLES = ("S001", "S014", "S035", "S036", "S038", "S040")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    """One run of both cases, and what every participant restored from its return."""
    place = tmp_path_factory.mktemp("cases") / "market"
    shutil.copytree(HERE / "shared", place)
    for case in ("40-restore-forms", "41-return-d0010"):
        shutil.copytree(HERE / case, place, dirs_exist_ok=True)
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    document = yaml.safe_load((HERE / "40-restore-forms" / "cut.yaml").read_text())
    for mpid, path in (("D001", "a.uff"), ("D002", "b.usr")):
        extract = {"contract": "meter_reading", "source": {"path": path}}
        document["participants"].append({"mpid": mpid, "role": "DC", "extracts": [extract]})
    document["cut"]["policy"] = {
        "profile": "exact"
    }  # what a pack holds is compared with the backup's dates and amounts
    (place / "cut.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", place / "cut.yaml", "--plain")
    assert done.code == 0, done.told
    for mpid in (*FLOWS, *TABLES):
        done = datacut(
            "restore", place / "out" / f"CASE-1-return-{mpid}", "--backup", place / "cut.yaml",
            "--key", place / "keys" / "cut.key", "--public-key", place / "keys" / "signing.pub",
            "--out", place / "back" / mpid,
        )  # fmt: skip
        assert done.code == 0, (mpid, done.told)
    return place


def backup(market: Path, mpid: str) -> bytes:
    document = yaml.safe_load((market / "cut.yaml").read_text())
    (path,) = [p["extracts"][0]["source"]["path"] for p in document["participants"] if p["mpid"] == mpid]
    data = (market / path).read_bytes()
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zip"):
        with zipfile.ZipFile(market / path) as archive:
            return next(
                archive.read(name) for name in archive.namelist() if name.endswith(".csv") and "__MACOSX" not in name
            )
    return data


def records(data: bytes) -> Iterator[list[str]]:
    """Split a flow by nothing but its dividers."""
    for line in data.decode().splitlines():
        yield line.rstrip().removesuffix("|").split("|")


def returned(market: Path, mpid: str) -> bytes:
    return (market / f"out/CASE-1-return-{mpid}/data/{mpid}/{FLOWS[mpid]}.usr").read_bytes()


def facts(market: Path, mpid: str) -> dict:
    evidence = json.loads((market / f"out/CASE-1-return-{mpid}/evidence/evidence.json").read_text())
    (entry,) = evidence["inputs"]
    return entry["source_form"]["returned"]


@pytest.mark.requirement("Q62", "DQ29")
@pytest.mark.parametrize("mpid", FLOWS)
def test_a_return_has_records_of_the_published_width_with_what_is_mandatory(market, mpid):
    head, *body, tail = records(returned(market, mpid))
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        items = [row for row in csv.DictReader(file) if row["flow"] + row["version"] == head[2]]
    for group, *fields in body:
        own = [row for row in items if row["group"] == group]
        assert len(fields) == len(own) > 0
        assert all(value for value, row in zip(fields, own, strict=True) if row["optionality"] == "M"), group
    assert (head[11], tail[2]) == ("TR01", str(len(body)))
    assert facts(market, mpid)["not_expressible"] == 0


@pytest.mark.requirement("Q62")
def test_values_come_back_as_they_came(market):
    """What is neither hidden nor withheld by the policy: registers, types, flags, days, half-hours by number."""

    def values(data: bytes, group: str, *places: int) -> list[tuple[str, ...]]:
        return sorted(tuple(r[p].strip() for p in places) for r in records(data) if r[0] == group)

    for mpid, group, places in (
        ("D001", "030", (1,)), ("D001", "028", (2,)), ("D001", "026", (2,)), ("D002", "198", (1,)),
        ("D002", "197", (2,)), ("D007", "102", (1,)), ("D008", "102", (1,)), ("D007", "101", (2,)),
        ("D013", "290", (6, 7, 18, 19)), ("D013", "289", (1,)), ("D006", "AAH", (1,)), ("D006", "AAD", (1, 2)),
    ):  # fmt: skip
        own = values(backup(market, mpid), group, *places)
        assert values(returned(market, mpid), group, *places) == own, (mpid, group)
        assert own
    for mpid in ("D007", "D008"):
        counts = [sum(r[0] == "103" for r in records(data)) for data in (backup(market, mpid), returned(market, mpid))]
        assert counts[0] == counts[1] > 0
    assert {row[2][-6:] for row in values(returned(market, "D001"), "030", 1, 1, 2)} == {"000000"}


@pytest.mark.requirement("Q62")
@pytest.mark.parametrize("mpid", FLOWS)
def test_what_was_invented_for_a_return_is_told_item_by_item(market, mpid):
    """A value in the return that the pack's own rows do not have is one that the evidence names, with its records."""
    told = {entry["item"]: entry for entry in facts(market, mpid)["filled"]}
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))
    head, *body, _ = records(returned(market, mpid))
    places = {
        (row["group"], int(row["position"])): f"{row['group']}.{row['item']}"
        for row in items
        if row["flow"] + row["version"] == head[2]
    }
    rows = pl.read_parquet(market / f"out/CASE-1-return-{mpid}/data/{mpid}/{FLOWS[mpid]}.parquet")
    known = {str(v) for column in rows.columns for v in rows[column].cast(pl.String).drop_nulls()}
    known |= {flag for flags in rows.get_column("period_flags", default=pl.Series([""])) for flag in flags}
    for group, *fields in body:
        for place, value in enumerate(fields, 1):
            day = f"{value[:4]}-{value[4:6]}-{value[6:8]}"
            if value and value not in known and day not in known:
                entry = told[places[group, place]]
                assert entry["written"] == value or entry["written"] == "cut date"
                assert entry["records"] > 0
    assert all(entry["name"] for entry in told.values())


@pytest.mark.requirement("Q62", "Q63")
@pytest.mark.parametrize("mpid", FLOWS)
def test_a_restored_flow_is_the_backup_but_for_its_test_flag(market, mpid):
    """Nothing that a return fills takes the place of what the backup has."""
    own, back = (
        list(records(data))
        for data in (backup(market, mpid), (market / "back" / mpid / f"{FLOWS[mpid]}.usr").read_bytes())
    )
    assert back[1:] == own[1:]
    assert [value for n, value in enumerate(back[0]) if n != 11] == [value for n, value in enumerate(own[0]) if n != 11]
    assert back[0][11] == "TR01"


@pytest.mark.requirement("Q62", "Q63")
@pytest.mark.parametrize("mpid", TABLES)
def test_a_restored_table_has_the_cells_of_the_backup(market, mpid):
    def cells(data: bytes) -> list[list[str]]:
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(text.splitlines(), delimiter="|" if "|" in text else ","))
        return [row for row in rows if row and set(row[0]) != {"-"}]

    back = cells((market / "back" / mpid / "portfolio.csv").read_bytes())
    assert back == cells(backup(market, mpid))
    assert len(back) == 4
