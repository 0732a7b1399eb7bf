"""The ledger is a system of record: gone, empty, older, another or damaged, it is refused; copies come back whole."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from contracts.errors import EvidenceError, RingFenceError
from flows.cut.config import Job, load_cut
from flows.ringfence.audit import audit, verify_ledger
from flows.ringfence.copies import backup, migrate, restore
from flows.ringfence.database import writing
from flows.ringfence.ledger import Ledger
from flows.ringfence.pool import pool_file
from flows.ringfence.system_of_record import begin_ledger, heads_file, note_head, open_ledger
from tests.command import datacut
from tests.ringfence.faults import Place, Row, refused, write
from tests.ringfence.test_fence_ledger import change, rows
from tests.ringfence.test_fence_races import check

CUT = "CUT-1"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "cut.yaml").write_text(
        f"cut: {{id: {CUT}, date: 2023-08-19, key: k}}\n"
        "participants: [{mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: p.csv}]}]\n"
        "release: {signing_key: s.pem}\nring_fence: {plan: plan.csv}\n"
    )
    return load_cut(tmp_path / "cut.yaml")


def file_of(job: Job) -> Path:
    return job.folder / "ledger.db"


def commit(job: Job, *numbers: int) -> None:
    with open_ledger(job, begin=True) as ledger:
        ledger.commit(change(f"k{numbers}", cut=CUT), rows(*numbers))
        note_head(job, ledger)


@pytest.mark.requirement("Q57")
def test_reading_makes_no_ledger(job: Job) -> None:
    with pytest.raises(RingFenceError, match="there is no ledger yet"):
        open_ledger(job)
    for command in ("status", "verify", "explain", "plan", "top-up"):
        done = datacut("ringfence", command, job.file)
        assert (done.code, "datacut ringfence init" in done.err) == (17, True), (command, done.err)
    assert not file_of(job).exists()


def test_it_is_made_once_and_its_id_is_said(job: Job) -> None:
    first = datacut("ringfence", "init", job.file, "--json")
    assert len(json.loads(first.out)["ledger_id"]) == 32
    assert datacut("ringfence", "init", job.file).code == 17


def gone(job: Job) -> None:
    file_of(job).unlink()


def empty(job: Job) -> None:
    file_of(job).write_bytes(b"")


def older(job: Job) -> None:
    shutil.copy(job.folder / "old.db", file_of(job))


def foreign(job: Job) -> None:
    file_of(job).unlink()
    Ledger(job.ledger_url).close()


@pytest.mark.requirement("Q57", "Q63")
@pytest.mark.parametrize(
    ("happened", "said"),
    [(gone, "is gone: 2 changes"), (empty, "is gone: 2 changes"), (older, "is older"), (foreign, "are in ledger")],
)
def test_a_ledger_that_is_not_the_right_one_is_refused_by_everything(job: Job, happened: object, said: str) -> None:
    commit(job, 1, 2)
    with open_ledger(job) as ledger:
        backup(ledger, job.folder / "old.db")
    commit(job, 3)
    for more in ("-wal", "-shm"):
        file_of(job).with_name(f"ledger.db{more}").unlink(missing_ok=True)
    happened(job)  # type: ignore[operator]
    for begin in (False, True):
        with pytest.raises(RingFenceError, match=said):
            open_ledger(job, begin=begin)
    done = datacut("ringfence", "status", job.file)
    assert (done.code, "datacut ringfence restore" in done.err) == (17, True), done.err


def test_another_history_of_the_same_length_is_refused(job: Job) -> None:
    commit(job, 1, 2)
    lines = heads_file(job).read_text().splitlines()
    heads_file(job).write_text(json.dumps(json.loads(lines[0]) | {"sha256": "0" * 64}) + "\n")
    with pytest.raises(EvidenceError, match="not the one"):
        open_ledger(job)


def test_a_pool_says_that_there_was_one(job: Job) -> None:
    pool_file(job).parent.mkdir()
    pool_file(job).write_bytes(b"x")
    with pytest.raises(RingFenceError, match="an earlier run of this cut"):
        open_ledger(job, begin=True)
    assert datacut("ringfence", "init", job.file).code == 17


def test_the_id_that_cut_yaml_names_is_held_to(job: Job) -> None:
    begin_ledger(job).close()
    cut = job.file.read_text().replace("plan: plan.csv", f"plan: plan.csv, ledger_id: {'0' * 32}")
    job.file.write_text(cut)
    with pytest.raises(RingFenceError, match="names 00000000"):
        open_ledger(load_cut(job.file))


@pytest.mark.requirement("Q57")
def test_a_reservation_that_an_index_hides_is_found_by_verify_and_by_the_next_commit(job: Job) -> None:
    commit(job, 1, 2)
    with sqlite3.connect(file_of(job)) as connection:  # the index loses a row, the table keeps it
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_ringfence_reservation_1'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file_of(job).read_bytes())
    data[(page - 1) * size + 3 : (page - 1) * size + 5] = b"\0\0"  # a leaf without cells
    file_of(job).write_bytes(data)
    with Ledger(job.ledger_url, make=False) as ledger:
        assert any("damaged" in fault for fault in audit(ledger, CUT).faults)
        with pytest.raises(EvidenceError, match="damaged") as told:
            ledger.commit(change("again", cut=CUT), rows(1))
        assert told.value.exit_code == 18
    assert datacut("ringfence", "verify", job.file).code == 18


@pytest.mark.postgres
@pytest.mark.requirement("Q57")
def test_two_reservations_of_one_metering_point_are_found_without_an_index(postgres_url: str) -> None:
    """A damaged index of PostgreSQL is played by one that is gone."""
    with Ledger(postgres_url) as ledger:
        ledger.commit(change("one"), rows(1, 2))
        with writing(ledger.engine, "") as connection:
            connection.execute(text("ALTER TABLE ringfence_reservation DROP CONSTRAINT ringfence_reservation_pkey"))
        with pytest.raises(EvidenceError, match="1 metering points are reserved twice"):
            ledger.commit(change("two"), rows(1))
        assert ledger.reservations("CUT-1").height == 2


@pytest.mark.requirement("Q57")
def test_a_backup_comes_back_whole_on_either_engine(ledger_url: str, tmp_path: Path) -> None:
    with Ledger(ledger_url) as ledger:
        ledger.commit(change("one"), rows(1, 2, 3))
        ledger.commit(change("two"), rows(4))
        count = backup(ledger, tmp_path / "kept.db")
        known, identity = ledger.digests("CUT-1"), ledger.id
    assert count == 2
    copy = f"sqlite:///{tmp_path / 'back.db'}"
    assert restore(tmp_path / "kept.db", copy) == 2
    with Ledger(copy, make=False) as found:
        assert (found.digests("CUT-1"), found.id) == (known, identity)
        assert verify_ledger(found, "CUT-1").reservations == 4
        with pytest.raises(RingFenceError, match="already reserved"):
            found.commit(change("three"), rows(4))
        with pytest.raises(Exception, match="append-only"), writing(found.engine, "") as connection:
            connection.execute(text("DELETE FROM ringfence_event"))
    with pytest.raises(RingFenceError, match="already"):
        restore(tmp_path / "kept.db", copy)


def test_restore_by_command_and_what_is_no_backup(job: Job) -> None:
    commit(job, 1, 2)
    assert datacut("ringfence", "backup", job.file, "--out", job.folder / "kept.db").code == 0
    file_of(job).unlink()
    (job.folder / "junk").write_bytes(b"junk" * 2000)
    assert datacut("ringfence", "restore", job.folder / "junk", job.file).code in (18, 19)
    file_of(job).unlink(missing_ok=True)
    assert datacut("ringfence", "restore", job.folder / "kept.db", job.file).code == 0
    assert datacut("ringfence", "verify", job.file).code == 0


def test_a_backup_that_is_older_or_anothers_is_refused_before_anything_is_written(job: Job) -> None:
    commit(job, 1, 2)
    assert datacut("ringfence", "backup", job.file, "--out", job.folder / "old.db").out.endswith("1 change, checked\n")
    commit(job, 3)
    assert datacut("ringfence", "backup", job.file, "--out", job.folder / "kept.db").code == 0
    Ledger(f"sqlite:///{job.folder / 'other.db'}").close()
    file_of(job).unlink()
    for name, said in (("old.db", "is older"), ("other.db", "are in ledger")):
        done = datacut("ringfence", "restore", job.folder / name, job.file)
        assert (done.code, said in done.err) == (17, True), done.err
        assert not file_of(job).exists()
    assert datacut("ringfence", "restore", job.folder / "kept.db", job.file).code == 0


def test_a_ledger_of_the_first_format_is_brought_up_and_keeps_its_chain(job: Job) -> None:
    commit(job, 1, 2)
    with open_ledger(job) as ledger:
        known = ledger.digests(CUT)
    heads_file(job).unlink()
    engine = create_engine(job.ledger_url)
    with engine.begin() as connection:  # what the first version wrote
        connection.execute(text("DROP TABLE ringfence_identity"))
        connection.execute(text("UPDATE ringfence_ledger SET format = 1"))
    engine.dispose()
    refused = datacut("ringfence", "status", job.file)
    assert (refused.code, "datacut ringfence migrate" in refused.err) == (18, True)
    assert datacut("ringfence", "migrate", job.file).code == 0
    with open_ledger(job) as ledger:
        assert ledger.digests(CUT) == known
    assert migrate(job.ledger_url) == 2


def test_the_table_of_faults_shows_what_nobody_told_and_what_is_lost(tmp_path: Path) -> None:
    def nothing(_: Place) -> None:
        """Happen."""

    def unlike(place: Place) -> None:
        place.remove()
        shutil.copy(place.folder / "old.db", place.folder / "last.db")  # what is restored is not the last

    for number, (happens, line) in enumerate(
        {nothing: "| x | SQLite | 1 | 1 | 0 | 0 | 3 |", unlike: "| x | SQLite | 1 | 0 | 1 | 1 | 3 |"}.items()
    ):
        row, place = Row("x", "SQLite"), Place(tmp_path / f"{number}", f"sqlite:///{tmp_path}/{number}.db")
        refused(row, place, happens, 17)
        assert row.line() == line


def test_an_answer_that_does_not_stand_in_the_ledger_is_seen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/race.db"
    write(url, 0, 2, 60, tmp_path)
    check(url, tmp_path, 2, 60)
    answers = tmp_path / "answers-0.jsonl"
    kept = answers.read_text()
    for spoilt in (kept.replace('"batch": 1', '"batch": 7'), kept.replace('"batch": 1', '"batch": null')):
        answers.write_text(spoilt)
        with pytest.raises(AssertionError):
            check(url, tmp_path, 2, 60)
