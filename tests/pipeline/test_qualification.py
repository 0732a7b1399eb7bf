"""A later cut, for Qualification (Q47, Q65, Q72): apart from the one for SIT, for participants of its tranches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.profiles import qualification_answers
from flows.keys.cut_key import new_key
from flows.sample import SampleRequest, generate
from tests.command import datacut

SIT, LATER = "SAMPLE-2023-08-19", "QUAL-1"
TRANCHES = {"EELC": 0, "SUPB": 2}
KEEP = ("EELC", "SUPA", "SUPB")


def written(folder: Path, name: str = "cut.yaml", *, head: dict[str, Any] | None = None, **more: object) -> Path:
    document = yaml.safe_load((folder / "cut.yaml").read_text())
    document["participants"] = [p for p in document["participants"] if p["mpid"] in KEEP]
    document.pop("ring_fence", None)
    document["cut"] |= head or {}
    (folder / name).write_text(yaml.safe_dump(document | more))
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released cut for SIT, and what a later one of the same backups needs."""
    folder = tmp_path_factory.mktemp("later") / "cut"
    generate(SampleRequest(200, 3, 0.0), folder)
    done = datacut("run", written(folder), "--plain")
    assert done.code == 0, done.err
    new_key(folder / "keys/later.key", LATER)
    text = (folder / "cut.yaml").read_text()
    assert text.count("2023-08-19") > 1
    (folder / "cut.yaml").write_text(text.replace("cut_date: 2023-08-19", "cut_date: 2023-08-20"))
    return folder


def later(folder: Path, *, tranches: dict[str, int] | None = None, **head: object) -> Path:
    stated = {"after": f"out/{SIT}-release", "tranches": tranches or TRANCHES}
    usual = {"id": LATER, "date": "2023-08-20", "key": "keys/later.key"}
    return written(folder, "later.yaml", head=usual | head, qualification=stated, work="work-later")


@pytest.mark.requirement("Q47", "Q65", "Q72")
def test_its_files_are_for_the_tranches_alone_and_say_what_is_assumed(folder: Path) -> None:
    done = datacut("run", later(folder), "--plain")
    assert done.code == 0, done.err
    assert {path.name for path in (folder / "out").glob(f"{LATER}-return-*")} == {
        f"{LATER}-return-EELC",
        f"{LATER}-return-SUPB",
    }
    known, assumed = qualification_answers()
    for pack in (f"{LATER}-release", f"{LATER}-return-SUPB"):
        evidence = json.loads((folder / "out" / pack / "evidence/evidence.json").read_bytes())
        stated = evidence["qualification"]
        assert (stated["after"], stated["tranches"]) == (SIT, TRANCHES)
        assert (stated["known"], stated["assumed"]) == ([*known], [*assumed])
        assert stated["after_fingerprint"] != evidence["key_fingerprint"]
    page = (folder / f"out/{LATER}-release/report/index.html").read_text()
    assert all(text.split(",")[0] in page for text in (*known, *assumed))
    one, other = (
        sorted(path.relative_to(folder / "out" / pack).as_posix() for path in (folder / "out" / pack).rglob("data/*/*"))
        for pack in (f"{SIT}-release", f"{LATER}-release")
    )
    assert one == other, "the same files in the same forms"


@pytest.mark.requirement("Q65")
@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"id": SIT}, f"the cut for SIT has the id {SIT} too"),
        ({"id": SIT, "key": "keys/cut.key"}, "was made under this key"),
        ({"date": "2023-08-19"}, "this one is not later"),
    ],
)
def test_a_cut_that_is_not_apart_from_the_one_for_sit_is_refused(folder: Path, head: dict[str, str], said: str) -> None:
    done = datacut("run", later(folder, **head), "--plain")
    assert (done.code, said in done.err) == (2, True), done.err


def test_a_tranche_of_nobody_is_refused(folder: Path) -> None:
    done = datacut("run", later(folder, tranches={"SUPX": 1}), "--plain")
    assert (done.code, "tranches names SUPX" in done.err) == (2, True), done.err
