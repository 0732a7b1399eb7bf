"""The leak scan finds every way to leak that was thought of, by place and not by value; and cries no wolf."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import ResidueError
from contracts.vocabulary import Field
from flows.leak_scan import read_back
from flows.leak_scan import scan as leaks

pytestmark = pytest.mark.requirement("DQ32", "Q67")


def scan(judged, folder: Path) -> leaks.Scanner:
    scanner = leaks.Scanner(judged.workspace, judged.extracts, judged.pseudonymiser)
    scanner.folder(folder)
    return scanner


def spaced(mpan: str) -> str:
    return f"{mpan[:2]} {mpan[2:6]} {mpan[6:10]} {mpan[10:]}"


def table(folder: Path, **columns: list) -> None:
    pl.DataFrame(columns).write_parquet(folder / "table.parquet")


def metadata(folder: Path, mpan: str) -> None:
    flat = pa.table({"code": ["A"]}).replace_schema_metadata({"note": f"row of {mpan}"})
    pq.write_table(flat, folder / "table.parquet")


WAYS = {
    "a whole column": lambda f, v: table(f, mpan_core=v.mpans),
    "one cell of many": lambda f, v: table(f, note=["A"] * 999 + [v.mpan]),
    "inside a text": lambda f, v: table(f, make_and_model=[f"LANDIS E110 at {v.mpan}, new"]),
    "with spaces": lambda f, v: table(f, make_and_model=[spaced(v.mpan)]),
    "with dashes": lambda f, v: table(f, make_and_model=[spaced(v.mpan).replace(" ", "-")]),
    "with the top line": lambda f, v: table(f, note=[f"01801001{v.mpan}"]),
    "as a number": lambda f, v: table(f, eac=[float(v.mpan)]),
    "as an integer": lambda f, v: table(f, eac=[1, int(v.mpan)]),
    "in full-width digits": lambda f, v: table(f, note=["".join(chr(ord(d) + 0xFEE0) for d in v.mpan)]),
    "in a column name": lambda f, v: table(f, **{f"x{v.mpan}": [1]}),
    "in a file name": lambda f, v: (f / f"{v.mpan}.txt").write_text("nothing"),
    "in Parquet metadata": lambda f, v: metadata(f, v.mpan),
    "in JSON": lambda f, v: (f / "e.json").write_text(json.dumps({"a": [{"where": v.mpan}]})),
    "in HTML": lambda f, v: (f / "index.html").write_text(f"<td>{v.mpan}</td>" * 3),
    "in a CSV": lambda f, v: (f / "t.csv").write_text(f"mpan,reason\n{v.mpan},DQ01\n"),
    "past a block's end": lambda f, v: (f / "t.txt").write_text("x" * (read_back.BLOCK - 5) + f" {v.mpan}\n"),
    "in an endless line": lambda f, v: (f / "t.txt").write_text("x " * read_back.BLOCK + v.mpan),
    "a serial in a text": lambda f, v: table(f, make_and_model=[f"METER {v.serial} OLD"]),
    "a serial as a code": lambda f, v: table(f, register_id=[v.serial]),
    "an ESME id": lambda f, v: table(f, esme_id=[v.esme]),
    "an ESME id in lower case in a text": lambda f, v: table(f, note=[f"guid {v.esme.lower()}"]),
    "a UPRN in a text": lambda f, v: table(f, note=[f"uprn {v.uprn}"]),
    "a postcode in a report": lambda f, v: (f / "index.html").write_text("<p>NR1 3AB</p>"),
}


class Values:
    def __init__(self, raw, judged) -> None:
        import polars as pl

        from contracts.vocabulary import Field

        valid = judged.pseudonymiser.values(Field.MPAN, pl.Series(sorted(raw.mpan)))
        known = {k for k, v in zip(sorted(raw.mpan), valid, strict=True) if v}
        # metering points that the generator's defects spoil are not in the set of judged identifiers
        self.mpans = sorted(known)[10:40]
        self.mpan = self.mpans[7]
        self.serial = next(s for s in sorted(raw.serial) if len(s) == 10 and s.isalnum() and not s.isdigit())
        self.esme = next(e for e in sorted(raw.esme) if len(e) == 23)
        self.uprn = next(u for u in sorted(raw.uprn) if len(u) == 12)


@pytest.mark.parametrize("leak", WAYS.values(), ids=WAYS)
def test_every_way_to_leak_is_caught_and_no_value_told(judged, raw, tmp_path, leak):
    values = Values(raw, judged)
    leak(tmp_path, values)
    scanner = scan(judged, tmp_path)
    with pytest.raises(ResidueError) as caught:
        leaks.refuse(scanner)
    said = caught.value.line()
    assert caught.value.exit_code == 14
    assert not [v for v in (*values.mpans, values.serial, values.esme, values.uprn) if v in said]
    assert scanner.findings.confirmed.total() >= 1


def test_every_raw_mpan_is_known(judged, raw, tmp_path):
    """Recall: all of them planted at once, all of them found."""
    values = Values(raw, judged)
    known = [m for m in sorted(raw.mpan) if judged.pseudonymiser.values(Field.MPAN, pl.Series([m]))[0]]
    table(tmp_path, note=[f"see {m}" for m in known])
    assert scan(judged, tmp_path).findings.confirmed["mpan"] == len(known) + 2  # and once more each in min and max
    assert len(known) > len(values.mpans)


def test_no_false_alarm_on_what_only_looks_like_an_identifier(judged, tmp_path):
    """One in ten random 13-digit strings has a valid check digit; timestamps and bar codes too."""
    numbers = [f"{10**12 + n * 7_919_000_003:013d}" for n in range(20_000)]
    table(tmp_path, note=numbers, at=[f"202308191200{n % 100:02d}" for n in range(20_000)])
    (tmp_path / "hex.txt").write_text("\n".join(f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(5_000)))
    scanner = scan(judged, tmp_path)
    assert scanner.findings.confirmed.total() == 0
    assert scanner.findings.searched["mpan"] > 1_000


def test_counts_and_pseudonyms_are_no_identifiers_by_chance(judged, raw, tmp_path):
    """Short digits of a pseudonym, a DIP id, an amount or a count are some raw serial number's or UPRN's by chance."""
    short = [u for u in sorted(raw.uprn) if u.isdigit() and 8 <= len(u) <= 11]
    serials = [s for s in sorted(raw.serial) if s.isdigit() and len(s) >= 6]
    assert short
    assert serials
    same = (short + serials)[:40]
    table(tmp_path, meter_serial_number=same, uprn=same, data_service_dip_id=same)
    (tmp_path / "register.csv").write_text("mpan_core,reading\n" + "".join(f"A,{value}\n" for value in same))
    assert scan(judged, tmp_path).findings.places == []
    scanner = leaks.Scanner(judged.workspace, judged.extracts, judged.pseudonymiser)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "rules.json").write_text(json.dumps({"rows": [int(value) for value in same]}))
    (tmp_path / "report" / "rows.csv").write_text("rows\n" + "".join(f"{value}\n" for value in same))
    scanner.folder(tmp_path / "report", counts=True)
    assert scanner.findings.places == []
    (tmp_path / "notes.csv").write_text("note\n" + "".join(f"{value}\n" for value in same))
    assert scan(judged, tmp_path).findings.confirmed.total() >= len(same)


def pairs(mpan: str) -> str:
    """Return an EUI-64 whose last digits are an MPAN."""
    digits = f"FA{mpan}5"
    return "-".join(digits[at : at + 2] for at in range(0, 16, 2))


KEYED = {
    "a synthetic registration id": lambda mpan: f"SYN-ABCDEFABCD{mpan}EFABCDEFA",
    "a token": lambda mpan: f"abcdef{mpan}abcdefabcdefa",
    "a pseudonym of an ESME id": pairs,
    "one of them in a line": lambda mpan: f"030|{pairs(mpan)}|S1|",
}


@pytest.mark.parametrize("text", KEYED.values(), ids=KEYED)
def test_digits_that_a_key_drew_are_no_leak(judged, tmp_path, raw, text):
    """Among 30 million ids with 32 random digits, about eight hold some MPAN of the cut by chance."""
    values = Values(raw, judged)
    table(tmp_path, css_registration_id=[text(values.mpan)], note=[text(values.mpan)])
    (tmp_path / "t.txt").write_text(f"{text(values.mpan)}\n")
    assert scan(judged, tmp_path).findings.confirmed.total() == 0


@pytest.mark.parametrize("text", KEYED.values(), ids=KEYED)
def test_an_mpan_beside_such_digits_is_found(judged, tmp_path, raw, text):
    values = Values(raw, judged)
    table(tmp_path, css_registration_id=["A", f"{text(values.mpan)} {values.mpans[3]}", values.mpan])
    found = scan(judged, tmp_path).findings
    assert found.confirmed["mpan"] >= 2  # the bounds that Parquet keeps of a column are searched as well
    assert "mpan in table.parquet, column css_registration_id, rows from 1, row 2" in found.places


def test_digits_alone_are_no_keyed_text(judged, tmp_path, raw):
    values = Values(raw, judged)
    table(tmp_path, note=[f"{values.mpan}{'7' * 19}"])
    assert scan(judged, tmp_path).findings.confirmed["mpan"] >= 1


SLOWLY = """
import sys, time
from pathlib import Path
from flows.leak_scan.read_back import pieces
from tests.peak import peak_rss_kib
for number, _ in enumerate(pieces(Path(sys.argv[1]), "large.csv")):
    time.sleep(0.02 if number < 100 else 0)  # as long as a search takes: what is read ahead piles up meanwhile
print(peak_rss_kib())
"""


@pytest.mark.slow
def test_a_large_csv_file_is_read_in_bounded_memory(tmp_path):
    """Return packs of two participants are searched at a time; at 30 million their files are of two GiB each."""
    large = tmp_path / "large.csv"
    with large.open("w") as file:
        file.write("mpan_core,reasons\n")
        for _ in range(400):
            file.write("1234567890123,DQ01 and so on\n" * 36_000)
    done = subprocess.run([sys.executable, "-c", SLOWLY, large], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 450 << 10  # KiB; the file has 400 MiB, and none of it need be held
