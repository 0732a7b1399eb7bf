"""Code tables: short lists of texts that numpy columns point into, so that text is made once, when it is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int64]
CUT_DATE = dt.date(2023, 8, 19)
FIRST_DAY = dt.date(1980, 1, 1)
LAST_DAY = dt.date(2024, 12, 31)
DAY_FIRST = "%d/%m/%Y"
COMPACT = "%Y%m%d"
ISO = "%Y-%m-%d"


class Vocabulary:
    """A list of distinct texts; code 0 is always the blank (null)."""

    def __init__(self, values: Iterable[str]) -> None:
        texts = list(values)
        self.texts: list[str | None] = [None, *texts]
        self._series = pl.Series(self.texts, dtype=pl.String)
        self._codes = {text: code for code, text in enumerate(texts, start=1)}

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        """Return the code of ``text``.

        Raises:
            KeyError: the text is not in the list.
        """
        return self._codes[text]

    def codes(self, texts: Iterable[str | None]) -> Codes:
        """Return the codes of several texts; ``None`` gives the blank."""
        return np.array([0 if t is None else self._codes[t] for t in texts], dtype=np.int64)

    def text(self, codes: NDArray[np.integer]) -> pl.Series:
        """Return the text of each code, null for the blank."""
        return self._series.gather(np.ascontiguousarray(codes, dtype=np.uint32))


def day(date: dt.date) -> int:
    """Return the code of a date: 1 for 1 January 1980, 0 being the blank."""
    return (date - FIRST_DAY).days + 1


CUT_DAY = day(CUT_DATE)
_DATES = [FIRST_DAY + dt.timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]
YEAR_OF_DAY = np.array([0, *(d.year for d in _DATES)], dtype=np.int64)
DATES = {form: Vocabulary(d.strftime(form) for d in _DATES) for form in (DAY_FIRST, COMPACT, ISO)}


def dates(codes: NDArray[np.integer]) -> pl.Series:
    """Return day codes as a date column, null for the blank."""
    since_epoch = (FIRST_DAY - dt.date(1970, 1, 1)).days - 1
    days = pl.Series(np.asarray(codes, dtype=np.int32) + np.int32(since_epoch)).cast(pl.Date)
    blank = np.asarray(codes) == 0
    return days.set(pl.Series(blank), None) if blank.any() else days


def zero_padded(numbers: NDArray[np.integer], width: int | NDArray[np.integer]) -> pl.Series:
    """Return numbers as digits, padded with zeros to ``width`` (one width, or one for each)."""
    raised = np.asarray(numbers, dtype=np.int64) + np.int64(10) ** np.asarray(width, dtype=np.int64)
    return pl.Series(raised).cast(pl.String).str.slice(1)


def lookup(weights: dict[int, int], size: int) -> NDArray[np.uint8]:
    """Return a table of ``size`` entries in which each code stands as often as its weight says.

    An integer below ``size``, drawn evenly, then picks by weight without any floating-point number, so the pick is
    the same on every machine.

    Raises:
        ValueError: the weights do not sum to ``size``.
    """
    if sum(weights.values()) != size:
        raise ValueError(f"weights sum to {sum(weights.values())}, not {size}")
    return np.repeat(np.array(list(weights), dtype=np.uint8), list(weights.values()))
