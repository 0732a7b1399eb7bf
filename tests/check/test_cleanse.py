"""The participant's own list of rows to put right: every planted defect, for its owner alone, never of the SI's job."""

from __future__ import annotations

import csv
import os
import stat
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.command import datacut
from tests.small_cut import FEWEST, keep_participants

KEY = ["participant", "extract", "row", "mpan_core", "column", "rule"]
FILES = {"registration": "registration", "portfolio": "portfolio", "bmu_mapping": "bmu_mapping"}
# found only once registrations are augmented: which exports and imports belong together
AFTERWARDS = pl.col("rule") == "DQ17"


def listed(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "work/cleanse.csv", infer_schema=False)


def planted(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / "defects.csv", infer_schema=False)


@pytest.mark.requirement("Q48", "Q49", "Q50", "Q52")
@pytest.mark.parametrize("command", ["anonymise", "check"])
def test_every_planted_defect_is_listed_with_file_row_and_column(sample, command):
    done = datacut(command, sample / "cut.yaml")
    assert done.code == 0, done.err
    found, defects = listed(sample), planted(sample)
    lost = defects.filter(~AFTERWARDS).join(found, on=KEY, how="anti")
    assert lost.is_empty(), lost
    assert defects["rule"].n_unique() >= 20
    config = yaml.safe_load((sample / "cut.yaml").read_text())
    for participant in config["participants"]:
        given: dict[str, list[str]] = {}
        for extract in participant["extracts"]:
            path = extract["source"]["path"]
            given.setdefault(extract["contract"], []).extend([path] if isinstance(path, str) else path)
        for contract, paths in given.items():
            # one file is called by its name, one of several by its path below the backup
            files = {Path(paths[0]).name} if len(paths) == 1 else set(paths)
            mine = found.filter(participant=participant["mpid"], extract=contract)
            assert set(mine["file"]) <= files
    assert set(found["effect"]) == {"exclude", "warn"}
    assert found["reason"].str.len_chars().min() > 20


@pytest.mark.requirement("Q50")
def test_a_row_that_another_extract_excludes_says_whose(sample):
    datacut("check", sample / "cut.yaml")
    found = listed(sample)
    others = found.filter(pl.col("broken_by") != pl.col("participant") + "/" + pl.col("extract"))
    assert others.height > 0
    registered = others.filter(broken_by=f"{'EELC'}/registration", extract="portfolio")
    own = found.filter(participant="EELC", extract="registration", effect="exclude")
    assert set(registered["mpan_core"]) <= set(own["mpan_core"])
    assert registered.height > 0


def test_rows_are_in_the_order_of_the_backup(sample):
    datacut("check", sample / "cut.yaml")
    for _, mine in listed(sample).partition_by("participant", "extract", "file", as_dict=True).items():
        rows = mine["row"].cast(pl.Int64).to_list()
        assert rows == sorted(rows)


def test_the_list_is_for_its_owner_alone_and_in_no_pack(sample):
    old = os.umask(0o022)
    try:
        done = datacut("anonymise", sample / "cut.yaml")
    finally:
        os.umask(old)
    path = sample / "work/cleanse.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p for p in sample.rglob("*cleanse*") if p != path] == []
    assert "cleanse.csv" in done.err
    assert "do not send it" in done.err
    real = set(planted(sample)["mpan_core"])
    assert not any(mpan in done.out + done.err for mpan in real)


def test_the_si_job_writes_none(sample):
    done = datacut("run", keep_participants(sample, FEWEST), "--plain")
    assert done.code == 0, done.err
    assert list(sample.rglob("*cleanse*")) == []


def test_it_is_written_though_the_run_ends_with_too_much_excluded(sample):
    path = sample / "SUPB/portfolio.tsv"
    lines = path.read_text().splitlines()
    spoilt = [line if n % 2 == 0 else line.replace("SUPB", "S?", 1) for n, line in enumerate(lines)]
    path.write_text("\n".join(spoilt) + "\n")
    done = datacut("anonymise", sample / "cut.yaml")
    assert done.code == 20, done.err
    assert listed(sample).filter(participant="SUPB", column="supplier_mpid", effect="exclude").height > 50
    again = datacut("check", sample / "cut.yaml")
    assert again.code == 20, again.err


def test_no_cell_is_a_formula(sample):
    path = sample / "MOPB/metering.csv"
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    at = rows[0].index(next(h for h in rows[0] if h.upper() in ("MPAN_CORE", "MPAN CORE", "MPAN")))
    for n, start in enumerate(["=1+1", "+44", "-1", "@sum(A1)", "\t=2"], start=1):
        rows[n][at] = start
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    datacut("check", sample / "cut.yaml")
    cells = [cell for row in csv.reader((sample / "work/cleanse.csv").open(newline="")) for cell in row]
    assert "'@sum(A1)" in cells
    assert not [cell for cell in cells if cell.lstrip(" \n").startswith(("=", "+", "-", "@"))]
