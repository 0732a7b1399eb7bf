"""Texts -> days: every spelling that says by itself which day it means, and what is declared for the others.

A cell is never guessed by itself. Numbers joined by ``/ - .`` or a space are day first, unless the source declares
otherwise; a date that is impossible day first, and one whose year has two digits, is marked for the whole column to be
judged by. Of an instant with a zone the day is the day in London; of a time without one, the day it names.

Source: ISO 8601; DTC data types DATE and DATETIME (``yyyymmdd``, ``yyyymmddhhmmss``); the serial days of spreadsheets
(day 1 is 1900-01-01, day 60 the 29 February 1900 that never was, so that later days count from 1899-12-30).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import polars as pl

from contracts.model import Spelling

AUTO, DAY_FIRST, MONTH_FIRST, SERIAL = "auto", "day-first", "month-first", "serial"
ORDERS = (AUTO, DAY_FIRST, MONTH_FIRST, SERIAL)
EVERY = "*"  # in place of a column's name: all columns that are not named

_MONTHS = (
    "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER",
    "DECEMBER",
)  # fmt: skip
_MONTH_OF = {
    **{name[:3]: number for number, name in enumerate(_MONTHS, 1)},
    **{name: number for number, name in enumerate(_MONTHS, 1)},
    "SEPT": 9,
}
_TIME = (
    r"(?:(?:T|\s+)(?P<h>\d{1,2})[:.](?P<n>\d{2})(?:[:.](?P<s>\d{2})(?:[.,:]\d{1,12})?)?\s*(?P<p>[AP]\.?M\.?)?"
    r"\s*(?P<z>[A-Z]{1,3}|[+-]\d{2}(?::?\d{2})?)?|(?P<y0>Z|[+-]\d{2}:\d{2}))?"
)
_COMPACT_TIME = r"(?:T?(?P<h>\d{2})(?P<n>\d{2})(?P<s>\d{2})(?:[.,]\d{1,12})?(?P<z>Z|[+-]\d{2}(?::?\d{2})?)?|\.0+)?"
_YEAR_FIRST = r"(?P<y>\d{4})(?P<a>[-/.])(?P<m>\d{1,2})(?P<b>[-/.])(?P<d>\d{1,2})" + _TIME
_COMPACT = r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})" + _COMPACT_TIME
_YEAR_LAST = r"(?P<d>\d{1,2})(?P<a>[-/. ])(?P<m>\d{1,2})(?P<b>[-/. ])(?P<y>\d{4}|\d{2})" + _TIME
_ORDINAL = r"(?:ST|ND|RD|TH)?"
_WEEKDAY = r"(?:(?:MON|TUE|WED|THU|FRI|SAT|SUN)[A-Z]{0,6}[.,]{0,2}\s+)?"  # the date decides, not the day's name
_DAY_NAMED = _WEEKDAY + r"(?P<d>\d{1,2})" + _ORDINAL + r"[-/. ]?(?P<m>[A-Z]{3,9})[-/., ]{0,2}(?P<y>\d{4}|\d{2})" + _TIME
_MONTH_NAMED = _WEEKDAY + r"(?P<m>[A-Z]{3,9})[-/. ]{1,2}(?P<d>\d{1,2})" + _ORDINAL + r"[-/., ]{1,2}(?P<y>\d{4})" + _TIME
_YEAR_NAMED = r"(?P<y>\d{4})[-/. ]?(?P<m>[A-Z]{3,9})[-/. ]?(?P<d>\d{1,2})" + _TIME
_SHORT = r"\d{6}"  # yymmdd or ddmmyy: no two people read it alike
_DAYS = r"(?P<days>\d{5}|2958465)(?:\.\d+)?"  # five digits are 1927 to 2173; four may be a year
_SERIAL_ORIGIN = -25569  # 1899-12-30, counted from 1970-01-01
_MINUTE = 60_000_000
_FAST = (("%Y-%m-%d", r"^\d{4}-\d{2}-\d{2}$"), ("%d/%m/%Y", r"^\d{2}/\d{2}/\d{4}$"), ("%Y%m%d", r"^\d{8}$"))


class Reading(IntEnum):
    """What became of a text in a column of dates."""

    EMPTY = 0
    READ = 1
    UNREAD = 2
    TWO_DIGITS = 3  # a two-digit year
    NOT_DAY_FIRST = 4  # impossible in the order that holds for the column, possible in the other
    OUT_OF_YEARS = 5
    SERIAL_DAY = 6  # read, as a spreadsheet's number of a day


READ = (Reading.READ, Reading.SERIAL_DAY)


@dataclass(frozen=True, slots=True)
class _Declared:
    regex: str
    two_digits: bool
    turnable: bool  # whether day and month are both numbers, the year not before them


def is_order(word: str) -> bool:
    """Tell whether ``dates:`` of a source may say this: an order, or a pattern such as ``dd/mm/yy``."""
    return word in ORDERS or _pattern(word) is not None


@cache
def _pattern(word: str) -> _Declared | None:
    """Return what a declared pattern of letters means; None where it is no pattern."""
    tokens = re.findall(r"yyyy|yy|month|mon|mm|m|dd|d|[-/., ]", word.lower())
    if "".join(tokens) != word.lower() or not tokens:
        return None
    kinds = sorted({"month": "m", "mon": "m"}.get(t, t[0]) for t in tokens if t[0].isalpha())
    if kinds != ["d", "m", "y"]:
        return None
    tight = not any(not t[0].isalpha() for t in tokens)
    parts = []
    for token in tokens:
        if token in ("month", "mon"):
            parts.append(r"(?P<m>[A-Z]{3,9})")
        elif token.startswith("y"):
            parts.append(rf"(?P<y>\d{{{len(token)}}})")
        elif token[0].isalpha():
            parts.append(rf"(?P<{token[0]}>\d{{2}})" if tight else rf"(?P<{token[0]}>\d{{1,2}})")
        else:
            parts.append(re.escape(token))
    return _Declared(
        "".join(parts) + (_COMPACT_TIME if tight and "yyyy" in tokens else _TIME),
        two_digits="yy" in tokens,
        turnable=not tokens[0].startswith("y") and not {"mon", "month"} & set(tokens),
    )


def read_days(words: pl.Series, spelling: Spelling, order: str = AUTO) -> pl.DataFrame:
    """Read the texts of one column, trimmed, in one order.

    Args:
        order: one of ``ORDERS``, or a pattern of ``yyyy yy mm m dd d mon`` and dividers, which then holds alone.

    Columns out: ``value`` (Date, null where nothing was read), ``reading`` (``Reading`` as UInt8).
    """
    declared = None if order in ORDERS else _pattern(order)
    if order == SERIAL:
        return _bounded(_serial_days(words), _all(words, Reading.SERIAL_DAY), words, spelling)
    if declared is not None:
        value, kind = _by_regex(
            words, declared.regex, spelling, two_digits=declared.two_digits, turnable=declared.turnable
        )
        return _bounded(value, kind, words, spelling)
    month_first = order == MONTH_FIRST
    value, kind = _fast(words, month_first)
    rest = (value.is_null() & words.is_not_null()).arg_true()
    if rest.len():
        some, marks = _slow(words.gather(rest), spelling, month_first=month_first)
        value, kind = value.scatter(rest, some), kind.scatter(rest, marks)
        if order == AUTO and _all_serial(words):
            value, kind = _serial_days(words), _all(words, Reading.SERIAL_DAY)
    return _bounded(value, kind, words, spelling)


def _all(words: pl.Series, reading: Reading) -> pl.Series:
    return pl.Series("reading", [int(reading)], dtype=pl.UInt8).new_from_index(0, words.len())


def _fast(words: pl.Series, month_first: bool) -> tuple[pl.Series, pl.Series]:
    """Read the spellings that nearly all backups have."""
    text = pl.col("text")
    length = text.str.len_bytes()
    found = [
        pl.when(text.str.contains(shape) & (length <= 10)).then(text).str.to_date(fmt, strict=False, exact=True)
        for fmt, shape in _FAST
        if not (month_first and fmt == "%d/%m/%Y")
    ]
    value = words.alias("text").to_frame().select(pl.coalesce(found).alias("value")).to_series()
    return value, _all(words, Reading.READ)


def _slow(words: pl.Series, spelling: Spelling, *, month_first: bool) -> tuple[pl.Series, pl.Series]:
    value = pl.Series("value", [None], dtype=pl.Date).new_from_index(0, words.len())
    kind = _all(words, Reading.UNREAD)
    for regex in (_YEAR_FIRST, _COMPACT, _YEAR_LAST, _DAY_NAMED, _MONTH_NAMED, _YEAR_NAMED):
        left = (value.is_null() & (kind == int(Reading.UNREAD))).arg_true()
        if not left.len():
            break
        some, marks = _by_regex(
            words.gather(left),
            regex,
            spelling,
            month_first=month_first and regex == _YEAR_LAST,
            turnable=regex == _YEAR_LAST,
        )
        value, kind = value.scatter(left, some), kind.scatter(left, marks)
    short = words.str.contains(f"^{_SHORT}$").fill_null(value=False) & value.is_null()
    return value, kind.set(short, int(Reading.TWO_DIGITS)) if short.any() else kind


def _by_regex(
    words: pl.Series,
    regex: str,
    spelling: Spelling,
    *,
    month_first: bool = False,
    two_digits: bool = False,
    turnable: bool = False,
) -> tuple[pl.Series, pl.Series]:
    """Read what one expression matches; the rest stays ``UNREAD``."""
    parts = words.alias("text").to_frame().select(pl.col("text").str.extract_groups(f"(?i)^(?:{regex})$"))
    fields = parts.to_series().struct.unnest()
    if fields["y"].null_count() == fields.height:  # every expression wants a year: nothing is so spelt
        return pl.Series("value", [None], dtype=pl.Date).new_from_index(0, words.len()), _all(words, Reading.UNREAD)
    for name in ("y", "m", "d", "a", "b", "h", "n", "s", "p", "z", "y0"):
        if name not in fields.columns:
            fields = fields.with_columns(pl.lit(None, pl.String).alias(name))
    day, month = ("m", "d") if month_first else ("d", "m")
    named = pl.col("m").str.to_uppercase().replace_strict(_MONTH_OF, default=None, return_dtype=pl.Int64)
    number = pl.coalesce(pl.col(month).cast(pl.Int64, strict=False), named)
    year = pl.col("y").cast(pl.Int64, strict=False)
    if two_digits:
        year = year + pl.when(year < spelling.century_turn).then(2000).otherwise(1900)
    short = pl.lit(value=False) if two_digits else pl.col("y").str.len_bytes() == 2
    matched = pl.col("y").is_not_null() & number.is_not_null() & pl.col("a").eq_missing(pl.col("b"))
    d = pl.col(day).cast(pl.Int64, strict=False)
    zone = pl.coalesce("z", "y0").str.to_uppercase()
    hour, minute = pl.col("h").cast(pl.Int64, strict=False), pl.col("n").cast(pl.Int64, strict=False)
    second, half = pl.col("s").cast(pl.Int64, strict=False), pl.col("p").str.to_uppercase().str.slice(0, 1)
    in_time = (
        pl.when(half.is_null()).then(hour.fill_null(0) <= 23).otherwise(hour.is_between(1, 12))
        & (minute.fill_null(0) <= 59)
        & (second.fill_null(0) <= 60)
    )
    hour = pl.when(half == "P").then(hour % 12 + 12).when(half == "A").then(hour % 12).otherwise(hour)
    fields = fields.select(
        matched.alias("matched"),
        (matched & short).alias("short"),
        _day(year, number, d).alias("value"),
        _day(year, d, number).alias("turned"),
        in_time.alias("in_time"),
        (hour.fill_null(0) * 60 + minute.fill_null(0)).alias("minutes"),
        zone.is_not_null().alias("zoned"),
        _offset(zone, spelling.zones).alias("offset"),
    )
    stated = pl.when(pl.col("matched") & ~pl.col("short") & pl.col("in_time")).then(pl.col("value"))
    value = pl.when(~pl.col("zoned")).then(stated).when(pl.col("offset").is_not_null()).then(_in_london(stated))
    turned = pl.col("matched") & pl.col("value").is_null() & pl.col("turned").is_not_null() & pl.lit(turnable)
    kind = (
        pl.when(pl.col("short")).then(int(Reading.TWO_DIGITS))
        .when(turned & pl.col("in_time")).then(int(Reading.NOT_DAY_FIRST))
        .when(pl.col("_value").is_not_null()).then(int(Reading.READ))
        .otherwise(int(Reading.UNREAD))
    ).cast(pl.UInt8)  # fmt: skip
    out = fields.with_columns(value.alias("_value")).select(pl.col("_value").alias("value"), kind.alias("reading"))
    return out["value"], out["reading"]


def _day(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Return the day of the calendar; null where there is none."""
    texts = [year.cast(pl.String).str.zfill(4), month.cast(pl.String).str.zfill(2), day.cast(pl.String).str.zfill(2)]
    return pl.concat_str(texts, separator="-").str.to_date("%Y-%m-%d", strict=False, exact=True)


