"""A participant that another has taken over: its appointments are the successor's, from the day on (Q99)."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from contracts.load import load_all
from contracts.strict import PlacedError
from flows.cut.registers import Succession, successors
from tests.command import datacut
from transforms.succession import carried_over

GONE = "QZQZ"


def rename(cut: Path, successor: str) -> None:
    """Write an MPID that has ended where a registration names a supplier."""
    path = cut / "EELC/registration.csv"
    frame = pl.read_csv(path, infer_schema=False)
    assert (frame["Supplier"] == successor).sum() > 20
    frame.with_columns(pl.col("Supplier").replace(successor, GONE)).write_csv(path)


def failures(cut: Path) -> dict[str, int]:
    done = datacut("check", cut / "cut.yaml", "--json")
    found: dict[str, int] = {}
    for source in json.loads(done.out)["sources"]:
        for entry in source["rules"]:
            found[f"{source['participant']} {source['extract']} {entry['rule']}"] = entry["failed"]
    return found


@pytest.mark.requirement("Q99")
def test_what_names_the_predecessor_is_judged_as_the_successors(sample):
    before = failures(sample)
    rename(sample, "SUPC")
    text = (sample / "cut.yaml").read_text()
    assert failures(sample) != before
    for day, carried in (("2023-08-20", False), ("2023-08-01", True)):  # the cut is of 19 August
        line = f"succession:\n  - {{mpid: {GONE}, successor: SUPC, on: {day}}}\n"
        (sample / "cut.yaml").write_text(text + line)
        assert (failures(sample) == before) is carried, day


def test_successors_of_successors_and_what_makes_no_sense():
    day = date(2023, 8, 19)
    steps = [Succession(mpid="AAAA", successor="BBBB", on=day), Succession(mpid="BBBB", successor="CCCC", on=day)]
    assert successors(steps, day) == {"AAAA": "CCCC", "BBBB": "CCCC"}
    assert successors(steps, date(2023, 8, 18)) == {}
    for wrong in ("AAAA", "BBBB"):  # itself, or round in a circle
        with pytest.raises(PlacedError):
            successors([*steps, Succession(mpid="CCCC" if wrong == "AAAA" else wrong, successor=wrong, on=day)], day)
    with pytest.raises(PlacedError):
        successors([steps[0], steps[0]], day)


def test_only_columns_of_participants_change():
    frame = pl.DataFrame(
        {"supplier_mpid": ["AAAA", None], "meter_type": ["AAAA", "N"], "meter_operator_mpid": ["X", "AAAA"]}
    )
    done = carried_over(frame, load_all()["registration"], {"AAAA": "BBBB"})
    assert done.rows() == [("BBBB", "AAAA", "X"), (None, "N", "BBBB")]
