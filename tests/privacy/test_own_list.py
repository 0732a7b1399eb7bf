"""The participant's own list of rows to put right is the one file with real identifiers that ``anonymise`` leaves."""

from __future__ import annotations

import os
import stat

import pytest

from tests.privacy.raw import survivors

LIST = "work/cleanse.csv"


@pytest.mark.requirement("Q67", "Q52", "DQ32")
def test_the_list_is_the_only_raw_file_that_anonymise_leaves(cut, raw, datacut):
    before = {path for path in cut.rglob("*") if path.is_file()}
    old = os.umask(0)
    try:
        done = datacut("anonymise", cut / "cut.yaml", "--plain", "--log", cut / "log.jsonl")
    finally:
        os.umask(old)
    assert done.code == 0, done.err
    left = [path for path in cut.rglob("*") if path.is_file() and path not in before]
    assert len(left) > 20
    holding = {path.relative_to(cut).as_posix() for path, _ in survivors(raw, left)}
    assert holding == {LIST}
    assert stat.S_IMODE((cut / LIST).stat().st_mode) == 0o600
    assert not [value for value in raw.values() if value.decode() in f"{done.out}\n{done.err}"]


@pytest.mark.requirement("Q67", "Q52")
def test_what_the_si_runs_removes_no_list_and_writes_none(cut, datacut):
    done = datacut("run", cut / "cut.yaml", "--plain")
    assert done.code == 0, done.err
    assert not [path for path in cut.rglob("*") if "cleanse" in path.name]
