"""The ledger, on SQLite and on PostgreSQL: one reservation a metering point, append-only, chained, told who and why."""

from __future__ import annotations

import os
import stat

import polars as pl
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError

from contracts.errors import ConfigurationError, EvidenceError, PlaceError, RingFenceError
from contracts.ringfence.model import State
from flows.ringfence import database
from flows.ringfence.audit import audit, campaigns, verify_ledger
from flows.ringfence.database import reading, writing
from flows.ringfence.ledger import Change, Ledger
from flows.ringfence.schema import ROW
from flows.ringfence.transitions import Selection

CUT = "CUT-1"


def rows(*numbers: int, test_case: str = "TC-1", participant: str = "SUPA", stage: str = "functional", reuse: int = 0):
    mpans = [f"{number:013d}" for number in numbers]
    said = {"unit": mpans, "phase": "SIT", "stage": stage, "test_case": test_case, "participant": participant}
    said |= {"participant_role": "Supplier", "role": "BASE", "round": 1, "reuse": reuse}
    frame = pl.DataFrame({"mpan": mpans}).with_columns(
        [pl.Series(n, v) if isinstance(v, list) else pl.lit(v).alias(n) for n, v in said.items()]
    )
    return frame.select(ROW).with_columns(pl.col("round", "reuse").cast(pl.Int64))


def change(key: str, *, request: str = "r", base: int | None = None, cut: str = CUT, **body):
    return Change(cut, key, request, "A. Tester", "2023-08-19T12:00:00+00:00", "a reason", base, body)


@pytest.fixture
def ledger(ledger_url):
    with Ledger(ledger_url) as opened:
        yield opened


def held(ledger, cut: str = CUT) -> dict[str, str]:
    frame = ledger.reservations(cut)
    return dict(zip(frame["mpan"], frame["state"], strict=True))


@pytest.mark.requirement("Q57")
def test_the_database_refuses_a_second_reservation_and_commits_nothing_of_it(ledger):
    ledger.commit(change("one"), rows(1, 2, 3))
    with pytest.raises(RingFenceError, match="already reserved") as told:
        ledger.commit(change("two"), rows(3, 4, test_case="TC-2"))
    assert told.value.exit_code == 17
    assert "0000000000003" not in told.value.line()
    assert sorted(held(ledger)) == ["0000000000001", "0000000000002", "0000000000003"]
    assert verify_ledger(ledger, CUT).batches == 1


@pytest.mark.requirement("Q65", "Q70")
def test_another_cut_is_another_campaign(ledger):
    ledger.commit(change("one"), rows(1))
    ledger.commit(change("one", cut="CUT-2"), rows(1))
    assert campaigns(ledger) == ["CUT-1", "CUT-2"]
    assert held(ledger, "CUT-2") == {"0000000000001": "committed"}


def test_the_same_key_is_the_same_change(ledger):
    first = ledger.commit(change("one", note=1), rows(1, 2))
    again = ledger.commit(change("one", note=1), rows(1, 2))
    assert (first.replayed, again.replayed) == (False, True)
    assert (first.number, first.sha256, first.body) == (again.number, again.sha256, again.body)
    with pytest.raises(RingFenceError, match="another request"):
        ledger.commit(change("one", request="other"), rows(5))


def test_a_stale_plan_is_refused(ledger):
    version = ledger.version(CUT)
    ledger.commit(change("one"), rows(1))
    with pytest.raises(RingFenceError, match="stale"):
        ledger.commit(change("two", base=version), rows(2))
    ledger.commit(change("two", base=ledger.version(CUT)), rows(2))


def test_a_plan_holds_nothing_and_outdates_nothing(ledger):
    plan = ledger.propose(change("plan", base=0), rows(1, 2))
    assert held(ledger) == {}
    assert ledger.version(CUT) == 0
    assert ledger.events(CUT, number=plan.number)["kind"].to_list() == ["planned", "planned"]
    ledger.commit(change("other"), rows(2))
    assert verify_ledger(ledger, CUT).events == 3


