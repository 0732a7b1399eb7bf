"""Raw identifiers put where nobody would look for them: in models, codes, numbers, units and names of files."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import yaml

from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.small_cut import EVERY_EXTRACT, keep_participants

pytestmark = [pytest.mark.slow, pytest.mark.requirement("DQ22", "DQ32", "Q67")]
ADDRESS, POSTCODE, UPRN, SERIAL = "CAF YARD 25 SKYLARK RISE", "CB1 9GQ", "157806181188", "Z02J36301"


@pytest.fixture
def cut(tmp_path) -> Path:
    generate(SampleRequest(300, 7, 0.0), tmp_path / "s")
    return keep_participants(tmp_path / "s", EVERY_EXTRACT)


def everything(folder: Path) -> str:
    """Return all that lies in a folder as text: names, bytes, and the cells of tables."""
    texts = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        texts += [path.name, path.read_bytes().decode("latin-1")]
        if path.suffix in (".parquet", ".arrow"):
            frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ipc(path)
            texts.append(frame.cast(pl.String, strict=False).write_csv() if frame.width else "")
    return "\n".join(texts)


PLACES = (
    ("MOPB/metering.csv", "MAKE_AND_MODEL", slice(0, 9), f"{ADDRESS} S1 0AZ", ADDRESS),
    ("MOPB/metering.csv", "MAKE_AND_MODEL", slice(10, 19), POSTCODE, POSTCODE),
    ("EELC/registration.csv", "DUOS_TARIFF_ID", slice(0, 9), "CB19GQ", "CB19GQ"),
    ("EELC/registration.csv", "DUOS_TARIFF_ID", slice(10, 19), "S10AZ", "S10AZ"),
    ("MOPB/register.csv", "MULTIPLIER", slice(0, 9), "7654321", "7654321"),
    ("MOPB/register.csv", "MULTIPLIER", slice(10, 19), "23272770020.38", "23272770020"),
    ("MOPB/register.csv", "NUMBER_OF_DIGITS", slice(20, 29), "7654322", "7654322"),
    ("elexon/bmu_mapping.csv", "BM_UNIT_ID", slice(0, 9), f"E_{SERIAL}", SERIAL),
)


def put(cut: Path, file: str, column: str, where: slice, value: str) -> None:
    """Put a value in some rows of a column, which is made where there is none."""
    path = cut.parent / file
    header, *rows = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    if column not in header:
        header, rows = [*header, column], [[*row, ""] for row in rows]
    for row in rows[where]:
        row[header.index(column)] = value
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])


def test_nothing_raw_is_written_where_it_was_hidden(cut):
    for file, column, where, value, _ in PLACES:
        put(cut, file, column, where, value)
    done = datacut("run", cut, "--plain")
    assert done.code == 0, done.told
    written = everything(cut.parent / "out") + done.out + done.err
    assert [(file, column) for file, column, _, _, sought in PLACES if sought in written] == []


def test_a_consumption_that_is_a_uprn(cut):
    flow = cut.parent / "DCOL" / "D0019.usr"
    lines = flow.read_text().splitlines(keepends=True)
    spoilt = [f"EAD|{line.split('|')[1]}|{UPRN}.0|\n" if line.startswith("EAD|") else line for line in lines]
    flow.write_text("".join(spoilt))
    done = datacut("run", cut, "--plain")
    assert UPRN not in everything(cut.parent / "out") + done.out + done.err


def test_the_work_folder_holds_no_identifier_that_was_told(cut):
    """A run that is killed leaves its work folder: what a rule told to be an identifier does not stand there."""
    from flows import pipeline

    source = cut.parent / "MOPB" / "metering.csv"
    header, *rows = csv.reader(source.read_text(encoding="utf-8-sig").splitlines())
    own = rows[0][header.index("METER_SERIAL_NUMBER")], rows[1][header.index("MPAN_CORE")]
    rows[0][header.index("MAKE_AND_MODEL")] = f"MODEL {own[0]}"
    rows[1][header.index("MAKE_AND_MODEL")] = own[1]
    with source.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])
    pipeline.prepare(str(cut))
    pipeline.pseudonymise(str(cut), "MOPB", "metering")
    written = everything(cut.parent / "work")
    assert own[0] not in written
    assert own[1] not in written


def test_no_number_stands_behind_a_null_in_the_work_folder(cut):
    """A number that is too large for its column is blanked: in the bytes of the file too, not by a mark alone."""
    from flows import pipeline

    flow = cut.parent / "DCOL" / "D0019.usr"
    lines = flow.read_text().splitlines(keepends=True)
    spoilt = [f"EAD|{line.split('|')[1]}|{UPRN}.0|\n" if line.startswith("EAD|") else line for line in lines]
    flow.write_text("".join(spoilt))
    put(cut, "MOPB/register.csv", "MULTIPLIER", slice(0, 9), UPRN)
    pipeline.prepare(str(cut))
    pipeline.pseudonymise(str(cut), "DCOL", "annual_consumption")
    pipeline.pseudonymise(str(cut), "MOPB", "register")
    files = [
        path for room in ("annual_consumption", "register") for path in (cut.parent / "work").rglob(f"{room}/*.arrow")
    ]
    assert files
    for path in files:
        with pa.ipc.open_file(path) as reader:
            columns = reader.read_all().columns
        held = b"".join(bytes(b) for c in columns for chunk in c.chunks for b in chunk.buffers() if b is not None)
        scaled = [(int(UPRN) * 10**places).to_bytes(8, "little") for places in range(4)]
        assert not [number for number in scaled if number in held], path.parent.name


def test_a_meter_numbered_like_a_word_of_ours_stops_no_cut(cut):
    """Among 30 million meters one is called CP1558, as a change proposal is that every report names."""
    put(cut, "MOPB/metering.csv", "METER_SERIAL_NUMBER", slice(0, 1), "CP1558")
    put(cut, "MOPB/metering.csv", "METER_SERIAL_NUMBER", slice(1, 2), "REG1050")
    done = datacut("run", cut, "--plain")
    assert done.code == 0, done.told


def test_such_a_meter_is_found_in_data(cut):
    """Where so many share it that it is released; as the text of one meter it becomes OTHER, and is nowhere."""
    put(cut, "MOPB/metering.csv", "METER_SERIAL_NUMBER", slice(0, 1), "CP1558")
    put(cut, "MOPB/metering.csv", "MAKE_AND_MODEL", slice(30, 80), "CP1558")
    done = datacut("run", cut, "--plain")
    assert done.code == 14
    assert "make_and_model" in done.told[0]


def test_the_name_of_a_file_tells_nobody(cut):
    document = yaml.safe_load(cut.read_text())
    (registration,) = document["participants"][0]["extracts"]
    named = cut.parent / "EELC" / f"185_HOLLYBUSH_WAY_{POSTCODE.replace(' ', '_')}_{UPRN}.csv"
    (cut.parent / registration["source"]["path"]).rename(named)
    registration["source"]["path"] = f"EELC/{named.name}"
    cut.write_text(yaml.safe_dump(document))
    done = datacut("run", cut, "--plain")
    assert done.code == 0, done.told
    told = everything(cut.parent / "out")
    assert "HOLLYBUSH" not in told
    assert UPRN not in told


def test_a_policy_on_an_identifier_reaches_augmented_records(cut):
    overlay = {
        "reason": "test",
        "treatments": {"metering": {"esme_id": "suppress"}, "registration": {"esme_id": "suppress"}},
    }
    (cut.parent / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    document = yaml.safe_load(cut.read_text())
    document["cut"]["policy"] = {"overlay": "overlay.yaml"}
    cut.write_text(yaml.safe_dump(document))
    assert datacut("run", cut, "--plain").code == 0
    for path in sorted((cut.parent / "out").rglob("augmented.parquet")):
        frame = pl.read_parquet(path)
        if "esme_id" in frame.columns:
            stated = frame.filter(pl.col("esme_id_source") == "stated")
            assert stated["esme_id"].null_count() == stated.height, path
