"""DTC user files through the contracts: which flow gives which extract, and what is dropped at the door."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from contracts.load import load_all
from contracts.scheme import scheme_lists
from contracts.vocabulary import RuleStage
from flows.intake import Limits, SourceSpec, open_source
from flows.pseudonymise.source import pseudonymise_batch
from tests.rules.cutting import mpan
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality import rules

POINT, OTHER = mpan(10, 77), mpan(10, 78)
SECRETS = ("hunter2", "07700900123", "8944110065", "10.20.30.40")

FLOWS: dict[str, tuple[str, list[str], dict[str, list[dict[str, str | None]]]]] = {
    "D0150": (
        "D0150002",
        [
            f"288|{POINT}|20190401||E|",
            "289|0393|20190401|",
            "290|L04C15502|||100|J|LANDIS E110|AMAP|||||||||||N|20040615|20040601||||H|20040615|",
            "291|200/5|",
            "293|R1|C|AI|1.00||5|||",
            f"288|{OTHER}|20190401||E|",
            "290|E6S1000017|||100|J|EDMI E6|BMAP|||||||||||S1|20200102|||||H|20200102|",
            "293|1|C|AI|1.00||9|||",
            "293|2|C|AE|1.00||9|||",
        ],
        {
            "metering": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "meter_type": "N",
                    "meter_install_date": "20040615",
                    "make_and_model": "LANDIS E110",
                    "meter_asset_provider_mpid": "AMAP",
                    "standard_settlement_configuration_id": "0393",
                },
                {
                    "mpan_core": OTHER,
                    "meter_serial_number": "E6S1000017",
                    "meter_type": "S1",
                    "meter_install_date": "20200102",
                    "make_and_model": "EDMI E6",
                    "meter_asset_provider_mpid": "BMAP",
                    "standard_settlement_configuration_id": None,
                },
            ],
            "register": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "register_id": "R1",
                    "measurement_quantity": "AI",
                    "multiplier": "1.00",
                    "number_of_digits": "5",
                },
                {
                    "mpan_core": OTHER,
                    "meter_serial_number": "E6S1000017",
                    "register_id": "1",
                    "measurement_quantity": "AI",
                    "multiplier": "1.00",
                    "number_of_digits": "9",
                },
                {
                    "mpan_core": OTHER,
                    "meter_serial_number": "E6S1000017",
                    "register_id": "2",
                    "measurement_quantity": "AE",
                    "multiplier": "1.00",
                    "number_of_digits": "9",
                },
            ],
        },
    ),
    "D0268": (
        "D0268002",
        [
            f"01A|{POINT}|20190401|5|1|F|PLANT ROOM|230|3|A||",
            "02A|K18TB00555|OS|MODEM|4|2|hunter2|user1|hunter2|||||hunter2|GS|||07700900123||||8944110065|10.20.30.40||",
            "03A|K17W003712|ELSTER A1700|20170301|100||200/5|3P4W|E|20170301|CMAP|",
            "04A|1|K18TB00555|1|40|1.00|1|AI|8|||",
            "04A|2|K18TB00555|2|40|1.00|1|RI|8|||",
        ],
        {
            "metering": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "K17W003712",
                    "meter_type": "H",
                    "make_and_model": "ELSTER A1700",
                    "meter_install_date": "20170301",
                    "meter_asset_provider_mpid": "CMAP",
                },
            ],
            "register": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "K17W003712",
                    "register_id": "1",
                    "measurement_quantity": "AI",
                    "number_of_digits": "8",
                    "multiplier": "1.00",
                },
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "K17W003712",
                    "register_id": "2",
                    "measurement_quantity": "RI",
                    "number_of_digits": "8",
                    "multiplier": "1.00",
                },
            ],
        },
    ),
    "D0149": (
        "D0149001",
        [
            f"280|{POINT}|20190401|",
            "281|0151|20190401|",
            "778|00043|",
            "283|L04C15502|",
            "284|D|1|",
            "778|00210|",
            "283|L04C15502|",
            "284|N|1|",
        ],
        {
            "register": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "register_id": "D",
                    "time_pattern_regime_id": "00043",
                    "standard_settlement_configuration_id": "0151",
                },
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "register_id": "N",
                    "time_pattern_regime_id": "00210",
                    "standard_settlement_configuration_id": "0151",
                },
            ],
        },
    ),
    "D0019": (
        "D0019001",
        [
            "ZPI|1|",
            f"ZIN|1|NH09|{POINT}|",
            "ISD|20230101|",
            "EAH|20230401|",
            "EAD|00043|1234.5|",
            "EAD|00210|700.0|",
            "AAH|20220401|20230331|",
            "AAD|00043|1200.1|",
            "REG|20190401|SUPA|",
            "PSC|20190401|2|0151|",
            "IMC|20190401|A|",
            "GSP|20190401|_A|",
            "IES|20190401|E|",
        ],
        {
            "annual_consumption": [
                {
                    "mpan_core": POINT,
                    "time_pattern_regime_id": "00043",
                    "eac": "1234.5",
                    "aa": None,
                    "effective_from": "20230401",
                },
                {
                    "mpan_core": POINT,
                    "time_pattern_regime_id": "00210",
                    "eac": "700.0",
                    "aa": None,
                    "effective_from": "20230401",
                },
                {
                    "mpan_core": POINT,
                    "time_pattern_regime_id": "00043",
                    "eac": None,
                    "aa": "1200.1",
                    "effective_from": "20220401",
                },
            ],
        },
    ),
    "D0010": (
        "D0010002",
        [
            f"026|{POINT}|V|",
            "028|L04C15502|R|",
            "030|01|20230801093000|012345.0|||T|N|",
            "030|02|20230801093000|000777.5|||T|N|",
        ],
        {
            "meter_reading": [
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "register_id": "01",
                    "reading": "012345.0",
                    "reading_date": "20230801093000",
                    "reading_type": "R",
                    "validation_status": "V",
                    "reading_method": "N",
                },
                {
                    "mpan_core": POINT,
                    "meter_serial_number": "L04C15502",
                    "register_id": "02",
                    "reading": "000777.5",
                    "reading_date": "20230801093000",
                    "reading_type": "R",
                    "validation_status": "V",
                    "reading_method": "N",
                },
            ],
        },
    ),
}


def usr(flow: str, body: Sequence[str]) -> bytes:
    lines = [f"ZHV|0000000001|{flow}|M|MOPA|D|DCOL|20230819020000||||OPER|", *body]
    return "\n".join([*lines, f"ZPT|0000000001|{len(body)}||1|20230819020001|", ""]).encode()


def read(path: Path, extract: str, block: int) -> tuple[pl.DataFrame, int, str | None]:
    limits = Limits(block_bytes=block)
    with open_source(SourceSpec("x", path), layout=load_all()[extract].dtc_layouts, limits=limits) as reader:
        frames = list(reader.batches())
        return pl.concat(frames), reader.dropped_columns, reader.test_flag


CASES = [(flow, extract) for flow, (_, _, extracts) in FLOWS.items() for extract in extracts]


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize(("flow", "extract"), CASES)
def test_rows_of_a_flow(tmp_path, flow, extract, block):
    version, body, extracts = FLOWS[flow]
    path = tmp_path / "flow.usr"
    path.write_bytes(usr(version, body))
    frame, dropped, flag = read(path, extract, block)
    wanted = extracts[extract]
    found = [{k: row[k] for k in wanted[0]} for row in frame.iter_rows(named=True)]
    assert sorted(found, key=str) == sorted(({k: row[k] for k in wanted[0]} for row in wanted), key=str)
    assert dropped > 0
    assert flag == "OPER"  # a live file: its test flag is known


@pytest.mark.requirement("DQ22", "Q68", "Q73")
@pytest.mark.parametrize("extract", ["metering", "register"])
def test_passwords_and_numbers_to_call_are_dropped_at_the_door(tmp_path, extract):
    version, body, _ = FLOWS["D0268"]
    path = tmp_path / "d0268.usr"
    path.write_bytes(usr(version, body))
    frame, dropped, _ = read(path, extract, 1 << 20)
    assert not [s for s in SECRETS if s in frame.write_csv()]
    layouts = [layout for layout in load_all()[extract].dtc_layouts if layout.flow == "D0268"]
    named = {place for layout in layouts for place in layout.fields.values()}
    assert not [group for group, _ in named if group == "02A"]
    assert dropped >= 6  # the outstation's six fields among them


@pytest.mark.requirement("DQ29")
@pytest.mark.parametrize(("flow", "extract"), CASES)
def test_what_a_sound_flow_gives_keeps_the_rules_of_intake(tmp_path, flow, extract):
    version, body, _ = FLOWS[flow]
    path, contract = tmp_path / "flow.usr", load_all()[extract]
    path.write_bytes(usr(version, body))
    frame, _, _ = read(path, extract, 1 << 20)
    spec = SourceSpec("x", path)
    names = map_columns(contract, frame.columns, where="x")
    staged = pseudonymise_batch(
        frame, contract, names, Pseudonymiser(FieldKeys(bytes(range(32)), "DTC"), lists=scheme_lists()), spec
    )
    broken = staged.select(rules.broken(contract, r.id).any().alias(r.id) for r in contract.rules_at(RuleStage.INTAKE))
    assert [name for name, hit in broken.row(0, named=True).items() if hit] == []


@pytest.mark.requirement("DQ29")
def test_a_flow_of_another_extract_is_told(tmp_path):
    from contracts.errors import IntakeError

    path = tmp_path / "flow.usr"
    path.write_bytes(usr("D0010002", FLOWS["D0010"][1]))
    with pytest.raises(IntakeError, match="holds D0010002; layouts known for this extract: D0150002, D0268002"):
        read(path, "metering", 1 << 20)
