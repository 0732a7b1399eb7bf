"""Parquet: the text of every type, bombs judged before they go off, footers that lie."""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import hmac
import io
import struct
import subprocess
import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import DataCutError, IntakeError, RefusedError
from flows.intake import Limits

MPAN = "1900000000071"


def parquet(table: pa.Table | pl.DataFrame, **options: object) -> bytes:
    held = io.BytesIO()
    if isinstance(table, pl.DataFrame):
        table.write_parquet(held, **options)
    else:
        pq.write_table(table, held, **options)
    return held.getvalue()


TYPED = pl.DataFrame(
    {
        "integer": [1900000000071, None, -3],
        "unsigned": pl.Series([0, 1, 2**64 - 1], dtype=pl.UInt64),
        "float": [1900000000071.0, 0.1, float("nan")],
        "single": pl.Series([1.5, 2.0, -0.0], dtype=pl.Float32),
        "large": [1e300, 1e18, float("-inf")],
        "decimal": pl.Series(["1.50", "2.00", "100.00"]).cast(pl.Decimal(10, 2)),
        "flag": [True, None, False],
        "date": [dt.date(2023, 8, 19), None, dt.date(1, 1, 1)],
        "time": [dt.datetime(2023, 8, 19), dt.datetime(2023, 8, 19, 1, 2, 3, 500000), None],
        "zoned": pl.Series([dt.datetime(2023, 8, 19)] * 3).dt.replace_time_zone("Europe/London"),
        "text": ["", "caf\u00e9", None],
        "category": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
        "nothing": [None] * 3,
    }
)
SPELLED = [
    (MPAN, "0", MPAN, "1.5", "1e+300", "1.5", "T", "2023-08-19", "2023-08-19", "2023-08-18T23:00:00Z", None, "a", None),
    (None, "1", "0.1", "2", "1000000000000000000", "2", None, None, "2023-08-19T01:02:03.500", "2023-08-18T23:00:00Z",
     "caf\u00e9", "b", None),
    ("-3", str(2**64 - 1), "NaN", "0", "-inf", "100", "F", "0001-01-01", None, "2023-08-18T23:00:00Z", None, "a", None),
]  # fmt: skip


@pytest.mark.parametrize("block", [64, 1 << 20])
@pytest.mark.parametrize("compression", ["uncompressed", "zstd", "snappy", "gzip"])
def test_types_as_text(intake, block, compression):
    data = parquet(TYPED, compression=compression)
    frame = intake.frame(data, "a.parquet", limits=Limits(block_bytes=block))
    assert frame.rows() == SPELLED
    assert (intake.reader.form, intake.reader.size) == ("parquet", len(data))


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {
            "use_dictionary": False,
            "column_encoding": {"a": "DELTA_BYTE_ARRAY", "b": "DELTA_LENGTH_BYTE_ARRAY"},
        },
        {"data_page_version": "2.0", "compression": "zstd"},
        {"write_page_checksum": True},
        {"row_group_size": 1000, "data_page_size": 512},
        {"dictionary_pagesize_limit": 2000},
    ],
)
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_encodings_read_the_same(intake, options, kind):
    texts = [None, *(f"{n:013d}" if n % 7 else "" for n in range(5000))]
    table = pa.table({"a": pa.array(texts).cast(kind), "b": pa.array(texts)})
    if "column_encoding" in options and pa.types.is_dictionary(kind):
        pytest.skip("dictionary columns are written as dictionaries")
    frame = intake.frame(parquet(table, **options), limits=Limits(block_bytes=1 << 18))
    expected = [text or None for text in texts]
    assert frame["a"].to_list() == expected
    assert frame["b"].to_list() == expected


def test_dates_no_calendar_knows_are_said_to_be_so(intake):
    wide = 2**62
    table = pa.table(
        {
            "date": pa.array([2**31 - 1, 19588], pa.int32()).cast(pa.date32()),
            "milli": pa.array([wide, 0]).cast(pa.timestamp("ms")),
            "micro": pa.array([-wide, 0]).cast(pa.timestamp("us")),
            "nano": pa.array([wide, 0]).cast(pa.timestamp("ns")),
        }
    )
    rows = intake.frame(parquet(table)).rows()
    assert rows == [
        ("out-of-range", "out-of-range", "out-of-range", "2116-02-20T23:53:38.427387904"),
        ("2023-08-19", "1970-01-01", "1970-01-01", "1970-01-01"),
    ]


