"""Days in every spelling: 200 days in 25 spellings against the calendar of the standard library, none misread."""

from __future__ import annotations

import datetime
import random
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from contracts.spelling import spelling
from transforms.dates import AUTO, Reading, is_order, read_days, spelt, written_as

LONDON, UTC = ZoneInfo("Europe/London"), datetime.UTC
ONE = datetime.timedelta(1)
pytestmark = pytest.mark.requirement("DQ11")
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
LONG = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)


# Spelled by hand, not by strftime: the oracle shares no code with what it judges.
SPELLINGS = {
    "ISO": lambda d: f"{d.year:04}-{d.month:02}-{d.day:02}",
    "ISO, short": lambda d: f"{d.year}-{d.month}-{d.day}",
    "ISO with T": lambda d: f"{d.isoformat()}T00:00:00",
    "ISO with a space": lambda d: f"{d.isoformat()} 13:45:59",
    "ISO with a fraction": lambda d: f"{d.isoformat()} 23:59:59.999999",
    "nanoseconds": lambda d: f"{d.isoformat()}T23:59:59.999999999",
    "midnight in London as UTC": lambda d: f"{midnight(d):%Y-%m-%dT%H:%M:%S}Z",
    "midnight in London as +00": lambda d: f"{midnight(d):%Y-%m-%d %H:%M:%S}+00",
    "midnight in Paris": lambda d: f"{midnight(d).astimezone(ZoneInfo('Europe/Paris')):%Y-%m-%dT%H:%M:%S%z}",
    "midnight in New York": lambda d: f"{midnight(d).astimezone(ZoneInfo('America/New_York')).isoformat()}",
    "last second in London": lambda d: f"{(midnight(d + ONE) - datetime.timedelta(seconds=1)):%Y%m%dT%H%M%SZ}",
    "DTC": lambda d: f"{d.year}{d.month:02}{d.day:02}",
    "DTC with time": lambda d: f"{d.year}{d.month:02}{d.day:02}235959",
    "slashes": lambda d: f"{d.day:02}/{d.month:02}/{d.year}",
    "slashes, short": lambda d: f"{d.day}/{d.month}/{d.year}",
    "slashes with time": lambda d: f"{d.day:02}/{d.month:02}/{d.year} 00:00",
    "slashes with a half-day": lambda d: f"{d.day:02}/{d.month:02}/{d.year} 12:00:00 AM",
    "points": lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    "hyphens": lambda d: f"{d.day:02}-{d.month:02}-{d.year}",
    "Oracle": lambda d: f"{d.day:02}-{MONTHS[d.month - 1]}-{d.year}",
    "Oracle with time": lambda d: f"{d.day:02}-{MONTHS[d.month - 1]}-{d.year} 12.00.00.000000 AM",
    "SAS": lambda d: f"{d.day:02}{MONTHS[d.month - 1]}{d.year}",
    "in words": lambda d: f"{d.day} {LONG[d.month - 1]} {d.year}",
    "SQL Server": lambda d: f"{MONTHS[d.month - 1].title()} {d.day:>2} {d.year} 12:00AM",
    "spreadsheet": lambda d: str((d - datetime.date(1899, 12, 30)).days),
    "year with slashes": lambda d: f"{d.year}/{d.month:02}/{d.day:02}",
}


def days(count: int = 200) -> list[datetime.date]:
    rng = random.Random(20)
    first, last = datetime.date(1972, 1, 1), datetime.date(2099, 12, 31)  # Summer time by the rule of its year
    return sorted({first + datetime.timedelta(rng.randrange((last - first).days)) for _ in range(count + 9)})[:count]


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_no_day_is_misread(spell):
    wanted = days()
    found = read_days(pl.Series([spell(day) for day in wanted]), spelling())
    assert found["value"].to_list() == wanted
    assert set(found["reading"].to_list()) <= {Reading.READ, Reading.SERIAL_DAY}


def test_a_cell_is_never_guessed_by_itself():
    """Each day in every spelling at once: what is read is right, a number of a day among dates is not read."""
    wanted = [(day, name, spell(day)) for day in days(60) for name, spell in SPELLINGS.items()]
    random.Random(1).shuffle(wanted)
    found = read_days(pl.Series([text for _, _, text in wanted]), spelling())["value"].to_list()
    for (day, name, text), value in zip(wanted, found, strict=True):
        assert value == (None if name == "spreadsheet" else day), text


