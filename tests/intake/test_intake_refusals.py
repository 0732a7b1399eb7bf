"""Text that is refused: the kind of error, where it is said to be, and that it repeats no value."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigurationError, IntakeError, RefusedError
from flows.intake import Limits, SourceSpec, open_source

HEADER = "MPAN,Serial,Address,Postcode,ESME"
ROW = "1900000000071,L71C99117,SHADY OAK PADDOCK,QZ7 7ZQ,00-1D-24-77-77-77-77-77"
GOOD = f"{HEADER}\n{ROW}\n{ROW}\n".encode()


def after(*rows: str | bytes) -> bytes:
    """Two good rows on lines 2 and 3, then these."""
    return GOOD + b"".join(row if isinstance(row, bytes) else row.encode() for row in rows)


MALFORMED = {
    "empty": (b"", "is empty"),
    "blank header": (b"\n" + ROW.encode(), "number as its name"),
    "blank lines alone": (b"\n\r\n \n", "is empty"),
    "no header": (f"{ROW}\n{ROW}\n".encode(), "number as its name"),
    "short row": (after("1900000000071,L71C99117\n"), "at line 4"),
    "long row": (after(ROW + ",QZ7 7ZQ\n"), "at line 4"),
    "short and long row": (after("1900000000071,L71C99117,a,b\n", ROW + ",QZ7 7ZQ\n"), "at line 4"),
    "long and short row": (after(ROW + ",QZ7 7ZQ\n", "1900000000071,L71C99117,a,b\n"), "at line 4"),
    "quoted short and long row": (after('"1,9",2,3,4\n', '"1,9",2,3,4,5,6\n'), "at line 4"),
    "row of one cell": (after("1900000000071\n"), "at line 4"),
    "blank line inside": (after("\n", ROW + "\n"), "line 4"),
    "blank line after header": (f"{HEADER}\n\n{ROW}\n".encode(), "line 2"),
    "quoted text with a blank line": (after("\r\n", '"1",2,3,4,5\n'), "line 4"),
    "unbalanced quote at the end": (after('"1900000000071,L71C99117,a,b,c\n'), "quotation mark"),
    "unbalanced quote, more rows": (after('"1900000000071,L,a,b,c\n', '1,"2",3,4,5\n'), "quotation mark"),
    "quote inside a cell": (after('1900000000071,5" PIPE,SHADY OAK PADDOCK,b,c\n'), "line 4"),
    "text after a closing quote": (after('"1900000000071"7,L,a,b,c\n'), "line 4"),
    "space before an opening quote": (after('1, "L71C99117",a,b,c\n'), "line 4"),
    "lone carriage returns": (GOOD.replace(b"\n", b"\r"), "lone carriage returns at line 1"),
    "one lone carriage return": (after("1900000000071,a\rb,c,d,e\n"), "lone carriage returns at line 4"),
    "lone carriage return in quotes": (after('1,"L71C99117\rb",c,d,e\n'), "lone carriage returns at line 4"),
    "lone carriage return at the end": (after(ROW + "\r"), "lone carriage returns at line 4"),
    "NUL": (after("1900000000071,L71C99117\0,c,d,e\n"), "NUL bytes at line 4"),
    "escape character": (after("1900000000071,\x1b[2J,c,d,e\n"), "control characters at line 4"),
    "delete character": (after("1900000000071,\x7f,c,d,e\n"), "control characters at line 4"),
    "control in the header": (b"a,b\x01\n1,2\n", "control characters at line 1"),
    "UTF-16 cut short": (GOOD.decode().encode("utf-16")[:-1], "not UTF-16 throughout"),
    "UTF-32": (GOOD.decode().encode("utf-32"), "UTF-32"),
    "UTF-32 without mark": (GOOD.decode().encode("utf-32-be"), "NUL"),
    "UTF-8 and cp1252": (after("1,2,caf\u00e9,3,4\n", b"1,2,caf\xe9,3,4\n"), "mixes UTF-8"),
    "cp1252 and UTF-8": (after(b"1,2,caf\xe9,3,4\n", "1,2,caf\u00e9,3,4\n"), "mixes UTF-8"),
    "undefined in cp1252": (after(b"1,2,caf\x81,3,4\n"), "neither UTF-8 nor cp1252 at line 4"),
    "overlong UTF-8": (after(b"\xef\xbb\xbf,\xc0\xaf,3,4,5\n"), "mixes UTF-8"),
    "surrogate in UTF-8": (
        b"\xef\xbb\xbf" + after(b"1,\xed\xa0\x80,3,4,5\n"),
        "not UTF-8 throughout at line 4",
    ),
    "mark for UTF-8, cp1252 inside": (
        b"\xef\xbb\xbf" + after(b"1,caf\xe9,3,4,5\n"),
        "not UTF-8 throughout at line 4",
    ),
    "duplicate header": (f"MPAN,Serial,MPAN,b,c\n{ROW}\n".encode(), "columns 1 and 3 have the same name"),
    "duplicate header in another case": (f"MPAN,Serial,mpan ,b,c\n{ROW}\n".encode(), "columns 1 and 3"),
    "line break in the header": (f'"MP\nAN",b\n{ROW}\n'.encode(), "unbalanced quotation marks"),
    "no name at all": (f",,,,\n{ROW}\n".encode(), "has no header"),
    "name too long": (f"{'x' * 200},b\n1,2\n".encode(), "column 1 has no usable name"),
    "ambiguous delimiter": (f"MPAN|a,b\n{ROW}\n".encode(), "more than one delimiter: comma, pipe"),
    "semicolons": (GOOD.replace(b",", b";"), "semicolons"),
    "PDF": (b"%PDF-1.7\n" + GOOD, "document"),
    "old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + GOOD, "document"),
    "database file": (b"SQLite format 3\0" + GOOD, "an SQLite database"),
}


@pytest.mark.parametrize("block", [64, 1 << 20], ids=["small blocks", "one block"])
@pytest.mark.parametrize(("data", "phrase"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_text(intake, data, phrase, block):
    error = intake.fault(data, limits=Limits(block_bytes=block))
    assert isinstance(error, IntakeError)
    assert phrase in str(error)
    assert str(error).startswith("SUPX/registration: ")


def test_faults_far_down_are_found_at_their_line(intake):
    rows = f"{ROW}\n" * 5000
    for bad in ("1900000000071\n", ROW + ",7\n", 'a"b,2,3,4,5\n', "1,\0,3,4,5\n", "a\rb,2,3,4,5\n"):
        data = f"{HEADER}\n{rows}{bad}{rows}".encode()
        error = intake.fault(data, limits=Limits(block_bytes=8192))
        assert "at line 5002" in str(error)


def test_declared_encoding_is_binding(intake):
    assert "not UTF-8" in str(intake.fault(after(b"1,caf\xe9,3,4,5\n"), encoding="utf-8"))
    assert "cp1252" in str(intake.fault(after(b"1,caf\x9d,3,4,5\n"), encoding="cp1252"))
    assert "declared cp1252" in str(intake.fault(b"\xef\xbb\xbf" + GOOD, encoding="cp1252"))


@pytest.mark.parametrize("block", [64, 4096, 1 << 20])
def test_long_line_cell_and_wide_header(intake, block):
    limits = Limits(block_bytes=block)
    long_line = after("x" * 70_000 + ",2,3,4,5\n")
    assert "line of more than 65536 bytes at line 4" in str(intake.fault(long_line, limits=limits))
    assert "line of more than 65536" in str(intake.fault(b"x" * 10_000_000, limits=limits))
    assert "column 2 has a cell of more than 4096" in str(
        intake.fault(after("1," + "x" * 4097 + ",3,4,5\n"), limits=limits)
    )
    assert intake.frame(after("1," + "x" * 4096 + ",3,4,5\n"), limits=limits).height == 3
    quoted = after('1,"' + "x\n" * 40_000 + '",3,4,5\n')
    assert "record of more than 65536 bytes" in str(intake.fault(quoted, limits=Limits(block_bytes=1 << 20)))
    assert "quotation marks at line" in str(intake.fault(quoted, limits=Limits(block_bytes=4096)))
    wide = ",".join(f"c{i}" for i in range(513)).encode()
    assert "more than 512 columns" in str(intake.fault(wide, limits=limits))


def test_limits_of_rows_and_bytes_are_gates(intake):
    data = after(f"{ROW}\n" * 100)
    for limits, phrase in ((Limits(max_rows=101), "101 rows"), (Limits(max_bytes=2000), "2000 bytes")):
        error = intake.fault(data, limits=limits)
        assert isinstance(error, RefusedError)
        assert phrase in str(error)
    assert intake.frame(data, limits=Limits(max_rows=102, max_bytes=len(data))).height == 102


def test_declared_form_is_binding(intake):
    assert "declared parquet" in str(intake.fault(GOOD, form="parquet"))
    assert "declared dtc" in str(intake.fault(GOOD, form="dtc"))
    assert intake.frame(GOOD, form="csv").height == 2


@pytest.mark.parametrize(
    "options",
    [
        {"form": "xml"},
        {"encoding": "latin-1"},
        {"delimiter": ";"},
        {"url": "postgresql://u:hunter2@h/d", "query": "t"},
        {"path": None},
        {"path": None, "url": "mysql://u:hunter2@h/d", "query": "t"},
        {"path": None, "url": "postgresql://u:hunter2@h/d"},
        {"path": None, "url": "postgresql://u:hunter2@h/d", "query": "t", "form": "csv"},
        {"form": "database"},
        {"member": "a.csv"},
    ],
)
def test_contradicting_specifications(intake, options):
    spec = SourceSpec("SUPX/registration", **{"path": intake.write(GOOD), **options})
    error = intake.fault_of(lambda: open_source(spec))
    assert isinstance(error, ConfigurationError)
    assert "hunter2" not in str(error) + repr(spec)