@pytest.mark.parametrize("statement", ["UPDATE {} SET kind = 'x'", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["ringfence_event", "ringfence_batch"])
def test_history_can_neither_be_changed_nor_deleted(ledger, statement, table):
    ledger.commit(change("one"), rows(1))
    with pytest.raises(DatabaseError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(text(statement.format(table)))
    assert verify_ledger(ledger, CUT).events == 1


def test_states_follow_each_other_as_they_may(ledger):
    ledger.commit(change("one"), rows(1, 2, 3))
    everything = Selection()
    with pytest.raises(RingFenceError, match="consumed is not possible for 3 committed"):
        ledger.move(change("no"), everything, State.CONSUMED)
    ledger.move(change("issue"), everything, State.ISSUED)
    ledger.move(change("consume"), Selection(mpans=frozenset({"0000000000002"})), State.CONSUMED)
    with pytest.raises(RingFenceError, match="is not possible"):
        ledger.move(change("again"), everything, State.ISSUED)
    assert list(held(ledger).values()) == ["issued", "consumed", "issued"]
    with pytest.raises(RingFenceError, match="no reservation matches"):
        ledger.move(change("none"), Selection(test_case="TC-9"), State.ISSUED)
    assert verify_ledger(ledger, CUT).events == 7


def test_a_release_gives_back_what_was_never_issued_and_keeps_the_rest_out(ledger):
    ledger.commit(change("one"), rows(1, 2))
    ledger.move(change("issue"), Selection(mpans=frozenset({"0000000000002"})), State.ISSUED)
    ledger.move(change("release"), Selection(), State.RELEASED)
    assert held(ledger) == {"0000000000002": "released"}
    ledger.commit(change("two"), rows(1, test_case="TC-2"))
    with pytest.raises(RingFenceError):
        ledger.commit(change("three"), rows(2, test_case="TC-2"))
    assert verify_ledger(ledger, CUT).reservations == 2


def test_reuse_gives_back_after_the_test_and_remembers_the_service(ledger):
    ledger.commit(change("one"), rows(1, reuse=1))
    ledger.move(change("issue"), Selection(), State.ISSUED)
    ledger.move(change("consume"), Selection(), State.CONSUMED)
    ledger.move(change("release"), Selection(), State.RELEASED)
    assert held(ledger) == {}
    back = ledger.given_back(CUT).to_dicts()
    assert [(row["mpan"], row["stage"], row["was"]) for row in back] == [("0000000000001", "functional", "consumed")]


@pytest.mark.requirement("Q40")
def test_quarantine_keeps_out_for_good(ledger):
    ledger.commit(change("one"), rows(1, 2))
    ledger.move(change("q"), Selection(participant="SUPA"), State.QUARANTINED)
    assert set(held(ledger).values()) == {"quarantined"}
    with pytest.raises(RingFenceError):
        ledger.commit(change("two"), rows(1))


def test_a_move_takes_the_whole_unit(ledger):
    pair = rows(1, 2).with_columns(pl.lit("0000000000001").alias("unit"))
    ledger.commit(change("one"), pl.concat([pair, rows(3)]))
    done = ledger.move(change("issue"), Selection(mpans=frozenset({"0000000000002"})), State.ISSUED)
    assert done.events == 2
    assert held(ledger)["0000000000003"] == "committed"


def test_a_change_without_who_when_and_why_is_refused():
    with pytest.raises(ConfigurationError, match="actor, reason"):
        Change(CUT, "k", "r", " ", "2023", "")


EDITS = {
    "an event's test case": ("ringfence_event", "test_case = 'TC-9'", "batch = 2 AND place = 1"),
    "an event's metering point": ("ringfence_event", "mpan = '0000000000099'", "batch = 2 AND place = 0"),
    "an event's kind": ("ringfence_event", "kind = 'issued'", "batch = 1 AND place = 0"),
    "who did it": ("ringfence_batch", "actor = 'Nobody'", "number = 1"),
    "when it was done": ("ringfence_batch", "at = '1999'", "number = 2"),
    "why it was done": ("ringfence_batch", "reason = 'none'", "number = 2"),
    "the shortages kept": ("ringfence_batch", "body = '{}'", "number = 1"),
    "the seal": ("ringfence_batch", "sha256 = 'feed'", "number = 1"),
    "the link": ("ringfence_batch", "previous_sha256 = 'feed'", "number = 2"),
    "a reservation's test case": ("ringfence_reservation", "test_case = 'TC-9'", "mpan = '0000000000001'"),
    "a reservation's state": ("ringfence_reservation", "state = 'released'", "mpan = '0000000000001'"),
}


def unguarded(ledger, *statements):
    """Do what somebody would do who can write to the database: take the guards off first, put them back after."""
    sqlite = ledger.engine.dialect.name == "sqlite"
    with ledger.engine.begin() as connection:
        if sqlite:
            found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).fetchall()
            for name, _ in found:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET session_replication_role = 'replica'"))
        for statement in statements:
            connection.execute(text(statement))
        for _, sql in found if sqlite else []:
            connection.execute(text(sql))


def filled(ledger):
    ledger.commit(change("one", shortages=["x"]), rows(1, 2))
    ledger.commit(change("two"), rows(3, 4, test_case="TC-2"))
    return verify_ledger(ledger, CUT)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_behind_its_back_is_found(ledger, edit):
    filled(ledger)
    table, setting, where = EDITS[edit]
    unguarded(ledger, f"UPDATE {table} SET {setting} WHERE campaign = '{CUT}' AND {where}")
    with pytest.raises(EvidenceError) as told:
        verify_ledger(ledger, CUT)
    assert told.value.exit_code == 18
    assert "0000000000" not in told.value.line()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ringfence_event WHERE batch = 2 AND place = 1",
        "DELETE FROM ringfence_reservation WHERE mpan = '0000000000004'",
        "DELETE FROM ringfence_batch WHERE number = 1",
        "INSERT INTO ringfence_event SELECT campaign, 7, place, mpan, kind, pooled, unit, phase, stage, test_case, "
        "participant, participant_role, role, round, reuse FROM ringfence_event WHERE batch = 1",
    ],
)
def test_what_is_taken_out_or_put_in_is_found(ledger, statement):
    filled(ledger)
    unguarded(ledger, statement)
    assert audit(ledger, CUT).faults


