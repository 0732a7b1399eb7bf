"""Dialects and half-hours, spoilt: rows, or a documented exit code and a line without an identifier."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from contracts.errors import DataCutError
from contracts.load import load_all
from flows.intake import SourceFiles, SourceSpec
from flows.pseudonymise.source import source_columns
from tests.mutations import spoil_bytes
from transforms.conform import conform, normalise_mpans
from transforms.source_notes import SourceNotes, judge_batch, judge_whole, notes_of

pytestmark = [pytest.mark.requirement("Q68"), pytest.mark.slow]
CANARIES = ("1900000000071", "L71C99117")
CODES = {2, 11, 12, 19}
CASES = Path(__file__).parents[1] / "cases"
HEADER = "MPAN,Supplier,Supplier EFD,DC,MOP,MSN,MC,ES,Linked MPAN"
ROW = "1900000000071,SUPA,10/07/2019,DCOL,MOPA,L71C99117,A,E,NULL"


def _hh(name: str) -> bytes:
    text = (CASES / "50-half-hourly-csv" / name).read_bytes()
    for point in (b"1066672007388", b"1023720651433", b"1044349493409"):
        text = text.replace(point, CANARIES[0].encode())
    return text


PLAIN = "\n".join([HEADER, *[ROW] * 20, ""])
SEEDS: dict[str, tuple[str, bytes, dict[str, object]]] = {
    "titles": ("portfolio", ("Portfolio\n\nRun 1\n" + PLAIN).encode(), {}),
    "sep": ("portfolio", ("sep=|\n" + PLAIN.replace(",", "|")).encode(), {}),
    "utf-16": ("portfolio", PLAIN.encode("utf-16"), {}),
    "utf-16-be": ("portfolio", PLAIN.encode("utf-16-be"), {}),
    "index": ("portfolio", ("," + PLAIN.replace("\n1900", "\n1,1900")).encode(), {}),
    "trailing": ("portfolio", PLAIN.replace("\n", ",\n").encode(), {}),
    "none": ("portfolio", PLAIN.replace("SUPA", '12" BORE').encode(), {"quote": "none"}),
    "backslash": ("portfolio", PLAIN.replace("SUPA", 'a\\"b\\\\').encode(), {"quote": "backslash"}),
    "wrapped": ("portfolio", PLAIN.replace("1900000000071", '"=""1900000000071"""').encode(), {}),
    "instants": ("portfolio", PLAIN.replace("10/07/2019", "2019-07-09T23:00:00Z").encode(), {}),
    "named": ("portfolio", PLAIN.replace("10/07/2019", "10-JUL-19").encode(), {"dates": {"*": "dd-mon-yy"}}),
    "serial": ("portfolio", PLAIN.replace("10/07/2019", "43656").encode(), {}),
    "long": ("half_hourly", _hh("long.csv"), {}),
    "df2": ("half_hourly", _hh("df2.csv"), {}),
    "clock": ("half_hourly", _hh("clock.csv"), {}),
}


def _read(path: Path, contract_name: str, said: dict[str, object]) -> int:
    contract = load_all()[contract_name]
    spec = SourceSpec(name="SUPA/x", path=path, file=path.name, **said)  # type: ignore[arg-type]
    rows = 0
    for reader in SourceFiles([spec], contract=contract, layouts=contract.dtc_layouts).readers():
        columns, notes = source_columns(contract, reader), SourceNotes()
        for batch in reader.batches():
            raw = normalise_mpans(conform(batch.lazy(), contract, columns).collect(), contract)
            found = notes_of(raw, contract)
            judge_batch(found, columns, where="x")
            notes.add(found)
            rows += batch.height
        judge_whole(notes, columns, where="x")
    return rows


@pytest.mark.parametrize("seed", range(10))
def test_spoilt_dialects(tmp_path: Path, seed: int) -> None:
    choice, met = random.Random(seed), Counter[str]()
    for number in range(120):
        name = sorted(SEEDS)[number % len(SEEDS)]
        contract, data, said = SEEDS[name]
        path = tmp_path / "x.csv"
        path.write_bytes(spoil_bytes(data, choice) if number >= len(SEEDS) else data)
        try:
            rows = _read(path, contract, said)
            met["read"] += 1
            assert rows or number >= len(SEEDS), name
        except DataCutError as fault:
            assert number >= len(SEEDS), (name, str(fault))
            assert fault.exit_code in CODES, (name, str(fault))
            assert not any(canary in str(fault) for canary in CANARIES), name
            assert len(str(fault).splitlines()) == 1
            met[type(fault).__name__] += 1
    assert met["read"] > 12
    assert met["IntakeError"] > 12
