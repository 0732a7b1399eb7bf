"""A cut key split between custodians, k of n: fewer than k shares say nothing about it (SLIP-39, Shamir 1979).

The 33 words of a share are what any SLIP-39 tool takes, without a passphrase; together they give the 32 bytes of the
key. The lines above them say for a person and for ``datacut`` which share of which key it is. A checksum guards the
whole file against slips, and a joined key that does not show the fingerprint is never used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic import Share as Words

from contracts.errors import KeyMaterialError
from transforms.pseudonymise.keys import FieldKeys

MAGIC = b"# datacut key share "
MOST_SHARES = 16  # SLIP-39 counts no further
MOST_STRETCHING = 4  # exponent of PBKDF2's rounds; ours have 1, and at 15 a foreign share would take hours
_FORM = re.compile(
    rb"(?P<body># datacut key share (?P<number>[1-9][0-9]?) of (?P<count>[1-9][0-9]?): any (?P<threshold>[1-9][0-9]?)"
    rb" give the key back \(SLIP-39\)\n"
    rb"# cut (?P<cut>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\n"
    rb"# fingerprint (?P<fingerprint>[0-9a-f]{32})\n"
    rb"(?P<words>[a-z]+(?: [a-z]+){32})\n)"
    rb"# check (?P<check>[0-9a-f]{16})\n"
)


@dataclass(frozen=True, slots=True, repr=False)
class Share:
    """One custodian's part."""

    cut: str
    fingerprint: str
    threshold: int
    count: int
    number: int
    words: str

    def to_bytes(self) -> bytes:
        """Return the share file."""
        body = (
            f"# datacut key share {self.number} of {self.count}: any {self.threshold} give the key back (SLIP-39)\n"
            f"# cut {self.cut}\n# fingerprint {self.fingerprint}\n{self.words}\n"
        ).encode("ascii")
        return body + f"# check {_check(body)}\n".encode("ascii")


def _check(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def split(key: bytes, cut_id: str, threshold: int, count: int) -> list[Share]:
    """Split a cut key.

    Raises:
        KeyMaterialError: the threshold is below 2 or above the number of shares, or there are too many.
    """
    if not 2 <= threshold <= count <= MOST_SHARES:
        raise KeyMaterialError(f"cannot be split {threshold} of {count}", remedy=f"2 to {MOST_SHARES} shares")
    fingerprint = FieldKeys(key, cut_id).fingerprint()
    (group,) = generate_mnemonics(1, [(threshold, count)], key)
    return [Share(cut_id, fingerprint, threshold, count, at + 1, words) for at, words in enumerate(group)]


def parse(data: bytes, *, where: str) -> Share:
    """Read a share file.

    Raises:
        KeyMaterialError: not this format, or changed since it was written.
    """
    form = _FORM.fullmatch(data)
    if form is None or form["check"].decode() != _check(form["body"]):
        raise KeyMaterialError("is not a whole share of a cut key", where=where, remedy="copy it again, byte by byte")
    text = {name: found.decode() for name, found in form.groupdict().items()}
    numbers = (int(text["threshold"]), int(text["count"]), int(text["number"]))
    return Share(text["cut"], text["fingerprint"], *numbers, text["words"])


def combine(shares: Sequence[Share], cut_id: str) -> bytes:
    """Return the cut key of enough shares of one split.

    Raises:
        KeyMaterialError: of another cut, of different splits, too few, one twice, or the key does not show the
            fingerprint that the shares state.
    """
    if any(share.cut != cut_id for share in shares):
        raise KeyMaterialError(f"the shares are of another cut, not of {cut_id}")
    try:
        parts = [Words.from_mnemonic(share.words) for share in shares]
    except MnemonicError:
        raise KeyMaterialError("the words of a share are not SLIP-39's", remedy="copy it again, byte by byte") from None
    if any((part.group_count, part.group_threshold) != (1, 1) for part in parts):
        raise KeyMaterialError("the words are a share of a split in groups", remedy="datacut makes none")
    if any(part.iteration_exponent > MOST_STRETCHING for part in parts):
        raise KeyMaterialError("the words ask for more key stretching than allowed")
    if len({(share.fingerprint, part.group_parameters()) for share, part in zip(shares, parts, strict=True)}) != 1:
        raise KeyMaterialError("the shares are of different splits", remedy="take shares that were made together")
    if len({part.index for part in parts}) != len(parts):
        raise KeyMaterialError("one share is given twice")
    threshold = parts[0].member_threshold
    if len(parts) < threshold:
        raise KeyMaterialError(f"needs {threshold} shares, not {len(parts)}")
    try:
        key: bytes = combine_mnemonics([share.words for share in shares[:threshold]])
        found = FieldKeys(key, cut_id).fingerprint()
    except MnemonicError:
        found = ""
    if found != shares[0].fingerprint:
        raise KeyMaterialError("the shares do not give the key whose fingerprint they state: one of them is wrong")
    return key
