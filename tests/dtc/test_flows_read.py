"""Flows as they are sent, read through the contracts: values by item, states on the cut date, settlement days."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from contracts.errors import DataCutError, IntakeError
from contracts.load import load_all
from flows.intake import Limits, SourceSpec, open_source
from tests.rules.cutting import mpan

FLOWS = Path(__file__).parent / "flows"
CUT = date(2023, 8, 19)
POINT = mpan(10, 77)
LARGE = 1 << 20


def flow(name: str, body: list[str], to: str = "X|SUPA") -> bytes:
    head = f"ZHV|0000000001|{name}|P|LOND|{to}|20230819020000||||OPER|"
    return "\n".join([head, *body, f"ZPT|0000000001|{len(body)}||1|20230819020001|", ""]).encode()


def read(path: Path, extract: str, block: int = LARGE) -> tuple[pl.DataFrame, dict[str, int], int]:
    spec = SourceSpec("x", path, as_of=CUT)
    with open_source(spec, layout=load_all()[extract].dtc_layouts, limits=Limits(block_bytes=block)) as reader:
        frames = list(reader.batches())
        empty = pl.DataFrame(schema=dict.fromkeys(reader.header, pl.String))
        return pl.concat([empty, *frames]), dict(reader.skipped_groups), reader.incomplete_days


def made(tmp_path: Path, data: bytes, extract: str, block: int = LARGE) -> tuple[pl.DataFrame, dict[str, int], int]:
    path = tmp_path / "flow.usr"
    path.write_bytes(data)
    return read(path, extract, block)


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, LARGE])
def test_a_d0150_at_its_published_places(block):
    meters, skipped, _ = read(FLOWS / "01-d0150-real-positions-D0150.usr", "metering", block)
    names = ("make_and_model", "meter_asset_provider_mpid", "meter_type", "meter_install_date")
    assert meters.select(names).unique().rows() == [("EDMI Atlas Mk10A", "AMAP", "N", "20190401")]
    assert meters["meter_serial_number"].to_list() == [f"E12Z07077{n}" for n in range(4)]
    assert skipped == {"291": 1, "293": 4}
    registers, _, _ = read(FLOWS / "01-d0150-real-positions-D0150.usr", "register", block)
    names = ("register_id", "measurement_quantity", "multiplier", "number_of_digits")
    assert registers.select(names).unique().rows() == [("01", "AI", "1.00", "5")]


@pytest.mark.requirement("DQ29")
def test_advances_hang_from_their_instruction():
    frame, _, _ = read(FLOWS / "05-d0019-without-isd-D0019.usr", "annual_consumption", 64)
    found = frame.select("mpan_core", "eac", "aa", "effective_from").sort("mpan_core", "eac").rows()
    assert found == [
        ("1025366515737", None, "12008.8", "20220518"),
        ("1025366515737", "11000.0", None, "20230518"),
        ("1061852597594", None, "12008.8", "20220518"),
        ("1061852597594", "11000.0", None, "20230518"),
    ]


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize(
    ("name", "extract", "rows"),
    [
        ("D0010-padded.uff", "meter_reading", 7),
        ("D0010-3dec.uff", "meter_reading", 7),
        ("D0010-other-groups.uff", "meter_reading", 3),
        ("D0010-day.uff", "meter_reading", 6),
        ("D0086.usr", "meter_reading", 3),
        ("D0086-crlf.usr", "meter_reading", 3),
        ("D0086-blank-first.usr", "meter_reading", 3),
        ("two-files.usr", "meter_reading", 6),
        ("D0019.usr", "annual_consumption", 3),
        ("D0052.usr", "annual_consumption", 1),
        ("D0036-two-days.usr", "half_hourly", 3),
        ("D0036-clock.usr", "half_hourly", 2),
        ("D0149.usr", "register", 6),
        ("D0150-other-groups.usr", "metering", 3),
    ],
)
def test_flows_from_the_field(name, extract, rows):
    frame, skipped, _ = read(FLOWS / f"03-{name}", extract, 256)
    assert frame.height == rows
    assert frame["mpan_core"].str.contains(r"^\d{13}$").all()
    if name == "D0150-other-groups.usr":
        assert skipped == {"08A": 3, "291": 3, "293": 3, "295": 3, "296": 3, "762": 3}
    if name == "D0052.usr":
        assert frame.select("time_pattern_regime_id", "eac", "effective_from").rows() == [("00001", "3100", "20260518")]


STATES = [
    "751|1|",
    "763|1|SP84|",
    f"440|{POINT}||FLAT 1|||||||OAKHAM|LE15 6AA|",
    "451|_A|20200101|",
    "451|_B|20230819|",
    "451|_C|20230820|",
    "450|110|LOND|20200101|",
    "441|20210401||20210301|",
    "441|20230901||20230810|",
    "669|20230801|",
    "445|D|20220101|",
    "445|E|20210101|",
    "447|801|20200101|",
    "448|1|20200101|",
    "449|0393|20200101|",
    "446|A|20200101|",
    "764|DAGG|N|20200101|",
    "443|DCOL|N|20200101|",
    "444|MOPA|N|20200101|",
    "47M|F|",
]


@pytest.mark.requirement("DQ29", "Q74")
@pytest.mark.parametrize("block", [64, LARGE])
def test_of_each_group_the_record_counts_that_holds_on_the_cut_date(tmp_path, block):
    other = [STATES[2].replace(POINT, mpan(10, 78)), "451|_P|20230101|"]
    frame, skipped, _ = made(tmp_path, flow("D0204002", [*STATES, *other]), "registration", block)
    first, second = frame.rows(named=True)
    assert {k: v for k, v in first.items() if v is not None} == {
        "mpan_core": POINT,
        "address_line_2": "FLAT 1",
        "address_line_9": "OAKHAM",
        "postcode": "LE15 6AA",
        "gsp_group_id": "_B",
        "line_loss_factor_class_id": "110",
        "supplier_effective_from": "20210401",
        "energisation_status": "D",
        "meter_timeswitch_code": "801",
        "profile_class": "1",
        "standard_settlement_configuration_id": "0393",
        "measurement_class": "A",
        "data_aggregator_mpid": "DAGG",
        "data_collector_mpid": "DCOL",
        "meter_operator_mpid": "MOPA",
        "supplier_mpid": "SUPA",
    }
    assert (second["gsp_group_id"], second["energisation_status"], second["supplier_mpid"]) == ("_P", None, "SUPA")
    assert skipped == {"47M": 1, "669": 1}


@pytest.mark.requirement("DQ29")
def test_only_an_addressee_that_supplies_is_the_supplier(tmp_path):
    fields = [
        "1",
        "SP40",
        POINT,
        "20230801",
        "20230819",
        *[""] * 9,
        "LE15 6AA",
        "110",
        "_A",
        "E",
        "A",
        "801",
        "1",
        "0393",
    ]
    body = ["754|1|", "|".join(["492", *fields, ""])]
    frame, _, _ = made(tmp_path, flow("D0217002", body), "registration")
    row = frame.row(0, named=True)
    named = ("supplier_mpid", "postcode", "line_loss_factor_class_id", "gsp_group_id", "energisation_status")
    assert [row[name] for name in named] == ["SUPA", "LE15 6AA", "110", "_A", "E"]
    named = ("measurement_class", "meter_timeswitch_code", "profile_class", "standard_settlement_configuration_id")
    assert [row[name] for name in named] == ["A", "801", "1", "0393"]
    assert row["supplier_effective_from"] == "20230819"
    frame, _, _ = made(tmp_path, flow("D0217002", body, to="B|DAGG"), "registration")
    assert frame["supplier_mpid"].to_list() == [None]


def utc_days(days: list[date]) -> list[str]:
    """A value for each half-hour that says when it begins in London: its day and its number there."""
    body = [f"25B|{POINT}|AI|SUPA|"]
    for day in days:
        body.append(f"26B|{day:%Y%m%d}|")
        start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("UTC"))
        body += [f"66L|A|{told(start + timedelta(minutes=30 * n))}|" for n in range(48)]
    return body


def told(moment: datetime) -> str:
    local = moment.astimezone(ZoneInfo("Europe/London"))
    begins = datetime(local.year, local.month, local.day, tzinfo=ZoneInfo("Europe/London"))
    number = int((moment - begins.astimezone(ZoneInfo("UTC"))) / timedelta(minutes=30)) + 1
    return f"{local:%m%d}.{number:02d}"


@pytest.mark.requirement("DQ30")
@pytest.mark.parametrize("block", [512, LARGE])
@pytest.mark.parametrize(
    ("first", "count", "whole", "left"),
    [
        (date(2023, 1, 10), 3, 3, 0),
        (date(2023, 7, 10), 3, 2, 2),
        (date(2023, 3, 25), 4, 4, 1),
        (date(2023, 10, 27), 4, 3, 1),
    ],
    ids=["winter", "summer", "clocks forward", "clocks back"],
)
def test_utc_days_are_joined_into_settlement_days(tmp_path, block, first, count, whole, left):
    days = [first + timedelta(days=n) for n in range(count)]
    frame, _, incomplete = made(tmp_path, flow("D0379001", utc_days(days)), "half_hourly", block)
    assert (frame.height, incomplete) == (whole, left)
    lengths = {date(2023, 3, 26): 46, date(2023, 10, 29): 50}
    for row in frame.rows(named=True):
        day = datetime.strptime(row["settlement_date"], "%Y%m%d").date()
        length = lengths.get(day, 48)
        wanted = [f"{day:%m%d}.{n:02d}" for n in range(1, length + 1)] + [None] * (50 - length)
        assert [row[f"period_{n:02d}"] for n in range(1, 51)] == wanted
        assert row["period_flags"] == "A" * length


@pytest.mark.requirement("DQ29")
def test_a_second_record_of_what_stands_once_is_refused(tmp_path):
    body = [f"288|{POINT}|20190401||E|", "289|0393|20190401|||", "289|0151|20190401|||", "290|L04C15502|"]
    with pytest.raises(IntakeError, match="group 289 occurs twice under 288 at line 4"):
        made(tmp_path, flow("D0150002", body), "metering")


def test_another_version_of_a_flow_is_refused(tmp_path):
    with pytest.raises(IntakeError, match="holds D0150001; layouts known for this extract: D0150002, D0268002"):
        made(tmp_path, flow("D0150001", [f"288|{POINT}|"]), "metering")


def spoil(data: bytes, choice: random.Random) -> bytes:
    """Change a flow file in one or a few of the ways in which files are spoilt."""
    for _ in range(choice.randint(1, 4)):
        lines = data.split(b"\n")
        at, kind = choice.randrange(len(lines)), choice.randrange(9)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[choice.randrange(len(lines))])
        elif kind == 2:
            lines[at] = lines[at].replace(b"|", b"", 1)
        elif kind == 3:
            lines[at] = lines[at] + choice.choice([b"|", b" ", b"\r", b"\t|", b"||||"])
        elif kind == 4:
            lines.insert(at, choice.choice([b"", b"  ", b"|", b"\r", b"ZHV|", b"ZPT|", b"999|x|"]))
        elif kind == 5:
            fields = lines[at].split(b"|")
            fields[choice.randrange(len(fields))] = choice.choice(
                [b"", b"\xff", b"9" * 40, b"\x00", "é".encode(), b'"']
            )
            lines[at] = b"|".join(fields)
        elif kind == 6:
            lines = [*lines, *lines]
        elif kind == 7:
            choice.shuffle(lines)
        data = b"\n".join(lines)
        if kind == 8 and data:
            cut = choice.randrange(len(data))
            data = data[:cut] + (data[cut + 1 :] if choice.random() < 0.5 else b"")
    return data


EXTRACTS = {
    "D0010": "meter_reading", "D0086": "meter_reading", "two-f": "meter_reading", "D0019": "annual_consumption",
    "D0052": "annual_consumption", "D0036": "half_hourly", "D0149": "register", "D0150": "metering",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.requirement("DQ29", "Q68")
@pytest.mark.parametrize("first", range(0, 2000, 500))
def test_spoilt_flows_are_read_or_refused_in_words(tmp_path, first):
    """What is said holds no raw identifier; nothing but the errors of the product is raised."""
    files = sorted(FLOWS.iterdir())
    for number in range(first, first + 500):
        choice = random.Random(number)
        source = choice.choice(files)
        name = source.name.removeprefix("03-").removeprefix("01-d0150-real-positions-")
        extract = EXTRACTS[name.removeprefix("05-d0019-without-isd-")[:5]]
        try:
            made(tmp_path, spoil(source.read_bytes(), choice), extract, choice.choice([64, 300, LARGE]))
        except DataCutError as fault:
            assert fault.exit_code in (11, 12), number
            raw = {f for line in source.read_text().splitlines() for f in line.split("|") if len(f) > 8 and f != "OPER"}
            assert not [value for value in raw if value in fault.line()], number
