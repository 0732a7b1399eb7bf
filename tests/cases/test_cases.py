"""Cases from the field, a folder each: every entry of a ``cut.yaml`` by itself through ``datacut anonymise``."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.command import datacut

HERE = Path(__file__).parent
FLOWS = HERE.parent / "dtc" / "cases"
pytestmark = pytest.mark.requirement("DQ11")
GATE = 20  # the exit code of a run that the gate on shares excluded ends, or that read nothing


@dataclass(frozen=True)
class Case:
    """One entry of a case, and what it has to come to."""

    folder: Path
    name: str
    expected: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return a ``cut.yaml`` of this entry alone; an entry that is called so is one by itself."""
        if self.name.endswith(".yaml"):
            return yaml.safe_load((self.folder / self.name).read_text())
        document = yaml.safe_load((self.folder / "cut.yaml").read_text())
        if self.name != "all":
            chosen = [member for member in document["participants"] if member["mpid"] == self.name]
            document["participants"] = chosen or [self._unlisted(document)]
        return document

    def _unlisted(self, document: dict[str, Any]) -> dict[str, Any]:
        registration = self.name.startswith("reg")
        contract, role = ("registration", "LDSO") if registration else ("portfolio", "SUP")
        contract, role = self.expected.get("contract", contract), self.expected.get("role", role)
        source = {"path": self.name}
        if "url" in document["participants"][0]["extracts"][0]["source"]:
            source = {**document["participants"][0]["extracts"][0]["source"], "query": self.name}
        extract = {"contract": contract, "source": {**source, **self.expected.get("source", {})}}
        return {"mpid": "ZZZZ", "role": role, "extracts": [extract]}


def cases(*, database: bool) -> list[Any]:
    found = []
    for file in sorted(HERE.glob("*/expected.yaml")):
        if ("postgresql" in file.parent.name) == database:
            for name, expected in yaml.safe_load(file.read_text()).items():
                found.append(pytest.param(Case(file.parent, name, expected), id=f"{file.parent.name}/{name}"))
    return found


def run(case: Case, place: Path, **source: object) -> None:
    """Run one entry and hold what it came to against what is expected."""
    own = [path.name for path in case.folder.iterdir()]
    shutil.copytree(HERE / "shared", place, ignore=lambda folder, _: own if Path(folder) == HERE / "shared" else ())
    shutil.copytree(case.folder, place, dirs_exist_ok=True)
    for file in FLOWS.glob(f"{case.folder.name}__*"):  # flows of the case, which tests of the reader share
        target = place / file.name.partition("__")[2].replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for key in (place / "keys").iterdir():
        os.chmod(key, 0o600)
    document = case.document()
    for member in document["participants"]:
        for extract in member["extracts"]:
            extract["source"].update(source)
    (place / "one.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))
    done = datacut("anonymise", place / "one.yaml", "--plain")
    expected = case.expected
    if "code" in expected:
        assert done.code == expected["code"], done.told
        assert len(done.told) == 1
        assert expected["line"] in done.told[0]
        return
    if done.code == GATE and not expected.get("released"):
        return
    assert done.code == 0, done.told
    if "rows" in expected:
        return
    packs = [path for path in (place / "out").iterdir() if path.is_dir()]
    released = [pl.read_parquet(path).height for path in packs[0].glob("data/*/*.parquet")]
    gone = [pl.read_parquet(path) for path in packs[0].glob("excluded/*/*.parquet")]
    assert sum(released) == expected.get("released", 0)
    assert sum(frame.height for frame in gone) == expected.get("excluded", 0)
    if "reasons" in expected:
        reasons = Counter(reason for frame in gone for reason in frame["first_cause"])
        assert dict(reasons) == expected["reasons"]
    evidence = json.loads((packs[0] / "evidence" / "evidence.json").read_text())
    nulls = Counter({column: n for entry in evidence["inputs"] for column, n in entry["null_words"].items()})
    assert dict(nulls) == expected.get("nulls", dict(nulls))
    shorter = Counter({column: n for entry in evidence["inputs"] for column, n in entry["rounded"].items()})
    assert dict(shorter) == expected.get("rounded", {})
    assert expected.get("told", "") in done.out


@pytest.mark.parametrize("case", cases(database=False))
def test_case(case: Case, tmp_path: Path) -> None:
    run(case, tmp_path / "case")


@pytest.mark.postgres
@pytest.mark.parametrize("case", cases(database=True))
def test_case_of_a_database(case: Case, postgres_url: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute((case.folder / "pg.sql").read_text())
    run(case, tmp_path / "case", url=postgres_url)


INCH = {"path": "reg_inch.csv", "quote": "none"}


def test_quotation_marks_that_are_text(tmp_path: Path) -> None:
    expected = {"released": 3, "source": INCH}
    run(Case(HERE / "20-parquet-writers", "reg_inch.csv", expected), tmp_path / "case")


def test_two_digit_years_as_declared(tmp_path: Path) -> None:
    run(Case(HERE / "10-table-forms", "S009", {"released": 3}), tmp_path / "case", dates="dd/mm/yy")


def test_one_meter_has_one_pseudonym(tmp_path: Path) -> None:
    run(Case(HERE / "70-same-thing-spelt-twice", "all", {"released": 3, "excluded": 2}), tmp_path / "case")
    found = [pl.read_parquet(path) for path in sorted((tmp_path / "case" / "out").rglob("data/*/*.parquet"))]
    serials = [dict(frame.select("mpan_core", "meter_serial_number").rows()) for frame in found]
    shared = set(serials[0]) & set(serials[1])
    assert len(shared) == 1
    assert all(serials[0][point] == serials[1][point] is not None for point in shared)
