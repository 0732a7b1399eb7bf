"""Criteria that test managers ask for: what was allocated has what was asked for, by the released extracts alone."""

from __future__ import annotations

import polars as pl
import pytest

SMART = r"^(?:S1|S2.*|2.*)$"


@pytest.fixture(scope="session")
def allocated(release) -> dict[str, set[str]]:
    given = pl.concat(pl.read_parquet(p) for p in release.glob("data/*/allocations.parquet")).unique()
    serving = given.filter(pl.col("role") != "COMPANION")
    return {case: set(rows["mpan_core"]) for (case,), rows in serving.group_by("test_case")}


def whole(release, name: str) -> pl.DataFrame:
    return pl.concat((pl.read_parquet(p) for p in release.glob(f"data/*/{name}.parquet")), how="diagonal_relaxed")


def test_the_number_of_registers(release, allocated):
    registers = (
        whole(release, "register").group_by("mpan_core", "meter_serial_number").agg(pl.col("register_id").n_unique())
    )
    several = set(registers.filter(pl.col("register_id") >= 2)["mpan_core"])
    assert allocated["FUN-901"]
    assert allocated["FUN-901"] <= several


@pytest.mark.requirement("Q95")
def test_a_smart_meter_that_does_not_communicate(release, allocated):
    records = (
        whole(release, "expected").unique("mpan_core").filter(pl.col("mpan_core").is_in(list(allocated["FUN-902"])))
    )
    assert records.height == len(allocated["FUN-902"]) > 0
    assert records["meter_type"].str.contains(SMART).all()
    assert set(records["dcc_service_flag"]) <= {"I", "N"}


def test_a_change_of_measurement_class(release, allocated):
    records = (
        whole(release, "expected").unique("mpan_core").filter(pl.col("mpan_core").is_in(list(allocated["FUN-903"])))
    )
    facts = records.select("measurement_class", "connection_type", "domestic_premises_indicator")
    assert set(facts.rows()) == {("A", "W", "F")}


def test_an_import_with_an_export(release, allocated):
    records = (
        whole(release, "expected").unique("mpan_core").filter(pl.col("mpan_core").is_in(list(allocated["FUN-904"])))
    )
    assert records.height == len(allocated["FUN-904"]) > 0
    assert set(records["energy_direction"]) == {"I"}
    assert records["linked_mpan"].null_count() == 0
