"""From the plain instances of ``reference`` to the product's demands and frames."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contracts.ringfence.model import Criterion, Demand, UnitKind
from tests.ringfence.reference import Row, Want

KEY = bytes(range(1, 33))


def demands_of(wants: Sequence[Want]) -> list[Demand]:
    """Return the product's demands."""
    return [
        Demand(
            test_case=want.name,
            base=want.base,
            spare=want.spare,
            priority=want.priority,
            round=want.round,
            kind=UnitKind(want.kind),
            criteria=criteria(want.criteria),
            export_criteria=criteria(want.export_criteria),
        )
        for want in wants
    ]


def criteria(wanted: dict[str, list[str]]) -> tuple[Criterion, ...]:
    """Return equality criteria."""
    return tuple(Criterion(name, tuple(values)) for name, values in sorted(wanted.items()))


def frame_of(rows: Sequence[Row]) -> pl.DataFrame:
    """Return a population frame; absent links as typed nulls."""
    text = {"linked_mpan": pl.String, "related_mpan": pl.String}
    return pl.DataFrame(rows, schema_overrides=text)
