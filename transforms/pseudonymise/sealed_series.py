"""Real half-hourly values that only the key's holder can read, for the time between intake and release of one run.

Values are watt-hours as 32-bit numbers, enciphered with AES-256 in counter mode (NIST SP 800-38A) under a field key.
The first counter of a row stands before it: a half that follows from the content of its batch, and the row's place.
"""

from __future__ import annotations

import hmac

import numpy as np
import polars as pl
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from transforms.pseudonymise.keys import Subkey

SEALED = "_sealed"
NOTHING = np.int32(-(2**31))  # no value in this half-hour
MOST = 2**31 - 1
BLOCK = 16

Values = NDArray[np.int64]


def seal(key: Subkey, nonce_key: Subkey, values: Values, present: NDArray[np.bool_]) -> pl.Series:
    """Return bytes for each row; null where a value does not fit.

    Args:
        nonce_key: makes the first half of the counter from what is hidden, so that none serves twice.
        values: watt-hours by row and period; ``present``: where there is one.
    """
    rows, periods = values.shape
    fits: NDArray[np.bool_] = np.all((values >= 0) & (values <= MOST) | ~present, axis=1)
    plain = np.where(present & fits[:, None], values, NOTHING).astype("<i4")
    nonce = hmac.digest(nonce_key.material(), plain.tobytes(), "sha256")[:8]
    width = -(-periods * 4 // BLOCK)
    starts = np.arange(rows, dtype=np.uint64) * np.uint64(width)
    stream = _stream(key, np.full(rows, np.frombuffer(nonce, ">u8")[0], np.uint64), starts, width)
    hidden = plain.view(np.uint8).reshape(rows, -1) ^ stream[:, : periods * 4]
    head = np.empty((rows, 2), ">u8")
    head[:, 0], head[:, 1] = np.frombuffer(nonce, ">u8")[0], starts
    whole = np.concatenate([head.view(np.uint8).reshape(rows, -1), hidden], axis=1)
    size = whole.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(whole))
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), rows, [None, data])
    return (
        pl.DataFrame(pa.table({SEALED: packed}))
        .select(pl.when(pl.Series(fits)).then(pl.col(SEALED).cast(pl.Binary)))
        .to_series()
    )


def unseal(key: Subkey, sealed: pl.Series) -> tuple[Values, NDArray[np.bool_]]:
    """Return watt-hours and where there are any, of rows that were sealed."""
    column = sealed.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, bounds, data = column.buffers()
    ends = np.frombuffer(bounds, np.int64)[column.offset : column.offset + len(column) + 1]
    whole = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(len(column), -1)
    head = whole[:, :BLOCK].copy().view(">u8")
    periods = (whole.shape[1] - BLOCK) // 4
    stream = _stream(key, head[:, 0].astype(np.uint64), head[:, 1].astype(np.uint64), -(-periods * 4 // BLOCK))
    plain = (whole[:, BLOCK:] ^ stream[:, : periods * 4]).copy().view("<i4").reshape(-1, periods)
    present = plain != NOTHING
    return np.where(present, plain, 0).astype(np.int64), present


def _stream(key: Subkey, nonces: NDArray[np.uint64], starts: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Return the key stream of each row, ``(rows, 16 * width)`` bytes."""
    counters = np.empty((nonces.size, width, 2), ">u8")
    counters[:, :, 0] = nonces[:, None]
    counters[:, :, 1] = starts[:, None] + np.arange(width, dtype=np.uint64)[None, :]
    cipher = Cipher(algorithms.AES256(key.material()), modes.ECB()).encryptor()  # noqa: S305 - counter mode, by hand
    return np.frombuffer(cipher.update(counters.tobytes()), np.uint8).reshape(nonces.size, width * BLOCK)
