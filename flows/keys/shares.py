"""A cut key split between custodians, k of n: fewer than k shares say nothing about it (Shamir 1979).

The sharing is PyCryptodome's, over GF(2^128): the key's two halves are shared independently. Its shares carry no
authentication, so a share file has a checksum against slips, a set number against mixing, and the key's fingerprint
against everything else: a key that does not show it is never used.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import KeyMaterialError, PlaceError
from transforms.pseudonymise.keys import CUT_KEY_BYTES, FieldKeys

MAGIC = b"datacut-key-share "
MOST_SHARES = 16
HALF = CUT_KEY_BYTES // 2
_FORM = re.compile(
    rb"(?P<body>datacut-key-share 1\n"
    rb"cut (?P<cut>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\n"
    rb"fingerprint (?P<fingerprint>[0-9a-f]{16})\n"
    rb"set (?P<set>[0-9a-f]{16})\n"
    rb"threshold (?P<threshold>[1-9][0-9]?) of (?P<count>[1-9][0-9]?)\n"
    rb"share (?P<number>[1-9][0-9]?) (?P<part>[0-9a-f]{64})\n)"
    rb"check (?P<check>[0-9a-f]{16})\n"
)


@dataclass(frozen=True, slots=True, repr=False)
class Share:
    """One custodian's part; ``group`` is the same in all shares of one split."""

    cut: str
    fingerprint: str
    group: str
    threshold: int
    count: int
    number: int
    part: bytes

    def to_bytes(self) -> bytes:
        """Return the share file."""
        body = (
            f"datacut-key-share 1\ncut {self.cut}\nfingerprint {self.fingerprint}\nset {self.group}\n"
            f"threshold {self.threshold} of {self.count}\nshare {self.number} {self.part.hex()}\n"
        ).encode("ascii")
        return body + f"check {_check(body)}\n".encode("ascii")


def _check(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def split(key: bytes, cut_id: str, threshold: int, count: int) -> list[Share]:
    """Split a cut key.

    Raises:
        KeyMaterialError: the threshold is below 2 or above the number of shares, or there are too many.
        PlaceError: the library of the ``split`` extra is not installed.
    """
    if not 2 <= threshold <= count <= MOST_SHARES:
        raise KeyMaterialError(f"cannot be split {threshold} of {count}", remedy=f"2 to {MOST_SHARES} shares")
    shamir = _shamir()
    fingerprint, group = FieldKeys(key, cut_id).fingerprint(), secrets.token_hex(8)
    first, second = (dict(shamir.split(threshold, count, half)) for half in (key[:HALF], key[HALF:]))
    return [
        Share(cut_id, fingerprint, group, threshold, count, number, first[number] + second[number])
        for number in range(1, count + 1)
    ]


def parse(data: bytes, *, where: str) -> Share:
    """Read a share file.

    Raises:
        KeyMaterialError: not this format, or changed since it was written.
    """
    form = _FORM.fullmatch(data)
    if form is None or form["check"].decode() != _check(form["body"]):
        raise KeyMaterialError("is not a whole share of a cut key", where=where, remedy="copy it again, byte by byte")
    text = {name: form[name].decode() for name in ("cut", "fingerprint", "set", "threshold", "count", "number")}
    numbers = (int(text["threshold"]), int(text["count"]), int(text["number"]))
    return Share(text["cut"], text["fingerprint"], text["set"], *numbers, bytes.fromhex(form["part"].decode()))


def combine(shares: Sequence[Share], cut_id: str) -> bytes:
    """Return the cut key of enough shares of one split.

    Raises:
        KeyMaterialError: of another cut, of different splits, too few, one twice, or the key does not show the
            fingerprint that the shares state.
        PlaceError: the library of the ``split`` extra is not installed.
    """
    if len({(s.cut, s.fingerprint, s.group, s.threshold, s.count) for s in shares}) != 1:
        raise KeyMaterialError("the shares are of different splits", remedy="take shares with the same set number")
    first = shares[0]
    if first.cut != cut_id:
        raise KeyMaterialError(f"the shares are of another cut, not of {cut_id}")
    numbered = {share.number: share.part for share in shares}
    if len(numbered) != len(shares):
        raise KeyMaterialError("one share stands there twice")
    if len(numbered) < first.threshold:
        raise KeyMaterialError(f"wants {first.threshold} shares, not {len(numbered)}")
    shamir = _shamir()
    halves = [[(number, part[half]) for number, part in numbered.items()] for half in (slice(HALF), slice(HALF, None))]
    key = b"".join(shamir.combine(half) for half in halves)
    if FieldKeys(key, cut_id).fingerprint() != first.fingerprint:
        raise KeyMaterialError("the shares do not give the key whose fingerprint they state: one of them is false")
    return key


def _shamir() -> Any:
    try:
        from Crypto.Protocol.SecretSharing import Shamir
    except ImportError:
        raise PlaceError("splitting needs a further library", remedy="pip install 'datacut[split]'") from None
    return Shamir
