"""An invented settlement day of each metering point: its annual consumption spread over 48 half-hours of a UTC day.

The same metering point and day give the same values wherever they are worked out: in messages and in expected results.
Source: data items 082 (the end of a period, UTC) and 101 (a UTC day), so that a day always has 48 periods.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

PERIODS = 48
TYPICAL_WH = 3_000_000  # a year of a metering point whose consumption is not held
REACTIVE = 4  # a quarter of the active power: an invented power factor
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def half_hours(records: pl.DataFrame, day: date) -> NDArray[np.int64]:
    """Return watt-hours: a row a metering point, a column a period.

    Args:
        records: ``mpan_core`` (13 digits) and ``annual_consumption`` (kWh, may be null).
    """
    points = records["mpan_core"].cast(pl.UInt64).to_numpy()
    year = (records["annual_consumption"].cast(pl.Float64).abs() * 1000).round().cast(pl.Int64).fill_null(TYPICAL_WH)
    weights = _weights(points, day)
    daily = (year.to_numpy() // 365)[:, None]
    values: NDArray[np.int64] = daily * weights // weights.sum(axis=1, keepdims=True)
    return values


def _weights(points: NDArray[np.uint64], day: date) -> NDArray[np.int64]:
    """Return weights of 64 to 319 by SplitMix64 of metering point, day and period."""
    step = np.arange(1, PERIODS + 1, dtype=np.uint64) + np.uint64(day.toordinal() * PERIODS)
    state = points[:, None] + step[None, :] * _MIX[0]
    state = (state ^ (state >> np.uint64(30))) * _MIX[1]
    state = (state ^ (state >> np.uint64(27))) * _MIX[2]
    weights: NDArray[np.int64] = ((state ^ (state >> np.uint64(31))) & np.uint64(255)).astype(np.int64) + 64
    return weights


def period_ends(day: date) -> list[str]:
    """Return the end of each period in UTC, 25 characters; the last is the next day's midnight."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [(begin + timedelta(minutes=30 * n)).isoformat(timespec="seconds") for n in range(1, PERIODS + 1)]


def midnight(day: date) -> str:
    """Return the beginning of a UTC day, 25 characters."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat(timespec="seconds")


def kwh(watt_hours: pl.Expr) -> pl.Expr:
    """Return watt-hours as kWh in text with three decimals."""
    whole, rest = (watt_hours // 1000).cast(pl.String), (watt_hours % 1000).cast(pl.String).str.zfill(3)
    return pl.concat_str(whole, pl.lit("."), rest)


def periods(records: pl.DataFrame, day: date, *, part: int = 1) -> pl.DataFrame:
    """Return a row a metering point and period: ``_of``, ``mpan_core``, ``period_end``, ``period_kwh`` (text).

    Args:
        part: the values are divided by it.
    """
    values = half_hours(records, day) // part
    points = records["mpan_core"].gather(pl.int_range(records.height, eager=True).repeat_by(PERIODS).explode())
    ends = pl.Series("period_end", period_ends(day) * records.height)
    frame = pl.DataFrame({"_of": points, "mpan_core": points, "period_end": ends, "wh": values.ravel()})
    return frame.with_columns(kwh(pl.col("wh")).alias("period_kwh")).drop("wh")
