"""Half-hours of UTC days joined into settlement days, which begin at midnight of Europe/London.

Source: BSC settlement day; DTC 15.4 D0379 (days from midnight to midnight UTC). In summer a settlement day begins with
the last two half-hours of the UTC day before; it has 46 half-hours when clocks go forward and 50 when they go back.
"""

from __future__ import annotations

import polars as pl

from contracts.errors import RefusedError

UTC_PERIODS, MOST = 48, 50
MOST_WAITING = 20_000_000  # half-hours: of 417,000 days, or the first hours of 10 million
_KEY = ("mpan_core", "measurement_quantity", "settlement_date")
_PERIODS = tuple(f"period_{number:02}" for number in range(1, MOST + 1))
_FLAGS = "period_flags"
_ZONE = "Europe/London"


class SettlementDays:
    """Joins frames of UTC days as they come, of one file or several; a part waits until the day it belongs to is met.

    Attributes:
        left: settlement days of which a part is still missing; at the end these are the edges of what was sent.
    """

    def __init__(self, label: str = "") -> None:
        self._label = label
        self._heads: pl.DataFrame | None = None  # first hours, from the UTC day before
        self._bodies: pl.DataFrame | None = None  # days in summer time that lack them

    @property
    def left(self) -> int:
        """Settlement days that are not whole."""
        waiting = [part.select(_KEY) for part in (self._heads, self._bodies) if part is not None]
        return pl.concat(waiting).n_unique() if waiting else 0

    def join(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the settlement days that are whole with these UTC days.

        Columns in and out: MPAN, measurement quantity, ``settlement_date`` (in: a UTC day, ``yyyymmdd``),
        ``period_01`` to ``period_50``, ``period_flags``, all text. A day whose date cannot be read passes as it is.

        Raises:
            RefusedError: too many parts wait.
        """
        day = pl.col("settlement_date").str.strip_chars().str.to_date("%Y%m%d", strict=False)
        own = frame.with_columns(pl.col(*_KEY[:2]).str.strip_chars())
        days = own.with_columns(
            day.alias("_day"), _offset(day).alias("_off"), _offset(day.dt.offset_by("1d")).alias("_next")
        )
        odd = days.filter(pl.col("_day").is_null()).select(frame.columns)
        days = days.filter(pl.col("_day").is_not_null())
        bodies, heads = _body(days), _head(days)
        whole = bodies.filter(pl.col("_off") == 0).drop("_off")
        waiting = bodies.filter(pl.col("_off") > 0).drop("_off")
        waiting = waiting if self._bodies is None else pl.concat([self._bodies, waiting])
        heads = heads if self._heads is None else pl.concat([self._heads, heads])
        joined = waiting.join(heads.unique(_KEY, keep="first", maintain_order=True), on=_KEY, maintain_order="left")
        first = [pl.col("_first").alias(_PERIODS[0]), pl.col("_second").alias(_PERIODS[1])]
        flags = (pl.col("_flags") + pl.col(_FLAGS)).alias(_FLAGS)
        complete = joined.with_columns(*first, flags).select(whole.columns)
        self._bodies = waiting.join(heads, on=_KEY, how="anti", maintain_order="left")
        self._heads = heads.join(joined, on=_KEY, how="anti", maintain_order="left")
        self._judge()
        return pl.concat([complete.select(frame.columns), whole.select(frame.columns), odd])

    def _judge(self) -> None:
        """Refuse what would take memory without bound: days whose other parts are far away, or never come."""
        parts = ((self._bodies, UTC_PERIODS), (self._heads, 2))
        if sum(part.height * size for part, size in parts if part is not None) > MOST_WAITING:
            raise RefusedError(
                f"has more than {MOST_WAITING:,} half-hours of UTC days that wait for the day before or after",
                where=self._label,
                remedy="name the files so that days follow each other, or send them a few days at a time",
            )


def _offset(day: pl.Expr) -> pl.Expr:
    """Return by how many half-hours London is ahead of UTC when a day begins there."""
    local = day.cast(pl.Datetime("us")).dt.replace_time_zone(_ZONE)
    return ((local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_minutes() // 30).cast(pl.Int32)


def _body(days: pl.DataFrame) -> pl.DataFrame:
    """Return what each UTC day holds of the settlement day of the same date, at its places there."""
    periods = []
    for number, name in enumerate(_PERIODS, 1):
        value = pl.lit(None, pl.String)
        for ahead in (0, 2):
            source = number - ahead
            if 1 <= source <= UTC_PERIODS:
                here = (pl.col("_off") == ahead) & (source <= UTC_PERIODS - pl.col("_next"))
                value = pl.when(here).then(pl.col(_PERIODS[source - 1])).otherwise(value)
        periods.append(value.alias(name))
    flags = pl.col(_FLAGS).str.slice(0, UTC_PERIODS - pl.col("_next")).alias(_FLAGS)
    return days.with_columns(*periods, flags).drop("_day", "_next")


def _head(days: pl.DataFrame) -> pl.DataFrame:
    """Return what each UTC day holds of the settlement day after: its first hour, in summer."""
    after = pl.col("_day").dt.offset_by("1d").dt.strftime("%Y%m%d").alias("settlement_date")
    return days.filter(pl.col("_next") > 0).select(
        "mpan_core",
        "measurement_quantity",
        after,
        pl.col(_PERIODS[UTC_PERIODS - 2]).alias("_first"),
        pl.col(_PERIODS[UTC_PERIODS - 1]).alias("_second"),
        pl.col(_FLAGS).str.slice(UTC_PERIODS - 2, 2).alias("_flags"),
    )
