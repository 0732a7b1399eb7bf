"""Keys that everybody has: of samples, of public test vectors, and those that somebody makes up in a hurry."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.errors import KeyMaterialError
from contracts.scheme import published_keys
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.public_secrets import sample_secret

SAMPLES = 1000  # seeds from 0
BYTES = 32


def refuse_published(keys: FieldKeys, where: str) -> None:
    """Refuse the key of a cut in earnest if it is one that everybody has; told by its fingerprint.

    Raises:
        KeyMaterialError: it is published, or no more than a pattern.
    """
    fingerprint = keys.fingerprint()
    if any(FieldKeys(key, keys.cut_id).fingerprint() == fingerprint for key in _everybodys()):
        raise KeyMaterialError(
            "is a published key: a sample's, a test vector's or a mere pattern; anybody could undo its pseudonyms",
            where=where,
            remedy="make one with datacut key new; cut.test: true says that a cut holds invented data alone",
        )


def _everybodys() -> Iterator[bytes]:
    yield from published_keys()
    for byte in range(256):
        yield bytes((byte + at) % 256 for at in range(BYTES))
        yield bytes((byte - at) % 256 for at in range(BYTES))
    for text in (b"0123456789abcdef", b"0123456789ABCDEF", b"0123456789"):
        yield (text * BYTES)[:BYTES]
    for seed in range(SAMPLES):
        yield sample_secret("cut", seed)
