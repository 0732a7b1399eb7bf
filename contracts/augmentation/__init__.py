"""MHHS-only items as ordered decision tables: the list is data, so that an item is added without code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ContractError

HERE = Path(__file__).parent
REASON = "DQ31"  # coherence after augmentation: an undecided item is never guessed


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of a decision table: where ``when`` (SQL) holds, the item is ``value``, or the column it names."""

    rule: str
    when: str
    value: str
    column: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One MHHS-only item.

    Attributes:
        item: its name in the augmented data.
        catalogue: number in the interface catalogue.
        excludes: whether an undecided metering point is excluded.
    """

    item: str
    catalogue: str
    description: str
    basis: tuple[str, ...]
    excludes: bool
    rows: tuple[Decision, ...]


def _item(node: Mapping[str, Any]) -> Item:
    return Item(
        item=node["item"],
        catalogue=node["catalogue"],
        description=node["description"],
        basis=tuple(node["basis"]),
        excludes=node["undecided"] == "exclude",
        rows=tuple(Decision(r["rule"], r["when"], str(r["value"]), bool(r.get("column"))) for r in node["rows"]),
    )


@cache
def items(path: Path = HERE / "items.yaml") -> tuple[Item, ...]:
    """Read the items in their order.

    Raises:
        ContractError: the file is wrong.
    """
    try:
        return tuple(_item(node) for node in yaml.safe_load(path.read_text(encoding="utf-8"))["items"])
    except (KeyError, TypeError, OSError, yaml.YAMLError) as fault:
        raise ContractError(f"cannot be read ({type(fault).__name__})", where=path.name) from None
