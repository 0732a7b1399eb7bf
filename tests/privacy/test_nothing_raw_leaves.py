"""No raw identifier of a cut is in anything that a run leaves behind, and none is printed."""

from __future__ import annotations

import pytest

from tests.command import datacut, datacut_process
from tests.privacy.raw import any_of, survivors


@pytest.mark.requirement("Q67", "DQ32")
def test_no_raw_identifier_in_pack_work_folder_or_output(cut, raw):
    done = datacut("run", cut / "cut.yaml", "--plain", "--log", cut / "log.jsonl")
    assert done.code == 0, done.err
    left = [
        p for p in cut.rglob("*") if p.is_file() and (p.is_relative_to(cut / "out") or p.is_relative_to(cut / "work"))
    ]
    assert len(left) > 30
    assert survivors(raw, [*left, cut / "log.jsonl"]) == []
    assert not [v for v in raw.values() if v.decode() in done.out + done.err]


@pytest.mark.requirement("Q67")
def test_no_raw_identifier_in_the_work_folder_of_a_run_that_is_at_work(judged, raw):
    """What a killed run leaves: partitions on disk, uncompressed here by reading them."""
    import polars as pl

    values = [value.decode() for value in raw.values()]
    files = [p for p in judged.workspace.root.rglob("*") if p.is_file()]
    assert len(files) > 20
    for path in files:
        whole = path.read_bytes()
        if path.suffix == ".arrow":
            whole += pl.read_ipc(path).cast(pl.String, strict=False).write_csv().encode()
        assert not any_of(values, whole), path.name


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_no_raw_identifier_in_the_orchestrators_home(cut, raw):
    done = datacut_process("run", cut / "cut.yaml")
    assert done.code == 0, done.err
    home = [p for p in (cut / "work" / "prefect").rglob("*") if p.is_file()]
    assert any(p.suffix == ".db" for p in home)
    assert survivors(raw, home) == []
    key = (cut / "keys" / "cut.key").read_text().strip()
    for path in home:
        whole = path.read_bytes()
        assert key.encode() not in whole
        assert bytes.fromhex(key) not in whole
