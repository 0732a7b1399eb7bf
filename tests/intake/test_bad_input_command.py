"""``datacut anonymise`` and ``run`` on input that is not what it should be: a code, and a line of file, place, remedy.

What each reader refuses, and where, stands in the tests of the readers; here is what a person at the command gets.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml

import flows.intake
import flows.pseudonymise.source
from flows import pipeline
from flows.cut.context import context
from flows.cut.records import SourceFacts
from flows.sample import SampleRequest, generate
from tests.command import Done, datacut

MIB = 1 << 20
STEP = re.compile(r" *[0-9]+\.[0-9]{2} s  [a-z]")


@dataclass(frozen=True)
class Place:
    """A folder with keys, market domain data, and a sound backup in each form; ``elsewhere`` lies beside it."""

    folder: Path
    elsewhere: Path

    def cut(self, contract: str, path: str, **source: object) -> Path:
        """Write a ``cut.yaml`` of one source."""
        extract = {"contract": contract, "source": {"path": path, **source}}
        document = {
            "cut": {"id": "BAD", "date": "2023-08-19", "key": "keys/cut.key", "test": True},
            "participants": [{"mpid": "EELC", "role": "LDSO", "extracts": [extract]}],
            "reference": {"market_domain_data": "mdd"},
            "release": {"signing_key": "keys/signing.pem"},
        }
        (self.folder / "cut.yaml").write_text(yaml.safe_dump(document))
        return self.folder / "cut.yaml"

    def file(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    generate(SampleRequest(60, 5, 0.0), folder)
    return folder


@pytest.fixture
def place(sample, tmp_path) -> Place:
    folder = tmp_path / "backup"
    shutil.copytree(sample / "keys", folder / "keys")
    shutil.copytree(sample / "elexon" / "mdd", folder / "mdd")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(sample / "EELC" / "registration.csv", folder / "r.csv")
    shutil.copy(sample / "IPNL" / "registration.parquet", folder / "r.parquet")
    shutil.copy(sample / "MOPA" / "D0150.usr", folder / "d.usr")
    return Place(folder, elsewhere)


def refused(done: Done, code: int, place: str, remedy: str, source: str) -> None:
    """One line: which source and file, where in it, and what to do."""
    assert done.code == code, (done.code, done.err)
    assert len(done.told) == 1
    assert all(STEP.match(line) for line in done.err.splitlines() if line not in done.told)
    assert done.out == ""
    line = done.told[0]
    assert line.startswith(f"datacut: {source}"), line
    assert place in line, line
    assert remedy in line, line
    assert line.endswith(")"), line


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def after_first(data: bytes, row: bytes) -> bytes:
    """Put a row on line 3."""
    head, first, *rest = lines(data)
    return b"".join([head, first, row, *rest])


def cell(data: bytes, content: bytes) -> bytes:
    """Change the fifth cell of line 3."""
    head, first, row, *rest = lines(data)
    cells = row.split(b",")
    cells[4] = content
    return b"".join([head, first, b",".join(cells), *rest])


def after_midnight(data: bytes) -> bytes:
    """Let the header say that the file was made half an hour into the next day."""
    return re.sub(rb"\|20230819\d{6}\|", b"|20230820003000|", data, count=1)


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    head, _, rest = data.partition(b"\n")
    assert old in head
    return head.replace(old, new) + b"\n" + rest


def bomb(header: bytes, stated: int) -> bytes:
    """A zip of a hundred kilobytes whose member inflates to far more, or is said to."""
    packed = deflated(header, -15)
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), stated, 5, 0)
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(packed), stated, 5, 0, 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry) + 5, len(head) + 5 + len(packed), 0)
    return head + b"r.csv" + packed + entry + b"r.csv" + end


def deflated(header: bytes, window: int) -> bytes:
    """Rows of empty cells under a header, packed a thousand to one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    rows = (b"," * header.count(b",") + b"\n") * (MIB // 29)
    return b"".join([packer.compress(header), *(packer.compress(rows) for _ in range(60)), packer.flush()])


def lying_footer(data: bytes) -> bytes:
    """Have the Parquet footer state 301 rows where there are 300."""
    held = io.BytesIO()
    pl.concat([pl.read_parquet(io.BytesIO(data))] * 300).head(300).write_parquet(held, use_pyarrow=True)
    sound = held.getvalue()
    length = int.from_bytes(sound[-8:-4], "little")
    footer = sound[-8 - length : -8]
    assert footer.count(b"\xd8\x04") > 1  # 300, zigzag
    return sound[: -8 - length] + footer.replace(b"\xd8\x04", b"\xda\x04") + sound[-8:]


def lying_trailer(data: bytes) -> bytes:
    *rest, trailer = lines(data)
    cells = trailer.split(b"|")
    cells[2] = str(int(cells[2]) + 1).encode()
    return b"".join([*rest, b"|".join(cells)])


def zipped(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("r.csv", data)
    return held.getvalue()


# name -> what is made of the sound file, contract, file, exit code, place, remedy
SPOILT = {
    "truncated CSV": (lambda d: d[:-30].rstrip(b"\n")[:-100], "registration", "r.csv", 11, "at line 33", "check"),
    "truncated gzip": (lambda d: gzip.compress(d)[:-40], "registration", "r.csv.gz", 11, "in the middle", "send"),
    "truncated zip": (lambda d: zipped(d)[:-40], "registration", "r.zip", 11, "zip archive", "send"),
    "truncated Parquet": (lambda d: d[:-200], "registration", "r.parquet", 11, "truncated", "send"),
    "truncated DTC file": (lambda d: b"".join(lines(d)[:-1]), "metering", "d.usr", 11, "ZPT trailer", "ask"),
    "wrong delimiter": (lambda d: d.replace(b",", b";"), "registration", "r.csv", 11, "semicolons", "comma"),
    "delimiter of a part": (lambda d: after_first(d, b"1|2|3|4\n"), "registration", "r.csv", 11, "at line 3", "delim"),
    "mixed encodings": (
        lambda d: after_first(cell(d, "é".encode()), lines(d)[2].replace(b",", b"\xe9,", 1)),
        "registration", "r.csv", 11, "mixes UTF-8 with another encoding at line 4", "declare",
    ),
    "NUL bytes": (lambda d: cell(d, b"\0"), "registration", "r.csv", 11, "NUL bytes at line 3", "export"),
    "10 MB field": (lambda d: cell(d, b"x" * 10_000_000), "registration", "r.csv", 11, "at line 3", "quotation"),
    "duplicated header": (
        lambda d: renamed(d, b"Supplier,", b"mpan core,"), "registration", "r.csv", 11, "columns 1 and 2", "rename",
    ),
    "two names of one column": (
        lambda d: renamed(d, b"Supplier,", b"MPAN,"), "registration", "r.csv", 12,
        "two columns mean mpan_core", "columns:",
    ),
    "missing column": (
        lambda d: renamed(d, b"GSP Group", b"Group"), "registration", "r.csv", 11, "column gsp_group_id",
        "contracts doc",
    ),
    "forbidden column": (
        lambda d: renamed(d, b"GSP Group", b"AMR Password"), "registration", "r.csv", 12, "column 4", "remove",
    ),
    "bomb in a zip": (lambda d: bomb(lines(d)[0], 1000), "registration", "r.zip", 12, "times its size", "send"),
    "promise in a zip": (
        lambda d: bomb(lines(d)[0], 4_000_000_000), "registration", "r.zip", 12, "times its size", "send",
    ),
    "bomb in a gzip": (lambda d: deflated(lines(d)[0], 31), "registration", "r.csv.gz", 12, "times its size", "send"),
    "lying footer": (lying_footer, "registration", "r.parquet", 11, "its footer states", "send"),
    "lying trailer": (lying_trailer, "metering", "d.usr", 12, "trailer counts another number", "ask"),
    "empty file": (lambda _: b"", "registration", "r.csv", 11, "is empty", "header"),
    "not a table": (lambda _: b"%PDF-1.7\n", "registration", "r.csv", 11, "document", "export"),
    "database as CSV": (lambda _: b"SQLite format 3\0", "registration", "r.csv", 11, "database", "export"),
    "Parquet in a zip": (lambda d: zipped(d[:-20]), "registration", "r.parquet", 11, "damaged Parquet", "again"),
    "gzip by name alone": (lambda d: d, "registration", "r.csv.gz", 11, "ending .gz", "ending"),
}  # fmt: skip
SOUND = {"r.csv": "r.csv", "r.csv.gz": "r.csv", "r.zip": "r.csv", "r.parquet": "r.parquet", "d.usr": "d.usr"}


@pytest.mark.requirement("Q48", "Q68", "DQ23", "DQ29")
@pytest.mark.parametrize(("spoil", "contract", "file", "code", "at", "remedy"), SPOILT.values(), ids=SPOILT)
def test_bad_input_is_refused_in_one_line(place, spoil, contract, file, code, at, remedy):
    sound = (place.folder / SOUND[file]).read_bytes()
    place.file(file, spoil(sound))
    done = datacut("anonymise", place.cut(contract, file), "--plain")
    refused(done, code, at, remedy, f"EELC/{contract} ({file}): ")
    assert not [name for name in ("out", "work/BAD") if (place.folder / name).exists()]


@pytest.mark.requirement("Q48")
def test_places_that_are_no_file(place):
    (place.folder / "folder").mkdir()
    (place.elsewhere / "r.csv").write_bytes((place.folder / "r.csv").read_bytes())
    (place.folder / "link.csv").symlink_to(place.elsewhere / "r.csv")
    (place.folder / "gone.csv").symlink_to(place.folder / "nowhere")
    for path, code, at, remedy in (
        ("folder", 11, "is a folder without a file", "check the path"),
        ("link.csv", 12, "outside the backup folder", "copy it"),
        ("../elsewhere/r.csv", 12, "outside the backup folder", "copy it"),
        (str(place.elsewhere / "r.csv"), 12, "outside the backup folder", "copy it"),
        ("gone.csv", 11, "no such file", "check the path"),
        ("missing.csv", 11, "no such file", "check the path"),
    ):
        done = datacut("anonymise", place.cut("registration", path), "--plain")
        refused(done, code, at, remedy, f"EELC/registration ({Path(path).name}): ")


@pytest.mark.requirement("Q74", "DQ25")
def test_another_days_backup_is_refused(place):
    done = datacut("anonymise", place.cut("registration", "r.csv", cut_date="2023-08-18"), "--plain")
    refused(done, 12, "on another date than the cut", "send the backup of 2023-08-19", "EELC/registration (r.csv): ")


STATED = {
    "nothing states a date": ("registration", "r.csv", {}, None),
    "cut.yaml does": ("registration", "r.csv", {"cut_date": "2023-08-19"}, "2023-08-19"),
    "cut.yaml, of a DTC file made after midnight": ("metering", "d.usr", {"cut_date": "2023-08-19"}, "2023-08-19"),
}


@pytest.mark.requirement("Q74", "DQ25")
@pytest.mark.parametrize(("contract", "name", "source", "told"), STATED.values(), ids=STATED)
def test_the_evidence_says_what_date_was_stated(place, contract, name, source, told):
    place.file("d.usr", after_midnight((place.folder / "d.usr").read_bytes()))
    cut = str(place.cut(contract, name, **source))
    pipeline.prepare(cut, "submission")
    try:
        pipeline.pseudonymise(cut, "EELC", contract)
        assert context(cut).workspace.recorded(SourceFacts, "EELC", contract).cut_date == told
    finally:
        pipeline.finish(cut)


@pytest.mark.requirement("Q74", "DQ25")
def test_a_dtc_file_made_on_another_day_is_refused_unless_its_cut_date_is_stated(place):
    place.file("d.usr", after_midnight((place.folder / "d.usr").read_bytes()))
    done = datacut("anonymise", place.cut("metering", "d.usr"), "--plain")
    refused(done, 12, "on another date than the cut", "send the backup of 2023-08-19", "EELC/metering (d.usr): ")


def test_run_says_the_same(place):
    place.file("d.usr", lying_trailer((place.folder / "d.usr").read_bytes()))
    done = datacut("run", place.cut("metering", "d.usr"), "--plain", "--json")
    error = json.loads(done.out)["error"]
    assert (done.code, error["exit_code"], error["where"]) == (12, 12, "EELC/metering (d.usr)")
    assert "trailer counts another number" in error["what"]
    assert len(done.told) == 1


@pytest.mark.slow
def test_under_the_orchestrator_too(place):
    """A process of its own: an interpreter that has worked with Prefect before keeps where its server was."""
    place.file("r.csv", b"")
    command = [Path(sys.executable).with_name("datacut"), "run", place.cut("registration", "r.csv")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 11
    assert len([line for line in done.stderr.splitlines() if line.startswith("datacut: ")]) == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert not (place.folder / "work" / "BAD").exists()


@pytest.mark.slow
def test_a_server_that_is_away_is_the_places_fault(place):
    """A process of its own: where the server is, Prefect reads once."""
    command = [Path(sys.executable).with_name("datacut"), "anonymise", place.cut("registration", "r.csv")]
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 19
    assert "the Prefect server does not answer (start it, or run with --plain)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.requirement("Q67")
def test_an_identifier_in_a_files_name_is_not_told(place):
    for name in ("1012345678901.csv", "backup of 10 1234 5678 901\n.csv", "L71C991171.csv"):
        place.file(name, b"")
        done = datacut("anonymise", place.cut("registration", name), "--plain")
        refused(done, 11, "is empty", "header", "EELC/registration (")
        assert not re.search("[0-9]{3}", done.told[0])


def test_no_reader_refuses_without_a_remedy():
    """Every refusal of a source says what to do: the arguments of the errors, read from the code."""
    bare = []
    for file in [*Path(flows.intake.__file__).parent.glob("*.py"), Path(flows.pseudonymise.source.__file__)]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("IntakeError", "RefusedError"):
                names = {argument.arg for argument in node.keywords}
                bare += [] if {"where", "remedy"} <= names else [f"{file.name}:{node.lineno}"]
    assert bare == []
