"""Sets are apart and units whole: what counts it sees each way in which they could not be."""

from __future__ import annotations

import polars as pl
import pytest

from transforms.ringfence.separation import faults, separation

ROW = {"round": 1, "phase": "CIT", "test_case": "A"}


def population() -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "mpan": ["1", "2", "3", "4"],
            "linked_mpan": ["2", "1", None, None],
            "related_mpan": [None, None, None, "9"],  # 9 is in no cut
            "premises": ["x", "x", "y", None],
            "meter_serial_number": ["a", "b", "c", None],
        }
    )


def counted(*rows: dict[str, object]) -> dict[str, int]:
    return separation(pl.DataFrame([{**ROW, **row} for row in rows]), population())


@pytest.mark.requirement("Q63")
def test_whole_and_apart() -> None:
    found = counted({"mpan": "1"}, {"mpan": "2"}, {"mpan": "4", "phase": "SIT"})
    assert faults(found) == []
    assert found == {
        "metering_points": 3, "repeated": 0, "in_two_phases": 0, "links": 2, "links_split": 0, "premises": 1,
        "premises_split": 0, "meters": 2, "meters_split": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([{"mpan": "3"}, {"mpan": "3", "test_case": "B"}], {"repeated": 1}),
        ([{"mpan": "3"}, {"mpan": "3", "phase": "SIT"}], {"repeated": 1, "in_two_phases": 1}),
        ([{"mpan": "1"}], {"links_split": 2, "premises_split": 1}),
        ([{"mpan": "1"}, {"mpan": "2", "phase": "SIT"}], {"links_split": 2, "premises_split": 1}),
    ],
)
def test_what_is_shared_or_split_is_counted(rows: list[dict[str, object]], counts: dict[str, int]) -> None:
    found = counted(*rows)
    assert {
        name: count for name, count in found.items() if name.endswith(("split", "repeated", "phases")) and count
    } == counts
    assert bool(faults(found)) == ("repeated" in counts)
