"""Mutated sources: a documented exit code, one line, no identifier in it; never a crash, a hang or a traceback."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import polars as pl
import pytest

from contracts.errors import DataCutError
from flows.intake import Limits
from tests.mutations import spoil_bytes

CANARIES = ("1900000000071", "L71C99117", "SHADY OAK PADDOCK", "QZ7 7ZQ", "00-1D-24-77-77-77-77-77")
CODES = {11, 12, 19}


def _csv() -> bytes:
    return ("MPAN,Serial,Address,Postcode,ESME\n" + (",".join(CANARIES) + "\n") * 40).encode()


def _quoted() -> bytes:
    row = ",".join(f'"{c}\ncaf\u00e9 ""x"""' for c in CANARIES)
    return ("a,b,c,d,e\r\n" + (row + "\r\n") * 40).encode()


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("notes.txt", "x" * 100)
        out.writestr("r.csv", _csv())
    return held.getvalue()


def _parquet(**options: object) -> bytes:
    held = io.BytesIO()
    frame = pl.DataFrame({f"c{i}": [c] * 40 for i, c in enumerate(CANARIES)}).with_columns(
        n=pl.int_range(40), d=pl.date(2023, 8, 19), f=pl.int_range(40) / 3
    )
    frame.write_parquet(held, **options)
    return held.getvalue()


def _arrow_parquet(**options: object) -> bytes:
    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(pl.DataFrame({f"c{i}": [c] * 300 for i, c in enumerate(CANARIES)}).to_arrow(), held, **options)
    return held.getvalue()


def _dtc() -> bytes:
    body = "288|1900000000071|20190401||E|\n289|0393|20190401|\n290|L71C99117|||H|SHADY OAK PADDOCK|AMAP|\n293|R1|C|\n"
    head = "ZHV|0000000001|D0150002|M|AMOP|D|BDCO|20230819020000||||TR01|\n"
    return (head + body * 30 + "ZPT|0000000001|120||1|20230819020001|\n").encode()


SEEDS = {
    "csv": _csv(),
    "quoted": _quoted(),
    "cp1252": b"a,b\n" + "1900000000071,caf\u00e9\n".encode("cp1252") * 50,
    "gzip": gzip.compress(_csv(), mtime=0),
    "zip": _zip(),
    "parquet": _parquet(),
    "parquet plain": _parquet(compression="uncompressed", statistics=False),
    "parquet of arrow": _arrow_parquet(compression="none", data_page_version="2.0", use_dictionary=False),
    "dtc": _dtc(),
    "dtc gzip": gzip.compress(_dtc(), mtime=0),
}


def fuzz(intake, capfd, times: int, seed: int) -> None:
    choice = random.Random(seed)
    outcomes: dict[int, int] = {}
    names = sorted(SEEDS)
    for number in range(times):
        name = names[number % len(names)]
        data = spoil_bytes(SEEDS[name], choice)
        limits = Limits(block_bytes=choice.choice((64, 700, 1 << 20)))
        try:
            intake.frame(data, "backup", limits=limits)
            code = 0
        except DataCutError as error:
            code = error.exit_code
            assert code in CODES, (name, number, error)
            assert "\n" not in str(error)
            assert error.__cause__ is None
            assert not [c for c in CANARIES if c in str(error)], (name, number)
        outcomes[code] = outcomes.get(code, 0) + 1
    said = capfd.readouterr()
    assert not said.out
    assert not said.err
    assert outcomes.get(0, 0) < times
    assert outcomes[11] > times // 4


def test_three_hundred_mutations(intake, capfd):
    fuzz(intake, capfd, 300, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_fifteen_hundred_mutations(intake, capfd, seed):
    fuzz(intake, capfd, 150, seed=100 + seed)
