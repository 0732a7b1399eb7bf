"""One identity, one spelling: what intake, ``datacut pseudonym`` and ``restore`` give to the pseudonym scheme.

Scheme 1 itself is not changed by it. Undone is what programs and people add to an identifier: the apostrophe and the
``="..."`` by which a spreadsheet keeps a number as text, quotation marks, ``.0`` of a number cell, spaces of any kind
(no-break and zero-width ones too), the top line before an MPAN core. What is left is the scheme's to judge.
"""

from __future__ import annotations

import polars as pl

from contracts.model import Spelling
from contracts.vocabulary import Field
from transforms.null_words import fillers, spellings
from transforms.pseudonymise import mpan
from transforms.pseudonymise.identifiers import ESME_SPELLING

ESME_PAIRS = "^" + "[-:. ]?".join(["([0-9A-F]{2})"] * 8) + "$"
ESME_SPELT = "-".join(f"${{{pair}}}" for pair in range(1, 9))
# White space of Unicode, and the characters of no width that copying from a web page or a document leaves.
BLANKS = r"[\s\x{200B}-\x{200D}\x{2060}\x{FEFF}\x{00AD}]"
_WRAPPED = r"^=?\s*\"(.*)\"$"


def unwrapped(text: pl.Expr) -> pl.Expr:
    """Return a trimmed text without what keeps a spreadsheet from taking it for a number."""
    return text.str.replace(_WRAPPED, "$1").str.strip_prefix("'").str.strip_suffix("'").str.strip_chars()


def _where(values: pl.Series, odd: pl.Series, repair: pl.Expr) -> pl.Series:
    """Repair the values that are odd; the others are not looked at again."""
    rows = odd.fill_null(value=False).arg_true()
    if not rows.len():
        return values
    return values.scatter(rows, values.gather(rows).alias("value").to_frame().select(repair).to_series())


def serials(values: pl.Series) -> pl.Series:
    """Return meter serials (J0004) in upper case, without spaces and wrapping: spaces inside are spelling."""
    upper = values.str.to_uppercase()
    text = unwrapped(pl.col("value").str.replace_all(BLANKS, "")).str.replace(r"^(\d+)\.0+$", "$1")
    repaired = pl.when(text.str.len_bytes() > 0).then(text)
    return _where(upper, upper.str.contains(r"[^0-9A-Z]"), repaired)


def uprns(values: pl.Series) -> pl.Series:
    """Return UPRNs without spaces and wrapping; what is not one is the scheme's to refuse."""
    text = unwrapped(pl.col("value").str.replace_all(BLANKS, "")).str.replace(r"\.0+$", "")
    return _where(values, values.str.contains(r"[^0-9]"), text)


def esme_ids(values: pl.Series) -> pl.Series:
    """Return EUI-64s in the one spelling of DIP messages, upper case in hyphenated pairs: one device, one text.

    Sixteen hex digits in pairs, bare or joined by hyphens, colons, points or spaces; what is none only becomes upper
    case, for the pseudonym scheme to judge.
    """
    upper = values.str.to_uppercase()
    text = unwrapped(pl.col("value").str.replace_all(r"[\x{200B}-\x{200D}\x{2060}\x{FEFF}\x{00AD}]", ""))
    text = text.str.replace_all(r"\s", " ").str.strip_prefix("0X").str.replace(ESME_PAIRS, ESME_SPELT)
    return _where(upper, ~upper.str.contains(f"^{ESME_SPELLING}$"), text)


def canonical(field: Field, values: pl.Series, spelling: Spelling) -> pl.Series:
    """Return identifiers of one field, as people or programs wrote them, in the spelling that the scheme is given.

    Words for null become null: no identifier is ever made from one.

    Raises:
        ValueError: the field is ``address``, whose spelling the premises key undoes itself.
    """
    text = values.str.strip_chars()
    words = spellings((*spelling.nulls, *spelling.nulls_unless_held, *fillers(spelling)))
    blank = (text.is_in(words) | (text == "")).fill_null(value=False)
    text = text.set(blank, None) if blank.any() else text
    match field:
        case Field.MPAN:
            return mpan.normalise(text)
        case Field.METER_SERIAL:
            return serials(text)
        case Field.ESME_ID:
            return esme_ids(text)
        case Field.UPRN:
            return uprns(text)
        case _:
            raise ValueError("an address has no spelling by itself")