def _offset(zone: pl.Expr, zones: Mapping[str, int]) -> pl.Expr:
    """Return minutes before Greenwich; null for a zone that nobody can tell."""
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(
        pl.Int64, strict=False
    )
    signed = pl.when(zone.str.starts_with("-")).then(-minutes).when(zone.str.starts_with("+")).then(minutes)
    named = zone.replace_strict(dict(zones), default=None, return_dtype=pl.Int64)
    return pl.coalesce(named, pl.when(minutes <= 14 * 60).then(signed))


def _in_london(value: pl.Expr) -> pl.Expr:
    """Return the day that it is in London at the instant that ``minutes`` and ``offset`` say."""
    at = value.cast(pl.Int64, strict=False) * 1440 + pl.col("minutes") - pl.col("offset")
    instant = (at * _MINUTE).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return instant.dt.convert_time_zone("Europe/London").dt.date()


def _all_serial(words: pl.Series) -> bool:
    filled = words.drop_nulls()
    return bool(filled.len()) and bool(filled.str.contains(f"^(?:{_DAYS})$").all())


def _serial_days(words: pl.Series) -> pl.Series:
    days = words.str.extract(r"^(\d{1,7})(?:\.\d+)?$").cast(pl.Int32, strict=False)
    return (days + _SERIAL_ORIGIN).cast(pl.Date).alias("value")