NOT_DAYS = {
    "10/07/19": Reading.TWO_DIGITS, "10-JUL-19": Reading.TWO_DIGITS, "100719": Reading.TWO_DIGITS,
    "10.07.19 12:00": Reading.TWO_DIGITS, "07/25/2019": Reading.NOT_DAY_FIRST, "7-31-2019": Reading.NOT_DAY_FIRST,
    "12.13.2019 10:00": Reading.NOT_DAY_FIRST, "31/12/1899": Reading.OUT_OF_YEARS, "01/01/2201": Reading.OUT_OF_YEARS,
    "0019-07-10": Reading.OUT_OF_YEARS, "18991231": Reading.OUT_OF_YEARS, "1066-10-14": Reading.OUT_OF_YEARS,
    "31/02/2019": Reading.UNREAD, "00/00/0000": Reading.UNREAD, "2019": Reading.UNREAD, "2019-25-07": Reading.UNREAD,
    "2019-02-29": Reading.UNREAD, "10072019": Reading.UNREAD, "10/7-2019": Reading.UNREAD, "x": Reading.UNREAD,
    "2019-07-10T24:00:00": Reading.UNREAD, "2019-07-10 12:60": Reading.UNREAD, "2019-07-10 12:00 XYZ": Reading.UNREAD,
    "2019-07-10 12:00+15:00": Reading.UNREAD, "1900000000071": Reading.UNREAD, "10/07/2019/1": Reading.UNREAD,
    "\u0661\u0660/07/2019": Reading.UNREAD, "10 Foo 2019": Reading.UNREAD, "13:00 PM 10/07/2019": Reading.UNREAD,
}  # fmt: skip


@pytest.mark.parametrize(("text", "reading"), NOT_DAYS.items())
def test_what_is_no_day_is_marked_as_what_it_is(text, reading):
    found = read_days(pl.Series([text, "2019-07-10"]), spelling())
    assert found.rows() == [(None, reading), (datetime.date(2019, 7, 10), Reading.READ)]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("9999-12-31", (9999, 12, 31)), ("31/12/9999", (9999, 12, 31)), ("9999-12-31T23:59:59Z", (9999, 12, 31)),
        ("31-DEC-2999", (2999, 12, 31)), ("1899-12-30", (1899, 12, 30)), ("1900-01-01", (1900, 1, 1)),
        ("31/12/2200", (2200, 12, 31)), ("2958465", (9999, 12, 31)),
    ],
)  # fmt: skip
def test_bounds_and_open_ends(text, day):
    assert read_days(pl.Series([text]), spelling())["value"].to_list() == [datetime.date(*day)]


DECLARED = {
    "month-first": {"07/25/2019": (2019, 7, 25), "07/05/2019": (2019, 7, 5), "2019-07-25": (2019, 7, 25)},
    "mm/dd/yyyy": {"07/05/2019": (2019, 7, 5), "2019-07-05": None, "05.07.2019": None},
    "dd/mm/yy": {"10/07/19": (2019, 7, 10), "10/07/49": (2049, 7, 10), "10/07/50": (1950, 7, 10), "10/07/2019": None},
    "dd-MON-yy": {"10-JUL-19": (2019, 7, 10), "10-jul-19 00:00:00": (2019, 7, 10)},
    "ddmmyyyy": {"10072019": (2019, 7, 10), "1072019": None},
    "yymmdd": {"190710": (2019, 7, 10)},
    "serial": {"43656": (2019, 7, 10), "43656.75": (2019, 7, 10), "2019-07-10": None},
    "yyyy-dd-mm": {"2019-25-07": (2019, 7, 25)},
}


@pytest.mark.parametrize(("order", "texts"), DECLARED.items(), ids=DECLARED)
def test_what_is_declared_holds_alone(order, texts):
    assert is_order(order)
    found = read_days(pl.Series(list(texts)), spelling(), order)["value"].to_list()
    assert found == [None if day is None else datetime.date(*day) for day in texts.values()]


@pytest.mark.parametrize("word", ["", "dd/mm", "dd/dd/yyyy", "d/m/y", "yyyy-mm-dd hh:mi", "english", "%d/%m/%Y"])
def test_what_is_no_order_is_not_taken_for_one(word):
    assert not is_order(word)


@pytest.mark.parametrize("name", [n for n in SPELLINGS if "second" not in n and "words" not in n])
def test_days_are_written_as_they_came(name):
    """The way that is found gives the same texts again, or at least the same days, where the time of day is lost."""
    texts = pl.Series([SPELLINGS[name](day) for day in days(60)])
    how = written_as(texts, spelling())
    again = read_days(texts, spelling())["value"].alias("day").to_frame().select(spelt(pl.col("day"), how)).to_series()
    exact = {
        "ISO", "ISO with T", "midnight in London as UTC", "midnight in London as +00", "DTC", "slashes", "points",
        "slashes, short", "slashes with time", "hyphens", "Oracle", "SAS", "spreadsheet", "year with slashes",
    }  # fmt: skip
    if name in exact:
        assert again.to_list() == texts.to_list()
    assert read_days(again, spelling())["value"].to_list() == days(60)


def test_a_declared_order_is_written_as_it_came():
    texts = pl.Series(["10/07/19", "31/12/99"])
    how = written_as(texts, spelling(), "dd/mm/yy")
    assert how == "%d/%m/%y"
    assert written_as(pl.Series(["x"]), spelling(), AUTO) is None
