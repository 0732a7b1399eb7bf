"""Sorted keys of pseudonyms, to look others up in; and rows whose own identifier stands in another of their columns.

Partial identifiers are compared row by row with their own row's value only: among millions of raw values some always
share eight digits by chance. What is written is searched by ``transforms.leak_scan``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.model import Contract
from contracts.vocabulary import Classification, Field, Form, Method
from transforms.pseudonymise import mpan

SHORTEST_POSTCODE, SHORTEST_SERIAL, SHORTEST_UPRN = 5, 6, 8
FILTER_BITS = 27
ANY_POSTCODE = r"\b(?:[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-Z]?)[ _-]{0,2}[0-9][ABD-HJLNP-UW-Z]{2}\b"
Keys = mpan.Keys


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


def unchanged(raw: pl.DataFrame, out: pl.DataFrame, contract: Contract) -> dict[str, int]:
    """Return how many values of a pseudonymised column came out as they went in, by column; there must be none.

    Where chance makes a pseudonym the value itself, the pseudonymise stage leaves the cell empty. Addresses are not
    compared: a house number may be the same.
    """
    found = {}
    for column in contract.staged:
        if column.classification is Classification.IDENTIFIER and column.treatment.field not in (None, Field.ADDRESS):
            count = int((out[column.name] == raw[column.name]).sum())
            if count:
                found[column.name] = count
    return found


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
