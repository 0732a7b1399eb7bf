"""Which texts could hold an identifier at all: a cheap look at their bytes that spares most of them the patterns.

Nothing is decided here. A text that is let through is searched by the patterns of ``leak_candidates``; one that is
not has too few digits for any of them to match.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.vocabulary import Field
from transforms.pseudonymise.byte_columns import Bytes, buffers
from transforms.pseudonymise.mpan import LENGTH
from transforms.release.leak_candidates import SERIAL_DIGITS, SHORTEST_SERIAL, SHORTEST_UPRN

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
