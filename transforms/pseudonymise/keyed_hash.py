"""HMAC-SHA-256 of whole text columns, by a column function that hashes without a Python loop and without the lock.

No key byte is ever part of an expression: the padded key is joined to the messages as data and what the engine sees
is a column to hash. So none can surface in a query plan, an ``explain()``, a serialised plan or an error.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import polars_hash  # noqa: F401 - registers the ``chash`` namespace
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.pseudonymise.byte_columns import buffers
from transforms.pseudonymise.keys import Subkey

BLOCK = 64
DIGEST = 32
HASHED_AT_ONCE = 16_384  # rows whose joined messages stay in the second-level cache


def hmac_sha256(key: Subkey, messages: pl.Series) -> NDArray[np.uint8]:
    """Return HMAC-SHA-256 of each text, which must not be null, as an ``(n, 32)`` matrix (RFC 2104)."""
    out = np.empty((messages.len(), DIGEST), dtype=np.uint8)
    padded = np.frombuffer(key.material().ljust(BLOCK, b"\0"), np.uint8)
    inner, outer = (padded ^ np.uint8(0x36)).tobytes(), (padded ^ np.uint8(0x5C)).tobytes()
    for at in range(0, messages.len(), HASHED_AT_ONCE):
        part = messages.slice(at, HASHED_AT_ONCE).cast(pl.Binary).to_arrow().cast(pa.large_binary())
        digest = _sha256(inner, part)
        rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST), len(part), [None, pa.py_buffer(digest)])
        out[at : at + len(part)] = _sha256(outer, rows.cast(pa.large_binary()))
    return out


def _sha256(prefix: bytes, messages: pa.Array) -> NDArray[np.uint8]:
    whole = pc.binary_join_element_wise(
        pa.scalar(prefix, pa.large_binary()), messages, pa.scalar(b"", pa.large_binary())
    )
    column = pl.Series("m", whole).to_frame()
    return _from_hex(column.select(pl.col("m").chash.sha2_256()).to_series())  # type: ignore[attr-defined]


def _from_hex(digests: pl.Series) -> NDArray[np.uint8]:
    offsets, data = buffers(digests)
    text = data[offsets[0] : offsets[-1]]
    nibbles = (text & np.uint8(15)) + np.uint8(9) * (text >> np.uint8(6))  # a letter is 0x61-0x66, a digit 0x30-0x39
    pairs = nibbles.view("<u2")  # the first nibble of a pair is the low byte
    return ((pairs << np.uint16(4)) | (pairs >> np.uint16(8))).astype(np.uint8).reshape(-1, DIGEST)
