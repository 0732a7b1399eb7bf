"""The gates before the first row: what must not be sent, and what was cut on another day."""

from __future__ import annotations

import csv
import shutil
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


@pytest.mark.requirement("Q53")
def test_what_the_last_stage_needs_is_told_first(cut: Path):
    """A signing key, a plan or a place that is not there is told before hours of work, not after them."""
    plan, key = cut.parent / "ring_fence.csv", cut.parent / "keys" / "signing.pem"
    kept = plan.read_text()
    plan.write_text(kept.replace("SUPA", "ZZZZ"))
    done = datacut("run", cut, "--plain")
    assert (done.code, len(done.told)) == (2, 1)
    assert "ZZZZ" in done.told[0]
    assert "pseudonymise" not in done.err
    plan.unlink()
    done = datacut("run", cut, "--plain")
    assert (done.code, len(done.told)) == (2, 1)
    plan.write_text(kept)
    key.unlink()
    done = datacut("run", cut, "--plain")
    assert (done.code, len(done.told)) == (13, 1)
    assert "pseudonymise" not in done.err


def test_a_participant_makes_its_own_keys_and_needs_nothing_else(cut: Path, tmp_path: Path):
    """The steps of the participants' page, with the sample's portfolio as the backup."""
    own = tmp_path / "own"
    (own / "backups").mkdir(parents=True)
    shutil.copy(cut.parent / "SUPB" / "portfolio.tsv", own / "backups")
    told = datacut("key", "new", "--cut", "SIT-2026", "--out", own / "cut.key")
    assert datacut("key", "signing", "--out", own / "signing.pem").code == 0
    (own / "cut.yaml").write_text(f"""\
cut: {{id: SIT-2026, date: 2023-08-19, key: cut.key, fingerprint: {told.out.split()[-1]}}}
participants:
  - mpid: SUPB
    role: SUP
    extracts:
      - {{contract: portfolio, source: {{path: backups/portfolio.tsv}}}}
release: {{folder: out, signing_key: signing.pem}}
""")
    done = datacut("anonymise", own / "cut.yaml", "--plain")
    assert done.code == 0, done.told
    pack = own / "out" / "SIT-2026-submission"
    assert datacut("verify", pack, "--public-key", own / "signing.pub").code == 0
