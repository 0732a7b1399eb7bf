"""Text batches -> the contract's columns and types. Nothing passes that a contract does not name.

Casts are lenient: a value that does not take its form becomes null and its row is marked in a boolean column
``_bad_<column>``, so that no library error ever quotes a value. Rules turn the marks into reasons.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from contracts.model import Column, Contract
from contracts.vocabulary import Form
from transforms.column_map import ColumnMap
from transforms.pseudonymise import mpan
from transforms.pseudonymise.address import POSTCODE_PATTERN
from transforms.pseudonymise.byte_columns import distinct
from transforms.pseudonymise.identifiers import ESME_SPELLING
from transforms.pseudonymise.premises_key import postcode_text

FEW_VALUES = frozenset({Form.CODE, Form.FLAG, Form.DATE, Form.INTEGER})  # forms whose columns repeat few texts
DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S")  # of a time, its day
CODE_PATTERN = r"^[A-Z0-9_]{1,5}$"  # shorter than any identifier; a contract names the pattern of a longer code
TEXT_PATTERN = r"^.{1,60}$"
ESME_PAIRS = "^" + "[-:. ]?".join(["([0-9A-F]{2})"] * 8) + "$"
ESME_SPELT = "-".join(f"${{{pair}}}" for pair in range(1, 9))
TRUE, FALSE = ("T", "Y", "1", "TRUE", "YES"), ("F", "N", "0", "FALSE", "NO")


def bad(column: str) -> str:
    """Return the name of the mark of values that did not take the form of ``column``."""
    return f"_bad_{column}"


def conform(frame: pl.LazyFrame, contract: Contract, columns: ColumnMap) -> pl.LazyFrame:
    """Give a text frame the contract's names and types.

    Columns in: the source's physical columns, all text.
    Columns out: every column of the contract (null where the source lacks an optional one), ``_bad_<column>`` marks,
    and ``address_text`` where the contract has address lines.
    """
    present = {name: pl.col(physical) for physical, name in columns.names.items()}
    first: list[pl.Expr] = []
    values: list[pl.Expr] = []
    marks: list[pl.Expr] = []
    mark: pl.Expr | None
    for column in contract.columns:
        source = present.get(column.name, pl.lit(None, pl.String)).alias(column.name)
        if column.form in FEW_VALUES and column.name in present:
            first.append(source.map_batches(partial(_by_distinct, column=column), return_dtype=_typed(column)))
            typed = pl.col(column.name).struct
            value, mark = typed.field("value"), typed.field("bad")
        else:
            first.append(_stripped(source))
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


def _stripped(text: pl.Expr) -> pl.Expr:
    """Return a text without spaces around it; null when nothing is left."""
    text = text.str.strip_chars()
    return pl.when(text.str.len_bytes() > 0).then(text)


def _by_distinct(texts: pl.Series, column: Column) -> pl.Series:
    """Give a column of few different texts its form: each text once, however often it stands there."""
    index, words = distinct(texts)
    value, mark = _take_form(_stripped(pl.col("text")), column)
    marked = pl.lit(value=False) if mark is None else mark
    typed = words.alias("text").to_frame().select(value.alias("value"), marked.alias("bad"))
    return typed.select(pl.all().gather(index)).to_struct(texts.name)


def _typed(column: Column) -> pl.Struct:
    forms: dict[Form, pl.DataType] = {Form.DATE: pl.Date(), Form.INTEGER: pl.Int32()}
    return pl.Struct({"value": forms.get(column.form, pl.String()), "bad": pl.Boolean()})


def _take_form(raw: pl.Expr, column: Column) -> tuple[pl.Expr, pl.Expr | None]:
    """Return the typed value and the mark of values that did not take the form."""
    match column.form:
        case Form.CODE:
            return _code(raw, column)
        case Form.TEXT:
            good = raw.str.contains(str(column.options.get("pattern", TEXT_PATTERN)))
            return pl.when(good).then(raw), ~good
        case Form.DATE:
            value = pl.coalesce(*[raw.str.to_date(fmt, strict=False, exact=True) for fmt in DATE_FORMATS])
        case Form.DECIMAL:
            value = _bounded(raw.cast(pl.Decimal(16, int(column.options.get("scale", 3))), strict=False), column)
        case Form.INTEGER:
            value = _bounded(raw.cast(pl.Int32, strict=False), column)
        case Form.FLAG:
            upper = raw.str.to_uppercase()
            value = pl.when(upper.is_in(TRUE)).then(pl.lit("T")).when(upper.is_in(FALSE)).then(pl.lit("F"))
        case Form.POSTCODE:
            return raw, ~postcode_text(raw).str.contains(POSTCODE_PATTERN)
        case Form.METER_SERIAL:
            return raw.str.to_uppercase(), None
        case Form.ESME_ID:
            return raw.map_batches(hyphenated, return_dtype=pl.String), None
        case _:
            return raw, None  # identifiers keep their text until the pseudonymise step judges their shape
    return value, raw.is_not_null() & value.is_null()


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


def hyphenated(texts: pl.Series) -> pl.Series:
    """Return EUI-64s in the one spelling of DIP messages, upper case in hyphenated pairs: one device, one text.

    Sixteen hex digits in pairs, bare or joined by hyphens, colons, points or spaces; what is none only becomes upper
    case, for the pseudonym scheme to judge.
    """
    upper = texts.str.to_uppercase()
    other = (~upper.str.contains(f"^{ESME_SPELLING}$")).fill_null(value=False)
    if other.any():
        upper = upper.scatter(other.arg_true(), upper.filter(other).str.replace(ESME_PAIRS, ESME_SPELT))
    return upper


def normalise_mpans(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Undo the harmless spellings in every MPAN column of an in-memory batch."""
    names = [c.name for c in contract.columns if c.form is Form.MPAN]
    return frame.with_columns([mpan.normalise(frame[name]) for name in names])
