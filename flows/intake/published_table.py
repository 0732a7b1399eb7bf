"""The text of one published table: quoted cells or not, UTF-8 or cp1252, cut off or whole."""

from __future__ import annotations

import csv
import io

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from contracts.errors import InsufficientDataError, IntakeError

CUT_OFF = "it was cut off on its way, or changed: take the file again as it was published"


def read_table(raw: bytes, where: str, *, before: int = 0) -> tuple[list[str], pl.DataFrame]:
    """Return the headings of a table and its cells as text, stripped, null where blank; columns are called 0, 1, ...

    Args:
        raw: the file's bytes.
        where: what errors call it.
        before: lines before the headings.

    Raises:
        IntakeError: the table is no CSV, or cut off: a row has another number of cells than the headings, or a
            quotation mark is left open.
        InsufficientDataError: it is empty.
    """
    data = _utf8(raw)
    for _ in range(before):
        data = data.partition("\n")[2]
    names = next((row for row in csv.reader(io.StringIO(data)) if row), [])
    if not names:
        raise InsufficientDataError("is empty", where=where, remedy=CUT_OFF)
    rows = _rows(data.encode(), len(names), where).slice(1)
    if not rows.num_rows:
        raise InsufficientDataError("holds headings and no row", where=where, remedy=CUT_OFF)
    text = pl.all().str.strip_chars()
    frame = pl.DataFrame(rows).select(pl.when(text.str.len_bytes() > 0).then(text))
    frame.columns = [str(n) for n in range(frame.width)]
    return [name.strip() for name in names], frame


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")  # descriptions hold such bytes; no code does


def _rows(data: bytes, width: int, where: str) -> pa.Table:
    spoilt: list[pc.InvalidRow] = []

    def note(row: pc.InvalidRow) -> str:
        spoilt.append(row)
        return "skip"

    types = {f"f{n}": pa.string() for n in range(width)}
    try:
        table = pc.read_csv(
            io.BytesIO(data),
            pc.ReadOptions(use_threads=False, autogenerate_column_names=True),
            pc.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            pc.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid:
        raise IntakeError(
            "is not a CSV file with headings", where=where, remedy="take it as it was published"
        ) from None
    if spoilt:
        row = spoilt[0]
        line = f" in line {row.number}" if row.number else ""
        raise IntakeError(
            f"has {row.actual_columns} cells{line} under {row.expected_columns} headings", where=where, remedy=CUT_OFF
        )
    if data.count(b'"') % 2:
        raise IntakeError("leaves a quotation mark open", where=where, remedy=CUT_OFF)
    return table
