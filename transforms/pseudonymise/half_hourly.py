"""Half-hourly series that replace real ones: same metering point, day, quantity and total, invented shape.

Five consecutive real readings identify most homes. What stays of a day is its total, in whole
watt-hours, and which periods it has; how the total is spread follows a frozen daily shape, varied by keyed numbers, so
that a series is the same wherever the cut key is, and tells nothing of when anybody was at home.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import Subkey

EXPORTS = ("AE", "RE")
WATT_HOURS = 1000
SCALE = 3  # decimals of a kWh
# splitmix64 (Steele, Lea and Flood 2014): spreads one keyed seed over the periods of a day
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))

Weights = NDArray[np.float64]


def synthetic_days(
    key: Subkey, points: pl.Series, frame: pl.DataFrame, periods: list[str], shapes: Sequence[Sequence[int]]
) -> list[pl.Series]:
    """Return invented values for each period of each row.

    Args:
        key: field key of the synthetic series.
        points: pseudonym MPAN of each row, null where there is none.
        frame: columns ``measurement_quantity``, ``settlement_date`` and the periods, kWh.
        periods: names of the period columns, in order.
        shapes: of each half hour of a day, the weight of its import and of its export.

    Returns:
        The period columns: null where the row has no value, has no pseudonym, or sums up to less than nothing; all
        others not negative, adding up to the row's total.
    """
    real, present = watt_hours(frame, periods)
    total = real.sum(axis=1)
    seeds = series_seeds(key, points, frame)
    weights = _shape(frame["measurement_quantity"], len(periods), shapes) * (0.4 + 1.2 * _uniform(seeds, len(periods)))
    weights[~present] = 0
    usable = points.is_not_null().to_numpy() & (total >= 0)
    made = _spread(np.where(usable, total, 0), weights)
    hidden = ~present | ~usable[:, None]
    return kilowatt_hours(made, hidden, periods)


def watt_hours(frame: pl.DataFrame, periods: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the periods of a frame (kWh) as watt-hours by row and period, 0 for none; and where there is one."""
    real = frame.select((pl.col(periods) * WATT_HOURS).round().cast(pl.Int64, strict=False))
    present = real.select(pl.all().is_not_null()).to_numpy(order="c")
    return real.fill_null(0).to_numpy(order="c"), present


def kilowatt_hours(made: NDArray[np.int64], hidden: NDArray[np.bool_], periods: Sequence[str]) -> list[pl.Series]:
    """Return watt-hours by row and period as columns of kWh; null where hidden."""
    dtype, marks = pl.Decimal(16, SCALE), [f"_hidden_{name}" for name in periods]
    shown = pl.DataFrame(made, schema=list(periods)).hstack(pl.DataFrame(hidden, schema=marks))
    kept = (pl.when(~pl.col(mark)).then(name).alias(name) for name, mark in zip(periods, marks, strict=True))
    return shown.select((kwh.cast(dtype) / WATT_HOURS).cast(dtype) for kwh in kept).get_columns()


def series_seeds(key: Subkey, points: pl.Series, frame: pl.DataFrame) -> NDArray[np.uint64]:
    """Return a keyed number for each row's metering point, measurement quantity and day."""
    day = pl.col("settlement_date").cast(pl.String).fill_null("")
    names = frame.select(pl.concat_str([points, pl.col("measurement_quantity").fill_null(""), day], separator="|"))
    return hmac_sha256(key, names.to_series().fill_null(""))[:, :8].copy().view("<u8").ravel()


def _shape(quantities: pl.Series, periods: int, shapes: Sequence[Sequence[int]]) -> Weights:
    """Return the daily shape of each row's direction; a longer day repeats its last periods."""
    table = np.array(shapes, dtype=np.float64) + 1
    place = np.minimum(np.arange(periods), table.shape[0] - 1)
    exports = quantities.is_in(list(EXPORTS)).fill_null(value=False).to_numpy()
    chosen: Weights = np.where(exports[:, None], table[place, 1][None, :], table[place, 0][None, :])
    return chosen


def _uniform(seeds: NDArray[np.uint64], periods: int) -> Weights:
    with np.errstate(over="ignore"):
        state = seeds[:, None] + _STEP * np.arange(1, periods + 1, dtype=np.uint64)[None, :]
        state = (state ^ (state >> np.uint64(30))) * _MIX[0]
        state = (state ^ (state >> np.uint64(27))) * _MIX[1]
        state ^= state >> np.uint64(31)
    unit: Weights = (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return unit


def _spread(totals: NDArray[np.int64], weights: Weights) -> NDArray[np.int64]:
    """Split whole totals in proportion to weights, exactly: by rounding the running sum, not the parts."""
    running = np.cumsum(weights, axis=1)
    whole = np.where(running[:, -1:] > 0, running[:, -1:], 1)
    edges = np.floor(totals[:, None] * (running / whole) + 0.5).astype(np.int64)
    edges = np.concatenate([np.zeros((totals.size, 1), np.int64), edges], axis=1)
    parts: NDArray[np.int64] = np.diff(edges, axis=1)
    return parts
