"""The gates before the first row: what must not be sent, and what was cut on another day."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command import datacut


@pytest.mark.requirement("DQ23", "Q64", "Q68", "Q73")
@pytest.mark.parametrize("column", ["AMR Password", "customer name", "Telephone"])
def test_a_column_that_must_not_be_sent_refuses_its_file(cut: Path, column: str):
    source = cut.parent / "EELC" / "registration.csv"
    rows = list(csv.reader(source.read_text(encoding="utf-8-sig").splitlines()))
    with source.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([[*rows[0], column], *([*row, "s3cret-97"] for row in rows[1:])])
    done = datacut("anonymise", cut, "--plain")
    assert done.code == 12
    assert "DQ23" in done.told[0]
    assert len(done.told) == 1
    assert "s3cret" not in done.out + done.err
    assert not list(cut.parent.rglob("*-submission*/bagit.txt"))


@pytest.mark.requirement("DQ25", "Q74")
def test_a_backup_of_another_day_is_refused(cut: Path):
    source = cut.parent / "IPNL" / "registration.parquet"
    table = pq.read_table(source)
    pq.write_table(table.replace_schema_metadata({"cut_date": "20230820"}), source)
    done = datacut("anonymise", cut, "--plain")
    assert done.code == 12
    assert len(done.told) == 1
    assert "DQ25" in done.told[0]
    assert "2023-08-19" in done.told[0]
