"""Tables with a row a half-hour, folded into settlement days; and days whose headings are clock times.

Source: BSC settlement day (midnight to midnight of Europe/London: 48 half-hours, 46 when clocks go forward, 50 when
they go back). A moment with a zone tells its half-hour by itself. A moment without one is the clock's: of the hour that
comes twice in October the first row is the earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from contracts.model import Contract, Spelling, plain
from transforms.dates import read_days

MOST = 50
PERIODS = tuple(f"period_{number:02}" for number in range(1, MOST + 1))
POINT, QUANTITY, DAY, FLAGS = "mpan_core", "measurement_quantity", "settlement_date", "period_flags"
HEADER = (POINT, QUANTITY, DAY, FLAGS, *PERIODS)
START, END, EITHER, NUMBER = "start", "end", "either", "number"
WAITING = {"point": pl.String, "quantity": pl.String, "day": pl.Date, "slot": pl.Int32, "period": pl.Int32,
           "value": pl.String, "flag": pl.String}  # fmt: skip
_KEY = ("point", "quantity", "day")
_ZONE = "Europe/London"
_HALF, _DAY = 30, 1440
_LAST = 48  # the clock at the end of a day, in half-hours
_CLOCK = re.compile(
    r"(?:\D*\s)?(\d{1,2})[:.h](\d{2})(?:[:.]00)?(?:\s*(?:-|to)\s*\d{1,2}[:.]\d{2}(?:[:.]00)?)?(?:\s*\D*)?", re.I
)
_MOMENT = (
    r"(?i)^(?P<day>.*?)(?:T|\s+|^)(?P<h>\d{1,2})[:.](?P<n>\d{2})(?:[:.](?P<s>\d{2})(?:[.,]\d{1,12})?)?"
    r"\s*(?P<p>[AP])?(?:\.?M\.?)?\s*(?P<z>Z|[A-Z]{3}|[+-]\d{2}(?::?\d{2})?)?$"
)
_COMPACT = r"^(?P<day>\d{8})T?(?P<h>\d{2})(?P<n>\d{2})(?P<s>\d{2})?(?P<p>)(?P<z>Z)?$"


@dataclass(frozen=True, slots=True)
class LongTable:
    """Which column of a table with a row a half-hour is what.

    Attributes:
        point: heading of the MPAN.
        moment: headings that together say when: a moment, or a day and a time or number.
        kind: ``start`` or ``end`` of the half-hour, ``either``, or ``number``: the number of the settlement period.
        values: measurement quantity -> heading; one alone, under no name, where ``quantity`` has a heading.
        quantity: heading of the measurement quantity; empty where there is none.
        flag: heading of the flag; empty where there is none.
        stated: whether headings say the quantity; else it is the contract's word.
    """

    point: str
    moment: tuple[str, ...]
    kind: str
    values: Mapping[str, str]
    quantity: str = ""
    flag: str = ""
    stated: bool = True

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings that are read."""
        return tuple(h for h in (self.point, *self.moment, *self.values.values(), self.quantity, self.flag) if h)


def long_table(contract: Contract, header: Sequence[str], own: Mapping[str, str]) -> LongTable | None:
    """Tell whether a header is that of a table with a row a half-hour; nothing where it is not."""
    known = contract.half_hours
    if known is None:
        return None
    names = {plain(heading): heading for heading in header}

    def first(words: Sequence[str]) -> str:
        return next((names[plain(word)] for word in words if plain(word) in names), "")

    def of(column: str) -> str:
        wanted = [own[column]] if column in own else [column, *contract.column(column).physical_names]
        return first(wanted)

    if any(of(period) for period in PERIODS[:2]) or clock_headings(header):
        return None
    point, day = of(POINT), own.get(DAY) or first(known.day) or of(DAY)
    starts, ends, stamp, time, number = map(first, (known.start, known.end, known.stamp, known.time, known.period))
    moment: tuple[str, ...]
    if starts or ends or stamp:
        moment, kind = ((starts,), START) if starts else ((ends,), END) if ends else ((stamp,), EITHER)
    elif day and (number or time):
        moment, kind = ((day, number), NUMBER) if number else ((day, time), EITHER)
    else:
        return None
    values = {quantity: heading for quantity, words in known.values.items() if (heading := first(words))}
    if not point or not values:
        return None
    quantity = of(QUANTITY)
    if quantity:
        values = {"": next(iter(values.values()))}
    certain = bool(quantity) or len(values) > 1 or known.quantity not in values
    return LongTable(point, moment, kind, values, quantity, first(known.flag), certain)


