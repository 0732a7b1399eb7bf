"""The premises key: the one spelling of an address that two organisations share, however each of them writes it.

The words of all address lines in order, then the postcode without spaces: NFKC, upper case, anything but A-Z and 0-9
is a space, street types written out by a frozen table, words joined by one space. Line breaks do not count.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from contracts.scheme.model import SchemeLists
from transforms.pseudonymise.byte_columns import Bytes, Rows, buffers

LINES = tuple(f"address_line_{n}" for n in range(1, 10))
POSTCODE = "postcode"
ROWS_AT_ONCE = 8_192  # rows whose bytes stay in the second-level cache
SPACE, END = np.uint8(32), np.uint8(10)


def unusual(text: pl.Expr) -> pl.Expr:
    """Tell which texts hold anything but printable ASCII and so need Unicode's rules."""
    return text.str.contains(r"[^ -~]")


def postcode_text(text: pl.Expr) -> pl.Expr:
    """Return a postcode NFKC, upper case, without spaces; null when empty."""
    # The general rules cost twenty times the plain ones, and null costs nothing: only unusual texts go through them.
    general = pl.when(unusual(text)).then(text).str.normalize("NFKC").str.to_uppercase().str.replace_all(r"\s", "")
    clean = pl.coalesce(general, text.str.replace_all(" ", "", literal=True).str.to_uppercase())
    return pl.when(clean.str.len_bytes() > 0).then(clean)


def premises_key(frame: pl.DataFrame, lists: SchemeLists) -> pl.Series:
    """Return the premises key of each row, null where no line and no postcode holds a letter or digit.

    Columns in: any of ``address_line_1`` .. ``address_line_9``, ``postcode``, all text.
    """
    words = _tidy(_ascii(_joined(frame)))
    pairs = {f" {short} ": f" {word} " for short, word in lists.street_types.items()}
    short = np.flatnonzero(words.str.contains_any(list(pairs)).to_numpy())
    if short.size:
        named = words.gather(short)
        for _ in range(2):  # twice: neighbours share the space between them
            named = named.str.replace_many(list(pairs), list(pairs.values()))
        words = words.scatter(short, named)
    words = words.str.strip_chars(" ")
    return words.set(words.str.len_bytes() == 0, None)


def _joined(frame: pl.DataFrame) -> pl.Series:
    lines = [pl.col(name) for name in LINES if name in frame.columns and frame[name].null_count() < frame.height]
    postcode = pl.col(POSTCODE)
    general = pl.when(unusual(postcode)).then(postcode).str.replace_all(r"\s", "")
    postcode = pl.coalesce(general, postcode.str.replace_all(" ", "", literal=True))
    parts = [pl.lit(""), *lines, postcode, pl.lit("")]  # a space before the first word and after the last
    return frame.select(pl.concat_str(parts, separator=" ", ignore_nulls=True).alias("words")).to_series()


def _ascii(words: pl.Series) -> pl.Series:
    """Apply NFKC and upper case where they change more than a-z: to the few rows that are not ASCII."""
    odd = np.flatnonzero((words.str.len_bytes() != words.str.len_chars()).to_numpy())
    if odd.size == 0:
        return words
    plain = words.gather(odd).str.normalize("NFKC").str.to_uppercase().str.replace_all(r"[^A-Z0-9]+", " ")
    return words.scatter(odd, plain)


def _tidy(words: pl.Series) -> pl.Series:
    """Return ASCII texts that end in a space as upper-case words, each between single spaces."""
    offsets, data = buffers(words)
    ends = np.zeros(words.len() + 1, dtype=np.int64)
    parts = []
    for at in range(0, words.len(), ROWS_AT_ONCE):
        edges = offsets[at : at + ROWS_AT_ONCE + 1]
        tidy = _tidy_bytes(data[edges[0] : edges[-1]], edges[1:] - edges[0] - 1)
        rows = np.flatnonzero(tidy == END) + 1
        tidy[rows - 1] = SPACE
        ends[at + 1 : at + 1 + rows.size] = ends[at] + rows
        parts.append(tidy)
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint8)
    array = pa.Array.from_buffers(pa.large_string(), words.len(), [None, pa.py_buffer(ends), pa.py_buffer(joined)])
    return pl.Series(words.name, array)


def _tidy_bytes(text: Bytes, ends: Rows) -> Bytes:
    """Return letters and digits in upper case, one space before each word, and ``END`` in place of each row's end."""
    small = (text - np.uint8(97)) < 26
    upper = text - (small.view(np.uint8) << np.uint8(5))
    word = ((upper - np.uint8(48)) < 10) | ((upper - np.uint8(65)) < 26)
    mask = np.uint8(0) - word.view(np.uint8)
    upper = ((upper ^ SPACE) & mask) ^ SPACE  # without a branch: the letter, or else a space
    upper[ends] = END
    keep = word
    keep[:-1] |= word[1:]
    keep[ends] = True
    return upper[keep]
