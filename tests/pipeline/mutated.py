"""Spoilt backups through ``datacut anonymise``: the exit code, what it says, and what of the raw file is left behind.

``python -m tests.pipeline.mutated FILES [FIRST]`` spoils the files of the numbers from FIRST on, tells each fault when
it is found, and prints how the campaign ended, form by form.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import polars as pl
import yaml

from flows.sample import SampleRequest, generate
from tests.command import Done, datacut, datacut_process
from tests.mutations import Row, spoil_bytes, spoil_cells
from tests.rules.cutting import WEIGHTS
from tests.rules.test_dtc_flows import FLOWS, SECRETS, usr

LISTED = "cleanse.csv"  # the sender's own list of rows to put right: the one file that has its real MPANs
STEP = re.compile(r" *[0-9]+\.[0-9]{2} s  [a-z]")  # what a step says when it ends
REFUSED = {
    11,
    12,
    14,
    20,
}  # not readable, refused at a gate, a raw identifier where none is looked for, too much excluded
SERIALS = {"283": 1, "290": 1, "03A": 1, "028": 1}  # group -> field of a meter's serial number in a DTC flow
MPIDS = {"registration": "EELC", "portfolio": "SUPA", "metering": "MOPA", "register": "MOPA", "bmu_mapping": "ELEX"}
Table = tuple[Row, list[Row]]


@dataclass(frozen=True)
class Form:
    """A sound backup in one physical form.

    Attributes:
        table: header and rows, as text; the header of a DTC user file is empty.
        pack: makes the file of a table.
    """

    name: str
    extracts: tuple[str, ...]
    file: str
    table: Table
    pack: Callable[[Table, random.Random], bytes]


def _delimited(delimiter: str, encoding: str = "utf-8") -> Callable[[Table, random.Random], bytes]:
    def pack(table: Table, _: random.Random) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([table[0], *table[1]])
        return out.getvalue().encode(encoding, "replace")

    return pack


def _gzip(table: Table, choice: random.Random) -> bytes:
    return gzip.compress(_delimited(",")(table, choice), mtime=0)


def _zip(table: Table, choice: random.Random) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(zipfile.ZipInfo("backup.csv"), _delimited(",")(table, choice))
    return held.getvalue()


def _parquet(table: Table, choice: random.Random) -> bytes:
    """Write text columns, or numbers where every value of a column is one: what spreadsheets and databases do."""
    header, rows = table
    held, columns = io.BytesIO(), {}
    for at, name in enumerate(dict.fromkeys(header)):
        cells = [row[at] if at < len(row) else None for row in rows]
        texts = pl.Series(name, [cell or None for cell in cells], dtype=pl.String)
        number = texts.cast(choice.choice((pl.Int64, pl.Float64)), strict=False)
        columns[name] = number if choice.random() < 0.3 and number.null_count() == texts.null_count() else texts
    pl.DataFrame(columns).write_parquet(held)
    return held.getvalue()


def _dtc(table: Table, choice: random.Random) -> bytes:
    """Write records; most of the time the trailer counts them as they are."""
    rows = table[1]
    if choice.random() < 0.8 and rows and len(rows[-1]) > 2:
        rows = [*rows[:-1], [*rows[-1][:2], str(len(rows) - 2), *rows[-1][3:]]]
    return "".join("|".join(row) + "|\n" for row in rows).encode("utf-8", "replace")


def _read(data: bytes, delimiter: str, encoding: str = "utf-8-sig") -> Table:
    header, *rows = csv.reader(io.StringIO(data.decode(encoding)), delimiter=delimiter)
    return header, rows


def _records(data: bytes) -> Table:
    return [], [line.split("|")[:-1] for line in data.decode().splitlines()]


def forms(sample: Path) -> list[Form]:
    """Return every physical form, from a generated sample and the flows of the DTC tests."""
    frame = pl.read_parquet(sample / "IPNL/registration.parquet")
    cells = [[cell or "" for cell in row] for row in frame.cast(pl.String).iter_rows()]
    metering = _read((sample / "MOPB/metering.csv").read_bytes(), ",")
    tables = {
        "csv": ("registration", "r.csv", _read((sample / "EELC/registration.csv").read_bytes(), ","), _delimited(",")),
        "pipe": ("registration", "r.txt", _read((sample / "YELG/registration.csv").read_bytes(), "|", "cp1252"),
                 _delimited("|", "cp1252")),
        "parquet": ("registration", "r.parquet", (list(frame.columns), cells), _parquet),
        "tab": ("portfolio", "p.tsv", _read((sample / "SUPB/portfolio.tsv").read_bytes(), "\t"), _delimited("\t")),
        "gzip": ("portfolio", "p.csv.gz", _read(gzip.decompress((sample / "SUPA/portfolio.csv.gz").read_bytes()), ","),
                 _gzip),
        "zip": ("metering", "m.zip", metering, _zip),
        "csv of meters": ("metering", "m.csv", metering, _delimited(",")),
        "csv of registers": ("register", "g.csv", _read((sample / "MOPB/register.csv").read_bytes(), ","),
                             _delimited(",")),
        "csv of BM units": ("bmu_mapping", "b.csv", _read((sample / "elexon/bmu_mapping.csv").read_bytes(), ","),
                            _delimited(",")),
    }  # fmt: skip
    found = [Form(name, (e,), file, table, pack) for name, (e, file, table, pack) in tables.items()]
    flows = {flow: (usr(version, _eight(body)), tuple(made)) for flow, (version, body, made) in FLOWS.items()}
    flows["D0150"] = ((sample / "MOPA/D0150.usr").read_bytes(), ("metering", "register"))
    flows["D0019"] = ((sample / "DCOL/D0019.usr").read_bytes(), ("annual_consumption",))
    return found + [Form(flow, e, f"{flow}.usr", _records(data), _dtc) for flow, (data, e) in flows.items()]


def _eight(body: list[str]) -> list[str]:
    """Return a body eight times, each with meters of its own where one that is there twice is excluded."""

    def own(line: str, copy: int) -> str:
        group, serial, *rest = line.split("|")
        return "|".join([group, f"{serial[:-1]}{copy}", *rest]) if group in ("03A", "283") else line

    return [own(line, copy) for copy in range(8) for line in body]


# -- what must not be left -----------------------------------------------------------------------------------------


def valid_mpan(text: str) -> bool:
    """Tell whether 13 digits are an MPAN core, by the book (domain 2.2)."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, text, strict=False))
    return total % 11 % 10 == int(text[12])


