"""Text batches -> the contract's columns and types. Nothing passes that a contract does not name.

Casts are lenient: a value that does not take its form becomes null and its row is marked in a boolean column
``_bad_<column>``, so that no library error ever quotes a value. Rules turn the marks into reasons.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from contracts.model import Column, Contract
from contracts.vocabulary import Form, Method
from transforms.column_map import ColumnMap
from transforms.dates import READ, Reading, read_days
from transforms.null_words import null_words
from transforms.pseudonymise import mpan
from transforms.pseudonymise.address import POSTCODE_PATTERN
from transforms.pseudonymise.byte_columns import distinct
from transforms.pseudonymise.canonical import esme_ids, serials, unwrapped, uprns
from transforms.pseudonymise.premises_key import postcode_text

FEW_VALUES = frozenset({Form.CODE, Form.FLAG, Form.DATE, Form.INTEGER})  # forms whose columns repeat few texts
CODE_PATTERN = r"^[A-Z0-9_]{1,5}$"  # shorter than any identifier; a contract names the pattern of a longer code
# No control characters or marks that turn the direction of writing; nothing that a spreadsheet takes for a formula.
UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
TEXT_PATTERN = rf"^[^{UNSEEN} =+@\-\uff1d\uff0b\uff0d\uff20][^{UNSEEN}]{{0,59}}$"
TRUE, FALSE = ("T", "Y", "1", "TRUE", "YES"), ("F", "N", "0", "FALSE", "NO")


def bad(column: str) -> str:
    """Return the name of the mark of values that did not take the form of ``column``."""
    return f"_bad_{column}"


def reading(column: str) -> str:
    """Return the name of the column that says what became of each text of a column of dates (``Reading``)."""
    return f"_reading_{column}"


def nulls(column: str) -> str:
    """Return the name of the column that says, in every row alike, how many words for null ``column`` has."""
    return f"_nulls_{column}"


def _constant(column: str) -> str:
    return f"\x1fconstant {column}"  # no heading can be called so: it cannot be printed


def rounded(column: str) -> str:
    """Return the name of the column that says, in every row alike, how many numbers of ``column`` were rounded."""
    return f"_rounded_{column}"


def conform(frame: pl.LazyFrame, contract: Contract, columns: ColumnMap) -> pl.LazyFrame:
    """Give a text frame the contract's names and types.

    Columns in: the source's physical columns, all text.
    Columns out: every column of the contract (null where the source lacks an optional one), ``_bad_<column>`` marks,
    ``address_text`` where the contract has address lines, and what :func:`notes` reads: ``_reading_<column>`` of dates
    and ``_nulls_<column>`` and ``_rounded_<column>``, how many words for null and rounded numbers the column has.
    """
    present = {name: pl.col(physical) for physical, name in columns.names.items()}
    if columns.constants:
        frame = frame.with_columns(pl.lit(value).alias(_constant(name)) for name, value in columns.constants.items())
        present |= {name: pl.col(_constant(name)) for name in columns.constants}
    first: list[pl.Expr] = []
    values: list[pl.Expr] = []
    marks: list[pl.Expr] = []
    mark: pl.Expr | None
    for column in contract.columns:
        source = present.get(column.name, pl.lit(None, pl.String)).alias(column.name)
        if column.name not in present:
            first.append(source)
            value, mark = _take_form(pl.col(column.name), column)
        elif column.form in FEW_VALUES:
            words = column_words(column, contract, columns)
            take = partial(_by_distinct, column=column, contract=contract, columns=columns, words=words)
            first.append(source.map_batches(take, return_dtype=_typed(column)))
            typed = pl.col(column.name).struct
            value, mark = typed.field("value"), typed.field("bad")
            marks.append(typed.field("nulls").alias(nulls(column.name)))
            if column.form is Form.DATE:
                marks.append(typed.field("reading").alias(reading(column.name)))
        else:
            text = source.str.strip_chars()
            word = text.is_in(column_words(column, contract, columns))
            first.append(pl.when(text.str.len_bytes() > 0, ~word).then(text).alias(column.name))
            first.append(word.sum().cast(pl.UInt32).alias(nulls(column.name)))
            marks.append(pl.col(nulls(column.name)))
            if column.form is Form.DECIMAL and contract.treatment(column).method is Method.KEEP:
                marks.append(_longer(pl.col(column.name), column).sum().cast(pl.UInt32).alias(rounded(column.name)))
            value, mark = _take_form(pl.col(column.name), column)
        values.append(value.alias(column.name))
        if mark is not None:
            marks.append(mark.fill_null(value=False).alias(bad(column.name)))
    out = frame.select(first).select(*values, *marks)
    lines = [c.name for c in contract.columns if c.form is Form.ADDRESS_LINE]
    if lines:
        text = pl.concat_str([pl.col(line) for line in lines], separator=" \n ", ignore_nulls=True)
        out = out.with_columns(pl.when(text.str.len_bytes() > 0).then(text).alias("address_text"))
    return out


def column_words(column: Column, contract: Contract, columns: ColumnMap) -> tuple[str, ...]:
    """Return the words that are null in a column of a source."""
    pattern = {Form.CODE: CODE_PATTERN, Form.TEXT: TEXT_PATTERN}.get(column.form, "")
    return null_words(column, contract.spelling, columns.nulls, str(column.options.get("pattern", pattern)))


def _by_distinct(
    texts: pl.Series, column: Column, contract: Contract, columns: ColumnMap, words: tuple[str, ...]
) -> pl.Series:
    """Give a column of few different texts its form: each text once, however often it stands there."""
    index, distinct_texts = distinct(texts)
    text = unwrapped(pl.col("text").str.strip_chars())
    tidy = distinct_texts.alias("text").to_frame().select(text).to_series()
    null = tidy.is_in(words).fill_null(value=False)
    tidy = tidy.set(null | (tidy == "").fill_null(value=False), None)
    if column.form is Form.DATE:
        typed = read_days(tidy, contract.spelling, columns.order(column.name))
        bad_marks = ~pl.col("reading").is_in([int(r) for r in (*READ, Reading.EMPTY)])
        typed = typed.select("value", bad_marks.alias("bad"), "reading")
    else:
        value, mark = _take_form(pl.col("text"), column)
        marked = pl.lit(value=False) if mark is None else mark
        typed = tidy.to_frame().select(value.alias("value"), marked.alias("bad"))
    found = index.is_in(null.arg_true().implode()).sum() if null.any() else 0
    rows = typed.select(pl.all().gather(index))
    return rows.with_columns(pl.lit(found, pl.UInt32).alias("nulls")).to_struct(texts.name)


def _typed(column: Column) -> pl.Struct:
    if column.form is Form.DATE:
        return pl.Struct({"value": pl.Date(), "bad": pl.Boolean(), "reading": pl.UInt8(), "nulls": pl.UInt32()})
    value: pl.DataType = pl.Int32() if column.form is Form.INTEGER else pl.String()
    return pl.Struct({"value": value, "bad": pl.Boolean(), "nulls": pl.UInt32()})


def _take_form(raw: pl.Expr, column: Column) -> tuple[pl.Expr, pl.Expr | None]:
    """Return the typed value and the mark of values that did not take the form."""
    match column.form:
        case Form.CODE:
            return _code(raw, column)
        case Form.TEXT:
            good = raw.str.contains(str(column.options.get("pattern", TEXT_PATTERN)))
            return pl.when(good).then(raw), ~good
        case Form.DATE:
            value = pl.lit(None, pl.Date)  # of a column that the source lacks; the others are read by their texts
        case Form.DECIMAL:
            scale = int(column.options.get("scale", 3))
            value = _bounded(
                raw.map_batches(partial(_decimal, scale=scale), return_dtype=pl.Decimal(16, scale)), column
            )
        case Form.INTEGER:
            value = _bounded(raw.cast(pl.Int32, strict=False), column)
        case Form.FLAG:
            upper = raw.str.to_uppercase()
            value = pl.when(upper.is_in(TRUE)).then(pl.lit("T")).when(upper.is_in(FALSE)).then(pl.lit("F"))
        case Form.POSTCODE:
            return raw, ~postcode_text(raw).str.contains(POSTCODE_PATTERN)
        case Form.METER_SERIAL:
            return raw.map_batches(serials, return_dtype=pl.String), None
        case Form.ESME_ID:
            return raw.map_batches(esme_ids, return_dtype=pl.String), None
        case Form.UPRN:
            return raw.map_batches(uprns, return_dtype=pl.String), None
        case _:
            return raw, None  # identifiers keep their text until the pseudonymise step judges their shape
    return value, raw.is_not_null() & value.is_null()


def _decimal(texts: pl.Series, scale: int) -> pl.Series:
    """Return numbers; what keeps a spreadsheet from taking a text for one is undone where a cast alone fails."""
    value = texts.cast(pl.Decimal(16, scale), strict=False)
    rest = (value.is_null() & texts.is_not_null()).arg_true() if value.null_count() > texts.null_count() else None
    if rest is None:
        return value
    again = texts.gather(rest).alias("text").to_frame().select(unwrapped(pl.col("text"))).to_series()
    return value.scatter(rest, again.cast(pl.Decimal(16, scale), strict=False))


def _longer(raw: pl.Expr, column: Column) -> pl.Expr:
    """Tell which texts are numbers with more decimals, noughts at the end aside, than the contract has."""
    return raw.str.contains(rf"^[+-]?\d*\.\d{{{int(column.options.get('scale', 3))}}}\d*[1-9]\d*$")


def _bounded(number: pl.Expr, column: Column) -> pl.Expr:
    """Return a number whose size its contract bears, else null: a larger one may be an identifier."""
    if "least" in column.options:
        number = pl.when(number >= int(column.options["least"])).then(number)
    return pl.when(number.abs() <= int(column.options["most"])).then(number) if "most" in column.options else number


def _code(raw: pl.Expr, column: Column) -> tuple[pl.Expr, pl.Expr]:
    value = raw.str.to_uppercase()
    if width := int(column.options.get("width", 0)):
        short = (value.str.len_bytes() < width) & value.str.contains(r"^[0-9]+$")
        value = pl.when(short).then(value.str.zfill(width)).otherwise(value)
    good = value.str.contains(str(column.options.get("pattern", CODE_PATTERN)))
    return pl.when(good).then(value), ~good


def normalise_mpans(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Undo the harmless spellings in every MPAN column of an in-memory batch."""
    names = [c.name for c in contract.columns if c.form is Form.MPAN]
    return frame.with_columns([mpan.normalise(frame[name]) for name in names])
