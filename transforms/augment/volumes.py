"""Annual volumes of a metering point over all regimes: of each regime the annualised advance before the estimate."""

from __future__ import annotations

import polars as pl


def volumes(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Sum annual consumption by metering point.

    Columns in: ``key``, ``time_pattern_regime_id``, ``eac``, ``aa``, kWh.
    Columns out: ``key``; ``eac``, of each regime the advance, else the estimate, null where none is held; ``aa``, that
    sum where every regime has an advance.
    """
    regimes = rows.group_by(key, "time_pattern_regime_id").agg(
        pl.when(pl.col(c).count() > 0).then(pl.col(c).sum()).alias(c) for c in ("eac", "aa")
    )
    best = pl.coalesce("aa", "eac")
    whole = pl.when(best.count() > 0).then(best.sum())
    actual = pl.when(pl.col("aa").is_not_null().all()).then(whole)
    return regimes.group_by(key).agg(whole.alias("eac"), actual.alias("aa"))