def identifiers(table: Table) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the raw identifiers of a table without spaces and hyphens, and its (address line, postcode) pairs."""
    header, rows = table
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    values, addresses = set(), set()
    for row in rows:
        cells = dict(zip(names, row, strict=False)) if names else {"meterserialnumber": _serial(row)}
        values |= {cell for cell in row if re.fullmatch("[0-9]{13}", cell) and valid_mpan(cell)}
        named = [cells.get(n, "") for n in ("meterserialnumber", "esmeid", "uprn")]
        values |= {value for value in named if len(value) >= 6 and re.search("[0-9]", value)}
        # the last two lines are town and county, which an address under a pseudonym has too
        lines = [cells[n] for n in cells if re.fullmatch("addressline[1-7]", n) and len(cells[n].strip()) >= 8]
        addresses |= {(line, cells["postcode"]) for line in lines if len(cells.get("postcode", "").strip()) >= 5}
    values |= set(SECRETS) if not names else set()
    return {_squeezed(value) for value in values}, addresses


def ordinary(table: Table) -> set[str]:
    """Return what stands in columns that identify nobody: in an identifier's column it is no more than it was."""
    header, rows = table
    secret = ("mpan", "serial", "esme", "uprn", "address", "postcode")
    open_ = [at for at, name in enumerate(header) if not any(word in name.lower() for word in secret)]
    cells = {row[at] for row in rows for at in open_ if at < len(row)}
    if not header:
        cells = {cell for row in rows for at, cell in enumerate(row) if at != SERIALS.get(row[0])} - set(SECRETS)
    return {_squeezed(cell) for cell in cells if not (re.fullmatch("[0-9]{13}", cell) and valid_mpan(cell))}


