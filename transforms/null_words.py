"""Words for null: which ones a column takes as nothing, so that no word ever becomes a value or an identifier."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from contracts.model import Column, Spelling
from contracts.vocabulary import Form

IDENTIFIERS = (Form.MPAN, Form.METER_SERIAL, Form.ESME_ID, Form.UPRN)
LONGEST = 21  # an MPAN with its top line
HOLDING = (Form.CODE, Form.TEXT)  # forms whose values may be words; a column's pattern says which


def null_words(column: Column, spelling: Spelling, own: Collection[str], pattern: str = "") -> tuple[str, ...]:
    """Return the words that are null in a column, in the cases in which they are written.

    Args:
        own: words that the source declares with ``nulls:``; they are null whatever the form.
        pattern: what values of the column look like, where its form holds words.
    """
    words = [*own, *spelling.nulls]
    held = re.compile(pattern) if column.form in HOLDING and pattern else None
    for word in spelling.nulls_unless_held:
        value = word.upper() if column.form is Form.CODE else word
        if held is None or not held.search(value):
            words.append(word)
    if column.form in IDENTIFIERS:
        words += fillers(spelling)
    return spellings(tuple(words))


def fillers(spelling: Spelling) -> list[str]:
    """Return what stands in the column of an identifier for none: noughts, nines and the like, of every length."""
    pairs = ["-".join([pair] * 8) for pair in ("00", "FF")]  # an ESME id has eight of them
    return [*pairs, *(mark * n for mark, least in spelling.fillers.items() for n in range(least, LONGEST + 1))]


@lru_cache(maxsize=1024)
def spellings(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return words as they stand and in lower, upper and mixed case; once each, sorted."""
    found = set()
    for word in words:
        found.add(word.strip())
        if (lower := word.lower()) != (upper := word.upper()):  # noughts and dashes have one case
            found |= {c.strip() for c in (lower, upper, word.capitalize(), word.title())}
    return tuple(sorted(found - {""}))
