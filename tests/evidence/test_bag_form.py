"""The form of a pack: what the bagit tool accepts, what one spelling means, which paths may stand in it."""

from __future__ import annotations

import os
from pathlib import Path

import bagit
import pytest

from contracts.errors import EvidenceError
from flows.pack import bag
from flows.report.csv_safe import csv_bytes, safe_cell


def test_the_bagit_tool_validates_a_pack(pack: Path) -> None:
    found = bagit.Bag(str(pack))
    found.validate()
    assert found.version == "1.0"
    assert found.algorithms == ["sha256"]
    assert "Bagging-Date" not in found.info


def test_two_runs_give_the_same_bytes(seal, tmp_path: Path) -> None:
    one, two = seal(tmp_path / "one").path, seal(tmp_path / "two").path
    files = sorted(bag.listing(one).files)
    assert files == sorted(bag.listing(two).files)
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_times_stand_in_the_evidence_alone(seal, tmp_path: Path) -> None:
    one = seal(tmp_path / "one").path
    later = {"started": "2024-01-01T00:00:00Z", "finished": "2024-01-01T00:00:01Z"}
    two = seal(tmp_path / "two", times=later).path
    changed = {n for n in bag.listing(one).files if (one / n).read_bytes() != (two / n).read_bytes()}
    assert changed == {bag.EVIDENCE, bag.TAGMANIFEST, bag.SIGNATURE}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "data/../evidence/evidence.json",
        "data/./a",
        "data//a",
        "data/",
        "data\\a.csv",
        "C:/a",
        "data/a b",
        "data/.hidden",
        "data/-rf",
        "data/a\x00",
        "data/a\n",
        "data/\u202ea",
        "data/CON.csv",
        "data/lpt1",
        "data/a.",
        "data/%2e%2e/a",
        "data/caf\u00e9",
        "data/" + "a" * 300,
        "/".join("a" * 30),
    ],
)
def test_unsafe_paths_are_refused(path: str) -> None:
    assert bag.path_fault(path)


@pytest.mark.parametrize("path", ["data/SUPA/portfolio.parquet", "report/gx/a-b_c.json", "bagit.txt", "console.txt"])
def test_ordinary_paths_are_fit(path: str) -> None:
    assert bag.path_fault(path) == ""


DIGEST = b"0" * 64
MANIFESTS = {
    "upper-case digest": b"A" * 64 + b"  data/a\n",
    "short digest": b"0" * 63 + b"  data/a\n",
    "one space": DIGEST + b" data/a\n",
    "no line feed at the end": DIGEST + b"  data/a",
    "carriage return": DIGEST + b"  data/a\r\n",
    "empty line": DIGEST + b"  data/a\n\n",
    "not sorted": DIGEST + b"  data/b\n" + DIGEST + b"  data/a\n",
    "twice": DIGEST + b"  data/a\n" + DIGEST + b"  data/a\n",
    "equal but for case": DIGEST + b"  data/A\n" + DIGEST + b"  data/a\n",
    "parent": DIGEST + b"  data/../a\n",
    "absolute": DIGEST + b"  /data/a\n",
    "backslash": DIGEST + b"  data\\a\n",
    "not ASCII": DIGEST + b"  data/\xc3\xa9\n",
}


@pytest.mark.parametrize("fault", MANIFESTS)
def test_manifests_have_one_spelling(fault: str) -> None:
    with pytest.raises(EvidenceError) as error:
        bag.parse_manifest(MANIFESTS[fault], where=bag.MANIFEST)
    assert error.value.where == bag.MANIFEST


def test_a_manifest_comes_back() -> None:
    digests = {"data/b": "1" * 64, "data/a": "2" * 64}
    assert bag.parse_manifest(bag.manifest_bytes(digests), where="") == digests


@pytest.mark.parametrize("label", ["Bagging-Date", "Payload-Oxum", "two\nlines", "", "a: b"])
def test_bag_info_holds_nothing_that_varies_or_breaks_a_line(label: str) -> None:
    with pytest.raises(EvidenceError):
        bag.info_bytes({label: "x"}, octets=0, files=0)


def test_listing_sees_what_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"")
    (tmp_path / "data" / "A").write_bytes(b"")
    assert {fault.file for fault in bag.listing(tmp_path).faults} == {"link", "pipe", "hollow", "data/a"}


@pytest.mark.parametrize("cell", ["=1+1", "+44", "-1", "@SUM", "\tx", "\rx", " =1", "\n=1", "＝1"])
def test_formula_cells_are_defused(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"
    assert csv_bytes(["a"], [[cell]]).decode("utf-8-sig").split("\r\n", 1)[1].startswith("\"'")


def test_plain_cells_and_numbers_stay() -> None:
    assert csv_bytes(["a", "b"], [["x", -3], [None, "y=1"]]) == b'\xef\xbb\xbf"a","b"\r\n"x","-3"\r\n"","y=1"\r\n'