def _serial(row: Row) -> str:
    at = SERIALS.get(row[0] if row else "", 0)
    return row[at] if at and at < len(row) else ""


def _squeezed(text: str) -> str:
    return re.sub(r"[ \-]", "", text.upper())


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every text that a run left in a folder: names, bytes, and the cells of tables."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != LISTED):
        yield path.name, path.name + "\n" + path.read_bytes().decode("latin-1")
        if path.suffix in (".parquet", ".arrow"):
            frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ipc(path)
            if frame.width:
                yield path.name, frame.cast(pl.String, strict=False).write_csv()


def survivors(table: Table, left: Iterator[tuple[str, str]], harmless: Collection[str] = frozenset()) -> list[str]:
    """Return where a raw identifier of a table stands, in words without it."""
    values, addresses = identifiers(table)
    values -= set(harmless)
    found = []
    for where, text in left:
        plain, upper = _squeezed(text), text.upper()
        found += [f"value in {where}" for value in values if value in plain]
        found += [f"address in {where}" for line, code in addresses if line.upper() in upper and code.upper() in upper]
    return found


# -- runs -------------------------------------------------------------------------------------------------------------


class Place:
    """A folder in which one backup after the other is anonymised.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sample = folder / "sample"
        generate(SampleRequest(60, 5, 0.0), sample)
        shutil.move(sample / "keys", folder / "keys")
        shutil.move(sample / "elexon" / "mdd", folder / "mdd")
        self.forms = forms(sample)
        shutil.rmtree(sample)
        self.document: dict[str, dict[str, object]] = {
            "cut": {"id": "FUZZ", "date": "2023-08-19", "key": "keys/cut.key", "test": True},
            "reference": {"market_domain_data": "mdd"},
            "release": {"signing_key": "keys/signing.pem"},
        }

    def run(self, form: Form, data: bytes, *, cut: Mapping[str, object] | None = None, plain: bool = True) -> Done:
        """Anonymise one backup of a participant's; under Prefect, take it through the whole job.

        Args:
            cut: entries of the section ``cut`` in place of the usual ones.
            plain: without Prefect.
        """
        for name in ("work", "out", "temporary"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("work", "temporary"):
            (self.folder / name).mkdir()
        (self.folder / form.file).write_bytes(data)
        source = [{"contract": extract, "source": {"path": form.file}} for extract in form.extracts]
        participant = {"mpid": MPIDS.get(form.extracts[0], "DCOL"), "role": "LDSO", "extracts": source}
        document = {**self.document, "cut": self.document["cut"] | dict(cut or {}), "participants": [participant]}
        file = self.folder / "cut.yaml"
        file.write_text(yaml.safe_dump(document))
        asked = ["anonymise", file, "--json", "--log", self.folder / "work" / "log.jsonl"]
        if not plain:
            return self._in_a_process(["run", *asked[1:]])
        with mock.patch.object(tempfile, "tempdir", str(self.folder / "temporary")):
            return datacut(*asked, "--plain")

    def _in_a_process(self, asked: Sequence[object]) -> Done:
        """Run the command by itself: Prefect reads where its server is once in the life of a process."""
        temporary = str(self.folder / "temporary")
        return datacut_process(*asked, TMPDIR=temporary, HOME=temporary)

    def left(self) -> Iterator[tuple[str, str]]:
        """Yield every text that the run left."""
        for name in ("out", "work", "temporary"):
            yield from texts(self.folder / name)


@dataclass
class Campaign:
    """What came of many spoilt files.

    Attributes:
        faults: what may never be, by the number of the file.
        codes: form -> exit code -> how many.
        lines: what was said, with numbers left out.
    """

    faults: list[str] = field(default_factory=list)
    codes: dict[str, Counter[int]] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> Counter[int]:
        """Exit code -> how many files."""
        return sum(self.codes.values(), Counter())


def spoilt(form: Form, choice: random.Random) -> tuple[bytes, Table]:
    """Return a spoilt file and the table that it was made of: cells, then bytes, or one of the two."""
    table = form.table
    how = choice.random()
    if how < 0.6:
        table = spoil_cells(*table, choice)
    data = form.pack(table, choice)
    return (spoil_bytes(data, choice) if how > 0.5 else data), table


def campaign(
    place: Place, numbers: Sequence[int], heard: Callable[[], str] = str, told: Callable[[str], object] = str
) -> Campaign:
    """Anonymise spoilt files; a file's number alone decides what is done to it.

    Args:
        heard: returns what was written past Python since it was last asked.
        told: is told of each fault when it is found.
    """
    found = Campaign()
    for number in numbers:
        choice = random.Random(number)
        form = place.forms[number % len(place.forms)]
        data, table = spoilt(form, choice)
        done = place.run(form, data)
        found.codes.setdefault(form.name, Counter())[done.code] += 1
        found.lines.update(re.sub("[0-9]+", "#", line) for line in done.told)
        faults = [f"{number} ({form.name}): {fault}" for fault in _faults(place, form, table, done, heard())]
        found.faults += faults
        for fault in faults:
            told(fault)
    return found


def _faults(place: Place, form: Form, table: Table, done: Done, past: str) -> Iterator[str]:
    said = done.out + done.err + past
    if done.code not in REFUSED | {0}:
        yield f"exit code {done.code}: {done.told}"
    if "Traceback" in said or "panicked" in said:
        yield "a traceback"
    if past:
        yield "something was written past the command"
    if len(done.told) != (done.code != 0):
        yield f"{len(done.told)} lines say why"
    if any(not STEP.match(line) and LISTED not in line for line in done.err.splitlines() if line not in done.told):
        yield "more is said than how the steps ended and why the run did"
    packs = [p.name for p in (place.folder / "out").glob("*")] if (place.folder / "out").is_dir() else []
    if packs != ([] if done.code else ["FUZZ-submission"]):
        yield f"the out folder holds {packs}"
    told = json.loads(done.out)["accounting"] if done.code == 0 else []
    if any(a["rows_in"] != a["released"] + a["excluded"] for a in told):
        yield "rows were lost"
    left, harmless = [("what was said", said), *place.left()], ordinary(form.table)
    yield from (hit for spelt in (form.table, table) for hit in survivors(spelt, iter(left), harmless))


@contextmanager
def past_python() -> Iterator[Callable[[], str]]:
    """Catch what libraries write to the process' own standard error, below ``sys.stderr``."""
    with tempfile.TemporaryFile() as caught:
        before = os.dup(2)
        os.dup2(caught.fileno(), 2)

        def heard() -> str:
            caught.seek(0)
            text = caught.read().decode("utf-8", "replace")
            caught.seek(0)
            caught.truncate()
            return text

        try:
            yield heard
        finally:
            os.dup2(before, 2)
            os.close(before)


def main() -> int:
    """Run a campaign from the command line."""
    files, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, past_python() as heard:
        place = Place(Path(folder))
        found = campaign(place, range(first, first + files), heard, lambda fault: print(fault, flush=True))
    print(f"{files:,} files in {time.monotonic() - began:,.0f} s; exit codes {dict(sorted(found.total.items()))}")
    for name, codes in found.codes.items():
        print(f"{name:<18}", dict(sorted(codes.items())))
    print(f"{len(found.faults)} faults, {len(found.lines)} different lines say why")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
