"""Frozen lists of pseudonym scheme 1: streets, street types, post towns. A change of a byte here is scheme 2.

The street names were made once with Faker's British provider; Faker's output changes between releases, a pseudonym
may not, so the list is pinned by its SHA-256 and read as bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
from functools import cache
from pathlib import Path

from contracts.codes import code_table
from contracts.errors import ContractError
from contracts.scheme.model import HIGHEST_NUMBER, INWARD_LETTERS, SchemeLists
from contracts.yaml_loader import read_yaml

__all__ = ["HIGHEST_NUMBER", "INWARD_LETTERS", "SchemeLists", "published_keys", "scheme_lists"]

HERE = Path(__file__).parent
PINS = {
    "streets.txt": "da7da1003e4c4f8f0f9536c1df059093e4ff12858ba81bff903c6a3f53bea23f",
    "street_types.csv": "b9a0c09273ee6f77947d09f6098fdac2c092777b0effb0ee549d4695af2fe50a",
    "post_towns.csv": "64b6079f2d558c6c01dafc65bc652a676816faca53491fb683cda3f95f3b7519",
}


@cache
def scheme_lists() -> SchemeLists:
    """Read the frozen lists.

    Raises:
        ContractError: a file does not have its pinned digest.
    """
    text = {}
    for name, pin in PINS.items():
        raw = (HERE / name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != pin:
            raise ContractError(
                "a frozen list of pseudonym scheme 1 was changed", where=name, remedy="install the package again"
            )
        text[name] = raw.decode("ascii")
    pairs = {name: list(csv.reader(io.StringIO(text[name])))[1:] for name in ("street_types.csv", "post_towns.csv")}
    return SchemeLists(
        streets=tuple(text["streets.txt"].split("\n")[:-1]),
        street_types={row[0]: row[1] for row in pairs["street_types.csv"]},
        post_towns={row[0]: row[1] for row in pairs["post_towns.csv"]},
        daily_shapes=tuple((int(row[1]), int(row[2])) for row in code_table("half_hourly_shapes")[1]),
    )


@cache
def published_keys() -> tuple[bytes, ...]:
    """Return keys of 32 bytes that stand in public test vectors."""
    listed = read_yaml((HERE / "published_keys.yaml").read_bytes()).value
    return tuple(bytes.fromhex(key) for keys in listed.values() for key in keys)
