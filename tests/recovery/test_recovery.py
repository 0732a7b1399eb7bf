"""A run that was killed, or ran out of disk, is simply run again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flows import pipeline
from flows.cut.config import load_cut
from flows.cut.context import forget
from flows.cut.deliveries import read_note
from flows.cut.workspace import MARKER
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.recovery.kills import KEPT, Tally, campaign, digests, doubles, left_behind, partial_packs, payloads
from tests.small_cut import FEWEST, keep_participants

DATACUT = Path(sys.executable).with_name("datacut")


@pytest.fixture
def cut(tmp_path) -> Path:
    generate(SampleRequest(600, 3, 0.02), tmp_path / "cut")
    return keep_participants(tmp_path / "cut", FEWEST)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments(tmp_path):
    tally = campaign(tmp_path, mpans=300, kills=2, seed=2, plain=True, kept=FEWEST)
    assert tally.faults == []
    assert tally.kills == 2
    assert all(tally.looked.values()), tally.looked


def test_finished_sources_are_not_read_again(cut):
    """A second process goes on where the first one stopped, and starts anew when an input has changed."""
    name = str(cut)
    plan = pipeline.prepare(name)
    assert not plan.resumed
    pipeline.pseudonymise(name, *plan.sources[0])
    staged = cut.parent / "work"
    before = {p: p.stat().st_mtime_ns for p in staged.rglob("*.arrow")}
    forget()
    assert pipeline.prepare(name).resumed
    pipeline.pseudonymise(name, *plan.sources[0])
    assert {p: p.stat().st_mtime_ns for p in staged.rglob("*.arrow")} == before
    (cut.parent / "EELC" / "registration.csv").touch()
    assert not pipeline.prepare(name).resumed
    assert not list(staged.rglob("*.arrow"))
    pipeline.finish(name)


def test_a_delivery_that_was_not_noted_is_noted_by_the_next_run(cut, monkeypatch):
    """A source counts as done once its note is written: the board would say for good that nobody had read it."""
    name = str(cut)
    first, *_ = pipeline.prepare(name).sources

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "note", killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.pseudonymise(name, *first)
    forget()
    pipeline.prepare(name)
    pipeline.pseudonymise(name, *first)
    found = read_note(load_cut(cut), *first)
    assert found is not None
    assert found.outcome == "read"
    pipeline.finish(name)


def test_a_removal_that_is_cut_short_is_gone_on_with(cut, monkeypatch):
    """The marker goes last: without it the next run would take the rest for somebody else's and refuse."""
    name = str(cut)
    pipeline.pseudonymise(name, *pipeline.prepare(name).sources[0])

    def killed(path, **_):
        (Path(path) / MARKER).unlink(missing_ok=True)  # a folder's files go in any order
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline.finish(name)
    forget()
    assert pipeline.prepare(name).sources
    pipeline.finish(name)
    assert [p.name for p in (cut.parent / "work").iterdir() if not p.name.endswith(KEPT)] == []


def test_half_written_pieces_are_written_again(cut):
    name = str(cut)
    first, *_ = pipeline.prepare(name).sources
    pipeline.pseudonymise(name, *first)
    (note,) = (cut.parent / "work").rglob(f"sources/{first[0]}-{first[1]}.json")
    whole = {p.name: p.read_bytes() for p in (cut.parent / "work").rglob("*.arrow")}
    note.unlink()
    for path in (cut.parent / "work").rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:100])
    pipeline.pseudonymise(name, *first)
    assert {p.name: p.read_bytes() for p in (cut.parent / "work").rglob("*.arrow")} == whole
    pipeline.finish(name)


def test_a_folder_that_is_not_ours_is_left_alone(cut):
    strange = cut.parent / "work" / "SAMPLE-2023-08-19"
    strange.mkdir(parents=True)
    (strange / "thesis.txt").write_text("do not delete")
    done = datacut("run", cut, "--plain")
    assert done.code == 2
    assert (strange / "thesis.txt").read_text() == "do not delete"
    assert "the work folder holds other files" in done.err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_is_told_in_one_line_and_nothing_is_half_published(cut, tmp_path):
    """Six sizes of disk, from nothing to nearly enough; then enough."""
    if os.geteuid() != 0:
        pytest.skip("a small disk of its own needs root")
    small = tmp_path / "disk"
    small.mkdir()
    text = cut.read_text()
    cut.write_text(text.replace("folder: out", f"folder: {small}/out") + f"\nwork: {small}/work\n")
    codes = []
    for kibibytes in (64, 384, 640, 896, 1280, 1536, 65536):
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", small], check=True)
        except subprocess.CalledProcessError:
            pytest.skip("mounting a small disk is not allowed here")
        try:
            done = subprocess.run(
                [DATACUT, "run", cut, "--plain", "--json", "--ignore-disk"],
                capture_output=True,
                text=True,
                check=False,
                timeout=200,
            )
            codes.append(done.returncode)
            visible = (
                [p.name for p in (small / "out").iterdir() if p.is_dir() and not p.name.startswith(".")]
                if (small / "out").is_dir()
                else []
            )
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if line.startswith("datacut:")]
                assert done.returncode == 19, done.stderr
                assert len(lines) == 1
                assert "disk is full" in lines[0] or "No space" in lines[0], lines
                assert "Traceback" not in done.stderr
                assert visible == []
            else:
                assert digests(Path(json.loads(done.stdout)["pack"]))
        finally:
            subprocess.run(["umount", small], check=True)
        (cut.parent / "ledger.db").unlink(missing_ok=True)
    assert codes[-1] == 0
    assert codes.count(19) >= 5
    shutil.rmtree(small)


def test_each_check_of_the_campaign_sees_what_it_looks_for(tmp_path: Path) -> None:
    tally = Tally()
    pack = tmp_path / "out" / "C-release"
    pack.mkdir(parents=True)
    (pack / "manifest-sha256.txt").write_text(f"{'0' * 64}  data/x\n")
    assert partial_packs(tmp_path / "out", tally) == ["C-release"]
    assert payloads(tmp_path / "cut.yaml", tally) == [{"data/x": "0" * 64}]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "C").mkdir()
    (tmp_path / "work" / ".C.lock").touch()
    (tmp_path / "out" / ".C-release.new").mkdir()
    assert left_behind(tmp_path / "cut.yaml", tally) == [".C-release.new", "C"]
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            doubles(tmp_path / "ledger.db", tally)
        connection.execute("create table ringfence_reservation (campaign, mpan)")
        connection.executemany("insert into ringfence_reservation values ('C', ?)", [("1",), ("1",), ("2",)])
    assert doubles(tmp_path / "ledger.db", tally) == 1
    assert tally.looked["reservations for doubles"] == 3