def test_a_last_batch_cut_off_is_found_by_a_head_noted_elsewhere(ledger):
    head = filled(ledger).head
    unguarded(
        ledger,
        "DELETE FROM ringfence_event WHERE batch = 2",
        "DELETE FROM ringfence_batch WHERE number = 2",
        "DELETE FROM ringfence_reservation WHERE test_case = 'TC-2'",
    )
    assert audit(ledger, CUT).faults == ()
    assert audit(ledger, CUT, [head]).faults == (f"the head {head[:16]} noted elsewhere is not in the chain",)


def test_a_guard_taken_off_is_found(ledger):
    filled(ledger)
    sqlite = ledger.engine.dialect.name == "sqlite"
    name = "ringfence_event_no_delete" if sqlite else "ringfence_event_append_only ON ringfence_event"
    with ledger.engine.begin() as connection:
        connection.execute(text(f"DROP TRIGGER {name}"))
    assert audit(ledger, CUT).faults == ("table ringfence_event has lost its guard",)


def test_a_reader_does_not_wait_for_a_writer(ledger):
    filled(ledger)
    with writing(ledger.engine, CUT), reading(ledger.engine):
        assert len(held(ledger)) == 4


def test_a_failure_in_the_middle_leaves_nothing(ledger, monkeypatch):
    filled(ledger)
    from flows.ringfence import ledger as module

    def fails(*_args, **_kwargs):
        raise RuntimeError("power")

    monkeypatch.setattr(module, "put", fails)
    with pytest.raises(RuntimeError):
        ledger.commit(change("three"), rows(9))
    monkeypatch.undo()
    assert verify_ledger(ledger, CUT).batches == 2


