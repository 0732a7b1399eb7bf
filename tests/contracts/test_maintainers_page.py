"""Every example of the maintainers' page works as it stands there: a change in YAML alone, from check to evidence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import contracts
from contracts.lint import check_contracts
from contracts.load import load_contract
from contracts.scheme import scheme_lists
from flows.intake import SourceSpec
from flows.pseudonymise.source import pseudonymise_batch
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import order_key
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality import rules
from transforms.quality.lookups import ORDER, PARTICIPANT

ROOT = Path(contracts.__file__).parents[1]
PAGE = (ROOT / "docs" / "for-maintainers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- (\w+) ?([^\n]*?) ?-->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
ENDS = {"properties": "    quality:\n", "derived": "  - property: dtcLayouts\n"}


def apply(folder: Path, wanted: list[str]) -> None:
    """Make the changes of the page in a copy of the contracts."""
    for kind, place, text in BLOCKS:
        if kind == "file" and "file" in wanted:
            (folder / place).write_text(text, encoding="utf-8")
        elif kind == "edit":
            name, _, where = place.partition(": ")
            if where.split()[0] not in wanted:
                continue
            path = folder / name
            content = path.read_text(encoding="utf-8")
            if where == "quality":
                content += text
            elif where.startswith("after "):
                line = f"          {where.removeprefix('after ')}\n"
                assert line in content
                content = content.replace(line, line + text, 1)
            else:
                assert ENDS[where] in content
                content = content.replace(ENDS[where], text + ENDS[where], 1)
            path.write_text(content, encoding="utf-8")


@pytest.fixture
def copy(tmp_path) -> Path:
    folder = tmp_path / "contracts"
    shutil.copytree(ROOT / "contracts", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.requirement("Q58")
def test_the_column_alone_is_found_fault_with(copy):
    apply(copy, ["properties", "after"])
    told = next(text.strip() for kind, _, text in BLOCKS if kind == "finding")
    assert [finding.line() for finding in check_contracts(copy)] == [told]


@pytest.mark.requirement("Q58", "Q63")
def test_column_and_rules_are_sound_and_judge(copy):
    apply(copy, ["properties", "after", "quality", "derived"])
    assert check_contracts(copy) == []
    contract = load_contract(copy / "extracts" / "metering.odcs.yaml")
    rows = [
        {"MPAN": "1000000000030", "Certification Date": "15/06/2004", "dates": "good"},
        {"MPAN": "1000000000040", "Certification Date": "16/06/2004", "dates": "late"},
        {"MPAN": "1800000123458", "Certification Date": "yesterday", "dates": "no date"},
        {"MPAN": "2400000123452", "Certification Date": None, "dates": "none"},
    ]
    frame = pl.DataFrame(rows).with_columns(
        MSN=pl.lit("L04C15502"), meter_type=pl.lit("N"), meter_install_date=pl.lit("20040615")
    )
    pseudonymiser, spec = (
        Pseudonymiser(FieldKeys(bytes(range(32)), "PAGE"), lists=scheme_lists()),
        SourceSpec("MOPA/metering", Path("x")),
    )
    columns = map_columns(contract, frame.columns, where="x")
    assert columns.dropped == ("dates",)
    staged = pseudonymise_batch(frame, contract, columns, pseudonymiser, spec)
    judged = rules.judge(
        staged.with_columns(order_key().alias(ORDER), pl.lit("MOPA").alias(PARTICIPANT)),
        contract, {}, date(2023, 8, 19), uncarried={},
    )  # fmt: skip
    mine = ["DQ11_certification_date_form", "DQ11_certification_date"]
    found = judged.select(rules.broken(contract, rule).alias(rule) for rule in mine)
    assert found.rows() == [(False, False), (False, True), (True, False), (False, False)]
    assert judged["certification_date"].dtype == pl.Date


@pytest.mark.requirement("Q58")
def test_a_new_extract_is_sound(copy):
    apply(copy, ["file"])
    assert check_contracts(copy) == []


@pytest.mark.slow
@pytest.mark.requirement("Q58", "Q64")
def test_the_changes_reach_the_evidence_without_a_line_of_code(tmp_path):
    for package in ("contracts", "transforms", "flows"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    apply(tmp_path / "contracts", ["properties", "after", "quality", "derived", "file"])

    def datacut(*arguments: str) -> str:
        command = [sys.executable, "-c", "from flows.cli.main import main; main()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert datacut("contracts", "check") == "The contracts are in order.\n"
    assert "| `certification_date` |" in datacut("contracts", "doc")
    sample = tmp_path / "sample"
    datacut("sample", "--mpans", "400", "--seed", "3", "--out", str(sample))
    late_by_a_century(sample / "MOPA" / "D0150.usr")
    points = [line.split(",")[0] for line in (sample / "EELC" / "registration.csv").read_text().splitlines()[1:6]]
    (sample / "EELC" / "teleswitch.csv").write_text("MPAN,Teleswitch group\n" + "".join(f"{p},12\n" for p in points))
    cut = (sample / "cut.yaml").read_text()
    entry = "      - {contract: registration, source: {path: EELC"
    added = "      - {contract: teleswitch, source: {path: EELC/teleswitch.csv}}\n"
    (sample / "cut.yaml").write_text(cut.replace(entry, added + entry, 1))
    told = json.loads(datacut("anonymise", str(sample / "cut.yaml"), "--plain", "--json"))
    evidence = json.loads((Path(told["pack"]) / "evidence" / "evidence.json").read_text())
    entries = {(r["participant"], r["rule"]): r for r in evidence["rules"] if "certification" in r["rule"]}
    assert entries["MOPA", "DQ11_certification_date"]["failed"] == 1
    assert entries["MOPA", "DQ11_certification_date"]["evaluated"] > 100
    # the other operator's CSV does not carry the column
    assert entries["MOPB", "DQ11_certification_date"]["evaluated"] == 0
    row = next(a for a in evidence["accounting"] if a["extract"] == "teleswitch")
    assert (row["rows_in"], row["released"] + row["excluded"]) == (5, 5)


def late_by_a_century(path: Path) -> None:
    """Have the first meter certified a hundred years too late."""
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("290|"))
    fields = lines[at].split("|")
    fields[20] = str(int(fields[19]) + 1_000_000)
    lines[at] = "|".join(fields)
    path.write_text("".join(lines))
