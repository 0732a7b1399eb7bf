"""There and back: what a source declares of itself holds for ``restore`` too, and values come as they came."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from contracts.evidence_inputs import InputEvidence, SourceFormEvidence
from flows.restore.restore import sources_of
from tests.command import datacut

HERE = Path(__file__).parent
pytestmark = pytest.mark.requirement("Q57")
CUT = """cut: {id: CASE-1, date: 2023-08-19, key: keys/cut.key, test: true}
reference: {market_domain_data: mdd}
participants:
  - mpid: SUPA
    role: SUP
    extracts:
      - {contract: portfolio, source: {path: backslash.csv, quote: backslash, dates: dd/mm/yy, nulls: [NOPE]}}
  - {mpid: DLON, role: DC, extracts: [{contract: half_hourly, source: {path: long.csv}}]}
release: {folder: out, formats: [parquet, csv], signing_key: keys/signing.pem}
"""


@pytest.mark.slow
def test_there_and_back(tmp_path: Path) -> None:
    place = tmp_path / "case"
    shutil.copytree(HERE / "shared", place)
    shutil.copy(HERE / "50-half-hourly-csv" / "long.csv", place)
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    header, *rows = list(csv.reader((HERE / "10-table-forms" / "base.csv").open()))
    at = {name.strip().lower(): number for number, name in enumerate(header)}
    dates = [number for number, cells in enumerate(zip(*rows, strict=True)) if all(_is_date(cell) for cell in cells)]
    assert dates
    for row in rows:
        for number in dates:
            year, month, day = row[number].split("-")
            row[number] = f"{day}/{month}/{year[2:]}"
        row[at["linked_mpan" if "linked_mpan" in at else header[-1].strip().lower()]] = "NOPE"
    text = "\n".join([",".join(header), *(",".join(f'"{cell}"' for cell in row) for row in rows), ""])
    (place / "backslash.csv").write_text(text)
    (place / "cut.yaml").write_text(CUT)
    done = datacut("run", place / "cut.yaml", "--plain")
    assert done.code == 0, done.told
    for mpid, contract in (("SUPA", "portfolio"), ("DLON", "half_hourly")):
        pack = place / "out" / f"CASE-1-return-{mpid}"
        keys = ("--key", place / "keys/cut.key", "--public-key", place / "keys/signing.pub")
        back = tmp_path / f"back-{mpid}"
        done = datacut("restore", pack, "--backup", place / "cut.yaml", *keys, "--out", back)
        assert done.code == 0, done.told
        found = list(csv.reader((back / f"{contract}.csv").open()))
        if mpid == "SUPA":
            assert found[1:] == rows
        else:
            assert found[1][:3] == ["1023720651433", "AI", "2023-06-01"]
            assert found[1][4:52] == [f"0.2{n % 10}" for n in range(48)]


def test_what_was_declared_holds_for_a_folder_too(tmp_path: Path) -> None:
    """The pack's evidence says how the source was written: no cut.yaml is needed to read it again."""
    (tmp_path / "backslash.csv").write_text("")
    form = SourceFormEvidence(delimiter="tab", encoding="cp1252", quote="backslash", dates={"supply_from": "dd/mm/yy"})
    entry = InputEvidence.model_construct(
        extract="portfolio", form="csv", file="backslash.csv", files=None, source_form=form, dropped=(), columns={},
        aliases={},
    )  # fmt: skip
    (spec,) = sources_of(tmp_path, "SUPA", entry)
    assert (spec.delimiter, spec.encoding, spec.quote) == ("tab", "cp1252", "backslash")
    assert dict(spec.dates) == {"supply_from": "dd/mm/yy"}
    plain = entry.model_copy(update={"source_form": None})
    assert sources_of(tmp_path, "SUPA", plain)[0].quote == "double"


def _is_date(cell: str) -> bool:
    return len(cell) == 10 and cell[4] == cell[7] == "-"