def test_the_file_is_private_and_opens_durable(tmp_path):
    file = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{file}") as opened:
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        with reading(opened.engine) as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_network_disk_and_an_odd_url_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "file_system", lambda _folder: "nfs4")
    with pytest.raises(PlaceError, match="network file system"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.undo()
    for url in ("mysql://x/y", "nonsense", "sqlite://"):
        with pytest.raises(ConfigurationError):
            Ledger(url)
    with pytest.raises(PlaceError, match="does not exist"):
        Ledger(f"sqlite:///{tmp_path / 'none.db'}", make=False)


def test_a_server_that_is_away_is_told_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(PlaceError) as told:
        Ledger("postgresql://somebody:hunter2@/none?host=/nowhere")
    assert "hunter2" not in told.value.line()
    assert told.value.exit_code == 19


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    file = tmp_path / "ledger.db"
    file.write_bytes(b"not a database, but long enough to be looked at " * 40)
    with pytest.raises(PlaceError) as told:
        Ledger(f"sqlite:///{file}")
    assert told.value.exit_code == 19


def test_a_damaged_page_of_a_table_is_told_as_damage(tmp_path):
    file = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{file}") as opened:
        filled(opened)
        with writing(opened.engine, "") as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = 'ringfence_reservation'"
            page = connection.execute(text(query)).scalar_one()
            size = connection.execute(text("PRAGMA page_size")).scalar_one()
    data = bytearray(file.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    file.write_bytes(data)
    with Ledger(f"sqlite:///{file}", make=False) as damaged:
        for looks in (lambda: damaged.reservations(CUT), lambda: damaged.commit(change("three"), rows(9))):
            with pytest.raises(EvidenceError, match="is damaged") as told:
                looks()
            assert told.value.exit_code == 18
            assert "ringfence restore" in told.value.remedy


@pytest.mark.postgres
def test_a_server_that_goes_away_in_a_commit_is_told_as_that(postgres_url):
    """Its process ends when the transaction is about to be made durable."""
    with Ledger(postgres_url) as ledger:
        filled(ledger)
        with writing(ledger.engine, "") as connection:
            ends = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(9); RETURN NULL;"
            connection.execute(
                text(f"CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {ends} END $$")
            )
            connection.execute(
                text(
                    "CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON ringfence_batch DEFERRABLE INITIALLY DEFERRED "
                    "FOR EACH ROW EXECUTE FUNCTION ends()"
                )
            )
        with pytest.raises(PlaceError, match="whether it was made is not known") as told:
            ledger.commit(change("three"), rows(9))
        assert "hunter2" not in told.value.line()
        with writing(ledger.engine, "") as connection:
            connection.execute(text("DROP TRIGGER ends ON ringfence_batch"))
        assert ledger.commit(change("three"), rows(9)).number == 3  # the same key, asked again
        assert verify_ledger(ledger, CUT).batches == 3


@pytest.mark.postgres
def test_who_waits_for_another_writer_waits_no_longer_than_is_said(postgres_url, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    with Ledger(postgres_url) as ledger:
        with writing(ledger.engine, CUT), pytest.raises(PlaceError, match="still busy after 1 s"):
            ledger.commit(change("one"), rows(1))
        ledger.commit(change("one"), rows(1))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "is read-only"),
        ("SET ROLE pg_monitor", "permission is denied"),
    ],
)
def test_a_server_that_does_not_let_us_write_is_told_as_that(postgres_url, setting, said):
    with Ledger(postgres_url) as ledger:
        filled(ledger)

        @event.listens_for(ledger.engine, "connect")
        def of_another(connection, _record):
            connection.execute(setting)
            connection.commit()

        ledger.engine.dispose()
        with pytest.raises(PlaceError, match=said) as told:
            ledger.commit(change("three"), rows(9))
        assert told.value.exit_code == 19
