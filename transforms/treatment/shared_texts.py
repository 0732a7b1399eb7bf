"""Free texts that enough metering points share stay; any other becomes one word for all.

A text that one or two metering points have singles them out, whatever it says, and may say more than make and model.
The word is the same everywhere: a token of the text would single out as well as the text does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from contracts.errors import ContractError
from contracts.model import Treatment
from transforms.treatment.companions import Points, followed

OTHER = "OTHER"  # stands for every text that too few metering points share
ORDER, VALUE, POINTS, HEADS = "_order", "value", "points", "heads"


@dataclass(frozen=True, slots=True)
class SharedRule:
    """How a column's texts are released.

    Attributes:
        least: metering points that share a text that is released.
        first: characters that it is cut to before, 0 for none.
    """

    least: int
    first: int

    @classmethod
    def of(cls, treatment: Treatment) -> SharedRule:
        """Read the rule of a treatment: ``10 metering points`` or ``first 3, 10 metering points``."""
        cut, _, least = str(treatment.rule).rpartition(", ")
        return cls(int(least.partition(" ")[0]), int(cut.partition(" ")[2] or 0))

    def shortened(self, value: pl.Expr) -> pl.Expr:
        """Return the text as it is counted and released."""
        return value.str.head(self.first) if self.first else value

    def released(self, value: pl.Expr, shared: pl.Series) -> pl.Expr:
        """Return the text that is released; ``shared`` are those that enough metering points share."""
        text = self.shortened(value)
        return pl.when(text.is_null() | text.is_in(shared.implode())).then(text).otherwise(pl.lit(OTHER))


def tally(rows: pl.LazyFrame, column: str, rule: SharedRule, following: tuple[Points, Points]) -> pl.DataFrame:
    """Count the metering points that have each text of a column.

    Columns in: ``_order`` and the column. Columns out: ``value``; ``points`` that have it; ``heads``, those of them
    that follow no other (``treatment.companions``): who shares a meter counts once. Sums of disjoint parts are the
    whole's.
    """
    text = rule.shortened(pl.col(column)).alias(VALUE)
    pairs = rows.select(pl.col(ORDER), text).drop_nulls().unique().collect()
    points = pairs[ORDER].to_numpy()
    alone = pl.Series("alone", followed(points, following) == points)
    return pairs.with_columns(alone).group_by(VALUE).agg(pl.len().alias(POINTS), pl.col("alone").sum().alias(HEADS))


def enough(counted: pl.DataFrame, rule: SharedRule) -> pl.Series:
    """Return the texts that enough metering points share, sorted."""
    return counted.filter(pl.col(HEADS) >= rule.least)[VALUE].sort()


def required(shared: Mapping[str, pl.Series] | None, extract: str, column: str) -> pl.Series:
    """Return the texts of a column that are shared.

    Raises:
        ContractError: nobody counted them.
    """
    found = (shared or {}).get(f"{extract}.{column}")
    if found is None:
        raise ContractError("a text is held against how many share it, and nobody counted", where=f"{extract}.{column}")
    return found
