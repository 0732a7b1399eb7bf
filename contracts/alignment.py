"""What participants must agree on, and how far they may differ (``alignment.yaml``), as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
class ComparedItem:
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
    """The registration against one other extract.

    Attributes:
        scope: SQL over the registration row: whether the other extract should have the metering point.
        held: SQL over the other extract's row: whether a registration of this cut should have it.
        items: what must agree, by registration column.
        reasons: codes of the rules that say of a row what the comparison says.
    """

    right: str
    expected: str
    scope: str
    presence: Tolerance
    items: Mapping[str, ComparedItem]
    held: str = ""
    reasons: tuple[str, ...] = ()
