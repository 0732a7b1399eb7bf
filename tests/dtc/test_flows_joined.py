"""What several files or several records of a flow say together: days, registers told by two flows, related MPANs."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.errors import RefusedError
from contracts.load import load_all
from flows.intake import FILE, SourceFiles, SourceSpec
from tests.command import datacut
from tests.dtc.test_flows_read import CUT, LARGE, POINT, flow, made, utc_days
from tests.rules.cutting import mpan

SHARED = Path(__file__).parents[1] / "cases" / "shared"
OTHER, THIRD = mpan(10, 78), mpan(10, 79)


def source(root: Path, extract: str, files: dict[str, bytes]) -> tuple[pl.DataFrame, SourceFiles]:
    for name, data in files.items():
        (root / name).write_bytes(data)
    spec = SourceSpec("x", paths=tuple(root / name for name in files), root=root)
    read = SourceFiles([spec], layouts=load_all()[extract].dtc_layouts)
    frames = [batch for reader in read.readers() for batch in reader.batches()]
    names = {file.number: file.spec.file for file in read.files}
    rows = pl.concat(frames, how="diagonal").with_columns(pl.col(FILE).replace_strict(names, return_dtype=pl.String))
    return rows, read


@pytest.mark.requirement("DQ30")
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("blank", [b"", b"\n"], ids=["gathered", "by itself"])  # a blank line: it is read by itself
def test_utc_days_in_files_of_their_own_are_joined(tmp_path, order, blank):
    days = [date(2023, 7, 10) + timedelta(days=n) for n in range(3)]
    files = {
        f"{n}.usr": flow("D0379001", utc_days([days[at]])).replace(b"\nZPT", blank + b"\nZPT")
        for n, at in enumerate(order)
    }
    rows, read = source(tmp_path, "half_hourly", files)
    assert sorted(rows["settlement_date"]) == ["20230711", "20230712"]
    for row in rows.rows(named=True):
        day = row["settlement_date"][4:]
        assert [row[f"period_{n:02d}"] for n in range(1, 49)] == [f"{day}.{n:02d}" for n in range(1, 49)]
    assert read.not_joined == ["2 settlement days at the edges of UTC days are not whole"]
    own = {row["settlement_date"]: row[FILE] for row in rows.rows(named=True)}
    assert own == {f"{day:%Y%m%d}": f"{order.index(n)}.usr" for n, day in enumerate(days) if n}
    assert sum(file.rows for file in read.files) == 2


def d0268(registers: list[tuple[str, str]], point: str = POINT) -> list[str]:
    rows = [f"04A|{register}|OUT1|1|1|1|1|{quantity}|8|||" for register, quantity in registers]
    return [f"01A|{point}|20200101|5|1|F||230|3|A||", "03A|E12Z070770||20200101||||| E|20200101|AMAP|", *rows]


def d0313(channels: list[str], registers: list[str], point: str = POINT) -> list[str]:
    return [
        f"02G|{point}|20200101|5|1|A|F|",
        "03G|OUT1|EX|4|4||1||PASSWORD1||PASSWORD2||PASSWORD3|",
        "04G|PS|07700900123||9600|PROV|",
        *(f"05G|{number}|1|{quantity}|" for number, quantity in enumerate(channels, 1)),
        "06G|E12Z 070770|",
        "07G|01|x|",
        *(f"08G|{register}|x||" for register in registers),
    ]


def registers(rows: pl.DataFrame) -> list[tuple[str | None, ...]]:
    return sorted(rows.select("register_id", "measurement_quantity", "multiplier").rows())


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("names", [("a.usr", "b.usr"), ("b.usr", "a.usr")], ids=["after", "before"])
def test_a_d0313_completes_a_d0268(tmp_path, names):
    files = {
        names[0]: flow("D0268002", d0268([("01", "AE"), ("02", "")])),
        names[1]: flow("D0313002", d0313(["AI", "AI"], ["01", "02", "03"])),
    }
    rows, read = source(tmp_path, "register", dict(sorted(files.items())))
    assert registers(rows) == [("01", "AE", "1"), ("02", "AI", "1"), ("03", "AI", None)]
    assert read.not_joined == []
    assert [file.rows for file in read.files] == ([2, 1] if names[0] == "a.usr" else [1, 2])
    assert not {"PASSWORD1", "07700900123"} & {value for row in rows.rows() for value in row}


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, 200, LARGE])
def test_what_a_d0313_leaves_open_is_told(tmp_path, block):
    """Channels and registers have no link in the flow: where channels differ nobody knows what a register measures."""
    body = [*d0313(["AI", "RI"], ["01", "02"]), *d0313(["AE"], ["01"], OTHER)]
    rows, _, _ = made(tmp_path, flow("D0313002", body), "register", block)
    assert rows.select("mpan_core", "register_id", "measurement_quantity").rows() == [(OTHER, "01", "AE")]
    files = {"a.usr": flow("D0268002", d0268([("01", "AI")])), "b.usr": flow("D0313002", body)}
    rows, read = source(tmp_path, "register", files)
    assert sorted(rows.select("mpan_core", "register_id", "measurement_quantity").rows()) == sorted(
        [(POINT, "01", "AI"), (OTHER, "01", "AE")]
    )
    assert read.not_joined == ["1 registers of a flow that does not say which of several quantities they measure"]


@pytest.mark.requirement("DQ29")
def test_a_d0313_gives_no_meter(tmp_path):
    files = {"a.usr": flow("D0268002", d0268([("01", "AI")])), "b.usr": flow("D0313002", d0313(["AI"], ["01"], OTHER))}
    rows, read = source(tmp_path, "metering", files)
    assert (rows["mpan_core"].to_list(), read.skipped) == ([POINT], ["b.usr (D0313)"])


def d0204(point: str, pairs: list[tuple[str, str]]) -> list[str]:
    below = [f"48M|{one}|{two}|" for one, two in pairs]
    return [f"440|{point}||FLAT 1|||||||OAKHAM|LE15 6AA|", "451|_A|20200101|", f"47M|{'T' if pairs else 'F'}|", *below]


def d0217(point: str, pairs: list[tuple[str, str]]) -> list[str]:
    fields = ["1", "SP40", point, "20230101", "20200101", *[""] * 11, "_A", *[""] * 18, "T" if pairs else "F"]
    return ["492|" + "|".join(fields) + "|", *(f"58M|{one}|{two}|" for one, two in pairs)]


@pytest.mark.requirement("DQ27")
@pytest.mark.parametrize("block", [64, LARGE])
@pytest.mark.parametrize(
    ("name", "head", "made_of"),
    [("D0204002", ["751|1|", "763|1|SP04|"], d0204), ("D0217002", ["754|1|"], d0217)],
    ids=["D0204", "D0217"],
)
def test_related_metering_points_of_a_registration(tmp_path, block, name, head, made_of):
    """A secondary names its primary; a primary names its one secondary, and none where there are several."""
    fourth = mpan(10, 80)
    several = [(POINT, OTHER), (POINT, THIRD)]
    points = {POINT: several, OTHER: several[:1], THIRD: [(f" {POINT}", THIRD)], fourth: []}
    body = [*head, *(line for point, pairs in points.items() for line in made_of(point, pairs))]
    rows, _, _ = made(tmp_path, flow(name, body), "registration", block)
    assert dict(rows.select("mpan_core", "related_mpan").rows()) == {
        POINT: None,
        OTHER: POINT,
        THIRD: POINT,
        fourth: None,
    }
    pair = [*head, *made_of(POINT, several[:1]), *made_of(OTHER, several[:1])]
    rows, _, _ = made(tmp_path, flow(name, pair), "registration", block)
    assert dict(rows.select("mpan_core", "related_mpan").rows()) == {POINT: OTHER, OTHER: POINT}


@pytest.mark.slow
@pytest.mark.requirement("Q62", "DQ29")
def test_a_d0313_through_the_whole_job(tmp_path):
    """Its rows are released with those of the D0268; what a D0268 cannot say of them on return is told by item."""
    place = tmp_path / "case"
    shutil.copytree(SHARED, place)
    for key in (place / "keys").iterdir():
        key.chmod(0o600)
    (place / "in").mkdir()
    (place / "in" / "a.usr").write_bytes(flow("D0268002", d0268([("01", "AI")])))
    (place / "in" / "b.usr").write_bytes(flow("D0313002", d0313(["AI"], ["01", "02"])))
    extracts = [{"contract": name, "source": {"path": "in"}} for name in ("metering", "register")]
    document = {
        "cut": {"id": "CASE-1", "date": CUT, "key": "keys/cut.key", "test": True},
        "reference": {"market_domain_data": "mdd"},
        "participants": [{"mpid": "MOPA", "role": "MOP", "extracts": extracts}],
        "release": {"folder": "out", "signing_key": "keys/signing.pem"},
    }
    (place / "cut.yaml").write_text(yaml.safe_dump(document))
    done = datacut("run", place / "cut.yaml", "--plain")
    assert done.code == 0, done.told
    pack = place / "out" / "CASE-1-return-MOPA"
    rows = pl.read_parquet(pack / "data" / "MOPA" / "register.parquet")
    assert sorted(rows.select("register_id", "measurement_quantity").rows()) == [("01", "AI"), ("02", "AI")]
    assert pl.read_parquet(pack / "data" / "MOPA" / "metering.parquet").height == 1
    inputs = json.loads((pack / "evidence" / "evidence.json").read_text())["inputs"]
    (told,) = [entry["source_form"]["returned"] for entry in inputs if entry["extract"] == "register"]
    lacking = {entry["item"]: entry["rows"] for entry in told["lacking"]}
    assert lacking == {
        "03A.J0848": 1,
        "03A.J1677": 1,
        "04A.J0475": 1,
        "04A.J0478": 1,
    }  # one meter, one register of the D0313


@pytest.mark.requirement("DQ30")
def test_days_that_wait_too_long_for_each_other_are_refused(tmp_path, monkeypatch):
    """In summer every UTC day waits for its neighbours; each day here lacks one of them."""
    days = [date(2023, 1, 10), *(date(2023, 7, 1) + timedelta(days=2 * n) for n in range(5))]
    files = {f"{n}.usr": flow("D0379001", utc_days([day])) for n, day in enumerate(days)}
    monkeypatch.setattr("flows.intake.utc_days.MOST_WAITING", 4 * 50)
    source(tmp_path, "half_hourly", dict(list(files.items())[:5]))
    with pytest.raises(RefusedError, match="wait for the day before or after"):
        source(tmp_path, "half_hourly", files)


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("body", ["told", "open"])
def test_registers_that_wait_too_long_for_another_flow_are_refused(tmp_path, monkeypatch, body):
    rows = d0313(["AI"], ["01", "02"]) if body == "told" else d0268([("01", ""), ("02", "")])
    files = {"0.usr": flow("D0313002" if body == "told" else "D0268002", rows)}
    monkeypatch.setattr("flows.intake.across_files.MOST_WAITING", 2)
    source(tmp_path, "register", files)
    monkeypatch.setattr("flows.intake.across_files.MOST_WAITING", 1)
    with pytest.raises(RefusedError, match="registers that wait for what another flow says"):
        source(tmp_path, "register", files)


def d0150(registers: list[str], point: str = POINT) -> list[str]:
    meter = "290|L04C15502|||100|J|LANDIS E110|AMAP|||||||||||N|20040615|20040601||||H|20040615|"
    return [
        f"288|{point}|20190401||E|",
        "289|0393|20190401|||",
        meter,
        *(f"293|{r}|C|AI|1.00||5|||" for r in registers),
    ]


def d0149(registers: list[str], point: str = POINT) -> list[str]:
    below = [line for register in registers for line in ("778|00001|", "283|L04C 15502|", f"284|{register}|1|")]
    return [f"280|{point}|20190401|", "281|0393|20190401|", *below]


@pytest.mark.requirement("DQ29", "DQ03")
@pytest.mark.parametrize("names", [("a.usr", "b.usr"), ("b.usr", "a.usr")], ids=["after", "before"])
def test_a_d0149_that_goes_with_a_d0150_makes_no_register_twice(tmp_path, names):
    files = {
        names[0]: flow("D0150002", d0150(["01", "02"])),
        names[1]: flow("D0149001", [*d0149(["01", "02", "03"]), *d0149(["01"], OTHER)]),
    }
    rows, read = source(tmp_path, "register", dict(sorted(files.items())))
    found = sorted(rows.select("mpan_core", "register_id", "time_pattern_regime_id", "measurement_quantity").rows())
    assert found == sorted(
        [
            (POINT, "01", None, "AI"),
            (POINT, "02", None, "AI"),
            (POINT, "03", "00001", None),
            (OTHER, "01", "00001", None),
        ]
    )
    assert read.not_joined == ["2 regimes of registers in a D0149 whose registers another flow has: that row counts"]
    assert sum(file.rows for file in read.files) == 4


@pytest.mark.requirement("DQ29")
def test_very_many_rows_of_a_d0149_alone_do_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.intake.across_files.MOST_WAITING", 3)
    body = [line for n in range(10) for line in d0149(["01", "02"], mpan(10, n))]
    rows, _, _ = made(tmp_path, flow("D0149001", body), "register", 300)
    assert rows.height == 20
    assert rows["time_pattern_regime_id"].to_list() == ["00001"] * 20
