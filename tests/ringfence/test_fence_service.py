"""A cut's ring-fence over time: safe to run again, topped up, withdrawn from, changed; on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import ConfigurationError, RingFenceError
from contracts.ringfence.model import State
from flows.ringfence.allocation import (
    commit_plan,
    commit_request,
    make_request,
    outcome,
    plan_and_commit,
    propose,
    top_up,
)
from flows.ringfence.audit import verify_ledger
from flows.ringfence.ledger import Change, Ledger
from flows.ringfence.transitions import Selection
from tests.benchmarks.ringfence_instance import population
from tests.ringfence.cases import KEY

CUT = "CUT-1"
AT = "2023-08-19T12:00:00+00:00"
HEAD = "round,test_case,stage,participant,priority,base,spare,kind,criteria,export_criteria,mutates,reuse"


def line(
    name: str, base: int, *, stage="CIT", spare=0, who="SUPA", round_=1, kind="SINGLE", mutates="true", reuse="", **c
):
    criteria = json.dumps({key: [value] for key, value in c.items()}).replace('"', '""')
    return f'{round_},{name},{stage},{who},1,{base},{spare},{kind},"{criteria}",,{mutates},{reuse}'


def plan_file(folder: Path, *lines: str) -> Path:
    file = folder / "plan.csv"
    file.write_text("\n".join([HEAD, *lines]) + "\n")
    return file


BASIC = (
    line("C-1", 30, spare=3, seg="SMART"),
    line("C-2", 9, kind="PAIR", who="SUPB"),
    line("F-1", 40, stage="SIT-FUNCTIONAL", round_=2, spare=4, ldso="LDSO01"),
    line("F-2", 500, stage="SIT-FUNCTIONAL", round_=2, who="SUPB", seg="UNMETERED"),
)


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("people") / "people.parquet"
    population(4000, 3).write_parquet(file)
    return file


def run(people, plan, url):
    return plan_and_commit(people, plan, url, CUT, KEY, "A. Tester", AT)


def change(key: str) -> Change:
    return Change(CUT, key, key, "A. Tester", AT, "a reason")


def owners(frame: pl.DataFrame) -> set[tuple[str, ...]]:
    return set(frame.select("mpan_core", "test_case", "stage", "participant", "role", "unit").rows())


@pytest.mark.requirement("Q53", "Q57", "Q84")
def test_a_run_commits_once_and_says_the_same_again(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    first = run(people, plan, ledger_url)
    again = run(people, plan, ledger_url)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.allocations.equals(again.allocations)
    assert first.fulfilment.equals(again.fulfilment)
    assert (first.shortages, first.coverage, first.ledger_head) == (again.shortages, again.coverage, again.ledger_head)
    assert first.fulfilment["allocated"].to_list()[:3] == [30, 9, 40]
    assert first.shortages[0].test_cases == ("F-2 (SUPB)",)
    with Ledger(ledger_url) as ledger:
        assert verify_ledger(ledger, CUT, [first.ledger_head]).batches == 1


@pytest.mark.requirement("Q57", "Q64")
def test_test_cases_of_a_participant_left_out_get_nothing_and_say_so(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    with Ledger(ledger_url) as ledger:
        request = make_request(people, plan, CUT, KEY, {"SUPB": "did not deliver"})
        done = commit_request(ledger, request, "A. Tester", AT)
    got = {row["test_case"]: row for row in done.fulfilment.to_dicts()}
    assert [got[case]["allocated"] for case in ("C-1", "F-1", "C-2", "F-2")] == [30, 40, 0, 0]
    absent, *others = done.shortages
    assert (absent.kind, absent.test_cases, absent.short) == ("left out", ("C-2", "F-2"), 509)
    assert "SUPB is left out of the cut (did not deliver), so C-2 and F-2 get no metering points" in absent.text
    assert not [shortage for shortage in others if shortage.short], "and nothing is missing twice"
    assert request.digest != make_request(people, plan, CUT, KEY).digest


def test_shuffled_rows_and_lines_are_the_same_run(people, tmp_path, ledger_url):
    first = run(people, plan_file(tmp_path, *BASIC), ledger_url)
    shuffled = tmp_path / "shuffled.parquet"
    pl.read_parquet(people).sample(fraction=1, shuffle=True, seed=5).write_parquet(shuffled, row_group_size=700)
    again = run(shuffled, plan_file(tmp_path, *reversed(BASIC)), ledger_url)
    assert again.replayed
    assert first.allocations.equals(again.allocations)


@pytest.mark.requirement("Q57", "Q84")
def test_a_top_up_after_issue_moves_nothing(people, tmp_path, ledger_url):
    first = run(people, plan_file(tmp_path, *BASIC), ledger_url)
    with Ledger(ledger_url) as ledger:
        ledger.move(change("issue"), Selection(), State.ISSUED)
    more = (
        line("C-1", 60, spare=5, seg="SMART"),
        *BASIC[1:],
        line("N-1", 25, stage="SIT-MIGRATION", round_=3, sup="SUP01"),
    )
    second = run(people, plan_file(tmp_path, *more), ledger_url)
    assert owners(first.allocations) < owners(second.allocations)
    got = {row["test_case"]: (row["allocated"], row["spares"]) for row in second.fulfilment.to_dicts()}
    assert (got["C-1"], got["N-1"]) == ((60, 5), (25, 0))
    with Ledger(ledger_url) as ledger:
        held = ledger.reservations(CUT)
        assert held.filter(pl.col("state") == "issued").height == first.allocations.height
        verify_ledger(ledger, CUT, [first.ledger_head, second.ledger_head])


@pytest.mark.requirement("Q40")
def test_a_withdrawal_frees_what_was_not_issued_and_a_top_up_replaces_for_others(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    first = run(people, plan, ledger_url)
    of = {who: set(first.allocations.filter(pl.col("participant") == who)["mpan_core"]) for who in ("SUPA", "SUPB")}
    with Ledger(ledger_url) as ledger:
        ledger.move(change("issue"), Selection(test_case="C-2"), State.ISSUED)
        ledger.move(change("withdraw"), Selection(participant="SUPB"), State.RELEASED)
        states = dict(ledger.reservations(CUT).group_by("state").len().iter_rows())
    assert states == {"committed": len(of["SUPA"]), "released": 18}
    after = run(people, plan, ledger_url)
    assert after.replayed
    assert set(after.allocations["mpan_core"]) == of["SUPA"]
    assert after.shortages[-1].kind == "since"
    assert "replace them with datacut ringfence top-up" in after.shortages[-1].text
    rest = plan_file(tmp_path, *[each for each in BASIC if "SUPB" not in each], line("X-1", 9, kind="PAIR", who="SUPC"))
    replaced = run(people, rest, ledger_url)
    issued = set(first.allocations.filter(pl.col("test_case") == "C-2")["mpan_core"])
    assert not issued & set(replaced.allocations["mpan_core"])
    assert replaced.fulfilment["short"].sum() == 0


def test_an_mpan_found_unfit_is_quarantined_and_replaced_by_a_top_up(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    first = run(people, plan, ledger_url)
    bad = first.allocations.filter(pl.col("test_case") == "F-1", pl.col("role") == "BASE")["mpan_core"][0]
    with Ledger(ledger_url) as ledger:
        ledger.move(change("q"), Selection(mpans=frozenset({bad})), State.QUARANTINED)
        request = make_request(people, plan, CUT, KEY)
        done = outcome(ledger, top_up(ledger, change("top-up"), request), request)
    assert bad not in set(done.allocations["mpan_core"])
    assert done.fulfilment.filter(pl.col("test_case") == "F-1")["short"].to_list() == [0]
    kept = {row for row in owners(first.allocations) if row[5] != bad}
    assert kept <= owners(done.allocations)


@pytest.mark.requirement("Q48")
def test_what_leaves_the_population_does_not_count_and_is_told(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    first = run(people, plan, ledger_url)
    lost = set(first.allocations.filter(pl.col("test_case") == "C-2")["mpan_core"].head(1))
    fewer = tmp_path / "fewer.parquet"
    pl.read_parquet(people).with_columns(conforming=pl.col("conforming") & ~pl.col("mpan").is_in(lost)).write_parquet(
        fewer
    )
    second = run(fewer, plan, ledger_url)
    assert not lost & set(second.allocations["mpan_core"])
    assert second.fulfilment.filter(pl.col("test_case") == "C-2")["allocated"].to_list() == [9]
    told = [entry for entry in second.shortages if entry.kind == "lost"]
    assert told[0].short == 2
    with Ledger(ledger_url) as ledger:
        assert lost <= set(ledger.reservations(CUT)["mpan"])


@pytest.mark.requirement("Q84")
def test_reuse_in_another_stage_comes_back_and_counts_for_the_first_test(people, tmp_path, ledger_url):
    lines = [
        line("F-1", 20, stage="SIT-FUNCTIONAL", mutates="false", reuse="true", seg="UNMETERED"),
        line("M-1", 500, stage="SIT-MIGRATION", round_=3, seg="UNMETERED"),
        line("C-1", 500, stage="CIT", round_=2, seg="UNMETERED"),
    ]
    first = run(people, plan_file(tmp_path, lines[0]), ledger_url)
    with Ledger(ledger_url) as ledger:
        for to in (State.ISSUED, State.CONSUMED, State.RELEASED):
            ledger.move(change(to), Selection(test_case="F-1"), to)
    second = run(people, plan_file(tmp_path, *lines), ledger_url)
    used = set(first.allocations["mpan_core"])
    again = second.allocations.filter(pl.col("mpan_core").is_in(used))
    assert used == set(again["mpan_core"])
    assert set(again["test_case"]) == {"M-1"}
    assert second.fulfilment.filter(pl.col("test_case") == "F-1")["short"].to_list() == [0]
    with Ledger(ledger_url) as ledger:
        verify_ledger(ledger, CUT)


def test_a_plan_holds_nothing_is_committed_as_it_stands_and_refused_when_outrun(people, tmp_path, ledger_url):
    plan = plan_file(tmp_path, *BASIC)
    request = make_request(people, plan, CUT, KEY)
    with Ledger(ledger_url) as ledger:
        planned = outcome(ledger, propose(ledger, change("plan-1"), request), request)
        assert ledger.reservations(CUT).is_empty()
        receipt = commit_plan(ledger, change("commit"))
        assert commit_plan(ledger, change("commit again")).replayed
        done = outcome(ledger, receipt, request)
        assert owners(planned.allocations) == owners(done.allocations)
        assert planned.shortages == done.shortages
        bigger = make_request(people, plan_file(tmp_path, *BASIC, line("N-1", 5)), CUT, KEY)
        late = propose(ledger, change("plan-2"), bigger)
        ledger.move(change("issue"), Selection(test_case="C-1"), State.ISSUED)
        with pytest.raises(RingFenceError, match="stale"):
            commit_plan(ledger, change("late"), late.number)
        with pytest.raises(RingFenceError, match="no such plan"):
            commit_plan(ledger, change("none"), 99)


def test_a_run_that_is_outrun_solves_again(people, tmp_path, ledger_url, monkeypatch):
    from flows.ringfence import allocation

    plan = plan_file(tmp_path, *BASIC)
    solve_missing, raced = allocation.solve_missing, []

    def slow(ledger, request):
        found = solve_missing(ledger, request)
        if not raced:
            raced.append(1)
            run(people, plan_file(tmp_path, line("R-1", 50, who="SUPC", seg="SMART")), ledger_url)
        return found

    monkeypatch.setattr(allocation, "solve_missing", slow)
    done = run(people, plan, ledger_url)
    assert done.allocations["mpan_core"].n_unique() == done.allocations.height
    assert done.fulfilment["short"].to_list()[:3] == [0, 0, 0]
    with Ledger(ledger_url) as ledger:
        assert verify_ledger(ledger, CUT).batches == 2


def test_a_plan_of_another_cut_is_refused(people, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(
        "plan: 1\ncut: CUT-2\nphases:\n  - phase: CIT\n    stages:\n      - stage: cit\n        test_cases:\n"
        "          - {id: A, participant: SUPA, role: Supplier, quantity: 1}\n"
    )
    with pytest.raises(ConfigurationError, match="is a plan for cut CUT-2, not CUT-1"):
        run(people, file, f"sqlite:///{tmp_path / 'ledger.db'}")


def test_the_pipeline_keeps_meters_and_premises_together_by_default(people, tmp_path):
    shared = pl.read_parquet(people).with_columns(
        (pl.col("mpan").rank("ordinal") // 3).cast(pl.String).alias("premises")
    )
    file = tmp_path / "shared.parquet"
    shared.write_parquet(file)
    done = run(
        file,
        plan_file(tmp_path, line("C-1", 50), line("S-1", 50, stage="SIT-FUNCTIONAL")),
        f"sqlite:///{tmp_path}/l.db",
    )
    where = done.allocations.join(shared.select(mpan_core="mpan", premises="premises"), on="mpan_core")
    assert where.group_by("premises").agg(pl.col("phase").n_unique())["phase"].max() == 1
    assert where["premises"].n_unique() < where.height
