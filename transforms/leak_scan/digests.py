"""Keyed digests of raw identifiers: what a scan may keep of them, and what it looks up.

A digest is 64 bits of AES-256 over the identifier's letters and digits and its kind, under a key of one run. Whoever
has the digests and not the key learns nothing; the key is never written. This module shares no code with the
pseudonymiser: what the scan knows, a fault of that stage cannot change.

Source: attacks on a scan that asked the tested stage; NIST SP 800-38B for chaining blocks of texts of known length.
"""

from __future__ import annotations

import threading
from enum import IntEnum

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Digests = NDArray[np.uint64]
BLOCK = 16
LONGEST = 63  # letters and digits of a text that count
PADDING = 64  # bytes that a buffer has after its last letter, so that any window can be read
_WORD = 8
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(_WORD)] + [2**64 - 1], dtype=np.uint64)


class Kind(IntEnum):
    """Kinds of raw identifiers; the number is part of a digest."""

    MPAN = 1  # its first twelve digits: the check digit follows from them
    METER_SERIAL = 2
    UPRN = 3  # without noughts in front
    ESME_ID = 4
    POSTCODE = 5
    ADDRESS_LINE = 6  # one line, or house and street of several
    PAIR = 7  # a pseudonym MPAN and a value of the row that it stands for

    @property
    def word(self) -> str:
        """Return what the evidence calls it."""
        return self.name.lower().replace("_", "-")


class Digester:
    """Digests under one run's key; ``repr`` and pickling never show it.

    Args:
        key: 32 bytes.
    """

    __slots__ = ("_cipher", "_mine")

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block, as a keyed hash
        self._mine = threading.local()  # an encryptor keeps a state: each thread has its own

    def __repr__(self) -> str:
        return "Digester()"

    def __reduce__(self) -> str:
        raise TypeError("a digester holds a key")

    def of(self, kind: Kind, data: Bytes, starts: Ints, lengths: Ints) -> Digests:
        """Return the digest of each window of a buffer of letters and digits.

        Args:
            data: upper-case letters and digits, with ``PADDING`` bytes after the last.
            lengths: of each window; what is beyond ``LONGEST`` does not count.
        """
        if not starts.size:
            return np.zeros(0, np.uint64)
        lengths = np.minimum(lengths, LONGEST)
        last = lengths // BLOCK  # the block that has room for the kind
        if last.max() == 0:
            return self._chained(kind, data, starts, lengths, 0)[:, 0].copy()
        out = np.empty(starts.size, np.uint64)
        for blocks in np.flatnonzero(np.bincount(last)):
            some = last == blocks
            out[some] = self._chained(kind, data, starts[some], lengths[some], int(blocks))[:, 0]
        return out

    def _chained(self, kind: Kind, data: Bytes, starts: Ints, lengths: Ints, last: int) -> Digests:
        state = np.zeros((starts.size, 2), np.uint64)
        for block in range(last + 1):
            for half in (0, 1):
                begin = block * BLOCK + half * _WORD
                state[:, half] ^= words(data, starts + begin) & _MASKS[np.clip(lengths - begin, 0, _WORD)]
            if block == last:
                state[:, 1] ^= np.uint64(int(kind) << 56)
            state = self._encrypted(state)
        return state

    def of_pairs(self, first: Digests, second: Digests) -> Digests:
        """Return the digest of each pair of digests."""
        return self._encrypted(np.stack([first, second ^ np.uint64(int(Kind.PAIR) << 56)], axis=1))[:, 0].copy()

    def _encrypted(self, blocks: Digests) -> Digests:
        if not blocks.size:
            return blocks
        whole = np.ascontiguousarray(blocks)
        out = np.empty(whole.nbytes + BLOCK - 1, np.uint8)
        encryptor = getattr(self._mine, "encryptor", None)
        if encryptor is None:
            encryptor = self._mine.encryptor = self._cipher.encryptor()
        done = encryptor.update_into(whole.view(np.uint8).data.cast("B"), out.data)
        return out[:done].view(np.uint64).reshape(-1, 2)


def words(data: Bytes, starts: Ints) -> Digests:
    """Return eight bytes of a buffer from each start, as one little-endian integer."""
    return np.ndarray((data.size - _WORD + 1,), "<u8", buffer=data.data, strides=(1,))[starts]


def distinct(digests: Digests) -> tuple[Digests, Ints]:
    """Return digests in order, each once, and how many there are of each."""
    ordered = np.sort(digests)  # several times faster than numpy's unique
    first = np.flatnonzero(np.append(ordered.size > 0, ordered[1:] != ordered[:-1])[: ordered.size])
    return ordered[first], np.diff(np.append(first, ordered.size))


def one_of_each(digests: Digests) -> Ints:
    """Return a place of each different digest, in their order."""
    order = np.argsort(digests)
    ordered = digests[order]
    each: Ints = order[np.append(ordered.size > 0, ordered[1:] != ordered[:-1])[: ordered.size]]
    return each


class DigestSet:
    """Digests in order, each once, with a filter before them: most look-ups end there."""

    SPARSE, LEAST_BITS, MOST_BITS = 6, 16, 28

    def __init__(self, digests: Digests) -> None:
        self.digests, _ = distinct(digests)
        bits = min(self.MOST_BITS, max(self.LEAST_BITS, int(self.digests.size).bit_length() + self.SPARSE))
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, np.bool_)
        self._filter[(self.digests >> self._shift).astype(np.int64)] = True

    def __len__(self) -> int:
        return int(self.digests.size)

    def contains(self, digests: Digests) -> NDArray[np.bool_]:
        """Tell which digests are in the set."""
        found = self._filter[(digests >> self._shift).astype(np.int64)]
        near = np.flatnonzero(found)
        if near.size:
            at = np.minimum(np.searchsorted(self.digests, digests[near]), self.digests.size - 1)
            found[near] = self.digests[at] == digests[near]
        return found
