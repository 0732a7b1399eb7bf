"""What is told of rows that came in submission packs: as exact as of backups, though the SI never sees the rows."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.load import load_all
from tests.returns.conftest import PARTICIPANTS
from transforms.release.submission_check import unlike_told

KEYS = ["participant", "extract", "row", "mpan_core", "column", "rule"]


def listed(market) -> pl.DataFrame:
    return pl.concat([pl.read_csv(market.back(mpid) / "cleanse.csv", infer_schema=False) for mpid in PARTICIPANTS])


@pytest.mark.requirement("Q50", "Q52")
def test_every_planted_defect_comes_back_with_its_column_though_its_owner_excluded_it(market):
    defects = pl.read_csv(market.folder / "defects.csv", infer_schema=False)
    defects = defects.filter(pl.col("file").map_elements(lambda f: (market.folder / f).exists(), return_dtype=bool))
    lost = defects.join(listed(market), on=KEYS, how="anti")
    assert lost.is_empty(), lost
    assert defects.height >= 20


def test_a_metering_point_that_its_distributor_excluded_is_not_called_unregistered(market):
    gone = pl.concat(
        pl.read_parquet(market.returned(mpid) / f"excluded/{mpid}/registration.parquet") for mpid in ("EELC", "YELG")
    )
    assert gone.height
    for mpid in ("SUPA", "SUPB", "MOPA"):
        lines = pl.read_parquet(market.returned(mpid) / "feedback/lines.parquet")
        about = lines.filter(pl.col("mpan_core").is_in(gone["mpan_core"].drop_nulls().implode()))
        assert about.height
        assert set(about["effect"]) == {"exclude"}
        assert about["broken_by"].is_in([f"{who}/registration" for who in ("EELC", "YELG")]).any()


def test_what_no_run_writes_is_refused():
    contract = load_all()["metering"]
    good = {
        "mpan_core": "1000000000030", "token": None, "row_key": "K17W003712", "column": "meter_type",
        "rule_id": "DQ05_meter_type",
    }  # fmt: skip
    schema = dict.fromkeys(good, pl.String)
    assert unlike_told(pl.DataFrame([good], schema=schema), contract) == []
    bad = {
        "mpan_core": "1000000000031",
        "token": "CO1 1AA",
        "row_key": "mrs smith",
        "column": "name",
        "rule_id": "DQ99",
    }
    for name, value in bad.items():
        assert unlike_told(pl.DataFrame([{**good, name: value}], schema=schema), contract) == [name]
    assert unlike_told(pl.DataFrame([{**good, "row_key": None}], schema=schema), contract) == ["row_key"]
