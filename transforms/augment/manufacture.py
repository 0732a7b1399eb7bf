"""Keyed values for items that no system holds: the same for a metering point whoever else comes or goes.

A value is a function of the cut key, the item and what it is made from alone: the MPAN, or the meter. AES under the
item's field key turns the MPAN into sixteen bytes that nobody without the key can foretell; as a permutation it gives
no two metering points the same ones. Manufacturing scheme 1; a change here is scheme 2.

Source: Q59 (manufacture only what legacy systems lack), Q63; FIPS 197; RFC 2104.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from contracts.errors import ContractError
from transforms.pseudonymise.byte_columns import Bytes, to_series
from transforms.pseudonymise.keyed_hash import hmac_sha256
from transforms.pseudonymise.keys import FieldKeys

SCHEME = "1"
CHOICE, EUI64, TOKEN36, DIP_ID = "choice", "eui64", "token36", "dip_id"
SCHEMES = {CHOICE: ("weights",), EUI64: ("of",), TOKEN36: (), DIP_ID: ("mpid", "role")}
SYNTHETIC = b"SYN-"  # 4 characters and 32 hex digits: the 36 that a CSS registration id may have (DI-849)
_HEX = np.frombuffer(b"0123456789ABCDEF", np.uint8)


class Manufacturer:
    """Makes values of one cut. Key material stays inside; ``repr`` shows none.

    Args:
        keys: the cut's field keys; item ``x`` uses field ``item/x``.
        prefixes: two digits of each DIP role.
    """

    def __init__(self, keys: FieldKeys, prefixes: Mapping[str, str]) -> None:
        self._keys, self._prefixes = keys, dict(prefixes)

    def __repr__(self) -> str:
        return f"Manufacturer({self._keys.cut_id})"

    def _blocks(self, item: str, points: NDArray[np.uint64]) -> Bytes:
        """Return sixteen keyed bytes for each metering point, given as the integer of ``mpan.order_key``."""
        plain = np.zeros((points.size, 2), dtype=">u8")
        plain[:, 0] = points
        key = algorithms.AES(self._keys.field(f"item/{item}").material())
        # Every block is enciphered once, as a permutation of its own: chaining would tie a row to its neighbours.
        secret = Cipher(key, modes.ECB()).encryptor().update(plain.tobytes())  # noqa: S305
        return np.frombuffer(secret, np.uint8).reshape(-1, 16)

    def choose(self, item: str, points: NDArray[np.uint64], weights: Mapping[str, int]) -> pl.Series:
        """Return one of some texts for each metering point, as often as its weight says."""
        draw = self._blocks(item, points)[:, :8].copy().view(">u8").ravel()
        edges = np.cumsum(list(weights.values())).astype(np.uint64)
        place = np.searchsorted(edges, (draw % edges[-1]).astype(np.uint64), side="right")
        return pl.Series(item, list(weights), dtype=pl.String).gather(pl.Series(place.astype(np.uint32)))

    def token36(self, item: str, points: NDArray[np.uint64]) -> pl.Series:
        """Return ``SYN-`` and 32 hex digits for each metering point: no two alike, and visibly no real id."""
        blocks = self._blocks(item, points)
        text = np.empty((points.size, 36), dtype=np.uint8)
        text[:, :4] = np.frombuffer(SYNTHETIC, np.uint8)
        text[:, 4::2], text[:, 5::2] = _HEX[blocks >> 4], _HEX[blocks & 15]
        return to_series(text, item)

    def eui64(self, item: str, meters: pl.Series) -> pl.Series:
        """Return an EUI-64 for each meter, told apart by a text: locally administered, so never a real device.

        Eight octets as hex pairs joined by hyphens. Of the first octet, bit 0x02 is set (locally administered) and
        bit 0x01 is not (one device). 62 bits are left: among 30 million meters two meet with a chance of 1 in 10,000.
        """
        octets = hmac_sha256(self._keys.field(f"item/{item}"), meters)[:, :8].copy()
        octets[:, 0] = (octets[:, 0] & np.uint8(0xFC)) | np.uint8(0x02)
        text = np.full((meters.len(), 23), ord("-"), dtype=np.uint8)
        text[:, 0::3], text[:, 1::3] = _HEX[octets >> 4], _HEX[octets & 15]
        return to_series(text, item)

    def dip_ids(self, item: str, mpids: pl.Series, roles: pl.Series) -> pl.Series:
        """Return the default DIP id of each pair of MPID and role; null where the role has no prefix.

        Raises:
            ContractError: an MPID is not four letters or digits.
        """
        pairs = pl.DataFrame({"mpid": mpids, "role": roles})
        known = pairs.unique().drop_nulls()
        ids = [dip_id(self._prefixes.get(role), mpid) for mpid, role in known.iter_rows()]
        table = known.with_columns(pl.Series("id", ids, dtype=pl.String))
        return pairs.join(table, on=["mpid", "role"], how="left", maintain_order="left")["id"].alias(item)


def dip_id(prefix: str | None, mpid: str) -> str | None:
    """Return prefix and MPID, read as a number to base 36, as ten digits.

    Raises:
        ContractError: the MPID is not four letters or digits.
    """
    if prefix is None:
        return None
    if len(mpid) != 4 or not (mpid.isascii() and mpid.isalnum()):
        raise ContractError("an MPID is four letters or digits", where="DIP id")
    return f"{prefix}{int(mpid, 36):08d}"


def meter_text(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return one text that tells meters apart: columns joined by line feeds, a missing one empty."""
    parts = [pl.col(name).cast(pl.String).fill_null("") for name in columns]
    return frame.select(pl.concat_str(parts, separator="\n").alias("meter")).to_series()
