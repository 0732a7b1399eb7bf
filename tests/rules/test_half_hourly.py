"""Half-hourly consumption: days of 48, 46 and 50 periods, from CSV and D0036, and the series that replaces them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.load import load_all
from contracts.model import Treatment
from contracts.overlay import NONE, Overlay, apply, refusal
from contracts.scheme import scheme_lists
from contracts.vocabulary import Method
from flows.intake import Limits, SourceSpec, open_source
from flows.pseudonymise.source import pseudonymise_batch
from tests.rules.cutting import HALF_HOURLY, MiniCut, mpan
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality import rules

CONTRACT = load_all()["half_hourly"]
PERIODS = [f"period_{n:02d}" for n in range(1, 51)]
POINT = mpan(10, 77)
USUAL, SPRING, AUTUMN = "2023-08-18", "2023-03-26", "2022-10-30"


def day(settlement_date: str = USUAL, periods: int = 48, **changes: str | None) -> dict[str, str | None]:
    values: dict[str, str | None] = {name: f"{(n % 7) / 10:.3f}" for n, name in enumerate(PERIODS[:periods])}
    row = {"mpan_core": POINT, "measurement_quantity": "AI", "settlement_date": settlement_date}
    return {**dict.fromkeys(PERIODS), **row, "period_flags": "A" * periods, **values, **changes}


DAYS = {
    "48 on a usual day": (day(), set()),
    "47": (day(periods=47), {"DQ30_period_count"}),
    "49": (day(periods=49), {"DQ30_period_count"}),
    "50 on a usual day": (day(periods=50), {"DQ30_period_count"}),
    "46 on the last Sunday of March": (day(SPRING, 46), set()),
    "48 on the last Sunday of March": (day(SPRING, 48), {"DQ30_period_count"}),
    "46 on the Sunday before": (day("2023-03-19", 46), {"DQ30_period_count"}),
    "50 on the last Sunday of October": (day(AUTUMN, 50), set()),
    "48 on the last Sunday of October": (day(AUTUMN, 48), {"DQ30_period_count"}),
    "October without its last hour but with the extra one": (
        day(AUTUMN, 50, period_47=None, period_48=None),
        {"DQ30_period_count"},
    ),
    "a gap": (day(period_10=None), {"DQ30_gap"}),
    "nothing at all is no number of periods": (day(periods=0), {"DQ30_period_count", "DQ30_gap"}),
    "negative": (day(period_03="-0.001"), {"DQ30_negative"}),
    "nought": (day(period_03="0"), set()),
    "a word": (day(period_03="many"), {"DQ30_periods_form"}),
    "a flag of no kind": (day(period_flags="A" * 47 + "X"), {"DQ30_flags"}),
    "a flag too few": (day(period_flags="A" * 47), {"DQ30_flags"}),
    "estimated": (day(period_flags="E" * 48), set()),
    "no flags at all": (day(period_flags=None), set()),
}


@pytest.mark.requirement("DQ30")
@pytest.mark.parametrize("case", DAYS)
def test_days(mini: MiniCut, case):
    row, breaks = DAYS[case]
    mini.add("DCHH", "half_hourly", [row], good={}).judge()
    assert {r for r in mini.broken("DCHH", "half_hourly", POINT) if r.startswith("DQ30")} == breaks


@pytest.mark.requirement("DQ03", "DQ11", "DQ19", "DQ24")
def test_rules_that_look_beyond_the_row(mini):
    points = [mpan(10, n) for n in range(80, 89)]
    registered = [{"mpan_core": p, "data_collector_mpid": "DCHH"} for p in (*points[:4], *points[6:8])]
    registered += [{"mpan_core": points[8], "data_collector_mpid": "DCHH", "line_loss_factor_class_id": "060"}]
    mini.add("EELC", "registration", [*registered, {"mpan_core": points[4], "profile_class": "01"}], good=HALF_HOURLY)
    rows = [
        day(mpan_core=points[0]), day(mpan_core=points[0]),
        day(mpan_core=points[1], settlement_date="2023-08-20"),
        day(mpan_core=points[2], measurement_quantity="AE"),
        day(mpan_core=points[3]), day(mpan_core=points[3], measurement_quantity="RI"),
        day(mpan_core=points[4]), day(mpan_core=points[5]),
        day(mpan_core=points[6]), day(mpan_core=points[6], measurement_quantity="RE"),
        day(mpan_core=points[7]), day(mpan_core=points[7], measurement_quantity="AE"),
        day(mpan_core=points[8]),
    ]  # fmt: skip
    mini.add("DCHH", "half_hourly", rows, good={}).judge()
    assert [mini.broken("DCHH", "half_hourly", p) for p in points] == [
        {"DQ03_day"}, {"DQ11_settlement_date"}, {"DQ19_direction"}, set(),
        {"DQ24_half_hourly", "DQ24_data_collector_mpid"}, {"DQ24_registered"},
        set(), set(), {"DQ19_direction"},
    ]  # fmt: skip


def d0036(days: list[tuple[str, list[str]]], flags: str = "A") -> bytes:
    body = [f"101|{POINT}|AI|SUPA|"]
    for settlement_date, values in days:
        body += [f"102|{settlement_date}|", *(f"103|{flags}|{value}|" for value in values)]
    lines = ["ZHV|0000000001|D0036001|C|DCHH|X|SUPA|20230819020000||||TR01|", *body]
    return "\n".join([*lines, f"ZPT|0000000001|{len(body)}||1|20230819020001|", ""]).encode()


@pytest.mark.requirement("DQ29", "DQ30")
@pytest.mark.parametrize("block", [64, 500, 3000, 1 << 20])
def test_a_d0036_is_folded_into_days_wherever_its_blocks_end(tmp_path, block):
    days = [("20230326", ["1.0"] * 46), ("20230818", [f"{n}.5" for n in range(48)]), ("20221030", ["2"] * 50)]
    path = tmp_path / "d0036.usr"
    path.write_bytes(d0036(days * 7))
    layouts, limits = CONTRACT.dtc_layouts, Limits(block_bytes=block)
    with open_source(SourceSpec("x", path), layout=layouts, limits=limits) as reader:
        frame = pl.concat(list(reader.batches()))
        assert reader.dropped_columns == 1  # the supplier
    assert frame["settlement_date"].to_list() == [d for d, _ in days * 7]
    for row, (_, values) in zip(frame.iter_rows(named=True), days * 7, strict=True):
        assert [row[p] for p in PERIODS] == [*values, *[None] * (50 - len(values))]
        assert row["period_flags"] == "A" * len(values)
        assert row["mpan_core"] == POINT


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_a_day_of_51_periods_is_refused(tmp_path, block):
    from contracts.errors import IntakeError

    path = tmp_path / "d0036.usr"
    path.write_bytes(d0036([("20230818", ["1"] * 51)]))
    with (
        pytest.raises(IntakeError, match="more than 50 records of group 103"),
        open_source(SourceSpec("x", path), layout=CONTRACT.dtc_layouts, limits=Limits(block_bytes=block)) as reader,
    ):
        list(reader.batches())


def staged(rows: list[dict[str, str | None]], key: bytes = bytes(range(32)), overlay: Overlay = NONE) -> pl.DataFrame:
    contract = apply({"half_hourly": CONTRACT}, overlay)["half_hourly"]
    frame = pl.DataFrame(rows, schema={c.name: pl.String for c in contract.columns}, orient="row")
    spec = SourceSpec("DCHH/half_hourly", Path("memory"))
    names = map_columns(contract, frame.columns, where=spec.name)
    return pseudonymise_batch(frame, contract, names, Pseudonymiser(FieldKeys(key, "HH"), lists=scheme_lists()), spec)


def invented(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(pl.col(PERIODS).cast(pl.Float64)).to_numpy()


@pytest.mark.requirement("Q58")
def test_no_real_half_hour_is_staged():
    rng = np.random.default_rng(5)
    rows = []
    for n in range(200):
        values = {p: f"{v:.3f}" for p, v in zip(PERIODS[:48], rng.gamma(1.5, 0.3, 48), strict=True)}
        rows.append(day(str(date(2023, 1, 1) + timedelta(days=n % 60)), **values))
    frame = staged(rows)
    real = np.array([[float(r[p]) if r[p] else np.nan for p in PERIODS] for r in rows])
    made = invented(frame)
    np.testing.assert_allclose(np.nansum(made, axis=1), np.nansum(real, axis=1), atol=1e-9)  # the totals, exactly
    assert (np.isnan(made) == np.isnan(real)).all()
    assert np.nanmin(made) >= 0
    # five readings in a row are never those of the home
    equal = np.isclose(made[:, :48], real[:, :48], atol=5e-4)
    runs = np.lib.stride_tricks.sliding_window_view(equal, 5, axis=1).all(axis=2)
    assert not runs.any()
    # and what is alike is no more than chance: shapes do not follow the home
    correlations = [np.corrcoef(a[:48], b[:48])[0, 1] for a, b in zip(made, real, strict=True)]
    assert abs(np.mean(correlations)) < 0.05


@pytest.mark.requirement("Q58")
def test_the_series_depends_on_key_point_day_and_total_alone():
    rows = [day(), day("2023-08-17"), day(measurement_quantity="AE"), day(mpan_core=mpan(10, 78)), day(periods=46)]
    first = invented(staged(rows))
    np.testing.assert_array_equal(first, invented(staged(rows[::-1]))[::-1])
    np.testing.assert_array_equal(first[:1], invented(staged(rows[:1])))
    others = [invented(staged(rows[:1], key=bytes(range(32, 64))))[0], *first[1:4]]
    for other in others:
        assert not np.array_equal(first[0], other, equal_nan=True)
    # another spread of the same total is the same invented day
    moved = dict(rows[0], period_01=rows[0]["period_02"], period_02=rows[0]["period_01"])
    np.testing.assert_array_equal(first[:1], invented(staged([moved])))


@pytest.mark.requirement("Q58")
def test_a_day_that_cannot_be_named_has_no_values():
    frame = staged([day(mpan_core="1000000000041"), day(period_01="-90.0")])
    assert np.isnan(invented(frame)).all()
    broken = frame.select(rules.broken(CONTRACT, r).alias(r) for r in ("DQ01_mpan_core", "DQ30_negative"))
    assert broken.rows() == [(True, False), (False, True)]


@pytest.mark.requirement("Q58")
def test_real_values_take_an_explicit_line_of_the_policy():
    keep = Overlay({"half_hourly": {name: Treatment(Method.KEEP) for name in PERIODS}})
    assert staged([day()], overlay=keep)["period_02"].cast(pl.Float64).to_list() == [0.1]
    assert refusal(CONTRACT.column("period_01"), Treatment(Method.KEEP)) == ""
    assert "half-hourly periods" in refusal(CONTRACT.column("period_flags"), Treatment(Method.SYNTHETIC))