def _bounded(value: pl.Series, kind: pl.Series, words: pl.Series, spelling: Spelling) -> pl.DataFrame:
    """Take out days in years that no date of the market can have, and give each text its mark."""
    year, v, k = pl.col("value").dt.year(), pl.col("value"), pl.col("reading")
    out = ~year.is_between(spelling.first_year, spelling.last_year) & ~v.is_in(list(spelling.special_days))
    frame = pl.DataFrame([value.alias("value"), kind.alias("reading"), words.is_null().alias("empty")])
    marks = (
        pl.when("empty").then(int(Reading.EMPTY))
        .when(out.fill_null(value=False)).then(int(Reading.OUT_OF_YEARS))
        .when(v.is_null() & k.is_in([int(r) for r in READ])).then(int(Reading.UNREAD))
        .otherwise(k)
    ).cast(pl.UInt8)  # fmt: skip
    return frame.select(pl.when(~out.fill_null(value=True)).then(v).alias("value"), marks.alias("reading"))


# How a column's days may be written again: formats of chrono, with a word before it where that is not all.
UPPER, INSTANT = "upper ", "instant "
WRITTEN = (
    "%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d.%m.%Y", "%d-%m-%Y", "upper %d-%b-%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y",
    "upper %d%b%Y", "%-d/%-m/%Y", "%Y/%m/%d", "%m/%d/%Y", "%-m/%-d/%Y", "%d/%m/%y", "%m/%d/%y", "upper %d-%b-%y",
    "%d-%b-%y", "%d.%m.%y", "%d-%m-%y", "%Y-%m-%d %H:%M:%S.000", "%Y-%m-%dT%H:%M:%S.000", "%Y-%m-%d %H:%M:%S.000000",
    "%Y-%m-%dT%H:%M:%S.000000", "%Y-%m-%d %H:%M:%S.0000000", "%Y-%m-%dT00:00:00Z", "instant %Y-%m-%dT%H:%M:%SZ",
    "instant %Y-%m-%d %H:%M:%S+00", "instant %Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%S+00:00", SERIAL,
)  # fmt: skip
ISO = WRITTEN[0]


