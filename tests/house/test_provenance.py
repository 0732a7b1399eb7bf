"""What a release is made of is listed with its licences, and it can be built again."""

from __future__ import annotations

import filecmp
import hashlib
import re
import sys
from pathlib import Path

import pytest

from tests.points import Point, points, points_page
from tests.provenance import NOT_STATED, ROOT, bill_of_materials, build, needed
from tests.traceability import TESTS, names_of_tests

hatchling = pytest.mark.skipif(
    not Path(sys.executable).with_name("hatchling").exists(), reason="hatchling is not installed"
)


@hatchling
def test_the_list_of_parts_is_of_what_the_wheel_needs(tmp_path):
    wheel = build(tmp_path)
    bill = bill_of_materials(wheel)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    assert own["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    parts = {part["name"]: part for part in bill["components"]}
    assert set(parts) == set(needed(wheel))
    assert {"polars", "pyarrow", "cryptography"} <= set(parts)
    silent = {name for name, part in parts.items() if part["licenses"][0]["license"]["name"] == NOT_STATED}
    assert silent <= {"polars-hash"}, "look its licence up before it is shipped"
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in parts.values())
    refs = [own["bom-ref"], *(part["bom-ref"] for part in parts.values())]
    assert len(set(refs)) == len(refs)
    assert {ref for entry in bill["dependencies"] for ref in entry["dependsOn"]} == set(refs[1:])
    assert bill_of_materials(wheel) == bill


@hatchling
def test_the_source_archive_is_the_same_bytes_twice(tmp_path):
    one, other = build(tmp_path / "one", "sdist"), build(tmp_path / "other", "sdist")
    assert one.name == other.name
    assert filecmp.cmp(one, other, shallow=False)


def test_every_point_of_data_protection_names_tests_that_are_there():
    files = {path: path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    there = {f"{name}::{test}" for path, name in files.items() for test in names_of_tests(path)}
    every = points()
    assert len(every) == 32
    assert all(isinstance(point, Point) and point.asks and point.tests for point in every)
    assert [test for point in every for test in point.tests if test not in there] == []


def test_every_test_that_the_page_of_attacks_names_is_there():
    page = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`", page)
    assert len(named) > 12
    assert [name for name, test in named if test not in names_of_tests(TESTS / name)] == []


def test_the_page_of_points_is_the_one_of_today():
    assert (ROOT / "docs" / "privacy-points.md").read_text(encoding="utf-8") == points_page(), "run make docs"
