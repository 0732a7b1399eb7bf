"""Seeded permutations: numbers that look random and never repeat, without remembering which were used.

A Feistel network with modular addition over a rectangle ``left x right``. It spreads sample numbers; it is no cipher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ROUNDS = 4
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_WEIGHTS = np.array([3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43])
_SIX_DIGITS = (np.arange(10**6)[:, None] // 10 ** np.arange(5, -1, -1)) % 10
_HIGH_SUM = (_SIX_DIGITS @ _WEIGHTS[:6]).astype(np.int16)
_LOW_SUM = (_SIX_DIGITS @ _WEIGHTS[6:]).astype(np.int16)
del _SIX_DIGITS


def scramble(values: Ints, salt: int) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits for each value (the finaliser of splitmix64); the same salt gives the same bits."""
    word = values.astype(np.uint64) + np.uint64(salt & 0xFFFFFFFFFFFFFFFF)
    word *= _GOLDEN
    word ^= word >> np.uint64(30)
    word *= _MIX_1
    word ^= word >> np.uint64(27)
    word *= _MIX_2
    return word ^ (word >> np.uint64(31))


def pick(values: Ints, salt: int, below: int) -> Ints:
    """Return for each value a number from 0 to ``below - 1`` that depends on value and salt alone."""
    return ((scramble(values, salt) >> np.uint64(16)) % np.uint64(below)).astype(np.int64)


def permute(values: Ints, left: int, right: int, salt: int) -> tuple[Ints, Ints]:
    """Map each number below ``left * right`` to a pair of its own; distinct numbers give distinct pairs.

    Raises:
        ValueError: a number lies outside the rectangle, where pairs would repeat.
    """
    if values.size and (int(values.max()) >= left * right or int(values.min()) < 0):
        raise ValueError(f"a number lies outside {left} x {right}")
    a, b = values // right, values % right
    for turn in range(ROUNDS):
        a = (a + pick(b, salt + 2 * turn, left)) % left
        b = (b + pick(a, salt + 2 * turn + 1, right)) % right
    return a, b


def mpan_cores(distributors: Ints, bodies: Ints) -> Ints:
    """Return MPAN cores with their check digits, as integers of 13 digits (DTC item J0003)."""
    twelve = distributors * 10**10 + bodies
    total = _HIGH_SUM[twelve // 10**6] + _LOW_SUM[twelve % 10**6]
    cores: Ints = twelve * 10 + total % 11 % 10
    return cores
