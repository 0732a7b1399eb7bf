"""Extracts whose files are of several flows, without market domain data: through a run, into returns, and back.

Files are made here, and compared by a splitter that knows nothing but pipes and where a flow has its MPAN.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.command import datacut
from tests.rules.cutting import mpan

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
PUBLISHED = HERE.parent / "dtc" / "published-15.4.csv"
KEYS = HERE.parents[1] / "sample_data" / "keys"
STARTS = {
    "D0010": ("026", 1), "D0086": ("196", 1), "D0019": ("ZIN", 3), "D0052": ("121", 1), "D0036": ("101", 1),
    "D0379": ("25B", 1), "D0150": ("288", 1), "D0268": ("01A", 1), "D0149": ("280", 1), "D0204": ("440", 1),
    "D0217": ("492", 3),
}  # fmt: skip
POINTS = [mpan(10, 700 + n) for n in range(12)]
HALF = POINTS[:6], POINTS[6:]
Records = list[list[str]]


def flow(label: str, records: list[str], *, to: tuple[str, str] = ("X", "SUPA"), end: str = "\n") -> bytes:
    head = f"ZHV|0000000001|{label}|M|MOPA|{to[0]}|{to[1]}|20230819020000||||OPER|"
    return end.join([head, *records, f"ZPT|0000000001|{len(records)}||1|20230819020001|", ""]).encode()


def reading(point: str, n: int, groups: tuple[str, str, str, str]) -> list[str]:
    """Readings with what no column takes: MD resets, a flag, a note."""
    top, meter, register, note = groups
    return [
        f"{top}|{point}|V|", f"{meter}|L04C{n:05d}|R|", f"{register}|R1|20230801000000|{n}.0|20230701000000|1|T|N|",
        f"{note}|02|Ask for the key next door|",
    ]  # fmt: skip


def instruction(point: str, n: int) -> list[str]:
    return [
        f"ZIN|{n + 7}|NH09|{point}|", "ISD|20230518|", "AAH|20220518|20230517|", f"AAD|00001|{n}.8|", "EAH|20230518|",
        f"EAD|00001|{n}.1|", "PSC|20230518|1|0393|",
    ]  # fmt: skip


def days(point: str, groups: tuple[str, str, str], dates: list[str]) -> list[str]:
    top, day, value = groups
    each = [line for date in dates for line in (f"{day}|{date}|", *(f"{value}|A|{n / 10}|" for n in range(1, 49)))]
    return [f"{top}|{point}|AI|SUPA|", *each]


def meter(point: str, n: int) -> list[str]:
    rest = "|||100|J|LANDIS E110|AMAP|||||||||||N|20040615|20040601||||H|20040615|"
    return [f"288|{point}|20190401||E|", "289|0393|20190401|||", f"290|L04C{n:05d}{rest}", "293|R1|C|AI|1.00||5|||"]


def regime(point: str, n: int) -> list[str]:
    return [f"280|{point}|20190401|", "281|0393|20190401|", "778|00001|", f"283|L04C{n:05d}|", "284|R1|1|"]


def state(point: str, n: int) -> list[str]:
    one = {"450": "001|EELC", "441": "20100101|", "445": "E", "447": "801", "448": "1", "449": "0393", "446": "A"}
    agents = ("764|DAGG|N|20100101|", "443|DCOL|N|20100101|", "444|MOPA|N|20100101|", "90H|A|20200101|", "47M|F|")
    dated = [f"{group}|{value}|20100101|" for group, value in one.items()]
    address = f"{n + 1}|MILL LANE|||LEEDS|||||LS1 4AB|"
    return [f"763|{n + 1}|SP40|", f"440|{point}|{address}", "451|_A|20000101|", *dated, *agents]


def instructed(point: str, n: int) -> str:
    address = [str(n + 60), "MILL LANE", "", "", "LEEDS", "", "", "", "", "LS1 4AB"]
    settlement = ["001", "_A", "E", "A", "801", "1", "0393", "DAGG", "N", "DCOL", "N", "MOPA", "N"]
    fields = [str(n + 1), "SP40", point, "20100101", "20100101", *address, *settlement, *[""] * 5, "A", "20200101", "F"]
    return f"492|{'|'.join(fields)}|"


def together(points: list[str], made: Callable[[str, int], list[str]]) -> list[str]:
    return [line for n, point in enumerate(points) for line in made(point, n)]


FILES = {
    "DCOL/a.uff": flow("D0010002", together(HALF[0], lambda p, n: reading(p, n, ("026", "028", "030", "033")))),
    "DCOL/b.usr": b"\n" + flow(
        "D0086002", together(HALF[1], lambda p, n: reading(p, n + 6, ("196", "197", "198", "199"))), end="\r\n"
    ),
    "UDMS/a.usr": flow("D0019001", ["ZPI|77|", *together(HALF[0], instruction)]),
    "UDMS/b.usr": flow("D0052001", together(HALF[1], lambda p, n: [
        f"121|{p}|20100101|1|20100101|A|20100101|", "122|0393|20100101|_A|20100101|", f"124|00001|{n}.5|20230401|"
    ])),
    "HHDC/a.usr": flow("D0036001", together(HALF[0], lambda p, _: days(p, ("101", "102", "103"), ["20230110"]))),
    "HHDC/b.usr": flow("D0379001", [
        *together(HALF[1], lambda p, _: days(p, ("25B", "26B", "66L"), ["20230710", "20230711"])), "64L|T|"
    ]),
    "MOPA/a.usr": flow("D0150002", together(HALF[0], meter)),
    "MOPA/b.usr": flow("D0150002", together(HALF[1], lambda p, n: meter(p, n + 6))),
    "MOPA/c.usr": flow("D0149001", together(HALF[0], regime)),
    "EELC/a.usr": flow("D0204002", ["751|1|", *together(HALF[0], state)]),
    "EELC/b.usr": flow("D0217002", ["754|2|", *together(HALF[1], lambda p, n: [instructed(p, n)])], to=("X", "SUPB")),
}  # fmt: skip
EXTRACTS = {
    "DCOL": ("DC", "meter_reading"), "UDMS": ("DC", "annual_consumption"), "HHDC": ("DC", "half_hourly"),
    "MOPA": ("MOP", "metering register"), "EELC": ("LDSO", "registration"),
}  # fmt: skip
RETURNED = {
    "DCOL": "D0010002", "UDMS": "D0019001", "HHDC": "D0036001", "MOPA": "D0150002", "EELC": "D0217002"
}  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("mixed")
    for name, data in FILES.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(data)
    shutil.copytree(KEYS, place / "keys")
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    participants = [
        {"mpid": mpid, "role": role, "extracts": [{"contract": c, "source": {"path": mpid}} for c in contracts.split()]}
        for mpid, (role, contracts) in EXTRACTS.items()
    ]
    cut = {"id": "CASE-1", "date": "2023-08-19", "key": "keys/cut.key", "test": True}
    release = {"folder": "out", "signing_key": "keys/signing.pem"}
    document = {"cut": cut, "participants": participants, "release": release}
    (place / "cut.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", place / "cut.yaml", "--plain")
    assert done.code == 0, done.told
    for mpid in EXTRACTS:
        done = datacut(
            "restore", place / "out" / f"CASE-1-return-{mpid}", "--backup", place / "cut.yaml",
            "--key", place / "keys/cut.key", "--public-key", place / "keys/signing.pub", "--out", place / "back" / mpid,
        )  # fmt: skip
        assert done.code == 0, (mpid, done.told)
    return place


def split(data: bytes) -> Records:
    return [line.rstrip("\r").split("|") for line in data.decode().split("\n") if line.strip()]


def by_point(records: Records) -> dict[str, Records]:
    """The records that hang from each metering point."""
    group, place = STARTS[records[0][2][:5]]
    found: dict[str, Records] = {}
    point = ""
    for record in records[1:-1]:
        if record[0] == group:
            point = record[place]
        if point:
            found.setdefault(point, []).append(record)
    return found


def returned(market: Path, mpid: str) -> Records:
    (path,) = (market / f"out/CASE-1-return-{mpid}/data/{mpid}").glob("*.usr")
    return split(path.read_bytes())


@pytest.mark.requirement("Q62", "DQ29")
@pytest.mark.parametrize("mpid", EXTRACTS)
def test_files_of_several_flows_go_back_in_one_flow_that_holds(market, mpid):
    """Of full width, each group where the catalogue has it, every mandatory item filled, every metering point there."""
    head, *body, tail = returned(market, mpid)
    assert (head[2], head[11]) == (RETURNED[mpid], "TR01")
    last = max(n for n, record in enumerate([head, *body]) if record[0] == "ZHV")  # a D0217 is a file for each supplier
    assert tail[2] == str(len(body) - last)
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        items = [row for row in csv.DictReader(file) if row["flow"] + row["version"] == head[2]]
    for group, *fields in body:
        if group in {"ZHV", "ZPT"}:
            continue
        own = [row for row in items if row["group"] == group]
        assert len(fields) - 1 == len(own) > 0
        assert all(value for value, row in zip(fields, own, strict=False) if row["optionality"] == "M"), group
    evidence = json.loads((market / f"out/CASE-1-return-{mpid}/evidence/evidence.json").read_text())
    forms = [entry["source_form"]["returned"] for entry in evidence["inputs"]]
    assert [form["not_expressible"] for form in forms] == [0] * len(forms)
    group, place = STARTS[head[2][:5]]
    assert len({record[place] for record in body if record[0] == group}) == len(POINTS)
    written = {record[0] for record in body}
    filled = {(r[0], n) for r in body if r[0] not in {"ZHV", "ZPT"} for n, value in enumerate(r[1:-1], 1) if value}
    told = {entry["item"] for entry in forms[0]["left_empty"]}
    known = {f"{row['group']}.{row['item']}": (row["group"], int(row["position"])) for row in items}
    assert not {known[item] for item in told} & filled
    assert {row["group"] for row in items} - written == {entry["group"] for entry in forms[0]["left_out"]}


@pytest.mark.requirement("Q62", "Q63")
@pytest.mark.parametrize("name", FILES)
def test_each_file_comes_back_once_with_all_that_its_metering_points_had(market, name):
    """Optional items, notes and groups that no column takes among them."""
    mpid = name.split("/", maxsplit=1)[0]
    (back,) = (market / "back" / mpid).glob(f"*/{name}")
    own, again = split(FILES[name]), split(back.read_bytes())
    assert by_point(again) == by_point(own)
    assert len(by_point(again)) == len(HALF[0])
    assert again[0][11] == "TR01"
    assert again[0][:11] == own[0][:11]
    assert int(again[-1][2]) == len(again) - 2


@pytest.mark.requirement("DQ19")
def test_rules_that_need_market_domain_data_are_told_as_not_judged(market):
    evidence = json.loads((market / "out/CASE-1-release/evidence/evidence.json").read_text())
    judged = {(r["extract"], r["rule"]): r["evaluated"] for r in evidence["rules"]}
    assert judged["register", "DQ19_direction"] == judged["half_hourly", "DQ19_direction"] == 0
    assert judged["register", "DQ16_digits"] == len(POINTS)
