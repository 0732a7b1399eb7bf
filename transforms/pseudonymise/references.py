"""Other numbers that name a person, an account or a device: keyed tokens in the shape of the value."""

from __future__ import annotations

import numpy as np
import polars as pl

from transforms.pseudonymise.byte_columns import Bytes, by_length, scatter, to_series
from transforms.pseudonymise.keyed_hash import DIGEST, hmac_sha256
from transforms.pseudonymise.keys import Subkey

_LABEL = "dtc reference"


def references(key: Subkey, values: pl.Series) -> pl.Series:
    """Return each text with other letters and digits in their places; null for null.

    Digits stay digits and letters letters, of the same case, and other ASCII characters stay; a text with anything
    beyond ASCII is read as ``?`` there. The same text gives the same token within a cut, whatever its item. Two texts
    may share a token, as in any hash of few characters; a text of one letter or digit or more never stays itself.
    """
    clean = values.str.strip_chars().str.replace_all(r"[^\x00-\x7F]", "?")
    parts = []
    for _, rows, matrix in by_length(clean):
        if matrix.shape[1]:
            parts.append((rows, to_series(_tokens(key, matrix))))
        else:
            parts.append((rows, to_series(matrix)))
    return scatter(values.len(), parts, values.name)


def _tokens(key: Subkey, matrix: Bytes) -> Bytes:
    text = to_series(matrix)
    blocks = -(-matrix.shape[1] // DIGEST)
    stream = np.concatenate(
        [
            hmac_sha256(key, text.to_frame("v").select(pl.lit(f"{_LABEL}\n{block}\n") + pl.col("v")).to_series())
            for block in range(blocks)
        ],
        axis=1,
    )[:, : matrix.shape[1]]
    out = matrix.copy()
    places = np.zeros(matrix.shape[0], dtype=np.intp)  # the last letter or digit of each row
    sizes = np.zeros(matrix.shape[0], dtype=np.uint8)
    for base, size in ((48, 10), (65, 26), (97, 26)):
        inside = (matrix - np.uint8(base)) < size
        out = np.where(inside, np.uint8(base) + stream % np.uint8(size), out)
        last = np.where(inside.any(axis=1), matrix.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), -1)
        later = last > np.where(sizes > 0, places, -1)
        places, sizes = np.where(later, last, places), np.where(later, np.uint8(size), sizes)
    same = np.flatnonzero((out == matrix).all(axis=1) & (sizes > 0))
    if same.size:
        at = places[same]
        byte = out[same, at]
        start = np.where(sizes[same] == 10, 48, np.where(byte < 97, 65, 97)).astype(np.uint8)
        out[same, at] = start + (byte - start + np.uint8(1)) % sizes[same]
    return out
