"""Half-hours as one row each, df2 files, and days headed by clock times, held against a calendar of Python's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from contracts.errors import IntakeError, RefusedError
from contracts.load import load_all
from flows.intake import FILE, SourceFiles, SourceSpec
from flows.intake.half_hours import day_headings
from flows.pseudonymise.source import source_columns

pytestmark = pytest.mark.requirement("DQ30")
LONDON = ZoneInfo("Europe/London")
POINT, OTHER = "1023720651433", "1044349493409"
SUMMER, SHORT, LONG = date(2023, 6, 1), date(2023, 3, 26), date(2022, 10, 30)


def instants(day: date) -> list[datetime]:
    """Return the starts of a settlement day's half-hours, in UTC."""
    at = datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=LONDON).astimezone(UTC)
    return [at + timedelta(minutes=30 * n) for n in range(int((end - at).total_seconds() // 1800))]


def read(
    tmp_path: Path, text: str, name: str = "hh.csv", **said: object
) -> tuple[pl.DataFrame, SourceFiles, tuple[str, ...]]:
    path = tmp_path / name
    path.write_bytes(text.encode())
    spec = SourceSpec(name="DCOL/half_hourly", path=path, file=name, **said)  # type: ignore[arg-type]
    contract = load_all()["half_hourly"]
    files = SourceFiles([spec], contract=contract, layouts=contract.dtc_layouts)
    frames, remarks = [], ()
    for reader in files.readers():
        source_columns(contract, reader)
        frames += list(reader.batches())
        remarks = reader.remarks
    return pl.concat(frames).drop(FILE), files, remarks


def values(frame: pl.DataFrame, row: int = 0) -> list[str | None]:
    return [frame[f"period_{n:02}"][row] for n in range(1, 51)]


def local(at: datetime) -> datetime:
    return at.astimezone(LONDON)


STARTS: dict[str, tuple[str, Callable[[datetime], str]]] = {
    "offset": ("Start", lambda at: local(at).isoformat()),
    "zulu": ("Interval Start", lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "zulu with fractions": ("start time", lambda at: at.strftime("%Y-%m-%d %H:%M:%S.000Z")),
    "no colon in offset": ("from", lambda at: local(at).strftime("%Y-%m-%d %H:%M:%S%z")),
    "clock, ISO": ("start", lambda at: local(at).strftime("%Y-%m-%d %H:%M")),
    "clock, British": ("Start", lambda at: local(at).strftime("%d/%m/%Y %H:%M:%S")),
    "clock, named month": ("Start", lambda at: local(at).strftime("%d-%b-%Y %H:%M")),
    "clock, AM and PM": ("Start", lambda at: local(at).strftime("%d/%m/%Y %I:%M %p")),
    "clock, compact": ("Timestamp", lambda at: local(at).strftime("%Y%m%d%H%M")),
    "clock, either": ("Date Time", lambda at: local(at).strftime("%d/%m/%Y %H:%M")),
    "name of the zone": ("Start", lambda at: local(at).strftime("%Y-%m-%d %H:%M:%S %Z")),
    "midnight without a time": (
        "Start",
        lambda at: local(at).strftime("%d/%m/%Y %H:%M:%S").removesuffix(" 00:00:00"),
    ),
    "end, offset": ("Interval End", lambda at: local(at + timedelta(minutes=30)).isoformat()),
    "end, clock": (
        "End Time",
        lambda at: local(at + timedelta(minutes=30)).strftime("%d/%m/%Y %H:%M"),
    ),
    "either, ends": ("Reading Date Time", lambda at: local(at + timedelta(minutes=30)).strftime("%Y-%m-%d %H:%M")),
}


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("day", [SUMMER, SHORT, LONG], ids=["48", "46", "50"])
def test_moments_become_settlement_periods(tmp_path: Path, how: str, day: date) -> None:
    heading, spelt = STARTS[how]
    starts = instants(day)
    lines = [f"{POINT},{spelt(at)},{n}.5" for n, at in enumerate(starts, 1)]
    if "end, clock" in how or "either, ends" in how or how == "clock, AM and PM":
        pass  # clocks tell the second 01:00 by order alone; so they must here too
    frame, _, remarks = read(tmp_path, "\n".join([f"MPAN,{heading},Consumption (kWh)", *lines, ""]))
    assert frame.height == 1
    assert frame.row(0)[:3] == (POINT, "AI", day.isoformat())
    assert values(frame) == [f"{n}.5" for n in range(1, len(starts) + 1)] + [None] * (50 - len(starts))
    assert "measurement quantity AI" not in " ".join(remarks) or "does not say" in " ".join(remarks)


def test_day_and_number_of_the_period(tmp_path: Path) -> None:
    rows = [f"{OTHER},AE,01/06/2023,{n},{n},{'A' if n % 2 else 'Estimated'}" for n in range(48, 0, -1)]
    text = "\n".join(["MPAN,MQ,Settlement Date,Settlement Period,kWh,Status", *rows, ""])
    frame, _, _ = read(tmp_path, text)
    assert frame.row(0)[:4] == (OTHER, "AE", "2023-06-01", "AE" * 24)
    assert values(frame)[:48] == [str(n) for n in range(1, 49)]


def test_day_and_time_and_two_registers(tmp_path: Path) -> None:
    times = [f"{h:02}{m:02}" for h in range(24) for m in (0, 30)]
    rows = [f"{POINT},01/06/2023,{at},{n},{100 + n}" for n, at in enumerate(times, 1)]
    frame, _, _ = read(tmp_path, "\n".join(["mpan,date,time,import,export", *rows, ""]))
    assert frame["measurement_quantity"].to_list() == ["AI", "AE"]
    assert values(frame, 0)[:48] == [str(n) for n in range(1, 49)]
    assert values(frame, 1)[:48] == [str(100 + n) for n in range(1, 49)]


def test_metering_points_by_turns(tmp_path: Path) -> None:
    rows = [f"{p},{local(at).isoformat()},{n}" for n, at in enumerate(instants(SUMMER), 1) for p in (POINT, OTHER)]
    frame, _, _ = read(tmp_path, "\n".join(["MPAN,Start,kWh", *rows, ""]))
    assert frame["mpan_core"].to_list() == [POINT, OTHER]
    assert values(frame, 0) == values(frame, 1)


def test_a_half_hour_that_comes_twice_is_a_second_row(tmp_path: Path) -> None:
    rows = [f"{POINT},{local(at).isoformat()},{n}" for n, at in enumerate(instants(SUMMER), 1)]
    frame, _, _ = read(tmp_path, "\n".join(["MPAN,Start,kWh", *rows, rows[3], ""]))
    assert frame.height == 2
    assert values(frame, 1) == [None] * 3 + ["4"] + [None] * 46


def df2(day: date, *, same: bool, sensor: str = "1", start: int = 1) -> str:
    lines = []
    for n in range(start, start + 48):
        at = datetime(day.year, day.month, day.day) + timedelta(minutes=30 * n)
        shown = at - timedelta(days=1) if same and at.time() == at.min.time() else at
        lines.append(f"{shown:%d/%m/%Y},{at:%H:%M},{n},A")
    return "\n".join(["#O " + POINT, f"#S {sensor}", *lines, ""])


@pytest.mark.parametrize(("same", "start"), [(True, 1), (False, 1), (False, 0)], ids=["same day", "next day", "starts"])
def test_df2(tmp_path: Path, same: bool, start: int) -> None:
    whole = "#F2\n" + df2(SUMMER, same=same, start=start) + df2(SUMMER + timedelta(days=1), same=same, start=start)
    frame, _, remarks = read(tmp_path, whole, "x.df2")
    assert frame["settlement_date"].to_list() == ["2023-06-01", "2023-06-02"]
    assert frame["period_flags"].to_list() == ["A" * 48] * 2
    assert values(frame)[:48] == [str(n) for n in range(start, 48 + start)]
    assert "df2" in remarks[0]


def test_df2_of_days_that_follow_each_other(tmp_path: Path) -> None:
    for same in (True, False):
        body = df2(SUMMER, same=same) + "\n".join(df2(SUMMER + timedelta(days=1), same=same).split("\n")[2:])
        frame, _, _ = read(tmp_path, "#F2\r\n" + body.replace("\n", "\r\n"), f"{same}.df2")
        assert frame["settlement_date"].to_list() == ["2023-06-01", "2023-06-02"]
        assert values(frame, 1) == values(frame, 0)


def test_sensors_that_nobody_knows_are_said(tmp_path: Path) -> None:
    frame, _, remarks = read(tmp_path, "#F2\n" + df2(SUMMER, same=True) + df2(SUMMER, same=True, sensor="3"), "x.df2")
    assert frame.height == 1
    assert "sensor 3: 48 half-hours, not read" in remarks


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("#F2\n01/06/2023,00:30,1,A\n", "half-hours before the first #O"),
        ("#F2\n#O 1\n#S 1\n01/06/2023,00:30,1,A,5\n", "more than four cells"),
        ("#F2\n#O 1\n#S 1\n01/06/2023\n", "not date, time and value"),
        ("#F2\n#X 1\n", "lines with #"),
        ("#F2\n#O 1\n#S 1\n06/13/2023,00:30,1,A\n", "impossible day first"),
        ("#F2\n#O 1\n#S 1\n01/06/23,00:30,1,A\n", "two-digit years, 1 of 1"),
        ("#F2\n#O 1\n#S 1\n01/06/2023,25:30,1,A\n", "times that cannot be read"),
        ("#F2\n#O 1\n#S 1\n01/06/2023,00:15,1,A\n", "not on the half-hour"),
        ("#F2\n#O 1\n#S 1\n01/06/2023,05:30,1,A\n", "starts or ends"),
        ("MPAN,Start,kWh\n1,2023-06-01T00:00 XYZ,1\n", "times that cannot be read"),
        ("MPAN,Start,kWh\n1,,1\n", "times that cannot be read"),
        ("MPAN,Date,Period,kWh\n1,01/06/2023,51,1\n", "settlement periods that are none"),
        ("MPAN,Date,Period,kWh\n1,01/06/2023,0,1\n", "settlement periods that are none"),
        ("MPAN,Date,Period,kWh\n1,01/06/2023,,1\n", "settlement periods that are none"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(IntakeError, match=line) as told:
        read(tmp_path, text)
    assert "2023" not in str(told.value)


@pytest.mark.requirement("DQ23")
def test_a_person_s_column_is_refused_here_too(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Customer Name"):
        read(tmp_path, "MPAN,Customer Name,Start,kWh\n1,x,2023-06-01T00:00,1\n")


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(" MPAN,Consumption (kWh), Start, End, Site Ref\n1,2,2023-06-01T00:00,x,y\n")
    contract = load_all()["half_hourly"]
    files = SourceFiles([SourceSpec(name="a", path=path, file="x.csv")], contract=contract)
    (reader,) = files.readers()
    assert reader.surplus == (" End", " Site Ref")


def clock(*, ends: bool, spelt: str) -> list[str]:
    at = [(n + (1 if ends else 0)) * 30 % 1440 for n in range(48)]
    return [spelt.format(h=m // 60, n=m % 60) for m in at]


@pytest.mark.parametrize(
    "spelt", ["{h:02}:{n:02}", "{h}:{n:02}", "{h:02}:{n:02}:00", "kWh {h:02}:{n:02}", "HH {h:02}.{n:02}"]
)
@pytest.mark.parametrize("ends", [True, False])
def test_clock_times_for_headings(tmp_path: Path, spelt: str, ends: bool) -> None:
    header = ("MPAN", "MQ", "Date", *clock(ends=ends, spelt=spelt))
    own, assumed = day_headings(load_all()["half_hourly"], header, SourceSpec(name="a"))
    assert assumed == {"measurement_quantity": "AI"}
    assert [own[f"period_{n:02}"] for n in range(1, 49)] == list(header[3:])


def test_clock_times_that_are_no_day_are_no_periods() -> None:
    header = ("MPAN", "MQ", "Date", *clock(ends=True, spelt="{h:02}:{n:02}")[:47])
    assert day_headings(load_all()["half_hourly"], header, SourceSpec(name="a")) == ({}, {})