def clock_headings(header: Sequence[str]) -> dict[str, str]:
    """Return column -> heading of a day whose headings are clock times, in their order; nothing where they are not.

    A day that begins at 00:00 names the starts of its half-hours, one that begins at 00:30 their ends.
    """
    found = []
    for heading in header:
        if said := _CLOCK.fullmatch(heading.strip()):
            found.append((int(said[1]) * 60 + int(said[2]), heading))
    minutes = [at % _DAY for at, _ in found[:48]]
    starts = list(range(0, _DAY, _HALF))
    if minutes not in (starts, [*starts[1:], 0]) or len(found) > MOST:
        return {}
    return {PERIODS[at]: heading for at, (_, heading) in enumerate(found)}


def moments(texts: pl.DataFrame, spelling: Spelling, order: str) -> pl.DataFrame:
    """Read when half-hours are.

    Columns in: ``moment``; or ``day`` and ``time``. Columns out: ``date``, ``minutes`` of the clock, ``offset`` in
    minutes before Greenwich where a zone is given, ``reading`` of the day (``transforms.dates.Reading``).
    """
    text = pl.col("moment") if "moment" in texts.columns else pl.concat_str("day", "time", separator=" ")
    whole = texts.select(text.str.strip_chars().alias("text"))
    words = whole.unique(maintain_order=True)
    parts = words.select(pl.col("text").str.extract_groups(_MOMENT).alias("g")).unnest("g")
    compact = words.select(pl.col("text").str.extract_groups(_COMPACT).alias("g")).unnest("g")
    fields = pl.DataFrame(
        {
            name: compact[name].zip_with(compact["h"].is_not_null(), parts[name])
            for name in ("day", "h", "n", "s", "p", "z")
        }
    ).with_columns(words["text"])
    alone = pl.col("h").is_null()  # a day without a time is its midnight, as spreadsheets print it
    fields = fields.with_columns(pl.when(alone).then("text").otherwise("day").str.strip_chars().alias("day"))
    days = read_days(fields["day"], spelling, order)
    hour = pl.col("h").cast(pl.Int32, strict=False)
    half = pl.col("p").str.to_uppercase()
    hour = pl.when(half == "P").then(hour % 12 + 12).when(half == "A").then(hour % 12).otherwise(hour)
    minutes = pl.when(alone).then(0).otherwise(hour * 60 + pl.col("n").cast(pl.Int32, strict=False))
    sound = (minutes <= _DAY) & (pl.col("s").cast(pl.Int32, strict=False).fill_null(0) == 0)
    zone = pl.col("z").str.to_uppercase()
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    size = digits.str.slice(0, 2).cast(pl.Int32, strict=False) * 60 + digits.str.slice(2, 2).cast(
        pl.Int32, strict=False
    )
    signed = pl.when(zone.str.starts_with("-")).then(-size).when(zone.str.starts_with("+")).then(size)
    named = zone.replace_strict(dict(spelling.zones), default=None, return_dtype=pl.Int32)
    read = fields.select(
        "text",
        pl.when(sound).then(minutes).cast(pl.Int32).alias("minutes"),
        pl.coalesce(named, signed).cast(pl.Int32).alias("offset"),
        (pl.col("z").str.len_bytes() > 0).fill_null(value=False).alias("zoned"),
    ).with_columns(days["value"].alias("date"), days["reading"])
    # a zone that nobody can tell is no moment
    read = read.with_columns(pl.when(~pl.col("zoned") | pl.col("offset").is_not_null()).then("date").alias("date"))
    return whole.join(read, on="text", how="left", maintain_order="left", nulls_equal=True).drop("text", "zoned")


