"""No raw identifier of a cut is in anything that a run leaves behind, and none is printed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from flows.cli.progress import SHOWN
from tests.command import Done, datacut, datacut_process
from tests.privacy.raw import any_of, survivors
from tests.small_cut import EVERY_EXTRACT, keep_participants

LOGGED = {"at", "run", "event", "stage", "name", "participant", "seconds", "bytes", "tables", *SHOWN}
MOST_SOUGHT = 300  # identifiers whose plain digests are looked for


@dataclass(frozen=True)
class Ran:
    """A cut that was run, what it printed, and what it left."""

    folder: Path
    done: Done

    @property
    def left(self) -> list[Path]:
        """Every file of packs, work folder and log."""
        rooms = [p for room in ("out", "work") for p in (self.folder / room).rglob("*") if p.is_file()]
        return [*rooms, self.folder / "log.jsonl"]


@pytest.fixture(scope="module")
def ran(pristine, tmp_path_factory) -> Ran:
    folder = tmp_path_factory.mktemp("ran") / "cut"
    shutil.copytree(pristine, folder)
    done = datacut("run", folder / "cut.yaml", "--plain", "--log", folder / "log.jsonl")
    assert done.code == 0, done.err
    return Ran(folder, done)


@pytest.mark.requirement("Q67", "DQ32")
def test_no_raw_identifier_in_pack_work_folder_or_output(ran, raw):
    assert len(ran.left) > 30
    assert survivors(raw, ran.left) == []
    assert not [v for v in raw.values() if v.decode() in ran.done.out + ran.done.err]


@pytest.mark.requirement("Q67")
def test_no_plain_digest_of_an_identifier(ran, raw):
    """A digest without a key is undone by trying all identifiers: none is in a pack, evidence or manifest."""
    values = [v.encode() for v in sorted(raw.mpan)[:MOST_SOUGHT] + sorted(raw.serial)[:MOST_SOUGHT]]
    digests = [hashlib.new(name, v).digest() for name in ("sha256", "sha1", "md5") for v in values]
    short = [form for d in digests for form in (d[:8].hex(), d[:8].hex().upper(), base64.b64encode(d)[:11].decode())]
    for path in ran.left:
        whole = path.read_bytes()
        if path.suffix == ".parquet" and (frame := pl.read_parquet(path)).width:
            whole += frame.cast(pl.String, strict=False).write_csv().encode()
        assert not any_of(short, whole), path.name


@pytest.mark.requirement("Q67")
def test_a_log_has_the_fields_that_are_listed(ran):
    lines = [json.loads(line) for line in (ran.folder / "log.jsonl").read_text().splitlines()]
    assert len(lines) > 10
    assert {key for line in lines for key in line} - LOGGED == set()


@pytest.mark.requirement("Q67")
def test_no_raw_identifier_in_the_work_folder_of_a_run_that_is_at_work(judged, raw):
    """What a killed run leaves: partitions on disk, uncompressed here by reading them."""
    values = [value.decode() for value in raw.values()]
    files = [p for p in judged.workspace.root.rglob("*") if p.is_file()]
    assert len(files) > 20
    for path in files:
        whole = path.read_bytes()
        if path.suffix == ".arrow":
            frame = pl.read_ipc(path)
            sealed = frame.select(pl.col(pl.Binary))  # half-hours that only the key's holder can read
            whole += b"".join(value for column in sealed for value in column.drop_nulls().to_list())
            whole += frame.drop(sealed.columns).cast(pl.String, strict=False).write_csv().encode()
        assert not any_of(values, whole), path.name


@pytest.mark.slow
@pytest.mark.requirement("Q67")
def test_no_raw_identifier_in_the_orchestrators_home(cut, raw):
    done = datacut_process("run", keep_participants(cut, EVERY_EXTRACT))
    assert done.code == 0, done.err
    home = [p for p in (cut / "work" / "prefect").rglob("*") if p.is_file()]
    assert any(p.suffix == ".db" for p in home)
    assert survivors(raw, home) == []
    key = (cut / "keys" / "cut.key").read_text().strip()
    for path in home:
        whole = path.read_bytes()
        assert key.encode() not in whole
        assert bytes.fromhex(key) not in whole
