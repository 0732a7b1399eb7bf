"""FF1 format-preserving encryption over whole columns. Encryption only: the product has no inverse.

Source: NIST SP 800-38G (2016), algorithm 7, with the domain rule of Revision 1's second public draft
(radix ** length >= 1,000,000). Three paths give equal results:

* ``encrypt``: one value, any length and tweak; exact integers, no speed.
* ``encrypt_halves``: whole arrays for a shared radix and length, a tweak per row; one AES block per row and round
  for tweaks up to twelve bytes.
* ``RoundTables``: for ten digits a round function has only 10^5 inputs: tabulate it once, then a row is ten look-ups.
  The tables are key material.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from contracts.errors import KeyMaterialError
from transforms.pseudonymise.keys import Subkey

ROUNDS = 10
MIN_DOMAIN = 1_000_000
MAX_HALF_BYTES = 6  # 28 digits, 18 letters and digits; beyond, a reduction no longer fits 64 bits: the scalar path
CHUNK = 16_384  # rows whose blocks stay in the second-level cache

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]


class Ff1DomainError(ValueError):
    """Radix, length or tweak are outside what FF1 may be used for."""


def check_domain(radix: int, length: int) -> None:
    """Refuse a radix outside 2-36 and a domain below one million (SP 800-38G Rev. 1 2PD).

    Raises:
        Ff1DomainError: the domain is not allowed.
    """
    if not 2 <= radix <= 36:
        raise Ff1DomainError(f"radix {radix} is outside 2 to 36")
    if length < 2 or radix**length < MIN_DOMAIN:
        raise Ff1DomainError(f"{length} places of radix {radix} are fewer than a million values")


def half_bytes(radix: int, half: int) -> int:
    """Return b: bytes that hold ``half`` numerals, computed in exact integers (step 3)."""
    return (int(radix**half - 1).bit_length() + 7) // 8


def _header(radix: int, length: int, tweak_length: int) -> bytes:
    """Return the block P (step 5)."""
    return (
        bytes([1, 2, 1])
        + radix.to_bytes(3, "big")
        + bytes([ROUNDS, (length // 2) % 256])
        + length.to_bytes(4, "big")
        + tweak_length.to_bytes(4, "big")
    )


def _aes(key: bytes) -> Cipher[modes.ECB]:
    # ECB is the raw block permutation that FF1 is defined on, not a mode used on data.
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def encrypt(key: bytes, radix: int, tweak: bytes, numerals: list[int]) -> list[int]:
    """Encrypt one numeral string (algorithm 7).

    Args:
        key: AES key of 16, 24 or 32 bytes.
        radix: 2 to 36.
        tweak: any bytes, also empty.
        numerals: values below ``radix``, most significant first.

    Raises:
        Ff1DomainError: the domain is too small, or a numeral is not below the radix.
    """
    n = len(numerals)
    check_domain(radix, n)
    if any(not 0 <= numeral < radix for numeral in numerals):
        raise Ff1DomainError("a numeral is outside the radix")
    u, v = n // 2, n - n // 2
    b = half_bytes(radix, v)
    d = 4 * ((b + 3) // 4) + 4
    encryptor = _aes(key).encryptor()
    header = encryptor.update(_header(radix, n, len(tweak)))
    padding = bytes((-len(tweak) - b - 1) % 16)
    left, right = _number(numerals[:u], radix), _number(numerals[u:], radix)
    for i in range(ROUNDS):
        state = header
        q = tweak + padding + bytes([i]) + right.to_bytes(b, "big")
        for at in range(0, len(q), 16):
            state = encryptor.update(_xor(state, q[at : at + 16]))
        stream, counter = state, 1
        while len(stream) < d:
            stream += encryptor.update(_xor(state, counter.to_bytes(16, "big")))
            counter += 1
        modulus = radix ** (u if i % 2 == 0 else v)
        left, right = right, (left + int.from_bytes(stream[:d], "big")) % modulus
    return _numerals(left, radix, u) + _numerals(right, radix, v)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _number(numerals: list[int], radix: int) -> int:
    value = 0
    for numeral in numerals:
        value = value * radix + numeral
    return value


def _numerals(value: int, radix: int, length: int) -> list[int]:
    out = [0] * length
    for place in range(length - 1, -1, -1):
        value, out[place] = divmod(value, radix)
    return out


def vectorised(radix: int, length: int) -> bool:
    """Tell whether :func:`encrypt_halves` covers this shape (a half of at most six bytes)."""
    return half_bytes(radix, length - length // 2) <= MAX_HALF_BYTES


class BlockEncryptor:
    """AES over many blocks in one call, into a reused buffer; the interpreter lock is released meanwhile."""

    def __init__(self, key: Subkey) -> None:
        self._context = _aes(key.material()).encryptor()

    def encrypt(self, blocks: Bytes) -> Bytes:
        """Encrypt an ``(n, 16)`` array of blocks."""
        source = np.ascontiguousarray(blocks).reshape(-1)
        target = np.empty(source.size + 15, dtype=np.uint8)
        written = self._context.update_into(source.data, target.data)
        if written != source.size:
            raise KeyMaterialError("the cipher returned fewer blocks than it was given")
        return target[: source.size].reshape(blocks.shape)


def encrypt_halves(
    key: Subkey, radix: int, length: int, tweaks: Bytes, left: Words, right: Words
) -> tuple[Words, Words]:
    """Encrypt rows given as the values of their two halves.

    Args:
        key: field key (32 bytes, AES-256).
        radix: 2 to 36.
        length: numerals per row; the left half has ``length // 2`` of them.
        tweaks: ``(n, t)`` bytes, or ``(1, t)`` for one tweak shared by all rows; ``t`` may be 0.
        left, right: ``(n,)`` values of the halves.

    Returns:
        The encrypted halves, same shapes.

    Raises:
        Ff1DomainError: the domain is not allowed or the shape is not vectorised.
    """
    check_domain(radix, length)
    if not vectorised(radix, length):
        raise Ff1DomainError(f"{length} places of radix {radix} are beyond the vectorised path")
    out_left, out_right = np.empty_like(left), np.empty_like(right)
    cipher = BlockEncryptor(key)
    for at in range(0, left.size, CHUNK):
        rows = slice(at, at + CHUNK)
        shared = tweaks if tweaks.shape[0] == 1 else tweaks[rows]
        out_left[rows], out_right[rows] = _rounds(cipher, radix, length, shared, left[rows], right[rows])
    return out_left, out_right


def _rounds(
    cipher: BlockEncryptor, radix: int, length: int, tweaks: Bytes, left: Words, right: Words
) -> tuple[Words, Words]:
    u, v = length // 2, length - length // 2
    b, t, n = half_bytes(radix, v), tweaks.shape[1], left.size
    header = cipher.encrypt(np.frombuffer(_header(radix, length, t), np.uint8).reshape(1, 16))
    padding = (-t - b - 1) % 16
    q = np.zeros((n, t + padding + 1 + b), dtype=np.uint8)
    q[:, :t] = tweaks
    moduli = (np.uint64(radix**u), np.uint64(radix**v))
    prefix = np.broadcast_to(header, (n, 16))
    for at in range(0, q.shape[1] - 16, 16):  # blocks that hold tweak alone are the same in every round
        prefix = cipher.encrypt(prefix ^ q[:, at : at + 16])
    last = np.ascontiguousarray(prefix ^ q[:, -16:])
    for i in range(ROUNDS):
        block = last.copy()
        block[:, 15 - b] ^= np.uint8(i)
        for place in range(b):
            block[:, 15 - place] ^= ((right >> np.uint64(8 * place)) & np.uint64(255)).astype(np.uint8)
        output, modulus = cipher.encrypt(block), moduli[i % 2]
        y = _modulo(output.view(">u8")[:, 0].astype(np.uint64), modulus)
        if b > 4:  # the output has twelve bytes (step 4): the rest of them by sixteen bits, all below 2^64
            rest = output.view(">u2")[:, 4:6].astype(np.uint64)
            for word in (rest[:, 0], rest[:, 1]):
                y = _modulo((y << np.uint64(16)) | word, modulus)
        left, right = right, _add_modulo(left, y, modulus)
    return left, right


def _modulo(y: Words, modulus: np.uint64) -> Words:
    # several times faster than y % m: numpy divides by a constant with SIMD only here
    reduced: Words = y - (y // modulus) * modulus
    return reduced


def _add_modulo(value: Words, y: Words, modulus: np.uint64) -> Words:
    total: Words = value + y
    # A wrapped difference is huge, so the minimum is the reduced value.
    reduced: Words = np.minimum(total, total - modulus)
    return reduced


class RoundTables:
    """FF1 over ten decimal digits with one fixed tweak, as ten tables of 10^5 round outputs.

    Args:
        key: field key.
        tweak: the tweak shared by all rows.
    """

    HALF = 100_000

    def __init__(self, key: Subkey, tweak: bytes) -> None:
        halves = np.arange(self.HALF, dtype=np.uint64)
        cipher = BlockEncryptor(key)
        b = half_bytes(10, 5)
        header = cipher.encrypt(np.frombuffer(_header(10, 10, len(tweak)), np.uint8).reshape(1, 16))
        constant = np.frombuffer(tweak + bytes((-len(tweak) - b - 1) % 16) + bytes(1 + b), np.uint8)
        if constant.size != 16:
            raise Ff1DomainError("the tables are for tweaks of at most twelve bytes")
        base = np.repeat(header ^ constant, self.HALF, axis=0)
        for place in range(b):
            base[:, 15 - place] ^= ((halves >> np.uint64(8 * place)) & np.uint64(255)).astype(np.uint8)
        self._tables = np.empty((ROUNDS, self.HALF), dtype=np.int32)
        modulus = np.uint64(self.HALF)
        for i in range(ROUNDS):
            block = base.copy()
            block[:, 15 - b] ^= np.uint8(i)
            y = cipher.encrypt(block).view(">u8")[:, 0].astype(np.uint64)
            self._tables[i] = _modulo(y, modulus).astype(np.int32)

    def encrypt(self, left: NDArray[np.int32], right: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Encrypt ten-digit rows given as the values of their two five-digit halves."""
        for i in range(ROUNDS):
            total = left + np.take(self._tables[i], right, mode="clip")
            total -= np.int32(self.HALF) * (total >= self.HALF)
            left, right = right, total
        return left, right


@cache
def powers(radix: int, length: int) -> Words:
    """Return the place values of ``length`` numerals, most significant first, as uint64."""
    return np.array([radix**p for p in range(length - 1, -1, -1)], dtype=np.uint64)
