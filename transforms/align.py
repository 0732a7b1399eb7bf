"""How far participants' backups agree about the same metering points: counts per pair and item, on pseudonyms alone.

Source: Q74 (all cut on one day to align), Q78 (who misses the day may be misaligned), Q83 (items to be aligned).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

COUNTS = {
    "left": pl.String,
    "right": pl.String,
    "extract_right": pl.String,
    "item": pl.String,
    "compared": pl.UInt64,
    "disagree": pl.UInt64,
    "missing_left": pl.UInt64,
    "missing_right": pl.UInt64,
}
PRESENCE = "presence"


def compare(
    registration: pl.LazyFrame,
    other: pl.LazyFrame,
    *,
    extract: str,
    items: Mapping[str, str],
    expected: str,
    scope: str,
    participants: tuple[str, ...],
) -> pl.LazyFrame:
    """Compare one extract of all participants with the registration, within a partition.

    Columns in: both frames have ``mpan_core`` and ``participant`` (who sent the row), and the columns of ``items``.
    Columns out: as ``COUNTS``; ``item`` is ``presence`` for metering points that one side lacks. ``missing_right``
    counts only metering points whose expected holder takes part in the cut.
    """
    left = registration.rename({"participant": "left"})
    pairs = list(items.items())
    right = (
        other.with_columns(pl.col("participant").alias("right"))
        .select("mpan_core", "right", *(pl.col(theirs).alias(f"_{mine}") for mine, theirs in pairs))
        .unique()
    )
    met = left.join(right, on="mpan_core", how="inner")
    agreements = [
        met.group_by("left", "right")
        .agg(
            pl.len().cast(pl.UInt64).alias("compared"),
            pl.col(mine).ne_missing(pl.col(f"_{mine}")).sum().cast(pl.UInt64).alias("disagree"),
        )
        .with_columns(pl.lit(mine).alias("item"))
        for mine, _ in pairs
    ]
    blank = {"missing_left": pl.lit(0, pl.UInt64), "missing_right": pl.lit(0, pl.UInt64)}
    parts = [_shaped(frame, extract, blank) for frame in agreements]
    return pl.concat([*parts, _presence(left, right, extract, expected, scope, participants)])


def _presence(
    left: pl.LazyFrame, right: pl.LazyFrame, extract: str, expected: str, scope: str, participants: tuple[str, ...]
) -> pl.LazyFrame:
    holder = pl.col(expected) if expected else pl.lit(participants[0] if len(participants) == 1 else "any")
    lacking = (
        left.filter(pl.sql_expr(scope))
        .join(right.select("mpan_core").unique(), on="mpan_core", how="anti")
        .with_columns(holder.alias("right"))
        .filter(pl.col("right").is_in([*participants, "any"]))
        .group_by("left", "right")
        .agg(pl.len().cast(pl.UInt64).alias("missing_right"))
    )
    unregistered = (
        right.join(left.select("mpan_core").unique(), on="mpan_core", how="anti")
        .filter(pl.col("mpan_core").is_not_null())
        .group_by("right")
        .agg(pl.col("mpan_core").n_unique().cast(pl.UInt64).alias("missing_left"))
        .with_columns(pl.lit("none").alias("left"))
    )
    zero = pl.lit(0, pl.UInt64)
    item = pl.lit(PRESENCE).alias("item")
    none = {"compared": zero, "disagree": zero}
    return pl.concat(
        [
            _shaped(lacking.with_columns(item), extract, {**none, "missing_left": zero}),
            _shaped(unregistered.with_columns(item), extract, {**none, "missing_right": zero}),
        ]
    )


def _shaped(frame: pl.LazyFrame, extract: str, extra: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    filled = frame.with_columns(pl.lit(extract).alias("extract_right"), **extra)
    return filled.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items())


def total(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Add up the counts of all partitions, in a fixed order of rows."""
    keys = ["left", "right", "extract_right", "item"]
    whole = pl.concat(parts) if parts else pl.DataFrame(schema=COUNTS)
    return whole.group_by(keys).agg(pl.col(c).sum() for c in COUNTS if c not in keys).sort(keys).select(*COUNTS)
