"""Finds import/export associations by evidence; a link that is not clear is left out, never guessed.

Source: domain 6.4 (REG1051 to REG1058: principal import, subsidiaries export, one relationship at most, none for
unmetered metering points); candidate evidence: the same meter serial, the same premises, distributor and GSP Group.
"""

from __future__ import annotations

import polars as pl

PREMISES = ("address_line_1", "address_line_5", "postcode")
SLIM = ("mpan_core", "distributor_id", "gsp_group_id", "meter_serial_number", *PREMISES)
LINKS = {"mpan_core": pl.String, "linked_mpan": pl.String, "confidence": pl.String}


def links(exports: pl.LazyFrame, imports: pl.LazyFrame) -> pl.LazyFrame:
    """Match each export metering point to its import one.

    Columns in: both frames as ``SLIM``, metered metering points only, one row per metering point and meter.
    Columns out: ``mpan_core`` (the export), ``linked_mpan`` (its principal import), ``confidence``: ``certain`` where
    serial and premises agree, ``probable`` where only one of them does. An export that more than one import answers
    to at its best grade is left out. One import may have several exports.
    """
    site = ["distributor_id", "gsp_group_id"]
    by_serial = exports.join(imports, on=[*site, "meter_serial_number"], how="inner", suffix="_import")
    same = (
        pl.all_horizontal(pl.col(c).eq_missing(pl.col(f"{c}_import")) for c in PREMISES)
        & pl.col(PREMISES[0]).is_not_null()
    )
    first = by_serial.select("mpan_core", "mpan_core_import", pl.when(same).then(2).otherwise(1).alias("grade"))
    by_premises = exports.join(imports, on=[*site, *PREMISES], how="inner", suffix="_import")
    second = by_premises.select("mpan_core", "mpan_core_import", pl.lit(1).alias("grade"))
    pairs = pl.concat([first, second]).group_by("mpan_core", "mpan_core_import").agg(pl.col("grade").max())
    best = pairs.filter(pl.col("grade") == pl.col("grade").max().over("mpan_core"))
    alone = best.filter(pl.len().over("mpan_core") == 1)
    grade = pl.when(pl.col("grade") == 2).then(pl.lit("certain")).otherwise(pl.lit("probable"))
    return alone.select("mpan_core", pl.col("mpan_core_import").alias("linked_mpan"), grade.alias("confidence")).sort(
        "mpan_core"
    )
