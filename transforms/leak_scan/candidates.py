"""What in a text could be a raw identifier: windows of its letters and digits, by kind and by the way it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from transforms.leak_scan.condensed import Condensed, Spans, joined
from transforms.leak_scan.digests import Bytes, Ints, Kind, words

CORE, MPAN, SUPPLY_NUMBER = 12, 13, 21
SEPARATORS = 6  # characters that may stand between groups of digits
ESME_DIGITS = 16
SERIAL = range(6, 16)
SERIAL_DIGITS = 4
UPRN = range(6, 13)
ALONE, SHORT, WITHIN, APART = "alone", "without check digit", "within digits", "in groups"
_A, _Z, _0, _9 = 65, 90, 48, 57


@dataclass(frozen=True, slots=True)
class Windows:
    """Places of a condensed text that could be one kind of identifier.

    Attributes:
        form: how it is written there: alone, without its check digit, within more digits, in groups.
        start, length: in letters and digits.
    """

    kind: Kind
    form: str
    start: Ints
    length: Ints


EVERY = frozenset(Kind) - {Kind.PAIR}


def windows(text: Condensed, kinds: Collection[Kind] = EVERY) -> Iterator[Windows]:
    """Yield what could be an identifier of some kinds."""
    if not text.size:
        return
    if Kind.MPAN in kinds:
        yield from _mpans(text, text.digit_runs)
    found = text.words
    if Kind.METER_SERIAL in kinds or Kind.UPRN in kinds:
        digits = text.digits_before[found.start + found.length] - text.digits_before[found.start]
        if Kind.METER_SERIAL in kinds:
            yield from _serials(text, found, digits)
        if Kind.UPRN in kinds:
            figures = np.flatnonzero((digits == found.length) & (found.length >= UPRN.start))
            figures = figures[found.length[figures] < UPRN.stop]
            yield Windows(Kind.UPRN, ALONE, found.start[figures], found.length[figures])
    if Kind.ESME_ID in kinds:
        yield from _esme_ids(text, found)
    if Kind.POSTCODE in kinds:
        yield from _postcodes(text, found)
    if Kind.ADDRESS_LINE in kinds:
        yield house_and_street(text)


def _mpans(text: Condensed, runs: Spans) -> Iterator[Windows]:
    """Yield twelve digits that could be an MPAN without its check digit, which follows from them."""
    for form, digits in ((ALONE, MPAN), (SHORT, CORE)):
        alone = runs.start[runs.length == digits]
        yield Windows(Kind.MPAN, form, alone, np.full(alone.size, CORE))
    long = runs.of(runs.length > MPAN)
    if long.start.size:
        each = long.length - CORE + 1
        first = np.repeat(long.start - np.append(0, np.cumsum(each)[:-1]), each)
        inside = first + np.arange(each.sum())
        yield Windows(Kind.MPAN, WITHIN, inside, np.full(inside.size, CORE))
    if runs.start.size > 1:
        start, length = joined(runs, (CORE, MPAN, SUPPLY_NUMBER), most=SUPPLY_NUMBER, farthest=SEPARATORS)
        start = np.where(length == SUPPLY_NUMBER, start + SUPPLY_NUMBER - MPAN, start)
        yield Windows(Kind.MPAN, APART, start, np.full(start.size, CORE))


def _esme_ids(text: Condensed, found: Spans) -> Iterator[Windows]:
    whole = np.flatnonzero(found.length == ESME_DIGITS)
    pairs = np.flatnonzero((found.length <= 8) & _hex(text.data[found.start]))
    if whole.size or pairs.size > 1:
        hexes = text.hexes_before
        whole = whole[hexes[found.start[whole] + ESME_DIGITS] - hexes[found.start[whole]] == ESME_DIGITS]
        pairs = pairs[
            hexes[found.start[pairs] + found.length[pairs]] - hexes[found.start[pairs]] == found.length[pairs]
        ]
    yield Windows(Kind.ESME_ID, ALONE, found.start[whole], np.full(whole.size, ESME_DIGITS))
    if pairs.size > 1:
        chosen = found.of(pairs)
        close = np.where(np.diff(pairs, prepend=-2) == 1, chosen.gap, SEPARATORS + 1)
        start, length = joined(Spans(chosen.start, chosen.length, close, chosen.at), (ESME_DIGITS,), most=8, farthest=1)
        yield Windows(Kind.ESME_ID, APART, start, length)


def _serials(text: Condensed, found: Spans, digits: Ints) -> Iterator[Windows]:
    enough = digits >= SERIAL_DIGITS
    whole = enough & (found.length >= SERIAL.start) & (found.length < SERIAL.stop)
    yield Windows(Kind.METER_SERIAL, ALONE, found.start[whole], found.length[whole])
    beside = np.flatnonzero(found.gap == 1)
    for count in (2, 3):
        last = beside if count == 2 else beside[beside + 1 < found.start.size] + 1
        if count == 3:
            last = last[found.gap[last] == 1]
        first = last - count + 1
        length = found.start[last] + found.length[last] - found.start[first]
        held = text.digits_before[found.start[first] + length] - text.digits_before[found.start[first]]
        good = (length >= SERIAL.start) & (length <= 10) & (held >= SERIAL_DIGITS)
        yield Windows(Kind.METER_SERIAL, APART, found.start[first[good]], length[good])


def _postcodes(text: Condensed, found: Spans) -> Iterator[Windows]:
    whole = (found.length >= 5) & (found.length <= 7)
    yield _shaped(text, found.start[whole], found.length[whole], ALONE)
    last = np.flatnonzero((found.length == 3) & (found.gap <= 2))
    before = found.length[last - 1] if last.size else last
    last = last[(before >= 2) & (before <= 4)]
    yield _shaped(text, found.start[last] - found.length[last - 1], found.length[last - 1] + 3, APART)


def _shaped(text: Condensed, start: Ints, length: Ints, form: str) -> Windows:
    end = start + length
    letter = _letters(text.data)
    good = letter[start] & ~letter[end - 3] & letter[end - 2] & letter[end - 1]
    good &= ~(letter[start + 1] & letter[np.minimum(start + 2, end - 1)])  # an area has one or two letters
    return Windows(Kind.POSTCODE, form, start[good], length[good])


def _hex(data: Bytes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return data < ord("G")


def _letters(data: Bytes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return data >= _A


def house_and_street(text: Condensed) -> Windows:
    """Return a house number and the next two words, where words that stand beside a number are names."""
    found = text.words
    if found.start.size < 3:
        nothing = np.zeros(0, np.int64)
        return Windows(Kind.ADDRESS_LINE, ALONE, nothing, nothing)
    digits = text.digits_before[found.start + found.length] - text.digits_before[found.start]
    number = (digits > 0) & (found.length <= 4) & text.is_digit[found.start] & (found.length - digits <= 1)
    name = digits == 0
    first = np.flatnonzero(number[:-2] & name[1:-1] & name[2:] & (found.length[1:-1] >= 3) & (found.length[2:] >= 2))
    close = (found.gap[first + 1] <= SEPARATORS) & (found.gap[first + 2] <= SEPARATORS)
    first = first[close]
    end = found.start[first + 2] + found.length[first + 2]
    return Windows(Kind.ADDRESS_LINE, ALONE, found.start[first], end - found.start[first])


def significant(text: Condensed, found: Windows) -> Windows:
    """Return windows of digits without noughts in front."""
    start, length = found.start.copy(), found.length.copy()
    for _ in range(UPRN.stop):
        nought = (text.data[start] == _0) & (length > 1)
        if not nought.any():
            break
        start[nought] += 1
        length[nought] -= 1
    return Windows(found.kind, found.form, start, length)


def distributors(data: Bytes, starts: Ints) -> Ints:
    """Return the first two digits of each window."""
    first = words(data, starts)
    return (
        ((first & np.uint64(255)).astype(np.int64) - _0) * 10
        + ((first >> np.uint64(8)) & np.uint64(255)).astype(np.int64)
        - _0
    )
