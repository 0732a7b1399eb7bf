"""Fills the MHHS-only items by the decision tables of ``contracts/augmentation``; every value says where it comes from.

Source: Q59 and Q63 (manufacture only what legacy systems lack), domain 6.2 and 6.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from contracts.augmentation import Item


def latest_meter(metering: pl.LazyFrame) -> pl.LazyFrame:
    """Return one meter per metering point: the latest installed, by serial where dates tie.

    Columns in: ``mpan_core``, ``meter_type``, ``meter_install_date``, ``meter_serial_number``, ``esme_id``.
    """
    order = ["mpan_core", "meter_install_date", "meter_serial_number"]
    return (
        metering.select(*order, "meter_type", "esme_id")
        .sort(order, descending=[False, True, False], nulls_last=True)
        .unique("mpan_core", keep="first", maintain_order=True)
        .drop("meter_install_date")
    )


def augment(frame: pl.LazyFrame, items: Sequence[Item]) -> pl.LazyFrame:
    """Add each item, its rule and its source.

    Columns in: the registration's columns and what the tables' conditions read.
    Columns out: ``<item>``, ``<item>_rule`` (null where undecided), ``<item>_source`` (``derived`` or null). Items are
    decided in their order, so that a later one may read an earlier one. Rows are neither added nor dropped.
    """
    for item in items:
        value: pl.Expr = pl.lit(None, pl.String)
        rule: pl.Expr = pl.lit(None, pl.String)
        for row in reversed(item.rows):
            holds = pl.sql_expr(row.when).fill_null(value=False)
            chosen = pl.col(row.value) if row.column else pl.lit(row.value)
            value = pl.when(holds).then(chosen).otherwise(value)
            rule = pl.when(holds).then(pl.lit(row.rule)).otherwise(rule)
        frame = frame.with_columns(value.alias(item.item), rule.alias(f"{item.item}_rule"))
        decided = pl.when(pl.col(f"{item.item}_rule").is_not_null()).then(pl.lit("derived"))
        frame = frame.with_columns(decided.alias(f"{item.item}_source"))
    return frame


def undecided(frame: pl.LazyFrame, items: Sequence[Item]) -> pl.LazyFrame:
    """Return the metering points with an undecided item that excludes: ``mpan_core``."""
    return frame.filter(pl.any_horizontal(pl.col(i.item).is_null() for i in items if i.excludes)).select("mpan_core")
