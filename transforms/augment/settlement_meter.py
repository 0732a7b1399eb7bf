"""Of the meters of a metering point, the one that settlement goes by, and the market segments that all speak for."""

from __future__ import annotations

import polars as pl

from contracts.augmentation.model import Tables

SEGMENTS = "meter_segments"


def settlement_meter(metering: pl.LazyFrame, tables: Tables, *, key: str = "mpan_core") -> pl.LazyFrame:
    """Return one meter per metering point.

    It is the one installed last that is no check, lag or lead meter (``meters`` of ``items.yaml``), by serial where
    dates tie; of such meters alone, the last of them.

    Columns in: ``key``, ``meter_type``, ``meter_install_date``, ``meter_serial_number``, and others, which pass.
    Columns out: the same, and ``meter_segments``: how many market segments the metering point's meters speak for.
    """
    segment = pl.col("meter_type").replace_strict(dict(tables.segments), default=None, return_dtype=pl.String)
    minor = pl.col("meter_type").is_in(tables.minor_meters).fill_null(value=True)
    frame = metering.with_columns(
        segment.alias("_segment"), minor.alias("_minor"), pl.col(key).is_duplicated().alias("_several")
    )
    alone = frame.filter(~pl.col("_several")).with_columns(
        pl.col("_segment").is_not_null().cast(pl.Int64).alias(SEGMENTS)
    )
    spoken = pl.col("_segment").filter(~pl.col("_minor")).drop_nulls().n_unique().over(key)
    order = [key, "_minor", "meter_install_date", "meter_serial_number"]
    several = (
        frame.filter("_several")
        .with_columns(spoken.cast(pl.Int64).alias(SEGMENTS))
        .sort(order, descending=[False, False, True, False], nulls_last=True)
        .unique(key, keep="first", maintain_order=True)
    )
    return pl.concat([alone, several]).drop("_segment", "_minor", "_several")
