"""``datacut plan``: what a run is expected to take, and a run that the disk cannot hold is not begun."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from contracts.errors import ContractError
from contracts.rates import RATES, expected, rates
from flows import pipeline
from flows.cut import estimate
from flows.cut.config import load_cut
from tests.command import datacut

Usage = namedtuple("Usage", "total used free")
MILLION = 1_000_000


def test_rows_that_are_expected_are_about_those_that_are_read(cut):
    """Of CSV, Parquet, packed files and flows; what is read is the oracle."""
    found = {(s.participant, s.extract): s.rows for s in estimate.estimate(load_cut(cut), "release").sources}
    plan = pipeline.prepare(str(cut))
    assert set(found) == set(plan.sources)
    read = {source: pipeline.pseudonymise(str(cut), *source).rows for source in plan.sources}
    assert sum(found.values()) == pytest.approx(sum(read.values()), rel=0.15)
    exact = {k: v for k, v in found.items() if k[0] == "IPNL"}  # Parquet
    assert exact == {k: read[k] for k in exact}
    pipeline.finish(str(cut))


def test_what_was_measured_is_what_is_expected():
    """At the sizes of the measurement and at that of the page the sum is the figure, within a tenth."""
    known = rates()
    for kind, rows, cpu, memory in (
        ("release", 153_458, 27.5, 758),
        ("release", 766_017, 69.7, 1596),
        ("release", 2_299_986, 110.9, 2777),
        ("submission", 766_017, 22.8, 1034),
    ):
        found = expected(known, kind, rows, 2)
        assert sum(seconds for _, seconds in found.stages) == pytest.approx(cpu, rel=0.1)
        assert found.memory == pytest.approx(memory, rel=0.02)
        assert found.seconds == pytest.approx(cpu / known.cores_used, rel=0.1)
    assert expected(known, "release", 100 * MILLION, 2).memory < expected(known, "release", 200 * MILLION, 2).memory
    assert expected(known, "release", MILLION, 1).seconds > expected(known, "release", MILLION, 2).seconds


def test_the_command_says_stages_tasks_time_disk_and_memory(cut):
    done = datacut("plan", cut)
    assert done.code == 0
    for words in ("14 inputs", "tasks", "release, leak scan, report", "Time:", "Memory:", "Disk:", "Measured:"):
        assert words in done.out, words
    found = json.loads(datacut("plan", cut, "--submission", "--json").out)
    assert list(found["stages"]) == sorted(found["stages"])
    assert "ring-fence" not in found["stages"]
    assert found["rows"] > 1_000


def test_what_nobody_can_tell_is_named(cut):
    document = yaml.safe_load(cut.read_text())
    extracts = document["participants"][0]["extracts"]
    extracts[0]["source"] = "not-there-yet.csv"
    document["participants"][1]["extracts"][0]["source"] = {"url": "postgresql://h/d", "query": "select 1"}
    cut.write_text(yaml.safe_dump(document))
    unknown = estimate.estimate(load_cut(cut), "release").unknown
    named = [p["mpid"] + "/" + p["extracts"][0]["contract"] for p in document["participants"][:2]]
    assert list(unknown) == named
    assert f"Unknown: {named[0]}" in datacut("plan", cut).out


@pytest.mark.requirement("Q67")
def test_a_run_that_the_disk_cannot_hold_is_not_begun_unless_told(cut, monkeypatch):
    need = sum(need for _, need, _ in estimate.estimate(load_cut(cut), "release").disks)
    assert need > 100_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(need, 0, need - 1))
    for command in (("plan", cut), ("run", cut, "--plain")):
        done = datacut(*command)
        assert done.code == 19
        assert "free, and the run needs about" in done.told[0]
        assert "--ignore-disk" in done.told[0]
    assert not list((cut.parent / "work").rglob("*.arrow"))
    begun = pipeline.prepare(str(cut), ignore_disk=True)  # told, it begins
    assert len(begun.sources) == 14
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(need, 0, need))
    assert datacut("plan", cut).code == 0


def test_what_an_interrupted_run_has_written_counts_as_free(cut, monkeypatch):
    """Going on needs no more than was needed at first."""
    need = sum(need for _, need, _ in estimate.estimate(load_cut(cut), "release").disks)
    pipeline.prepare(str(cut))
    begun = cut.parent / "work" / load_cut(cut).model.cut.id / "half.arrow"
    begun.write_bytes(bytes(need // 2))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(need, 0, need - need // 2))
    estimate.require_disk(load_cut(cut), "release")


def test_rates_that_are_wrong_are_refused(tmp_path: Path):
    wrong = tmp_path / "rates.yaml"
    for old, new in (
        ("cores_used: 1.54", "cores_used: 0"),
        ("[3.1, 8.8, 21.2]", "[3.1, 8.8]"),
        ("margin", "mrgin"),
    ):
        wrong.write_text(RATES.read_text().replace(old, new, 1))
        with pytest.raises(ContractError):
            rates(wrong)
