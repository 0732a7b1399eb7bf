"""A real PostgreSQL server on a socket in a folder of its own: types, streaming, refusals, silence about passwords."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from contracts.errors import ConfigurationError, IntakeError, PlaceError, RefusedError
from flows.intake import Limits, SourceSpec, open_source

pytestmark = pytest.mark.postgres
MPAN = "1900000000071"
TYPED = """
    SELECT 1900000000071::bigint AS mpan, 7::smallint AS small, 13::numeric AS whole, 12.50::numeric(8,2) AS part,
      1900000000071::float8 AS lossless, 0.1::float8 AS tenth, true AS flag, date '2023-08-19' AS day,
      timestamp '2023-08-19 00:00' AS midnight, timestamp '2023-08-19 01:02:03.5' AS moment,
      timestamptz '2023-08-19 12:00+01' AS zoned, 'caf\u00e9'::varchar(9) AS name, 'A'::char(4) AS code,
      ''::text AS empty,
      NULL::text AS missing, 'infinity'::date AS never
"""
SPELLED = (
    MPAN, "7", "13", "12.5", MPAN, "0.1", "T", "2023-08-19", "2023-08-19", "2023-08-19T01:02:03.500",
    "2023-08-19T11:00:00Z", "caf\u00e9", "A", None, None, "out-of-range",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(postgres_server):
    pytest.importorskip("adbc_driver_postgresql")
    return f"postgresql://datacut:hunter2@/postgres?host={postgres_server}"


def read(url: str, query: str, **options):
    with open_source(SourceSpec("SUPX/portfolio", url=url, query=query), **options) as reader:
        return reader, [row for frame in reader.batches() for row in frame.rows()]


def test_types_as_text(url):
    reader, rows = read(url, TYPED)
    assert rows == [SPELLED]
    assert reader.header[:4] == ("mpan", "small", "whole", "part")
    assert (reader.form, reader.size, reader.delimiter) == ("database", 0, None)


def test_table_by_name_and_no_rows(url):
    reader, rows = read(url, "information_schema.sql_features")
    assert len(rows) > 100
    assert "feature_id" in reader.header
    assert read(url, "SELECT 1 AS a WHERE false;")[1] == []


def test_streams_and_digests_alike_whatever_the_batch(url):
    query = "SELECT i::text AS mpan, repeat('x', 100) AS note, NULLIF(i % 3, 0) AS n FROM generate_series(1, 20000) i"
    digests, counts = set(), set()
    for block in (1000, 100_000, 32 << 20):
        digest = hmac.new(b"k", digestmod=hashlib.sha256)
        spec = SourceSpec("x", url=url, query=query)
        with open_source(spec, digest=digest, limits=Limits(block_bytes=block)) as reader:
            frames = list(reader.batches())
        assert sum(f.height for f in frames) == 20_000
        counts.add(len(frames))
        digests.add(digest.hexdigest())
    assert len(digests) == 1
    assert len(counts) > 1


def test_left_early(url):
    query = "SELECT i FROM generate_series(1, 3000000) i"
    with open_source(SourceSpec("x", url=url, query=query), limits=Limits(block_bytes=4096)) as reader:
        next(reader.batches())


@pytest.mark.parametrize(
    ("query", "kind", "phrase"),
    [
        ("missing_table", IntakeError, "42P01"),
        ("SELECT 1/0 AS a", IntakeError, "22012"),
        ("SELECT '1900000000071x'::bigint AS a", IntakeError, "22P02"),
        ("SELECT 1 AS a; SELECT 2 AS b", IntakeError, "42601"),
        ("WITH t AS (CREATE TABLE x()) SELECT 1", IntakeError, "42601"),
        ("WITH t AS (DELETE FROM pg_description RETURNING 1) SELECT 1 AS a", IntakeError, "25006"),
        ("DELETE FROM t", ConfigurationError, "neither a table's name nor a SELECT"),
        ("SELECT 1 AS a, 2 AS a", IntakeError, "same name"),
        ("SELECT ARRAY[1] AS a", IntakeError, "column 1 is nested"),
        ("SELECT 'x'::bytea AS a", IntakeError, "column 1 is bytea"),
        ("SELECT gen_random_uuid() AS a", IntakeError, "column 1 is uuid"),
        ("SELECT 1::money AS a", IntakeError, "column 1 is money"),
        ("SELECT repeat('x', 5000) AS a", IntakeError, "4096"),
        ("SELECT E'1900000000071\\x01' AS a", IntakeError, "control characters"),
        ('SELECT 1 AS "1900000000071"', IntakeError, "number as its name"),
    ],
)
def test_refused(url, intake, query, kind, phrase):
    error = intake.fault_of(lambda: read(url, query))
    assert isinstance(error, kind)
    assert phrase in str(error)


def test_limits(url, intake):
    query = "SELECT i FROM generate_series(1, 1000) i"
    for limits in (Limits(max_rows=999), Limits(max_bytes=1000)):
        assert isinstance(intake.fault_of(lambda limits=limits: read(url, query, limits=limits)), RefusedError)


def test_failure_in_the_middle_is_an_error(url, intake):
    query = "SELECT CASE WHEN i < 300000 THEN i ELSE i / (i - i) END AS i FROM generate_series(1, 300001) i"
    error = intake.fault_of(lambda: read(url, query, limits=Limits(block_bytes=4096)))
    assert isinstance(error, IntakeError | PlaceError)


def test_password_is_never_said(url, intake):
    for bad in (
        "postgresql://u:hunter2@127.0.0.1:1/x",
        url.replace("datacut:", "nobody_here:"),
        url.replace("/postgres?", "/nowhere?"),
        "postgresql://u:hunter2%zz@/x",
    ):
        error = intake.fault_of(lambda bad=bad: read(bad, "SELECT 1 AS a"))
        assert isinstance(error, PlaceError)
        assert "hunter2" not in str(error) + repr(SourceSpec("x", url=bad, query="t"))


def test_missing_driver_is_the_places_fault(intake, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    error = intake.fault_of(lambda: read("postgresql:///x", "t"))
    assert isinstance(error, PlaceError)
    assert "datacut[postgres]" in str(error)


def test_columns_without_a_text_are_left_out_by_name(url):
    query = """SELECT '{}'::jsonb AS doc, '1900000000071'::text AS mpan, '{a}'::text[] AS list, '10.0.0.1'::inet AS ip,
      gen_random_uuid() AS id, '1 day'::interval AS span,
      '\\xff00'::bytea AS raw, 1::money AS paid, 2.50::numeric AS n"""
    reader, rows = read(url, query)
    assert rows == [("1900000000071", "2.5")]
    assert set(reader.untyped) == {"doc", "list", "ip", "id", "span", "raw", "paid"}
