"""Finds raw identifiers in what leaves, without a copy of one: a raw value is known by its pseudonym.

The scheme is a permutation, so a text holds a raw identifier of the cut exactly when the pseudonym of what stands
there is among the cut's pseudonyms. Nothing raw has to be kept to search for it, and format alone never raises an
alarm: one in ten random 13-digit strings has a valid check digit. Partial identifiers are compared row by row with
their own row's value only; among millions of raw values some always share eight digits by chance.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from contracts.model import Contract
from contracts.vocabulary import Field, Form, Method
from transforms.pseudonymise import mpan
from transforms.pseudonymise.byte_columns import Bytes, buffers, by_length, to_series
from transforms.pseudonymise.identifiers import ESME_SPELLING
from transforms.pseudonymise.mpan import LENGTH

Mask = NDArray[np.bool_]
ESME_DIGITS = 16  # hexadecimal ones
NON_ASCII = 0x80
LONG = 256  # counts are kept in a byte; longer texts are let through
_ZERO, _LOWER, _A = np.uint8(ord("0")), np.uint8(0x20), np.uint8(ord("a"))


@dataclass(frozen=True, slots=True)
class Sieved:
    """What becomes of each text.

    Attributes:
        bare: it is thirteen digits: an MPAN or nothing.
        able: by field, it could hold a value of it; those that are ``bare`` are left out.
    """

    bare: Mask
    able: Mapping[Field, Mask]


def sieve(texts: pl.Series, kinds: Collection[Field]) -> Sieved:
    """Tell for each field which texts could hold one of its values.

    Args:
        texts: texts without nulls. A long one, or one with a character outside ASCII, is let through whatever it holds.
    """
    if texts.is_empty():
        nothing = np.zeros(0, np.bool_)
        return Sieved(nothing, dict.fromkeys(kinds, nothing))
    edges, data = buffers(texts)
    starts, lengths = edges[:-1] - edges[0], np.diff(edges)
    data = np.append(data[edges[0] : edges[-1]], np.uint8(0))  # an empty text at the end begins there
    number = data - _ZERO < 10
    digits = _counted(number, starts, lengths)
    bare = (lengths == LENGTH) & (digits == LENGTH)
    anyhow = lengths >= LONG
    if data.max() >= NON_ASCII:
        anyhow |= _counted(data >= NON_ASCII, starts, lengths) > 0
    found = {
        Field.MPAN: digits >= LENGTH,
        Field.UPRN: digits >= SHORTEST_UPRN,
        Field.METER_SERIAL: (digits >= SERIAL_DIGITS) & (lengths >= SHORTEST_SERIAL),
        Field.ESME_ID: lengths >= ESME_DIGITS,
    }
    if Field.ESME_ID in kinds and found[Field.ESME_ID].any():
        hexes = _counted(number | ((data | _LOWER) - _A < 6), starts, lengths)
        found[Field.ESME_ID] &= hexes >= ESME_DIGITS
    return Sieved(bare, {kind: (found[kind] | anyhow) & ~bare for kind in kinds})


def _counted(members: Mask, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Bytes:
    """Return how many bytes of each text are members."""
    counts: Bytes = np.add.reduceat(members.view(np.uint8), starts, dtype=np.uint8)
    return np.where(lengths > 0, counts, np.uint8(0))  # of an empty text numpy tells the byte that comes next


SHORTEST_POSTCODE, SHORTEST_SERIAL, SHORTEST_UPRN = 5, 6, 8
SERIAL_DIGITS = 4  # at least so many of a serial number's characters are digits
FILTER_BITS = 27
# Digits with what people put between them; hexadecimal pairs; words that can be a serial number.
BARE_MPAN = r"^[0-9]{13}$"
BARE_ESME = f"^{ESME_SPELLING}$"
DIGIT_RUN = r"[0-9](?:[ \t./_&+()-]{0,3}[0-9]){7,}"
ESME_SHAPE = r"[0-9A-F]{2}(?:[-:. ]?[0-9A-F]{2}){7}"
SERIAL_WORD = r"\b[A-Z0-9]{6,10}\b"
ANY_POSTCODE = r"\b(?:[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-Z]?)[ _-]{0,2}[0-9][ABD-HJLNP-UW-Z]{2}\b"
POSTCODE_SHAPE = r"\b[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][ABD-HJLNP-UW-Z]{2}\b"
# What the product draws from a key: an EUI-64 under scheme 1, a token, a synthetic registration id.
KEYED_TEXT = re.compile(rf"\b(?:(?:SYN-)?[0-9A-F]{{32}}|{ESME_SPELLING})\b", re.IGNORECASE)
Keys = mpan.Keys
_NOTHING = pl.DataFrame(schema={"row": pl.Int64, "match": pl.String})


@dataclass(frozen=True, slots=True)
class PseudonymIndex:
    """The keys of every pseudonym of one field, sorted, and a filter before them."""

    keys: Keys
    bloom_filter: NDArray[np.bool_]

    @classmethod
    def of(cls, keys: Keys) -> PseudonymIndex:
        """Make it from keys in any order."""
        ordered = once(keys)
        bloom_filter = np.zeros(1 << FILTER_BITS if ordered.size > 1 << 16 else 1 << 20, dtype=np.bool_)
        bloom_filter[_slot(ordered, bloom_filter.size)] = True
        return cls(ordered, bloom_filter)

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        """Tell which of ``keys`` the index has."""
        return self.positions(keys) >= 0

    def positions(self, keys: Keys) -> NDArray[np.int64]:
        """Return where each of ``keys`` is in the index; -1 where it is not."""
        out = np.full(keys.size, -1, dtype=np.int64)
        near = np.flatnonzero(self.bloom_filter[_slot(keys, self.bloom_filter.size)])
        if near.size and self.keys.size:
            at = np.minimum(np.searchsorted(self.keys, keys[near]), self.keys.size - 1)
            there = self.keys[at] == keys[near]
            out[near[there]] = at[there]
        return out


def once(keys: Keys) -> Keys:
    """Return keys in order, each once."""
    ordered = np.sort(keys)  # several times faster than numpy's unique, which hashes
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if ordered.size else ordered


def _slot(keys: Keys, size: int) -> NDArray[np.int64]:
    mixed = keys * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(64 - int(size).bit_length() + 1)).astype(np.int64)


def text_keys(values: pl.Series) -> Keys:
    """Return a key of each text; equal within one run of the program, which is all a search needs."""
    return values.hash(seed=1).to_numpy()


def plain(texts: pl.Series) -> pl.Series:
    """Return texts in the one spelling that is searched: NFKC and upper case."""
    return wide_to_plain(texts).str.to_uppercase()


def wide_to_plain(texts: pl.Series) -> pl.Series:
    """Return texts under NFKC, which turns full-width digits into plain ones; ASCII texts are what they are."""
    if texts.str.len_bytes().sum() == texts.str.len_chars().sum():
        return texts
    return texts.str.normalize("NFKC")


def found(texts: pl.Series, pattern: str) -> pl.DataFrame:
    """Return every match of a pattern: ``row`` of the text it stands in, and ``match``."""
    rows = texts.str.contains(pattern).arg_true()
    if rows.is_empty():
        return _NOTHING
    frame = pl.DataFrame({"row": rows.cast(pl.Int64), "match": texts.gather(rows).str.extract_all(pattern)})
    return frame.explode("match", keep_nulls=False, empty_as_null=False)


def mpan_candidates(texts: pl.Series) -> pl.DataFrame:
    """Return every window of 13 digits that has a valid check digit: ``row`` and ``value``.

    Args:
        texts: texts without nulls. Spaces, dashes, dots and slashes between digits do not hide an MPAN.
    """
    bare = texts.str.contains(BARE_MPAN)
    rows, parts = [np.flatnonzero(bare.to_numpy())], [texts.filter(bare).alias("value")]
    rest = texts.clear() if bare.all() else texts.set(bare, "") if bare.any() else texts
    runs = found(wide_to_plain(rest), DIGIT_RUN)
    digits = runs["match"].str.replace_all(r"[^0-9]", "")
    owners = runs["row"].to_numpy()
    for length, at, matrix in by_length(digits):
        if length >= mpan.LENGTH:
            windows = sliding_window_view(matrix, mpan.LENGTH, axis=1)
            rows.append(np.repeat(owners[at], windows.shape[1]))
            parts.append(to_series(windows.reshape(-1, mpan.LENGTH)))
    values = pl.concat(parts)
    frame = pl.DataFrame({"row": np.concatenate(rows), "value": values})
    return frame.filter(mpan.valid(values))


def _apart(texts: pl.Series) -> pl.Series:
    """Return texts whose words do not hang together by underscores, as they do in names of files and units."""
    joined = texts.str.contains("_", literal=True)
    return texts.str.replace_all("_", " ", literal=True) if joined.any() else texts


def without_keyed(text: str) -> str:
    """Return a text without what a key drew at random: among tens of millions such texts some hold thirteen digits
    that are an MPAN by chance. One of digits alone stays, since it could be written so by a person."""
    return KEYED_TEXT.sub(
        lambda found: " " if re.search("[A-F]", found.group(), re.IGNORECASE) else found.group(), text
    )


def uprn_candidates(texts: pl.Series) -> pl.DataFrame:
    """Return words of 8 to 12 digits that could be a UPRN: ``row`` and ``value``."""
    runs = found(_apart(texts), r"\b[0-9]{8,12}\b")
    return runs.rename({"match": "value"})


def esme_candidates(texts: pl.Series) -> pl.DataFrame:
    """Return what is written like an EUI-64, in hyphenated spelling: ``row`` and ``value``."""
    if texts.str.contains(BARE_ESME).all():
        return pl.DataFrame({"row": np.arange(texts.len()), "value": texts})
    runs = found(texts, ESME_SHAPE)
    pairs = pl.col("match").str.replace_all(r"[^0-9A-F]", "").str.extract_all("..").list.join("-")
    return runs.select("row", pairs.alias("value"))


def serial_candidates(texts: pl.Series) -> pl.DataFrame:
    """Return words of 6 to 10 letters and digits, at least ``SERIAL_DIGITS`` of them digits: ``row`` and ``value``."""
    words = found(_apart(texts), SERIAL_WORD)
    return words.filter(pl.col("match").str.count_matches("[0-9]") >= SERIAL_DIGITS).rename({"match": "value"})


CANDIDATES = {
    Field.MPAN: mpan_candidates,
    Field.ESME_ID: esme_candidates,
    Field.UPRN: uprn_candidates,
    Field.METER_SERIAL: serial_candidates,
}


def own_row(raw: pl.DataFrame, out: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Tell which rows carry an identifier in a column that passes as it is: one of their own, or anybody's postcode.

    Columns in: ``raw`` as conformed, ``out`` as pseudonymised; both have the contract's columns, row by row.
    An identifier counts without its spaces and punctuation: the ten body digits of an MPAN, a serial number of six
    or more, a UPRN of eight or more, an ESME id, an address line of eight or more characters, a postcode.

    Columns out: one Boolean for each such column that is wide enough to carry one, under its name.
    """
    passing = {
        c.name: c.form
        for c in contract.released
        if c.treatment.method is Method.KEEP and c.form in (Form.TEXT, Form.CODE, Form.DECIMAL, Form.INTEGER)
    }
    wide = _wide(out.select(pl.col(name).cast(pl.String) for name in passing))  # most columns hold short codes
    shown = out.select(_squeezed(pl.col(name)).alias(name) for name in wide)
    tests = {name: _tests(name, passing[name], width, contract) for name, width in _wide(shown).items()}
    tests = {name: some for name, some in tests.items() if some}
    if not tests:
        return pl.DataFrame(height=out.height)
    written = out.select(pl.col(name).cast(pl.String).alias(f"as:{name}") for name in tests)
    both = pl.concat([raw.select(pl.all().name.prefix("raw:")), shown.select(*tests), written], how="horizontal")
    return both.select(pl.any_horizontal(some).fill_null(value=False).alias(name) for name, some in tests.items())


