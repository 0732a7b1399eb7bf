"""The sample as the market writes it: every extract, flows with their published fields, reference data as published."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from contracts.augmentation import services
from contracts.load import load_all
from flows.intake.market_domain_data import load_reference
from flows.intake.standing_data import load_standing_data
from flows.sample import SampleRequest, generate
from flows.sample.generate import FLOWS
from flows.sample.layout import EXTRACTS
from flows.sample.market_data import NEW_SERVICE, NO_DIP_ID, tables, write_market_data
from tests.intake.test_market_domain_data import PUBLISHED

CUT = date(2023, 8, 19)
TESTS = Path(__file__).parents[1]
ATTRIBUTES = ("meter_type_code", "payment_type_code", "communicates", "half_hourly")


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("forms") / "sample"
    generate(SampleRequest(600, 3, 0.05), folder)
    return folder


@pytest.mark.requirement("Q61")
def test_every_extract_of_the_contracts_is_in_the_sample_and_in_the_demo():
    assert {extract.contract for extract in EXTRACTS} == set(load_all())
    demo = (TESTS.parent / "sample_data" / "cut.yaml").read_text()
    assert not [name for name in load_all() if f"contract: {name}," not in demo]


def widths() -> dict[tuple[str, str], int]:
    """Return the number of fields of each group of each flow, as the catalogue publishes it."""
    with (TESTS / "dtc" / "published-15.4.csv").open(newline="", encoding="utf-8") as stream:
        return dict(Counter((row["flow"], row["group"]) for row in csv.DictReader(stream)))


@pytest.mark.requirement("Q61")
@pytest.mark.parametrize("path", FLOWS)
def test_a_flow_has_the_groups_and_fields_of_the_catalogue(sample, path):
    known, (_, flow, *_) = widths(), FLOWS[path]
    head, *body, tail = [line.split("|") for line in (sample / path).read_text().splitlines()]
    assert head[0] == "ZHV"
    assert head[2] == flow
    assert {cells[-1] for cells in body} == {""}
    wrong = Counter(cells[0] for cells in body if len(cells) - 2 != known.get((flow[:5], cells[0])))
    assert not wrong
    assert tail[:3] == ["ZPT", head[1], str(len(body))]


@pytest.mark.requirement("Q75")
def test_market_domain_data_has_the_published_headings(sample):
    written = {p.name: p.read_text().partition("\n")[0].split(",") for p in (sample / "elexon/mdd").iterdir()}
    assert {f"{name}_316.csv": headings for name, headings in PUBLISHED.items()}.items() <= written.items()


@pytest.mark.requirement("Q75")
def test_published_market_domain_data_says_what_the_bare_form_says(tmp_path):
    """``cases/shared/mdd`` is the same content without qualifiers and keys of other tables."""
    write_market_data(tmp_path)
    mine, bare = load_reference(tmp_path, CUT), load_reference(TESTS / "cases" / "shared" / "mdd", CUT)
    assert set(mine.tables) == set(bare.tables)
    for name, table in mine.tables.items():
        columns = [c for c in table.columns if name != "local_timeswitch_codes" or c not in ATTRIBUTES]
        assert sorted(table.select(columns).rows()) == sorted(bare.tables[name].select(columns).rows()), name


@pytest.mark.requirement("Q110")
def test_standing_data_gives_dip_ids_to_all_but_one(sample):
    found = load_standing_data(sample / "elexon/isd", CUT, services().prefixes)
    participants = {extract.participant for extract in EXTRACTS} - {"ELEX"}
    assert set(found.dip_ids["mpid"]) == participants - {NO_DIP_ID} | {NEW_SERVICE}
    assert not found.unused
    assert found.unknown == 0


@pytest.mark.requirement("Q61")
def test_defects_name_the_file_that_they_stand_in(sample):
    listed = pl.read_csv(sample / "defects.csv", infer_schema=False)
    paths = {(e.participant, e.contract, e.path) for e in EXTRACTS}
    assert set(listed.select("participant", "extract", "file").iter_rows()) <= paths
    for row in listed.filter(pl.col("file") == "MOPA/D0150.usr", pl.col("extract") == "metering").to_dicts():
        meters = [line.split("|") for line in (sample / row["file"]).read_text().splitlines()]
        at = [n for n, cells in enumerate(meters) if cells[0] == "290"][int(row["row"]) - 1]
        point = next(cells[1] for cells in reversed(meters[:at]) if cells[0] == "288")
        assert point == row["mpan_core"]


def test_tables_have_as_many_cells_as_headings():
    for headings, rows in tables().values():
        assert {len(row) for row in rows} == {len(headings)}
