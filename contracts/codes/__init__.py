"""Closed code lists: one CSV a list, first column the code, second its meaning. No personal data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.errors import ContractError

HERE = Path(__file__).parent


def is_list(name: object) -> bool:
    """Tell whether there is a code list of that name."""
    return isinstance(name, str) and name.isidentifier() and (HERE / f"{name}.csv").is_file()


@cache
def code_table(name: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the header and the rows of ``name.csv``.

    Raises:
        ContractError: there is no such list, or a row is ragged.
    """
    path = HERE / f"{name}.csv"
    if not path.is_file():
        raise ContractError(f"there is no code list {name!r}", where="contracts/codes")
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    if any(len(row) != len(header) for row in rows):
        raise ContractError("a row does not fit the header", where=path.name)
    return tuple(header), tuple(tuple(row) for row in rows)


@cache
def codes(name: str) -> Mapping[str, str]:
    """Return a code list as a mapping of code to meaning."""
    _, rows = code_table(name)
    return MappingProxyType({row[0]: row[1] for row in rows})
