"""The commands as a person or a program meets them: direct mode, a cut's desk, exit codes, one line on a fault."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from flows.ringfence.ledger import Ledger
from tests.benchmarks.ringfence_instance import population
from tests.command import datacut
from tests.ringfence.cases import frame_of
from tests.ringfence.reference import Want, best_fill, faults, fill_of, random_instance

COLUMNS = ["round", "test_case", "stage", "participant", "priority", "base", "spare", "kind", "criteria",
           "export_criteria", "mutates"]  # fmt: skip


def write_book(file: Path, wants: list[Want]) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for want in wants:
            words = {"criteria": json.dumps(want.criteria), "export_criteria": json.dumps(want.export_criteria)}
            same = {"stage": "SIT-FUNCTIONAL", "participant": "SUPA", "mutates": "true"}
            numbers = {name: getattr(want, name) for name in ("round", "priority", "base", "spare", "kind")}
            writer.writerow({"test_case": want.name, **same, **numbers, **words})


def read_out(file: Path) -> list[dict]:
    with file.open(newline="") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    assert reader.fieldnames == ["round", "test_case", "role", "unit", "mpan"]
    return rows


@pytest.fixture(scope="module")
def instance(tmp_path_factory) -> tuple[Path, list[dict], list[Want]]:
    folder = tmp_path_factory.mktemp("direct")
    rows, wants = [], []
    for number, seed in enumerate(range(3000, 3012)):  # twelve small ones side by side, kept apart by an attribute
        for row in (found := random_instance(seed, rounds=3))[0]:
            shifted = {k: None if row[k] is None else f"{int(row[k]) + number * 10_000:013d}" for k in LINKS}
            rows.append(row | shifted | {"part": str(number)})
        for want in found[1]:
            part = {"part": [str(number)]}
            export = want.export_criteria | part if want.kind == "PAIR" else {}
            wants.append(Want(f"{number}-{want.name}", want.kind, want.base, want.spare, want.priority,
                              want.criteria | part, export, want.round))  # fmt: skip
    frame_of(rows).write_parquet(folder / "people.parquet")
    frame_of(rows).write_csv(folder / "people.csv")
    write_book(folder / "demands.csv", wants)
    return folder, rows, wants


LINKS = ("mpan", "linked_mpan", "related_mpan")


@pytest.mark.requirement("Q53", "Q57", "Q84")
def test_direct_mode_round_by_round_is_all_rounds_at_once(instance, tmp_path):
    folder, rows, wants = instance
    given = ["ringfence", "plan", "--population", folder / "people.parquet", "--demands", folder / "demands.csv"]
    done = datacut(*given, "--out", tmp_path / "all.csv", "--report", tmp_path / "report.json")
    assert done.code == 0, done.err
    whole = read_out(tmp_path / "all.csv")
    taken: list[str] = []
    frozen: list[dict] = []
    for number in (1, 2, 3):
        now = [want for want in wants if want.round == number]
        extra = []
        if frozen:
            pl.DataFrame(frozen).write_csv(tmp_path / "previous.csv")
            extra = ["--frozen", tmp_path / "previous.csv"]
        assert datacut(*given, "--out", tmp_path / "a.csv", "--round", number, *extra, "--no-coverage").code == 0
        mine = read_out(tmp_path / "a.csv")
        assert mine == [row for row in whole if row["round"] == str(number)]
        left = [row | {"conforming": row["conforming"] and row["mpan"] not in taken} for row in rows]
        assert faults(rows, now, mine, taken) == []
        assert fill_of(mine, now) == best_fill(left, now)
        frozen += mine
        taken += [row["mpan"] for row in mine]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["total"]["allocated"] == sum(case["allocated"] for case in report["test_cases"])
    assert {"phases", "participants", "test_cases", "shortages", "coverage", "facts", "total"} <= set(report)


def test_direct_mode_takes_csv_as_well_and_speaks_json(instance, tmp_path):
    folder, _, _ = instance
    outs = []
    for people in ("people.parquet", "people.csv"):
        given = ["--population", folder / people, "--demands", folder / "demands.csv", "--out", tmp_path / people]
        done = datacut("ringfence", "plan", *given, "--json", "--no-coverage")
        assert json.loads(done.out)["shortages"]
        outs.append(done.out)
    assert outs[0] == outs[1]
    assert pl.read_parquet(tmp_path / "people.parquet").equals(
        pl.read_csv(tmp_path / "people.csv", infer_schema=False).with_columns(pl.col("round").cast(pl.Int64))
    )


def test_direct_mode_words_for_a_test_manager(instance, tmp_path):
    folder, _, _ = instance
    given = ["--population", folder / "people.csv", "--demands", folder / "demands.csv", "--out", tmp_path / "a.csv"]
    done = datacut("ringfence", "plan", *given)
    for words in ("test cases can run", "By phase and stage", "By participant", "Short test cases", "Likeness"):
        assert words in done.out
    policy = tmp_path / "policy.yaml"
    policy.write_text("single_on_pair: forbid\n")
    assert datacut("ringfence", "plan", *given, "--policy", policy).code == 0
    assert not [row for row in read_out(tmp_path / "a.csv") if row["role"] == "COMPANION" and _is_single(row, folder)]


def _is_single(row: dict, folder: Path) -> bool:
    book = pl.read_csv(folder / "demands.csv", infer_schema=False)
    return book.filter(pl.col("test_case") == row["test_case"])["kind"][0] == "SINGLE"


FAULTS = [
    (["--population", "none.parquet"], 2, "none.parquet: there is no such population"),
    (["--demands", "none.csv"], 2, "none.csv: cannot be read"),
    (["--round", "7"], 2, "has no demand of round 7"),
    (["--frozen", "people.parquet", "--out", "none/a.csv"], 19, "cannot be written"),
    (["--frozen", "demands.csv"], 11, "demands.csv: has no column mpan"),
    (["--population", "odd.parquet"], 11, "odd.parquet: is neither Parquet nor CSV"),
    (["--population", "demands.csv"], 11, "the population lacks mpan"),
    (["--key", "demands.csv"], 13, "demands.csv"),
]


@pytest.mark.parametrize(("changed", "code", "told"), FAULTS)
def test_direct_mode_faults(instance, changed, code, told):
    folder, _, _ = instance
    (folder / "odd.parquet").write_bytes(b"PAR1 nothing")
    given = ["--population", "people.parquet", "--demands", "demands.csv", "--out", "a.csv"]
    if changed == ["--population", "demands.csv"]:
        (folder / "free.csv").write_text(",".join(COLUMNS) + '\n1,T,CIT,A,1,1,0,SINGLE,"{}",,true\n')
        given[3] = "free.csv"
    done = datacut("ringfence", "plan", *given, *changed, cwd=folder)
    assert done.code == code, done.err
    assert told in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" not in done.err


CUT = """\
cut: {id: CUT-1, date: 2023-08-19, key: cut.key}
participants:
  - {mpid: SUPA, role: SUP, extracts: [{contract: portfolio, source: none.csv}]}
