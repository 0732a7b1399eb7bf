"""MPAN cores: spelling, check digit, and the keyed permutation that replaces them.

An MPAN core (DTC item J0003) is a distributor id (2 digits), a body (10 digits) and a check digit: the weighted sum
of the first twelve digits modulo 11 modulo 10. A remainder of 10 gives 0, so every body has a check digit and the
pseudonym needs no walking.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.pseudonymise.byte_columns import Bytes, by_length, scatter, to_series
from transforms.pseudonymise.ff1 import RoundTables
from transforms.pseudonymise.keys import Subkey

WEIGHTS = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)  # the primes from 3, 11 left out
LENGTH = 13
SUPPLY_NUMBER = 21  # with the top line before the core
CHUNK = 65_536  # rows whose tables and buffers share the second-level cache
MIXED_CHUNK = 1 << 20  # rows gathered by distributor at a time: enough of each to pay for loading its tables
NO_DISTRIBUTOR = np.uint8(100)
HALF = RoundTables.HALF

Ints = NDArray[np.int32]
Keys = NDArray[np.uint64]  # MPAN cores as ``order_key`` has them


def _half_table(weights: tuple[int, ...]) -> NDArray[np.int16]:
    digits = (np.arange(HALF)[:, None] // np.array([10_000, 1_000, 100, 10, 1])) % 10
    table: NDArray[np.int16] = (digits @ np.array(weights) % 11).astype(np.int16)
    return table


_PREFIX_SUM = np.array([(WEIGHTS[0] * (d // 10) + WEIGHTS[1] * (d % 10)) % 11 for d in range(100)], np.int16)
_LEFT_SUM = _half_table(WEIGHTS[2:7])
_RIGHT_SUM = _half_table(WEIGHTS[7:12])
_CHECK = np.array([r % 11 % 10 for r in range(33)], np.uint8)
_PAIRS = np.frombuffer("".join(f"{i:02d}" for i in range(100)).encode(), np.uint8).reshape(100, 2)
_DIGITS = np.frombuffer("".join(f"{i:05d}" for i in range(HALF)).encode(), np.uint8).reshape(HALF, 5)


# A supply number: profile class, meter timeswitch code and line loss factor class before the core, eight characters of
# which a number cell loses leading zeros; line loss factor classes may have letters.
_TOP_LINE = r"^S?[0-9]{0,4}[0-9][0-9A-Z]{3}([0-9]{13})$"
_WRAPPED = r"^=\"?|[\s\-\"'/\x{2010}-\x{2015}\x{200B}-\x{200D}\x{2060}\x{FEFF}\x{00AD}]"


def spelling() -> pl.Expr:
    """Return column ``value`` with the harmless ways of writing an MPAN undone.

    Spaces and hyphens between digits go, so do the apostrophe or ``="..."`` and the ``.0`` of a spreadsheet; of a whole
    supply number, 19 to 21 characters, the core is taken. Nothing else is repaired: other digits, letters or lengths
    stay as they are and fail rule DQ01.
    """
    bare = pl.col("value").str.replace_all(_WRAPPED, "").str.replace(r"\.0+$", "")
    whole = bare.str.len_bytes().is_between(SUPPLY_NUMBER - 2, SUPPLY_NUMBER + 1)
    return pl.when(whole).then(bare.str.to_uppercase().str.replace(_TOP_LINE, "$1")).otherwise(bare)


def normalise(values: pl.Series) -> pl.Series:
    """Return MPANs in the thirteen-digit spelling where one is meant; only odd lengths are touched."""
    # thirteen bytes with a space among them hold too few digits anyway
    odd = np.flatnonzero((values.str.len_bytes() != LENGTH).fill_null(value=False).to_numpy())
    if odd.size == 0:
        return values
    spelt = values.gather(odd).alias("value").to_frame().select(spelling()).to_series()
    return values.clone().scatter(odd, spelt)


class MpanPermutation:
    """The permutation of scheme 1: keeps the distributor id, encrypts the body by FF1, recomputes the check digit.

    A permutation per distributor: no two MPANs meet, format and check digit hold.

    Args:
        key: field key ``mpan``.
    """

    def __init__(self, key: Subkey) -> None:
        self._key = key
        self._tables: dict[int, RoundTables] = {}

    def __repr__(self) -> str:
        return f"MpanPermutation({self._key.label})"

    def _table(self, distributor: int) -> RoundTables:
        table = self._tables.get(distributor)
        if table is None:
            table = self._tables[distributor] = RoundTables(self._key, f"{distributor:02d}".encode())
        return table

    def pseudonyms(self, values: pl.Series) -> pl.Series:
        """Return the pseudonym of each MPAN; null where the value is null or not a valid MPAN core (DQ01)."""
        values = normalise(values)
        for length, rows, matrix in by_length(values):
            if length == LENGTH:
                out, valid = self._matrix(matrix)
                part = to_series(out)
                if not valid.all():
                    part = part.set(pl.Series(~valid), None)
                return scatter(values.len(), [(rows, part)], values.name)
        return pl.Series(values.name, [None] * values.len(), dtype=pl.String)

    def permuted(self, keys: Keys) -> Keys:
        """Return the keys of the pseudonyms of valid MPAN cores given as keys (scheme 1, NIST SP 800-38G FF1)."""
        out = np.empty_like(keys)
        for at in range(0, keys.size, MIXED_CHUNK):
            body, distributor = np.divmod(keys[at : at + MIXED_CHUNK], 100)
            left, right = (half.astype(np.int32) for half in np.divmod(body, HALF))
            left, right = self._encrypt_mixed(distributor.astype(np.uint8), left, right)
            out[at : at + MIXED_CHUNK] = _key(distributor, left, right)
        return out

    def _matrix(self, matrix: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
        alike = bool((matrix[:, 0] == matrix[0, 0]).all() and (matrix[:, 1] == matrix[0, 1]).all())
        step, encrypt = (CHUNK, self._encrypt_alike) if alike else (MIXED_CHUNK, self._encrypt_mixed)
        out = np.empty_like(matrix)
        valid = np.empty(matrix.shape[0], dtype=np.bool_)
        for at in range(0, matrix.shape[0], step):
            rows = slice(at, at + step)
            parts = [_parse(matrix[i : i + CHUNK]) for i in range(at, min(at + step, matrix.shape[0]), CHUNK)]
            valid[rows], distributor, left, right = (np.concatenate(part) for part in zip(*parts, strict=True))
            left, right = encrypt(distributor, left, right)
            for i in range(0, left.size, CHUNK):
                some = slice(i, i + CHUNK)
                _write(out[rows][some], distributor[some], left[some], right[some])
        if not valid.all():
            out[~valid] = 48  # nothing of a value that is no MPAN may pass, not even behind a null
        return out, valid

    def _encrypt_alike(self, distributor: Bytes, left: Ints, right: Ints) -> tuple[Ints, Ints]:
        code = int(distributor.min())
        return (left, right) if code == NO_DISTRIBUTOR else self._table(code).encrypt(left, right)

    def _encrypt_mixed(self, distributor: Bytes, left: Ints, right: Ints) -> tuple[Ints, Ints]:
        """Encrypt rows of several distributors: gathered by distributor, so that its tables stay in the cache."""
        order = np.argsort(distributor, kind="stable")
        edges = np.searchsorted(distributor[order], np.arange(101, dtype=np.uint8))
        new_left, new_right = np.zeros_like(left), np.zeros_like(right)
        for code in np.flatnonzero(np.diff(edges)):
            for at in range(edges[code], edges[code + 1], CHUNK):
                rows = order[at : min(at + CHUNK, edges[code + 1])]
                new_left[rows], new_right[rows] = self._table(int(code)).encrypt(left[rows], right[rows])
        return new_left, new_right


def _parse(matrix: Bytes) -> tuple[NDArray[np.bool_], Bytes, Ints, Ints]:
    """Return for rows of 13 bytes: whether each is an MPAN core, its distributor, and its body's two halves.

    The distributor of a row that is no MPAN core is ``NO_DISTRIBUTOR``: no tables are built for it.
    """
    digits = np.ascontiguousarray(matrix.T) - np.uint8(48)
    numeric = (digits < 10).all(axis=0)
    if not numeric.all():
        digits = np.where(numeric, digits, np.uint8(0))
    distributor = digits[0] * np.uint8(10) + digits[1]
    left, right = _five(digits[2:7]), _five(digits[7:12])
    valid = numeric & (_check_digit(distributor, left, right) == digits[12])
    return valid, np.where(valid, distributor, NO_DISTRIBUTOR), left, right


def _write(out: Bytes, distributor: Bytes, left: Ints, right: Ints) -> None:
    """Write MPAN cores with their check digits into rows of 13 bytes."""
    out[:, :2] = np.take(_PAIRS, distributor, axis=0, mode="clip")
    out[:, 2:7] = np.take(_DIGITS, left, axis=0, mode="clip")
    out[:, 7:12] = np.take(_DIGITS, right, axis=0, mode="clip")
    out[:, 12] = _check_digit(distributor, left, right) + np.uint8(48)


def _key(distributor: NDArray[np.uint64] | Bytes, left: Ints, right: Ints) -> Keys:
    return (left.astype(np.uint64) * np.uint64(HALF) + right.astype(np.uint64)) * np.uint64(100) + distributor


def keys(values: pl.Series) -> tuple[Keys, NDArray[np.bool_]]:
    """Return each MPAN core as one integer, as ``order_key`` does, and which values are valid MPAN cores.

    Where a value is null or no MPAN core the integer means nothing.
    """
    out, good = np.zeros(values.len(), dtype=np.uint64), np.zeros(values.len(), dtype=np.bool_)
    for length, rows, matrix in by_length(values):
        if length == LENGTH:
            for at in range(0, rows.size, CHUNK):
                some = rows[at : at + CHUNK]
                good[some], distributor, left, right = _parse(matrix[at : at + CHUNK])
                out[some] = _key(distributor, left, right)
    return out, good


def texts(keys: Keys) -> pl.Series:
    """Return MPAN cores that are given as keys in their thirteen digits."""
    body, distributor = np.divmod(keys, 100)
    left, right = (half.astype(np.int32) for half in np.divmod(body, HALF))
    out = np.empty((keys.size, LENGTH), dtype=np.uint8)
    _write(out, distributor.astype(np.uint8), left, right)
    return to_series(out)


def _five(digits: Bytes) -> Ints:
    value: Ints = digits[0].astype(np.int32)
    for place in digits[1:]:
        value = value * np.int32(10) + place
    return value


def _check_digit(distributor: Bytes, left: Ints, right: Ints) -> Bytes:
    total = np.take(_PREFIX_SUM, distributor, mode="clip") + np.take(_LEFT_SUM, left, mode="clip")
    total += np.take(_RIGHT_SUM, right, mode="clip")
    return np.take(_CHECK, total)


def valid(values: pl.Series) -> pl.Series:
    """Tell for each value whether it is a valid MPAN core; null for null (rule DQ01)."""
    verdict = pl.Series(values.name, keys(values)[1])
    return verdict.set(values.is_null(), None) if values.null_count() else verdict


def order_key(mpan: str = "mpan_core") -> pl.Expr:
    """Return the canonical row order of every output: body first, then distributor, as one integer.

    Pseudonym bodies are spread evenly over 10^10 values, so ranges of this key are even partitions, whatever the
    mix of distributors; and no order of the backup survives.
    """
    text = pl.col(mpan).str
    return text.slice(2, 10).cast(pl.UInt64) * 100 + text.slice(0, 2).cast(pl.UInt64)
