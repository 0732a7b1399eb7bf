"""Dialects of delimited text: what tools write around a table, and what a source declares that is not so."""

from __future__ import annotations

import io
import zipfile

import pytest

from contracts.errors import ConfigurationError, IntakeError
from flows.intake import Limits

HEAD, ROWS = "MPAN,Name\n", [("1", "a"), ("2", "b")]
BODY = "1,a\n2,b\n"
PLAIN = HEAD + BODY

READ = {
    "blank lines before": "\n\r\n  \n" + PLAIN,
    "a title": "Portfolio of SUPA\n" + PLAIN,
    "a title and a blank line": "Portfolio of SUPA\n\n" + PLAIN,
    "titles as wide as the table": "Portfolio,,\nMade on a Monday,,\nMPAN,Name,Other\n1,a,\n2,b,\n",
    "titles with delimiters": "Portfolio: SUPA\nTaken, as it was\nMPAN,Name,Other\n1,a,\n2,b,\n",
    "sep of a spreadsheet": "sep=,\n" + PLAIN,
    "sep that says pipe": "sep=|\r\nMPAN|Name\r\n1|a\r\n2|b\r\n",
    "unnamed index": ",MPAN,Name\n0,1,a\n1,2,b\n",
    "unnamed in the middle": "MPAN,,Name\n1,x,a\n2,x,b\n",
    "delimiter at the end of all": "MPAN,Name,\n1,a,\n2,b,\n",
    "delimiter at the end of the rows": "MPAN,Name\n1,a,\n2,b,\n",
    "delimiter at the end of the header": "MPAN,Name,\n1,a\n2,b\n",
}


@pytest.mark.parametrize("block", [64, 1 << 20], ids=["small blocks", "one block"])
@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_what_stands_around_a_table_is_not_the_table(intake, text, block):
    frame = intake.frame(text.encode(), limits=Limits(block_bytes=block))
    assert frame.select("MPAN", "Name").rows() == ROWS
    assert not [name for name in frame.columns if not name.strip()]


@pytest.mark.parametrize(("text", "dropped"), [(READ["unnamed index"], 1), (READ["delimiter at the end of all"], 1)])
def test_columns_without_a_name_are_counted(intake, text, dropped):
    intake.frame(text.encode())
    assert intake.reader.dropped_columns == dropped


@pytest.mark.parametrize("text", ["MPAN,Name,Kind\n1,a\n2,b\n", "MPAN,Name\n1,a,c\n2,b,d\n", "a,b,c\nd,e\nf,g\n"])
def test_a_ragged_table_is_no_title(intake, text):
    assert "do not all have" in str(intake.fault(text.encode()))


@pytest.mark.parametrize("declared", ["auto", "utf-16"])
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_its_mark_and_without(intake, codec, declared):
    text = "MPAN,Name\n1,caf\u00e9 \u2019\n" * 1 + "2,b\n" * 3000
    frame = intake.frame(text.encode(codec), encoding=declared, limits=Limits(block_bytes=1000))
    assert frame.rows()[0] == ("1", "caf\u00e9 \u2019")
    assert frame.height == 3001
    assert intake.reader.encoding.startswith("utf-16")


def test_marks_are_text_where_nothing_is_quoted(intake):
    text = 'MPAN|Name\n1|THE 12" BORE WORKS\n2|"a\n3|x""y"\n'
    assert intake.frame(text.encode(), quote="none").rows() == [
        ("1", 'THE 12" BORE WORKS'),
        ("2", '"a'),
        ("3", 'x""y"'),
    ]
    assert "quote: none" in str(intake.fault(text.encode()))


ESCAPES = {
    r"1,\"a\"": ("1", '"a"'),
    r'1,"12\" BORE"': ("1", '12" BORE'),
    r"1,a\,b": ("1", "a,b"),
    r"1,a\\": ("1", "a\\"),
    r"1,a\\\,b": ("1", "a\\,b"),
    r"1,\N": ("1", r"\N"),
    "1,a\\\nb": ("1", "a\nb"),
    r'1,"a,b"': ("1", "a,b"),
}


@pytest.mark.parametrize("block", [64, 1 << 20], ids=["small blocks", "one block"])
@pytest.mark.parametrize(("row", "cells"), ESCAPES.items(), ids=range(len(ESCAPES)))
def test_a_backslash_escapes_what_follows(intake, row, cells, block):
    text = HEAD + "".join(f"{row}\n" for _ in range(40))
    frame = intake.frame(text.encode(), quote="backslash", limits=Limits(block_bytes=block))
    assert frame.rows() == [cells] * 40


@pytest.mark.parametrize("codec", ["utf-8", "cp1252"])
def test_escapes_keep_the_encoding(intake, codec):
    assert intake.frame((HEAD + "1,caf\u00e9\\,b\n").encode(codec), quote="backslash").rows() == [("1", "caf\u00e9,b")]


WRONG = {
    "delimiter": (PLAIN.encode(), {"delimiter": "pipe"}, "declared as delimited by pipe, but its header has comma"),
    "delimiter, semicolons": (b"a;b\n1;2\n", {"delimiter": "comma"}, "its header has semicolon"),
    "encoding utf-8": ("a,b\n1,caf\u00e9\n".encode("cp1252"), {"encoding": "utf-8"}, "declared utf-8 and is not UTF-8"),
    "encoding cp1252": (
        "a,b\n1,caf\u00e9\n".encode(),
        {"encoding": "cp1252"},
        "declared cp1252 but is UTF-8 at line 2",
    ),
    "encoding utf-16": (PLAIN.encode(), {"encoding": "utf-16"}, "declared utf-16 but is not"),
    "encoding of UTF-16": (PLAIN.encode("utf-16"), {"encoding": "cp1252"}, "declared cp1252 but is UTF-16"),
    "byte order": (PLAIN.encode("utf-16-be"), {"encoding": "utf-16-le"}, "declared utf-16-le but is utf-16-be"),
    "form": (PLAIN.encode(), {"form": "parquet"}, "declared parquet but looks like csv"),
}


@pytest.mark.parametrize(("data", "options", "line"), WRONG.values(), ids=WRONG)
def test_what_is_declared_wrongly_is_told_as_that(intake, data, options, line):
    error = intake.fault(data, **options)
    assert isinstance(error, IntakeError)
    assert line in str(error)


def test_an_unknown_dialect_is_a_configuration_fault(intake):
    assert isinstance(intake.fault(PLAIN.encode(), quote="single"), ConfigurationError)


def packed(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else "x")
    return held.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (packed("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), "Excel workbook (xlsx)"),
        (packed("xl/workbook.xml", "[Content_Types].xml"), "Excel workbook (xlsx)"),
        (packed("mimetype", "content.xml"), "OpenDocument"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Excel workbook (xls)"),
    ],
)
def test_a_workbook_is_named_with_the_way_out(intake, data, name):
    error = str(intake.fault(data, "backup.xlsx"))
    assert name in error
    assert "CSV UTF-8" in error