def spelt(day: pl.Expr, how: str) -> pl.Expr:
    """Return days as text in one of the ways of ``WRITTEN``; an instant is that of midnight in London, in UTC."""
    if how == SERIAL:
        return (day.to_physical() - _SERIAL_ORIGIN).cast(pl.String)
    moment = day.cast(pl.Datetime("us"))
    if how.startswith(INSTANT):
        moment = moment.dt.replace_time_zone("Europe/London", ambiguous="earliest", non_existent="null")
        moment = moment.dt.convert_time_zone("UTC")
    text = moment.dt.strftime(how.removeprefix(UPPER).removeprefix(INSTANT))
    return text.str.to_uppercase() if how.startswith(UPPER) else text


def written_as(words: pl.Series, spelling: Spelling, order: str = AUTO) -> str | None:
    """Return the way of ``WRITTEN`` that gives a column's own texts again; else the one that begins most of them.

    None where none of the texts, trimmed, is a date.
    """
    days = read_days(words, spelling, order)["value"]
    known = pl.DataFrame([words.alias("word"), days.alias("day")]).drop_nulls()
    if not known.height:
        return None
    for how in WRITTEN:
        if known.select((spelt(pl.col("day"), how) == pl.col("word")).all()).item():
            return how
    begins = {
        how: known.select(pl.col("word").str.starts_with(spelt(pl.col("day"), how)).sum()).item() for how in WRITTEN
    }
    best = max(begins, key=lambda how: begins[how])
    return best if begins[best] else ISO
