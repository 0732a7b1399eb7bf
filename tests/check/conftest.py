"""A small sample with many defects, made once; and a portfolio of another system, with words and order of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from flows.keys.cut_key import new_key
from flows.sample import SampleRequest, generate

MPANS = 900


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "sample"
    generate(SampleRequest(MPANS, 7, 0.2), folder)
    return folder


@pytest.fixture
def sample(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "cut")
    return tmp_path / "cut"


@pytest.fixture
def foreign(pristine: Path, tmp_path: Path) -> Path:
    """Return a folder with a pipe-delimited portfolio, its columns called and ordered otherwise, and keys."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    frame = pl.read_csv(pristine / "SUPB/portfolio.tsv", separator="\t", infer_schema=False)
    columns = {name.upper(): pl.col(name) for name in frame.columns}
    day = columns["SUPPLIER_EFFECTIVE_FROM"].str.to_date("%d/%m/%Y", strict=False)
    told = day.dt.strftime("%d-%b-%Y").str.to_uppercase()
    assert frame.select(told.is_not_null().mean()).item() > 0.9
    frame.select(
        pl.lit("A").alias("Row Kind"),
        columns["ENERGISATION_STATUS"].alias("Energised?"),
        told.alias("On Supply Since"),
        columns["METER_OPERATOR_MPID"].alias("MO_PARTY"),
        columns["SUPPLIER_MPID"].alias("Company"),
        columns["DATA_COLLECTOR_MPID"].alias("DC_PARTY"),
        columns["METER_SERIAL_NUMBER"].alias("Serial"),
        columns["MPAN_CORE"].alias("S Number"),
    ).write_csv(folder / "crm.txt", separator="|")
    new_key(folder / "cut.key", "CHECK")
    shutil.copy(pristine / "keys/signing.pem", folder / "signing.pem")
    return folder