def test_stated_cut_date(intake):
    for stated, found in {
        "2023-08-19": "20230819",
        "20230819": "20230819",
        "19 August": None,
        MPAN: None,
    }.items():
        table = pa.table({"a": ["1"]}).replace_schema_metadata({"cut_date": stated})
        intake.frame(parquet(table))
        assert intake.reader.stated_cut_date == found


def test_no_rows(intake):
    assert intake.frame(parquet(pa.table({"a": pa.array([], pa.string())}))).height == 0
    assert intake.frame(parquet(pl.DataFrame({"a": []}, schema={"a": pl.String}))).height == 0


@pytest.mark.parametrize("block", [64, 1 << 20])
def test_digest_is_of_the_file(intake, block):
    data = parquet(TYPED)
    digest = hmac.new(b"k" * 32, digestmod=hashlib.sha256)
    intake.frame(data, digest=digest, limits=Limits(block_bytes=block))
    assert digest.digest() == hmac.digest(b"k" * 32, data, "sha256")


def with_footer(data: bytes, old: bytes, new: bytes) -> bytes:
    """Change bytes of the footer, keeping its length."""
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    assert old in footer
    assert len(old) == len(new)
    return data[: -8 - length] + footer.replace(old, new) + data[-8:]


PLAIN = parquet(pa.table({"mpan": [MPAN] * 300, "n": list(range(300))}), compression="none", use_dictionary=False)
TEXT_OF_BYTES = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
MALFORMED = {
    "cut off": PLAIN[:-100],
    "cut to its magic": b"PAR1",
    "two magics": b"PAR1PAR1",
    "footer longer than the file": PLAIN[:-8] + struct.pack("<I", 2**31) + b"PAR1",
    "footer of zeros": PLAIN[:-8] + b"\0" * 64 + struct.pack("<I", 64) + b"PAR1",
    "row count that lies": with_footer(PLAIN, b"\xd8\x04", b"\xda\x04"),
    "list": parquet(pa.table({"a": [[MPAN]]})),
    "struct": parquet(pa.table({"a": [{"mpan": MPAN}]})),
    "map": parquet(pa.table({"a": pa.array([[(MPAN, "x")]], pa.map_(pa.string(), pa.string()))})),
    "time of day": parquet(pa.table({"a": [dt.time(1)]})),
    "duration": parquet(pa.table({"a": [dt.timedelta(1)]})),
    "extension type": parquet(
        pa.table({"a": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))})
    ),
    "extension by metadata": parquet(
        pa.table({"a": ["x"]}).cast(
            pa.schema([pa.field("a", pa.string(), metadata={"ARROW:extension:name": "arrow.py_extension_type"})])
        )
    ),
    "not UTF-8": parquet(pa.table({"a": TEXT_OF_BYTES})),
    "not UTF-8 in a dictionary": parquet(pa.table({"a": pa.chunked_array([TEXT_OF_BYTES] * 100)})),
    "control character": parquet(pa.table({"a": [MPAN + "\x1b"]})),
    "NUL": parquet(pa.table({"a": [MPAN + "\0"]})),
    "long cell": parquet(pa.table({"a": ["x" * 4097, MPAN]})),
    "long cell in a dictionary, once": parquet(pa.table({"a": [None] * 50_000 + ["x" * 5000] + [MPAN] * 50_000})),
    "same name twice": parquet(pa.table({"a": ["x"], "A ": ["y"]})),
    "MPAN for a name": parquet(pa.table({MPAN: ["x"]})),
    "too many columns": parquet(pa.table({f"c{i}": ["x"] for i in range(513)})),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed(intake, data):
    assert isinstance(intake.fault(data, "a.parquet"), IntakeError)


def test_page_checksums_are_verified(intake):
    texts = pa.table({"mpan": [f"{n:013d}" for n in range(1000)]})
    data = bytearray(parquet(texts, compression="none", use_dictionary=False, write_page_checksum=True))
    assert intake.frame(bytes(data)).height == 1000
    at = data.index(b"0000000000500")
    data[at] ^= 1
    assert isinstance(intake.fault(bytes(data)), IntakeError)


def test_encrypted_is_refused(intake):
    assert isinstance(intake.fault(b"PARE" + PLAIN[4:]), RefusedError)


def test_rows_are_limited(intake):
    assert isinstance(intake.fault(PLAIN, limits=Limits(max_rows=299)), RefusedError)
    assert isinstance(intake.fault(PLAIN, limits=Limits(max_bytes=1000)), RefusedError)


