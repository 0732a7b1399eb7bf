"""Columns that are no text, as the digits of what they could hold: numbers, times, halves in two columns, bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.leak_scan.candidates import CORE, MPAN

Numbers = NDArray[np.uint64]
LEAST = 10**6  # a smaller number by itself is no identifier
LARGEST = 10**15
MOST_HALVES = 8  # columns of long numbers that are read together, each with each
_TIME_UNITS = {"ns": (1, 10**3, 10**6, 10**9), "us": (1, 10**3, 10**6), "ms": (1, 10**3)}


def whole_numbers(values: pl.Series) -> Iterator[Numbers]:
    """Yield what the cells of a numeric or temporal column could stand for, nulls and small numbers left out."""
    values = values.drop_nulls()
    if not values.len():
        return
    kind = values.dtype
    if isinstance(kind, pl.Decimal):
        unscaled = values.cast(pl.Decimal(38, kind.scale)).to_physical().cast(pl.Float64)
        size = float(unscaled.abs().max() or 0)  # type: ignore[arg-type]
        if size < LEAST:
            return
        numbers = values.to_physical().abs().cast(pl.UInt64, strict=False).drop_nulls().to_numpy()
        for places in range(kind.scale + 1):
            step = np.uint64(10**places)
            yield from _large(numbers[numbers % step == 0] // step if places else numbers)
    elif kind.is_float():
        found = values.cast(pl.Float64).to_numpy()
        found = np.abs(found[np.isfinite(found)])
        whole = found[(found >= LEAST) & (found < LARGEST) & (found == np.floor(found))]
        yield from _large(whole.astype(np.uint64))
        thousands = found[(found >= LEAST / 1000) & (found < LARGEST / 1000) & (found != np.floor(found))] * 1000
        yield from _large(np.rint(thousands).astype(np.uint64))
    elif kind.is_integer():
        if int(values.max()) < LEAST and int(values.min()) > -LEAST:  # type: ignore[arg-type]
            return
        yield from _large(values.cast(pl.Int128).abs().cast(pl.UInt64, strict=False).drop_nulls().to_numpy())
    elif isinstance(kind, pl.Datetime | pl.Duration):
        physical = values.to_physical().abs().cast(pl.UInt64).to_numpy()
        for unit in _TIME_UNITS[kind.time_unit]:
            yield from _large(physical[physical % np.uint64(unit) == 0] // np.uint64(unit))
    elif kind == pl.Time:
        yield from _large(values.to_physical().cast(pl.UInt64).to_numpy())
    elif kind == pl.Date:
        yield from _large(values.to_physical().cast(pl.Int64).abs().cast(pl.UInt64).to_numpy())


def _large(numbers: Numbers) -> Iterator[Numbers]:
    found = numbers[(numbers >= LEAST) & (numbers < LARGEST)]
    if found.size:
        yield found


def halves(columns: list[pl.Series]) -> Iterator[tuple[str, pl.Series]]:
    """Yield what two columns of digits together say, row by row, where that has the length of an MPAN.

    The second half may have lost noughts in front, as numbers do. Names the two columns.
    """
    sizes = {c.name: _sizes(c) for c in columns}
    longest = max((size for _, size in sizes.values()), default=0)
    some = [c for c in columns if sizes[c.name][1] + longest >= CORE and sizes[c.name][1] > 1][:MOST_HALVES]
    texts = [(c.name, c.cast(pl.String), c.dtype == pl.String) for c in some]
    for left, first, _ in texts:
        for right, second, is_text in texts:
            totals = [total for total in (CORE, MPAN) if _fits(sizes[left], sizes[right], total, is_text=is_text)]
            if left == right or not totals:
                continue
            frame = pl.DataFrame({"a": first, "b": second}).drop_nulls()
            long = pl.col("a").str.len_bytes()
            for total in totals:
                after = total - long
                padded = pl.col("b") if is_text else pl.col("b").str.zfill(after)
                fits = (after >= 2) & (long >= 2) & (padded.str.len_bytes() == after)
                both = frame.filter(fits).select(pl.col("a") + padded).to_series()
                if both.len():
                    yield f"{left} and {right}", both


def _sizes(values: pl.Series) -> tuple[int, int]:
    """Return the characters of the shortest and the longest text, or number."""
    values = values.drop_nulls()
    if values.len() and values.dtype.is_integer():
        return 1, max(len(str(values.min())), len(str(values.max())))
    lengths = values.cast(pl.String).str.len_bytes().to_numpy()
    return (int(lengths.min()), int(lengths.max())) if lengths.size else (0, 0)


def _fits(first: tuple[int, int], second: tuple[int, int], total: int, *, is_text: bool) -> bool:
    """Tell whether any two halves of some lengths could have one together; a number may have lost noughts in front."""
    longest = total - max(2, first[0])  # of a second half
    shortest = max(2, total - first[1])
    return longest >= shortest and second[0] <= longest and (second[1] >= shortest or not is_text) and second[1] > 0
