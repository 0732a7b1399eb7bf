"""Arrow columns of any scalar type to text, the same way whether they come from Parquet or from a database."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from contracts.errors import IntakeError
from flows.intake.csv_reader import FOREIGN
from flows.intake.source import Limits

_LAYOUT = (0x09, 0x0A, 0x0D)  # tab, LF, CR: the only control characters that a text may hold
_LARGEST_WHOLE = 2.0**63
_MIDNIGHT = "T00:00:00"
# Days of 0001-01-01 and 10000-01-01, counted from 1970-01-01.
_FIRST_DAY, _END_DAY = -719_162, 2_932_897
_INT64 = np.iinfo(np.int64)
OUT_OF_RANGE = "out-of-range"
NOT_TEXT = "not-text"  # bytes of an unannotated column that are none; a rule finds it
_NO_LAYOUT = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"


def untyped(schema: pa.Schema) -> dict[int, str]:
    """Return the columns that have no plain spelling, by their place from 0, each with what it is."""
    found = {}
    for place, field in enumerate(schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        extended = isinstance(field.type, pa.BaseExtensionType) or b"ARROW:extension:name" in (field.metadata or {})
        if extended or not _has_text(kind):
            found[place] = "is nested" if pa.types.is_nested(kind) else "has a type that has no text"
    return found


def nothing_readable(columns: Mapping[str, str], label: str) -> IntakeError:
    """Return the error for a source none of whose columns has a text."""
    what = next(iter(columns.values()), "is missing")
    return IntakeError(f"column 1 {what}", where=label, remedy="give texts, numbers, dates, times and flags")


def _has_text(kind: pa.DataType) -> bool:
    t = pa.types
    return any(
        is_it(kind)
        for is_it in (
            t.is_string,
            t.is_large_string,
            t.is_string_view,
            t.is_binary,  # texts whose writer did not annotate them
            t.is_large_binary,
            t.is_integer,
            t.is_floating,
            t.is_boolean,
            t.is_date,
            t.is_timestamp,
            t.is_decimal128,
            t.is_decimal256,
            t.is_null,
        )
    )


def judge_texts(batch: pa.RecordBatch, label: str, limits: Limits) -> int:
    """Judge the texts of a batch; return the bytes that the batch makes as text, about.

    Raises:
        IntakeError: a text is too long, is not UTF-8, or holds control characters.
    """
    total = int(batch.num_rows) * int(batch.num_columns)
    for number, column in enumerate(batch.columns, 1):
        coded = pa.types.is_dictionary(column.type)
        values = column.dictionary if coded else column
        if not _is_text(values.type):
            total += 4 * len(column)
            continue
        lengths = _judge_column(column, values, f"column {number}", label, limits)
        codes = column.indices.drop_null().to_numpy() if coded else None
        total += int(lengths.sum() if codes is None else lengths[codes].sum())
    return int(total)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _judge_column(column: pa.Array, values: pa.Array, place: str, label: str, limits: Limits) -> npt.NDArray[np.int64]:
    """Judge one column by the bytes of all its texts together; return the length of each."""
    values = values.cast(pa.large_string())
    _, offsets, data = values.buffers()
    if not len(values) or offsets is None:
        return np.zeros(len(values), np.int64)
    ends = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    text = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    if len(text) and text.max() > 127:
        # Arrow does not look whether a text is UTF-8 before it is asked to.
        try:
            column.validate(full=True)
            values.validate(full=True)
        except (pa.ArrowInvalid, pa.ArrowIndexError):
            raise IntakeError(
                f"{place} holds texts that are not UTF-8", where=label, remedy="export texts as UTF-8"
            ) from None
    lengths: npt.NDArray[np.int64] = np.diff(ends)
    if lengths.max() > limits.max_field_bytes:
        raise IntakeError(
            f"{place} has a cell of more than {limits.max_field_bytes} bytes",
            where=label,
            remedy="no column is that long",
        )
    low = text[(text < 32) | (text == 127)]
    if len(low) and not np.isin(low, _LAYOUT).all():
        raise IntakeError(f"{place} holds control characters", where=label, remedy="export plain text")
    return lengths


def as_text(batch: pa.RecordBatch, names: tuple[str, ...], label: str, longest: int = 4096) -> pl.DataFrame:
    """Return the batch with every column as text.

    Whole numbers have no decimal point, also in floating and decimal columns; other floats have their shortest
    spelling that reads back as the same; dates are ``yyyy-mm-dd``, also times at midnight without a zone; other
    times ``yyyy-mm-ddThh:mm:ss`` with what fraction there is, and ``Z`` in UTC; one beyond the years 1 to 9999 is
    ``out-of-range``, since as a date it would not be a text; booleans ``T`` and ``F``; an empty
    text is null. Bytes are taken as UTF-8; those that are none, and longer ones than ``longest``, are ``not-text``.
    """
    columns = [_plain(column, longest) for column in batch.columns]
    try:
        frame = pl.DataFrame([pl.Series(name, column) for name, column in zip(names, columns, strict=True)])
        return frame.select(_text(pl.col(name), kind) for name, kind in frame.schema.items())
    except FOREIGN:
        raise IntakeError("holds values that have no text", where=label, remedy="export it as CSV") from None


def _decoded(column: pa.Array, longest: int) -> pl.Series:
    """Return bytes as texts; what is none, and what is longer, is ``not-text``."""
    try:
        texts = pl.Series(column.cast(pa.large_binary()).cast(pa.large_string()), dtype=pl.String)
    except pa.ArrowInvalid:  # value by value: a column of real bytes, which no contract names
        texts = pl.Series([_one_decoded(value) for value in column.to_pylist()], dtype=pl.String)
    odd = (texts.str.len_bytes() > longest) | texts.str.contains(_NO_LAYOUT)
    return texts.set(odd.fill_null(value=False), NOT_TEXT) if odd.any() else texts


def _one_decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return NOT_TEXT


def _plain(column: pa.Array, longest: int) -> pa.Array | pl.Series:
    """Return the column in one of the few types that have a spelling."""
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return _decoded(column, longest)
    if pa.types.is_decimal256(column.type):
        spelled = pl.Series(column.cast(pa.string()), dtype=pl.String).alias("t").to_frame()
        return spelled.select(plain_decimal(pl.col("t"))).to_series()
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return column.cast(pa.timestamp(column.type.unit, "UTC"))  # the instant stays, the zone's name is not trusted
    return column


def _text(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind == pl.String:
        return pl.when(column != "").then(column)
    if kind == pl.Boolean:
        return pl.when(column).then(pl.lit("T")).when(~column).then(pl.lit("F")).alias(column.meta.output_name())
    if kind.is_float():
        whole = column.is_finite() & (column == column.floor()) & (column.abs() < _LARGEST_WHOLE)
        integers = pl.when(whole).then(column).cast(pl.Int64).cast(pl.String)
        return pl.when(whole).then(integers).otherwise(column.cast(pl.String))
    if kind.is_decimal():
        return plain_decimal(column.cast(pl.String))
    if kind in (pl.Date, pl.Datetime):
        return _time(column, kind)
    return column.cast(pl.String)


def plain_decimal(text: pl.Expr) -> pl.Expr:
    """Return the spelling of a decimal without zeros that say nothing, whole numbers without a point."""
    return text.str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_suffix(".")


def _time(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Spell dates and times; one outside the years 1 to 9999 cannot be spelled and says so, for a rule to find."""
    per_day = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
    zone = None
    unit = 1
    if isinstance(kind, pl.Datetime):
        zone, unit = kind.time_zone, per_day[kind.time_unit]
    within = column.to_physical().is_between(max(_FIRST_DAY * unit, _INT64.min), min(_END_DAY * unit - 1, _INT64.max))
    spelled = pl.when(within).then(column)
    if kind == pl.Date:
        text = spelled.cast(pl.String)
    else:
        text = spelled.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
        text = text + "Z" if zone is not None else text.str.strip_suffix(_MIDNIGHT)
    return pl.when(within).then(text).when(~within).then(pl.lit(OUT_OF_RANGE)).alias(column.meta.output_name())
