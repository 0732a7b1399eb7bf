"""What a run knows of its raw identifiers: digests, and how many there are of a sort, which says what chance hits.

A short identifier stands in any large column of others by chance. How often is a matter of arithmetic: the raw ones of
a sort (a distributor, a shape of serial, an outward postcode, a number of digits) over the values of that sort.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from transforms.leak_scan.candidates import ALONE, Windows, distributors, significant
from transforms.leak_scan.condensed import Condensed
from transforms.leak_scan.digests import Bytes, Digester, Digests, DigestSet, Ints, Kind, distinct, one_of_each, words

BODIES = 10**10
INWARD = 4_000  # inward parts that a pseudonym postcode is drawn from
UNLIKELY = 2e-4  # a column in which chance would give so many hits or more with less than this is a leak
Floats = NDArray[np.float64]
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class Sorts:
    """How many raw identifiers there are of each sort of one kind: keyed name of a sort -> how many."""

    names: Digests = field(default_factory=lambda: np.zeros(0, np.uint64))
    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, names: Digests) -> Sorts:
        """Count names."""
        return cls(*distinct(names))

    def count(self, names: Digests) -> Floats:
        """Return how many there are of each name."""
        if not self.names.size:
            return np.zeros(names.size)
        at = np.minimum(np.searchsorted(self.names, names), self.names.size - 1)
        return np.where(self.names[at] == names, self.counts[at], 0).astype(np.float64)


def sorts_of(kind: Kind, digester: Digester, data: Bytes, start: Ints, length: Ints) -> tuple[Digests, Floats]:
    """Return the keyed name of the sort of each identifier, and how many values its sort has.

    MPAN: its distributor. Serial: its letters, its length, and letter and year where it begins with them. UPRN: how
    many digits. Postcode: its outward part. Others have no sort that chance could hit.
    """
    if kind is Kind.MPAN:
        return distributors(data, start).astype(np.uint64), np.full(start.size, float(BODIES))
    if kind is Kind.UPRN:
        return length.astype(np.uint64), (9.0 * 10.0 ** (length - 1)).astype(np.float64)
    if kind is Kind.POSTCODE:
        return digester.of(kind, data, start, length - 3), np.full(start.size, float(INWARD))
    if kind is Kind.METER_SERIAL:
        return _serial_sorts(digester, data, start, length)
    return np.zeros(start.size, np.uint64), np.full(start.size, np.inf)


def _serial_sorts(digester: Digester, data: Bytes, start: Ints, length: Ints) -> tuple[Digests, Floats]:
    digit = data < 58
    shape = np.where(digit & (data > 0), np.uint8(35), data)
    before = np.append(0, np.cumsum(digit & (data > 0)))
    digits = before[start + length] - before[start]
    prefixed = ~digit[start] & digit[start + 1] & digit[start + 2]
    names = digester.of(Kind.METER_SERIAL, shape, start, length)
    names = names ^ np.where(prefixed, (words(data, start) & np.uint64(0xFFFFFF)) * _ODD, np.uint64(0))
    return names, 10.0 ** (digits - 2 * prefixed)


@dataclass(slots=True)
class Known:
    """The raw identifiers of a run, as far as a search needs them.

    Attributes:
        sets: digests by kind.
        sorts: how many there are by sort.
        pairs: a pseudonym MPAN and a short identifier of the row that it stands for.
    """

    digester: Digester
    sets: Mapping[Kind, DigestSet]
    sorts: Mapping[Kind, Sorts]
    pairs: DigestSet

    def search(self, text: Condensed, found: Windows) -> Hits:
        """Look windows up, and say how many of them chance would hit."""
        if not found.start.size:  # as most texts have none of most kinds
            return Hits(found.kind, found.form, _NONE, found.start, _NOT_ONE, 0.0)
        if found.kind is Kind.UPRN:
            found = significant(text, found)
        hits = self.look_up(text, found)
        if not hits.digests.size or not len(self.sets.get(found.kind, ())):
            return hits
        return replace(hits, expected=self.expected(text.data, found))

    def look_up(self, text: Condensed, found: Windows) -> Hits:
        """Look windows up, and leave chance aside."""
        if found.kind is Kind.UPRN:
            found = significant(text, found)
        held = self.sets.get(found.kind)
        digests = self.digester.of(found.kind, text.data, found.start, found.length)
        if held is None or not len(held) or not digests.size:
            return Hits(found.kind, found.form, digests, found.start, np.zeros(digests.size, np.bool_), 0.0)
        return Hits(found.kind, found.form, digests, found.start, held.contains(digests), 0.0)

    def once(self, text: Condensed, found: Windows) -> Windows:
        """Return windows with each value once: what repeats is one event to chance."""
        digests = self.digester.of(found.kind, text.data, found.start, found.length)
        each = one_of_each(digests)
        return Windows(found.kind, found.form, found.start[each], found.length[each])

    def expected(self, data: Bytes, found: Windows) -> float:
        """Return how many of some windows chance would make an identifier."""
        if found.kind in (Kind.ESME_ID, Kind.ADDRESS_LINE) or not found.start.size:
            return 0.0
        if found.kind is Kind.MPAN and found.form is ALONE:
            return 0.0  # thirteen digits by themselves are pseudonyms, and coincident ones are excluded beforehand
        names, values = sorts_of(found.kind, self.digester, data, found.start, found.length)
        return float((self.sorts[found.kind].count(names) / values).sum())


_NONE, _NOT_ONE = np.zeros(0, np.uint64), np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a look-up of windows gave.

    Attributes:
        digests, start: of every window.
        hit: whether it is a raw identifier.
        expected: hits that chance gives.
    """

    kind: Kind
    form: str
    digests: Digests
    start: Ints
    hit: NDArray[np.bool_]
    expected: float

    @property
    def count(self) -> int:
        """How many windows are a raw identifier."""
        return int(np.count_nonzero(self.hit))


OWN = "its own row's"


def own_by_chance(kind: Kind, rows: int) -> float:
    """Return how often chance gives a row the very value that it had: a postcode's inward part one in four thousand."""
    return rows / INWARD if kind is Kind.POSTCODE else 0.0


def beyond_chance(hits: int, expected: float) -> bool:
    """Tell whether so many hits, or more, are too unlikely to be chance (Poisson)."""
    if hits <= expected or not hits:
        return False
    if expected <= 0:
        return True
    if expected > 10_000:
        return hits > expected + 4.3 * math.sqrt(expected)
    term, below = math.exp(-expected), 0.0
    if term > 0.0:
        for k in range(hits):
            below += term
            term *= expected / (k + 1)
        if 1.0 - below > 1e-12:
            return 1.0 - below < UNLIKELY
    # the tail itself: the first term, times what a geometric series bounds the rest by
    log_term = hits * math.log(expected) - expected - math.lgamma(hits + 1)
    return math.exp(log_term) / (1.0 - expected / (hits + 1)) < UNLIKELY


def most_by_chance(expected: float) -> int:
    """Return the largest number of hits that chance still explains: the upper end of the band."""
    hits = int(expected)
    while not beyond_chance(hits + 1, expected):
        hits += 1
    return hits
