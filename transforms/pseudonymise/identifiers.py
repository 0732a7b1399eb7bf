"""Meter serials, ESME ids and UPRNs: their shapes, and the keyed permutations of scheme 1 that keep them.

A value whose shape the scheme does not cover gives null; the row is then excluded with a reason (rules DQ13, DQ15).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.pseudonymise import ff1
from transforms.pseudonymise.byte_columns import Bytes, Rows, buffers, by_length, scatter, to_series
from transforms.pseudonymise.keys import Subkey

Marks = NDArray[np.bool_]

HASH = np.uint8(ord("#"))
UPRN_DIGITS = 12
ESME_SPELLING = "[0-9A-F]{2}(?:-[0-9A-F]{2}){7}"  # as a pseudonym is written, and as DIP messages want it
MIN_DIGITS = 6
MIN_ALPHANUMERICS = 4
WALK_LIMIT = 1_000  # a walk of this length has a probability below 10^-50 for every shape the scheme walks on

# numeral (0-35) of each ASCII byte, 255 where the byte is no numeral; and back
_NUMERAL = np.full(256, 255, dtype=np.uint8)
_NUMERAL[48:58] = np.arange(10)
_NUMERAL[65:91] = np.arange(10, 36)
_NUMERAL[97:123] = np.arange(10, 36)
_ASCII = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)


def _halves(numerals: Bytes, radix: int) -> tuple[ff1.Words, ff1.Words]:
    n = numerals.shape[1]
    u = n // 2
    wide = numerals.astype(np.uint64)
    return wide[:, :u] @ ff1.powers(radix, u), wide[:, u:] @ ff1.powers(radix, n - u)


def _spread(left: ff1.Words, right: ff1.Words, radix: int, n: int) -> Bytes:
    out = np.empty((left.size, n), dtype=np.uint8)
    for half, start, length in ((left, 0, n // 2), (right, n // 2, n - n // 2)):
        rest = half
        for place in range(start + length - 1, start - 1, -1):
            quotient = rest // np.uint64(radix)
            out[:, place] = rest - quotient * np.uint64(radix)
            rest = quotient
    return out


def encrypt_numerals(key: Subkey, radix: int, tweaks: Bytes, numerals: Bytes) -> Bytes:
    """Encrypt an ``(n, length)`` matrix of numerals by FF1, with ``(n, t)`` or ``(1, t)`` tweak bytes."""
    rows, length = numerals.shape
    if ff1.vectorised(radix, length):
        left, right = ff1.encrypt_halves(key, radix, length, tweaks, *_halves(numerals, radix))
        return _spread(left, right, radix, length)
    out = np.empty_like(numerals)  # rare: texts longer than any real serial number
    for row in range(rows):
        tweak = tweaks[row if tweaks.shape[0] > 1 else 0].tobytes()
        out[row] = ff1.encrypt(key.material(), radix, tweak, numerals[row].tolist())
    return out


def uprns(key: Subkey, values: pl.Series) -> pl.Series:
    """Return the pseudonyms of UPRNs: zero-padded to 12 digits, FF1 radix 10, empty tweak; null if not 1-12 digits."""
    trimmed = values.str.strip_chars().str.replace(r"\.0+$", "")
    parts = []
    for length, rows, matrix in by_length(trimmed.set(trimmed.str.len_bytes() == 0, None).str.zfill(UPRN_DIGITS)):
        if length == UPRN_DIGITS:
            digits = matrix - np.uint8(48)
            good = (digits < 10).all(axis=1)
            out = encrypt_numerals(key, 10, np.empty((1, 0), np.uint8), digits[good])
            parts.append((rows[good], to_series(out + np.uint8(48))))
    return scatter(values.len(), parts, values.name)


def esme_ids(key: Subkey, values: pl.Series) -> pl.Series:
    """Return the pseudonyms of ESME ids (EUI-64): locally administered, maker octets kept, the rest encrypted.

    Sixteen hex digits, bare or in pairs joined by one of ``- : .``or a space; the joining is kept, the case is upper.
    """
    parts = []
    for length, rows, matrix in by_length(values.str.strip_chars()):
        if length == 16:
            places = np.arange(16)
            joined = np.ones(matrix.shape[0], dtype=np.bool_)
        elif length == 23:
            places = np.array([p for p in range(23) if p % 3 != 2])
            joints = matrix[:, 2::3]
            joined = (joints == joints[:, :1]).all(axis=1) & np.isin(joints[:, 0], np.frombuffer(b"-:. ", np.uint8))
        else:
            continue
        numerals = _NUMERAL[matrix[:, places]]
        good = joined & (numerals < 16).all(axis=1)
        numerals = numerals[good]
        out = matrix[good].copy()
        maker = numerals[:, :6].copy()
        tweaks = _ASCII[maker]
        maker[:, 1] ^= 2  # bit 0x02 of the first octet: locally administered, so never a real device
        secret = encrypt_numerals(key, 16, tweaks, np.ascontiguousarray(numerals[:, 6:]))
        out[:, places] = _ASCII[np.concatenate([maker, secret], axis=1)]
        parts.append((rows[good], to_series(out)))
    return scatter(values.len(), parts, values.name)


def meter_serials(key: Subkey, values: pl.Series) -> pl.Series:
    """Return the pseudonyms of meter serial numbers (J0004), upper case and trimmed.

    Encrypted are: after a prefix of a letter and two digits the other digits if there are six or more; else all
    digits if six or more; else all letters and digits as radix 36 if four or more, walking until the result is
    again of that last kind; else nothing, and the result is null. Other characters stay. Serials with letters or
    digits outside ASCII (look-alikes) give null.
    """
    clean = values.str.strip_chars().str.to_uppercase()
    if (buffers(clean.drop_nulls())[1] >= 0x80).any():
        odd = (clean.str.len_bytes() != clean.str.len_chars()).fill_null(value=False)
        clean = clean.set(odd & clean.str.contains(r"[\p{L}\p{N}&&[^\x00-\x7F]]").fill_null(value=False), None)
    parts: list[tuple[Rows, pl.Series]] = []
    for _, rows, matrix in by_length(clean):
        parts.extend(_serials_of_length(key, rows, matrix))
    return scatter(values.len(), parts, values.name)


def _serials_of_length(key: Subkey, rows: Rows, matrix: Bytes) -> list[tuple[Rows, pl.Series]]:
    parts = []
    for places, radix, chosen in _shapes(*_secret_places(matrix)):
        out = _encrypt_places(key, matrix[chosen], places, radix)
        if radix == 36:
            _walk(key, out, places)
        parts.append((rows[chosen], to_series(out)))
    return parts


def _secret_places(matrix: Bytes) -> tuple[Marks, Marks, Marks]:
    """Return which places are encrypted, as ``(length, n)``, and for which rows as digits or as letters and digits.

    A row that is in neither of the two is not covered by the scheme.
    """
    by_place = np.ascontiguousarray(matrix.T)
    digit = (by_place - np.uint8(48)) < 10
    both = digit | ((by_place - np.uint8(65)) < 26)
    secret = digit.copy()
    if by_place.shape[0] >= 3:
        rest = digit[3:].sum(axis=0, dtype=np.uint16)
        secret[:3] &= ~(both[0] & ~digit[0] & digit[1] & digit[2] & (rest >= MIN_DIGITS))
    decimal = digit.sum(axis=0, dtype=np.uint16) >= MIN_DIGITS
    wide = ~decimal & (both.sum(axis=0, dtype=np.uint16) >= MIN_ALPHANUMERICS)
    secret |= wide & both
    return secret, decimal, wide


def _shapes(secret: Marks, decimal: Marks, wide: Marks) -> Iterator[tuple[Rows, int, Rows]]:
    """Group rows by shape.

    Yields:
        the encrypted places, the radix (10 or 36), and the rows, in order.
    """
    packed = np.ascontiguousarray(np.packbits(np.concatenate([secret, [decimal, wide]]), axis=0).T)
    codes: NDArray[np.generic]
    if packed.shape[1] == 1:
        codes = packed[:, 0]
    elif packed.shape[1] == 2:  # every serial of at most 14 characters: 16 bits are sorted by counting
        codes = packed.view(np.uint16)[:, 0]
    else:
        codes = np.unique(packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(codes[order][1:] != codes[order][:-1]) + 1):
        first = rows[0]
        if decimal[first] or wide[first]:
            yield np.flatnonzero(secret[:, first]), 10 if decimal[first] else 36, rows


def _encrypt_places(key: Subkey, matrix: Bytes, places: Rows, radix: int) -> Bytes:
    tweaks = matrix.copy()
    tweaks[:, places] = HASH
    if (tweaks == tweaks[:1]).all():
        tweaks = tweaks[:1]
    out = matrix.copy()
    out[:, places] = _ASCII[encrypt_numerals(key, radix, tweaks, _NUMERAL[matrix[:, places]])]
    return out


def _walk(key: Subkey, out: Bytes, places: Rows) -> None:
    """Encrypt again, in place, the results that have six digits or more, until none has."""
    for _ in range(WALK_LIMIT):
        again = np.flatnonzero(((out >= 48) & (out <= 57)).sum(axis=1) >= MIN_DIGITS)
        if again.size == 0:
            return
        out[again] = _encrypt_places(key, out[again], places, 36)
    raise ff1.Ff1DomainError("a walk did not end")