def placed(when: pl.DataFrame, *, ends: bool) -> pl.DataFrame:
    """Return the settlement day and half-hour of moments.

    Columns in: those of :func:`moments`. Columns out: ``day``; ``period`` where a zone tells it, else ``slot``: the
    clock in half-hours, 48 at the end of a day.
    """
    at = pl.col("date").cast(pl.Int64) * _DAY + pl.col("minutes")
    instant = (
        ((at - pl.col("offset") - (_HALF if ends else 0)) * 60_000_000)
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC")
    )
    local = instant.dt.convert_time_zone(_ZONE)
    midnight = local.dt.date().cast(pl.Datetime("us")).dt.replace_time_zone(_ZONE).dt.convert_time_zone("UTC")
    clock = (at - (1 if ends else 0)) // _DAY
    slot = (at - clock * _DAY) // _HALF
    zoned = pl.col("offset").is_not_null()
    return when.select(
        pl.when(zoned).then(local.dt.date()).otherwise(clock.cast(pl.Int32).cast(pl.Date)).alias("day"),
        pl.when(zoned).then((instant - midnight).dt.total_minutes() // _HALF + 1).cast(pl.Int32).alias("period"),
        pl.when(~zoned).then(slot).cast(pl.Int32).alias("slot"),
    )


def length(day: pl.Expr) -> pl.Expr:
    """Return how many half-hours a settlement day has."""
    midnight = day.cast(pl.Datetime("us")).dt.replace_time_zone(_ZONE)
    after = day.dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(_ZONE)
    return ((after - midnight).dt.total_minutes() // _HALF).cast(pl.Int32)


def split_whole(waiting: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split half-hours into those of days of which every one is there, and the others."""
    sizes = waiting.lazy().group_by(_KEY).agg(pl.len().alias("held"))
    sizes = sizes.with_columns((pl.col("held") >= length(pl.col("day"))).alias("whole")).drop("held")
    marked = waiting.lazy().join(sizes, on=_KEY, how="left", maintain_order="left", nulls_equal=True).collect()
    return marked.filter("whole").drop("whole"), marked.filter(~pl.col("whole")).drop("whole")


def folded(rows: pl.DataFrame, *, ends: bool = False) -> pl.DataFrame:
    """Return a row a day, as the contract has it, in the order in which days begin; all as text.

    Columns in: ``WAITING``; with ``ends`` a slot is the clock at the end of the half-hour.
    A half-hour that comes twice makes a second row of its day: rules say what becomes of it.
    """
    clock, size = pl.col("slot"), length(pl.col("day"))
    nth = clock.cum_count().over(*_KEY, "slot") - 1
    again = (size == MOST) & clock.is_in([2, 3]) & (nth > 0)
    moved = (
        pl.when(again).then(clock + 3)
        .when((size == MOST) & (clock >= 4)).then(clock + 3)
        .when((size == 46) & clock.is_in([2, 3])).then(clock + 45)  # an hour that this day has not: one too many
        .when((size == 46) & (clock >= 4)).then(clock - 1)
        .otherwise(clock + 1)
    )  # fmt: skip
    if ends:  # an end is the start of the next one
        moved = (
            pl.when(clock == _LAST).then(size)
            .when((size == 46) & (clock == 2)).then(2)
            .when((size == 46) & (clock == 3)).then(47)
            .otherwise(moved - 1)
        )  # fmt: skip
    rows = rows.with_columns(pl.coalesce("period", moved).cast(pl.Int32).alias("period"))
    rows = rows.with_columns(pl.int_range(pl.len()).over(*_KEY, "period").alias("copy"))
    keys = rows.select(*_KEY, "copy").unique(maintain_order=True).with_row_index("row")
    placed_at = rows.join(keys, on=[*_KEY, "copy"], how="left", maintain_order="left", nulls_equal=True)
    table = np.full((keys.height, MOST), -1, np.int64)
    table[placed_at["row"].to_numpy(), placed_at["period"].to_numpy() - 1] = np.arange(rows.height)
    columns, flags = [], []
    for number, name in enumerate(PERIODS):
        index = pl.Series(table[:, number]).replace(-1, None).cast(pl.UInt32)
        columns.append(rows["value"].gather(index).alias(name))
        letter = rows["flag"].gather(index).str.strip_chars().str.slice(0, 1).str.to_uppercase().fill_null("?")
        flags.append(letter.set(index.is_null(), "").alias(f"f{number}"))
    told = pl.DataFrame(flags).select(pl.concat_str(pl.all()).alias(FLAGS)).to_series()
    told = told.set(~told.str.contains(r"[^?]"), None)
    head = keys.select(
        pl.col("point").alias(POINT), pl.col("quantity").alias(QUANTITY), pl.col("day").cast(pl.String).alias(DAY)
    )
    return head.with_columns(told, *columns).select(HEADER)
