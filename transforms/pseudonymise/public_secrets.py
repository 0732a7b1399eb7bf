"""The secrets of samples: they follow from the seed, so that everybody has them."""

from __future__ import annotations

import hashlib


def sample_secret(name: str, seed: int) -> bytes:
    """Return the cut key (``cut``) or the seed of the signing key (``signing``) of a sample, 32 bytes."""
    return hashlib.sha256(f"datacut sample {name} key {seed}".encode()).digest()
