"""Rows that tie stand in one order, however they came; companions are out, however often they are looked for."""

from __future__ import annotations

import random

import polars as pl
import pytest

from contracts.load import load_all
from flows.cut.partitions import ORDER, ROW, read_exclusions, write_exclusions
from flows.cut.workspace import Workspace
from flows.quality.exclusions import cascade
from flows.quality.verdicts import in_order
from transforms.pseudonymise.mpan import order_key
from transforms.quality import exclusions
from transforms.quality.lookups import PARTICIPANT

pytestmark = pytest.mark.requirement("Q48")
POINTS = ("1000000000009", "1000000000018", "1000000000027", "1000000000036", "1000000000045")


def test_rows_with_equal_keys_stand_in_one_order():
    """The contract's key ties, other columns differ, and rows without a pseudonym have nothing but those."""
    contract = load_all()["metering"]
    rows = [
        {"mpan_core": point, "meter_serial_number": serial, "make_and_model": model, "_token": token}
        for point, token in ((POINTS[0], None), (POINTS[1], None), (None, "a"), (None, "b"), (None, None))
        for serial in ("K1", "K1", None)
        for model in ("A", "B", None)
    ]
    staged = [column.name for column in contract.staged]
    filled = [{**dict.fromkeys(staged), **row, PARTICIPANT: "MOPA"} for row in rows]
    names = [*staged, "_token", PARTICIPANT]
    found = set()
    for seed in range(12):
        shuffled = random.Random(seed).sample(filled, len(filled))
        frame = pl.DataFrame(shuffled, schema=dict.fromkeys(names, pl.String))
        frame = frame.with_columns(order_key().alias(ORDER)).with_row_index(ROW)
        ordered = in_order(frame, contract)
        assert ordered[ROW].n_unique() == len(rows)
        found.add(tuple(ordered.select("mpan_core", "_token", "meter_serial_number", "make_and_model").rows()))
    (order,) = found
    points = [row[0] for row in order]
    assert points == [POINTS[0]] * 9 + [POINTS[1]] * 9 + [None] * 27


def _out(workspace: Workspace) -> dict[str, str]:
    frames = [read_exclusions(workspace, number) for number in range(workspace.partitions)]
    return dict(pl.concat(frames).select("mpan_core", "reasons").rows())


def test_a_second_cascade_keeps_earlier_companions_out(tmp_path):
    """Links that are known later are added to those that were: both halves of every pair stay out."""
    workspace = Workspace(tmp_path / "work", 2, {})
    for number in range(2):
        write_exclusions(workspace, "quality", number, pl.DataFrame(schema=exclusions.SCHEMA))
    faulty = pl.DataFrame({"mpan_core": [POINTS[0]], "first_cause": ["DQ01"], "reasons": ["DQ01"], "extract": [""]})
    write_exclusions(workspace, "quality", 0, faulty)
    stated = [(POINTS[0], POINTS[1])]
    more = [*stated, (POINTS[2], POINTS[1]), (POINTS[3], POINTS[4])]
    for links, companions in ((stated, {POINTS[1]}), (more, {POINTS[1], POINTS[2]}), (more, {POINTS[1], POINTS[2]})):
        frame = pl.DataFrame(links, schema={"mpan_core": pl.String, "other": pl.String}, orient="row")
        assert cascade(workspace, frame) == len(companions)
        assert _out(workspace) == {POINTS[0]: "DQ01"} | dict.fromkeys(companions, "companion")