def _tests(name: str, form: Form, width: int, contract: Contract) -> list[pl.Expr]:
    """Return what is asked of a column's texts, of which the longest has so many letters and digits."""
    holding = [_holds(name, c.name, c.form) for c in contract.columns if _LEAST.get(c.form, width + 1) <= width]
    words = pl.col(f"as:{name}").str.to_uppercase().str.replace_all("_", " ", literal=True)
    return holding if form in (Form.DECIMAL, Form.INTEGER) else [*holding, words.str.contains(ANY_POSTCODE)]


_LEAST = {
    Form.MPAN: 10,
    Form.METER_SERIAL: SHORTEST_SERIAL,
    Form.ESME_ID: 16,
    Form.UPRN: SHORTEST_UPRN,
    Form.ADDRESS_LINE: 8,
    Form.POSTCODE: SHORTEST_POSTCODE,
}


def _wide(texts: pl.DataFrame) -> dict[str, int]:
    """Return the columns in which some text is long enough to be an identifier, and the longest text's bytes."""
    widest = texts.select(pl.all().str.len_bytes().max().fill_null(0))
    return {name: width for name in widest.columns if (width := widest[name].item()) >= SHORTEST_POSTCODE}


def _squeezed(value: pl.Expr) -> pl.Expr:
    """Return letters and digits alone; of a number all digits, wherever its point stands."""
    return value.cast(pl.String).str.to_uppercase().str.replace_all("[^0-9A-Z]", "")


def _holds(text: str, column: str, form: Form) -> pl.Expr:
    value = _squeezed(pl.col(f"raw:{column}"))
    if form is Form.MPAN:
        value = value.str.slice(2, 10)
    enough = value.str.len_bytes() >= _LEAST[form]
    return enough & pl.col(text).str.contains(value, literal=True)
