"""Reads what participants must agree on, and how far they may differ (``alignment.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.errors import ContractError
from contracts.load import read_document

PATH = Path(__file__).parent / "alignment.yaml"
REPORT, FAIL = "report", "fail"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much disagreement is borne, and what happens beyond it.

    Attributes:
        share: largest share of metering points, 0 to 1.
        beyond: ``report`` or ``fail``.
    """

    share: float
    beyond: str = REPORT


@dataclass(frozen=True, slots=True)
class Item:
    """One item that two extracts must agree on.

    Attributes:
        column: the other extract's column, or ``participant`` for who sent it.
        tolerance: how far it may differ.
        where_held: compare only where the other extract holds a value at all.
    """

    column: str
    tolerance: Tolerance
    where_held: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """The registration against one other extract; ``items`` by registration column."""

    right: str
    expected: str
    scope: str
    presence: Tolerance
    items: Mapping[str, Item]


@cache
def comparisons(path: Path = PATH) -> tuple[Comparison, ...]:
    """Read the comparisons, in the order of the file.

    Raises:
        ContractError: the file is missing or wrong.
    """
    document, _ = read_document(path)
    try:
        usual = document["policy"]["beyond"]
        return tuple(_comparison(node, usual) for node in document["comparisons"])
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ContractError(
            f"an entry is missing or wrong ({fault})", where=path.name, remedy="run datacut contracts check"
        ) from None


def _comparison(node: Mapping[str, Any], usual: str) -> Comparison:
    items = {
        name: Item(spec["column"], _tolerance(spec, usual), bool(spec.get("where_held", False)))
        for name, spec in node["items"].items()
    }
    return Comparison(
        right=node["right"],
        expected=node["expected"],
        scope=node["scope"],
        presence=_tolerance(node["presence"], usual),
        items=MappingProxyType(items),
    )


def _tolerance(node: Mapping[str, Any], usual: str) -> Tolerance:
    return Tolerance(float(node["tolerance"]), str(node.get("beyond", usual)))
