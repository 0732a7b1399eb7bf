"""Delimited text: what is accepted, and that it is read as Python's csv module reads it."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.intake import Limits, SourceSpec, open_source
from flows.intake.source import DELIMITERS

TEXT = "MPAN,Name,Note\n1900000000071,Caf\u00e9,\n1900000000099,,\u20ac5\n"
ROWS = [("1900000000071", "Caf\u00e9", None), ("1900000000099", None, "\u20ac5")]


def zipped(data: bytes, name: str = "registration.csv") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return held.getvalue()


@pytest.mark.parametrize("delimiter", ["comma", "tab", "pipe"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(("encoding", "found"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("cp1252", "cp1252")])
@pytest.mark.parametrize(
    ("pack", "ending"),
    [(bytes, ".csv"), (gzip.compress, ".csv.gz"), (zipped, ".zip")],
    ids=["plain", "gz", "zip"],
)
def test_every_spelling_reads_the_same(intake, delimiter, ends, encoding, found, pack, ending):
    text = TEXT.replace(",", DELIMITERS[delimiter]).replace("\n", ends)
    frame = intake.frame(pack(text.encode(encoding)), "backup" + ending)
    assert frame.rows() == ROWS
    assert intake.reader.header == ("MPAN", "Name", "Note")
    assert (intake.reader.form, intake.reader.delimiter, intake.reader.encoding) == ("csv", delimiter, found)
    assert intake.reader.size == (intake.folder / ("backup" + ending)).stat().st_size
    assert intake.reader.stated_cut_date is None


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_declared_encoding_is_taken(intake, encoding):
    assert intake.frame(TEXT.encode(encoding), encoding=encoding).rows() == ROWS


def test_declared_cp1252_is_taken_where_bytes_would_pass_as_utf8(intake):
    data = "a,b\nANDR\u00c9\u2019S,2\n".encode("cp1252")
    assert b"\xc9\x92" in data
    assert intake.frame(data, encoding="cp1252").rows() == [("ANDR\u00c9\u2019S", "2")]


def test_leading_zeros_and_spaces_stay(intake):
    assert intake.frame(b"a,b\n007, x \n").rows() == [("007", " x ")]


def test_last_line_may_lack_its_end_and_blank_lines_may_follow(intake):
    assert intake.frame(b"a,b\n1,2").rows() == [("1", "2")]
    assert intake.frame(b"a,b\n1,2\n\n\r\n\n", limits=Limits(block_bytes=64)).rows() == [("1", "2")]


def test_header_alone_gives_no_batch(intake):
    for data in (b"a,b", b"a,b\n", b"a,b\r\n"):
        assert intake.frame(data).height == 0
        assert intake.reader.header == ("a", "b")


def test_delimiter_inside_quoted_header_does_not_count(intake):
    assert intake.frame(b'mpan|"address, line 1"\n1|2\n').rows() == [("1", "2")]
    assert intake.reader.header == ("mpan", "address, line 1")


def test_declared_delimiter_settles_an_ambiguous_header(intake):
    assert intake.frame(b"mpan|note, free\n1|2\n", delimiter="pipe").rows() == [("1", "2")]


def test_first_mark_of_second_encoding_far_down_is_cp1252(intake):
    rows = b"".join(b"%05d,x\n" % i for i in range(200))
    frame = intake.frame(b"a,b\n" + rows + b"9,caf\xe9\n", limits=Limits(block_bytes=64))
    assert frame.height == 201
    assert frame[-1, 1] == "caf\u00e9"
    assert intake.reader.encoding == "cp1252"


def test_batches_follow_block_size(intake):
    data = b"a,b\n" + b"1234567,7654321\n" * 1000
    with open_source(SourceSpec("x", intake.write(data)), limits=Limits(block_bytes=1600)) as reader:
        heights = [frame.height for frame in reader.batches()]
    assert sum(heights) == 1000
    assert max(heights) <= 200


def test_batches_are_walked_once(intake):
    with open_source(SourceSpec("x", intake.write(b"a\n1\n"))) as reader:
        assert len(list(reader.batches())) == 1
        with pytest.raises(RuntimeError):
            next(reader.batches())


# Cells made of what trips parsers: quotes, delimiters, line ends, characters of every UTF-8 length, digits, spaces.
CELL = st.lists(
    st.sampled_from(
        [
            '"',
            '""',
            ",",
            "|",
            "\t",
            "\n",
            "\r\n",
            " ",
            "0",
            "7",
            "a",
            "\u00e9",
            "\u20ac",
            "\U0001f50c",
            "'",
            "\\",
            "-",
            "=",
            "#",
        ]
    ),
    max_size=8,
).map("".join)


@st.composite
def tables(draw):
    width = draw(st.integers(1, 6))
    rows = draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=25))
    return [f"c{i}" for i in range(width)], rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    table=tables(),
    delimiter=st.sampled_from(sorted(DELIMITERS)),
    ends=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    block=st.integers(64, 1024),
    last=st.booleans(),
)
def test_reads_as_the_csv_module_does(table, delimiter, ends, quoting, block, last):
    header, rows = table
    held = io.StringIO(newline="")
    writer = csv.writer(held, delimiter=DELIMITERS[delimiter], lineterminator=ends, quoting=quoting)
    writer.writerows([header, *rows])
    text = held.getvalue() if last else held.getvalue().removesuffix(ends)
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[delimiter]))[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(text.encode())
        spec = SourceSpec("x", path, delimiter=delimiter)
        with open_source(spec, limits=Limits(block_bytes=block)) as reader:
            found = [row for frame in reader.batches() for row in frame.rows()]
    assert found == [tuple(cell or None for cell in row) for row in expected]