ring_fence: {plan: plan.csv}
release: {signing_key: none.pem}
"""


@pytest.fixture
def cut(tmp_path) -> Path:
    """Return a cut whose last run left its population."""
    (tmp_path / "cut.yaml").write_text(CUT)
    key = tmp_path / "cut.key"
    key.write_text("1f" * 31 + "2e\n")
    key.chmod(0o600)
    (tmp_path / "work").mkdir()
    Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").close()
    renamed = {"sup": "supplier_mpid", "ms": "meter_operator_mpid", "ds": "data_collector_mpid"}
    population(3000, 3).rename(renamed).write_parquet(tmp_path / "work" / "CUT-1.pool.parquet")
    wants = [Want("A", "SINGLE", 20, 2, 1, {"seg": ["SMART"]}), Want("B", "PAIR", 5, 0, 1, {}),
             Want("C", "SINGLE", 900, 0, 2, {"seg": ["UNMETERED"]})]  # fmt: skip
    write_book(tmp_path / "plan.csv", wants)
    return tmp_path


def fence(cut: Path, command: str, *arguments: object, code: int = 0) -> dict:
    done = datacut("ringfence", command, "cut.yaml", *arguments, "--json", cwd=cut)
    assert done.code == code, done.err
    return json.loads(done.out) if code == 0 else {"error": done.err}


@pytest.mark.requirement("Q53", "Q57", "Q84", "Q40")
def test_the_life_of_a_ring_fence_by_command(cut):
    plan = fence(cut, "plan", "--by", "T. Manager", "--why", "first look")
    assert fence(cut, "plan")["batch"] == plan["batch"]
    assert fence(cut, "status")["states"] == []
    done = fence(cut, "commit", "--plan", plan["batch"], "--why", "agreed")
    assert fence(cut, "commit")["replayed"]
    assert done["events"] >= 32
    said = fence(cut, "status", "--test-case", "B")
    assert len(said["metering_points"]) == 10
    mpan = said["metering_points"][0]["mpan"]
    one = fence(cut, "status", "--mpan", mpan)
    assert {row["test_case"] for row in one["metering_points"]} == {"B"}
    assert [row["kind"] for row in one["history"]] == ["planned", "committed"]
    assert [row["reason"] for row in one["history"]] == ["first look", "agreed"]
    assert fence(cut, "issue", "--test-case", "B")["events"] == 10
    assert fence(cut, "consume", "--mpan", mpan)["events"] == 2
    assert "no reservation matches" in fence(cut, "consume", "--mpan", mpan, code=17)["error"]
    short = fence(cut, "explain", "--test-case", "C")
    assert short[0]["kind"] == "alone"
    assert fence(cut, "explain", "--test-case", "A") == []
    involved = fence(cut, "release", "--involving", "SUP00", "--quarantine", "--why", "SUP00 withdraws")
    assert involved["events"] > 0
    assert "say what to release" in fence(cut, "release", "--why", "nothing said", code=2)["error"]
    topped = fence(cut, "top-up", "--why", "replace")
    assert topped["total"]["can_run"] == 2
    states = {row["state"] for row in fence(cut, "status")["states"]}
    assert {"committed", "quarantined"} <= states
    checked = fence(cut, "verify", "--head", done["sha256"], "--head", topped["ledger_head"])
    assert checked["faults"] == []
    assert "noted elsewhere" in fence(cut, "verify", "--head", "f" * 64, code=18)["error"]


def test_words_of_the_desk(cut):
    assert "Change 1 of cut CUT-1" in datacut("ringfence", "top-up", "cut.yaml", cwd=cut).out
    status = datacut("ringfence", "status", "cut.yaml", cwd=cut).out
    for words in ("Reservations of cut CUT-1", "By test case", "Changes", "Head of the ledger"):
        assert words in status
    one = datacut("ringfence", "status", "cut.yaml", "--test-case", "A", cwd=cut).out
    assert "Metering points" in one
    assert "The ledger of cut CUT-1 holds" in datacut("ringfence", "verify", "cut.yaml", cwd=cut).out


def test_a_cut_that_was_not_run_yet_says_so(cut):
    (cut / "work" / "CUT-1.pool.parquet").unlink()
    assert "run it with datacut run" in fence(cut, "plan", code=17)["error"]
    (cut / "cut.yaml").write_text(CUT.replace("ring_fence: {plan: plan.csv}\n", ""))
    assert "has no ring_fence section" in fence(cut, "status", code=2)["error"]


@pytest.mark.parametrize(
    "command", ["plan", "commit", "status", "top-up", "issue", "consume", "release", "explain", "verify"]
)
def test_every_command_has_help(command):
    done = datacut("ringfence", command, "--help")
    assert done.code == 0
    assert "--json" in done.out


def test_help_loads_no_slow_library():
    code = (
        "import sys; from flows.cli import main as cli\n"
        "sys.argv = ['datacut', 'ringfence', 'plan', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('polars', 'sqlalchemy', 'ortools', 'numpy') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Without a cut" in done.stdout
    assert done.stderr.strip() == "[]"


def test_frozen_units_of_the_same_test_case_and_round_count_for_it(tmp_path):
    people = pl.DataFrame({"mpan": [f"{n:013d}" for n in range(40)], "conforming": True, "direction": "IMPORT"})
    people.write_parquet(tmp_path / "p.parquet")
    given = ["ringfence", "plan", "--population", "p.parquet", "--demands", "d.csv"]
    write_book(tmp_path / "d.csv", [Want("A", "SINGLE", 10, 1, 1, {})])
    assert datacut(*given, "--out", "a.csv", cwd=tmp_path).code == 0
    write_book(tmp_path / "d.csv", [Want("A", "SINGLE", 15, 1, 1, {}), Want("B", "SINGLE", 5, 0, 1, {})])
    done = datacut(*given, "--out", "b.csv", "--frozen", "a.csv", "--json", cwd=tmp_path)
    first, second = read_out(tmp_path / "a.csv"), read_out(tmp_path / "b.csv")
    assert not {row["mpan"] for row in first} & {row["mpan"] for row in second}
    assert sorted((row["test_case"], row["role"]) for row in second) == [("A", "BASE")] * 5 + [("B", "BASE")] * 5
    assert json.loads(done.out)["total"]["allocated"] == 20
    again = [*first, *second]
    pl.DataFrame(again).write_csv(tmp_path / "c.csv")
    assert datacut(*given, "--out", "e.csv", "--frozen", "c.csv", cwd=tmp_path).code == 0
    assert read_out(tmp_path / "e.csv") == []