def test_overlapping_chunks_are_refused(intake):
    """Two columns of the same bytes: the footer of the second is made to point at the first."""
    table = pa.table({"a": list(range(1000)), "b": list(range(1000))})
    data = parquet(table, compression="none", use_dictionary=False, write_statistics=False, store_schema=False)
    second = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(1).data_page_offset
    zigzag = bytes([(2 * second) & 0x7F | 0x80, (2 * second) >> 7])
    error = intake.fault(with_footer(data, zigzag, b"\x88\x00"))
    assert isinstance(error, RefusedError)
    assert "overlap" in str(error)


BOMB = """
import sys, resource, pathlib, io
import pyarrow as pa, pyarrow.parquet as pq
path = pathlib.Path(sys.argv[1])
kind = sys.argv[2]
rows = 1_000_000
if kind == "values":
    data = pa.array(["x" * 4000]); table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * rows), data)})
elif kind == "long":
    data = pa.array(["x" * 4_000_000])
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * rows), data)})
elif kind == "page":
    table = pa.table({"a": pa.array(["x" * 300_000_000])})
elif kind == "pages":
    table = pa.table({"a": pa.array(["x" * 4000] * 60_000)})
elif kind == "rows":
    table = pa.table({"a": pa.array([1]).take(pa.array([0] * 30_000_000)) })
elif kind == "nulls":
    table = pa.table({"a": pa.nulls(400_000_000, pa.int8())})
elif kind == "prefixes":
    table = pa.table({"a": pa.array(["x" * 4000] * 60_000)})
options = dict(use_dictionary=False) if kind in ("page", "pages", "prefixes") else {}
if kind == "prefixes":
    options["column_encoding"] = {"a": "DELTA_BYTE_ARRAY"}
pq.write_table(table, path, compression="zstd", row_group_size=100_000_000, **options)
"""
READ = """
import sys, pathlib
from contracts.errors import DataCutError
from flows.intake import SourceSpec, open_source
from tests.peak import peak_rss_kib
code = 0
try:
    with open_source(SourceSpec("x", pathlib.Path(sys.argv[1]))) as reader:
        for frame in reader.batches():
            pass
except DataCutError as error:
    code = error.exit_code
print(code, peak_rss_kib())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["values", "long", "page", "pages", "rows", "nulls", "prefixes"])
def test_bombs(intake, kind):
    path = intake.folder / "bomb.parquet"
    subprocess.run([sys.executable, "-c", BOMB, path, kind], check=True)
    assert path.stat().st_size < 4_000_000
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, timeout=60)
    code, peak = map(int, done.stdout.split())
    assert code in (11, 12)
    assert not done.stderr
    assert peak < 1.5 * (1 << 20)  # KiB


def test_every_truncation_is_an_expected_failure(intake):
    for length in range(4, len(PLAIN), 97):
        assert isinstance(intake.fault(PLAIN[:length], "a.parquet"), DataCutError)


def test_columns_without_a_text_are_left_out_by_name(intake):
    table = pa.table({"deep": [[1]], "a": [MPAN], "pair": [{"x": 1, "a": 2}], "b": pa.array([7]), "at": [dt.time(1)]})
    frame = intake.frame(parquet(table))
    assert frame.rows() == [(MPAN, "7")]
    assert dict(intake.reader.untyped) == {
        "deep": "is nested",
        "pair": "is nested",
        "at": "has a type that has no text",
    }


def test_unannotated_texts_and_wide_decimals_are_text(intake):
    wide = pa.array([decimal.Decimal("1234.50"), None]).cast(pa.decimal256(50, 2))
    table = pa.table({"a": [MPAN.encode(), b"\xff\xfe"], "b": wide, "c": [b"", "caf\u00e9".encode()]})
    assert intake.frame(parquet(table)).rows() == [(MPAN, "1234.5", None), ("not-text", None, "caf\u00e9")]


def test_int96_does_not_overflow(intake):
    held = io.BytesIO()
    days = [dt.datetime(9999, 12, 31), dt.datetime(1900, 1, 1), dt.datetime(2019, 7, 10, 12)]
    table = pa.table({"a": pa.array(days, pa.timestamp("us"))})
    pq.write_table(table, held, use_deprecated_int96_timestamps=True)
    assert [row[0] for row in intake.frame(held.getvalue()).rows()] == [
        "9999-12-31",
        "1900-01-01",
        "2019-07-10T12:00:00",
    ]
