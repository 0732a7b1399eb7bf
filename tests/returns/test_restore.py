"""Restoring: owners alone can read it, nothing is left beside it, what does not fit is listed or refused."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from flows.intake import SourceSpec
from flows.pack.writer import private_folder
from flows.restore import restore as restoring
from flows.restore.real_identifiers import RealNames
from flows.restore.unmatched import ALONE, DIFFERS, RECORD, compare, unmatched
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.returns.conftest import CUT, MPAN, PARTICIPANTS, Market, as_written, facts, load_file, read, restore
from transforms.pseudonymise.mpan import normalise

everybody = pytest.mark.parametrize("mpid", PARTICIPANTS)


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
from flows.pack.writer import private_folder
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
    assert "already exists" in done.told[0]


def test_the_wrong_key_is_told_before_a_row_is_read(market, tmp_path):
    assert datacut("key", "new", "--cut", CUT, "--out", tmp_path / "other.key").code == 0
    done = restore(market, "EELC", tmp_path / "back", key=tmp_path / "other.key", backup=tmp_path / "nowhere")
    assert (done.code, len(done.told)) == (13, 1)
    assert "is another key" in done.told[0]
    assert not (tmp_path / "back").exists()


@pytest.mark.requirement("Q62")
def test_the_backup_of_another_is_refused(market, tmp_path):
    """The same layout, another's metering points: nothing is written."""
    generate(SampleRequest(60, 99, 0.0), tmp_path / "stranger")
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
    assert "2 records differ, 1 are only in the pack" in done.out
    (entry,) = facts(tmp_path / "back")["extracts"]
    assert (entry["differing"], entry["only_in_pack"], entry["only_in_backup"]) == (2, 1, 1)
    assert entry["returned"] == len(places) - 1
    listed = pl.read_csv(tmp_path / "back/unmatched-registration.csv", infer_schema=False)
    assert listed["row"].to_list() == [str(places[0] + 1), str(places[1] + 1), None]
    assert listed["mpan_core"].to_list() == [mine[places[0]], mine[places[1]], None]
    assert listed["finding"].to_list() == ["differs from the backup"] * 2 + ["is only in the pack"]
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


def test_a_file_that_is_swapped_while_a_pack_is_read_ends_it_though_it_lies_there_again(
    market, copied, tmp_path, monkeypatch
):
    """What is read is what was verified: a rename there and back leaves the same bytes, and the kernel's time."""
    pack = copied("from-packs/SAMPLE-2023-08-19-return-EELC")
    file, aside, other = pack / "data/EELC/augmented.parquet", tmp_path / "aside", tmp_path / "other"
    shutil.copy2(file, other)
    read = restoring.restore_items

    def swapped(*given: Any) -> Any:
        file.rename(aside)
        other.rename(file)
        found = read(*given)
        file.unlink()
        aside.rename(file)
        return found

    monkeypatch.setattr(restoring, "restore_items", swapped)
    done = restore(market, "EELC", tmp_path / "back", pack=pack)
    assert (done.code, len(done.told)) == (18, 1), done.err
    assert "changed while it was read" in done.told[0]
    assert not (tmp_path / "back").exists()
