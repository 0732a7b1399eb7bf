"""What market domain data says of a meter timeswitch code: kind of meter, payment, communications, half-hourly or not.

Common codes have their attributes in the national table, a distributor's own in that of its area (domain 7.5).
"""

from __future__ import annotations

import polars as pl

AREA, CODE = "distributor_id", "meter_timeswitch_code"
ATTRIBUTES = ("mtc_meter_type", "mtc_payment", "mtc_communicates", "mtc_half_hourly")
_YES = {"Y": "Y", "T": "Y", "N": "N", "F": "N"}  # both spellings are published
_COLUMNS = ("meter_type_code", "payment_type_code", "communicates", "half_hourly")


def timeswitch_attributes(
    points: pl.DataFrame, common: pl.DataFrame | None, local: pl.DataFrame | None, payments: pl.DataFrame | None
) -> pl.DataFrame:
    """Add the attributes of each metering point's timeswitch code; null where market domain data is silent.

    Columns in: ``distributor_id``, ``meter_timeswitch_code``, and others, which pass.
    Columns out: the same and ``mtc_meter_type`` (UM, PH: unmetered; C5: code of practice 5 or better), ``mtc_payment``
    (CREDIT, KEY, TOKEN, SMARTCARD, OTHER), ``mtc_communicates`` (Y, N), ``mtc_half_hourly`` (H, N).

    Args:
        common: columns ``meter_timeswitch_code`` and the attributes as published.
        local: the same by ``distributor_id``; it wins over the common table.
        payments: ``payment_type_code`` and ``payment``, what a code means; without it payment is not known.
    """
    own = _joined(points.select(AREA, CODE), local, [AREA, CODE])
    general = _joined(points.select(CODE), common, [CODE])
    found = pl.DataFrame([own[c].fill_null(general[c]) for c in _COLUMNS])
    if payments is None:
        payments = pl.DataFrame(schema={"payment_type_code": pl.String, "payment": pl.String})
    means = payments.unique("payment_type_code", keep="first", maintain_order=True)
    found = found.join(means, on="payment_type_code", how="left", maintain_order="left")
    yes = pl.col("communicates").replace_strict(_YES, default=None, return_dtype=pl.String)
    kind = pl.when(pl.col("half_hourly").is_in(["H", "N"])).then(pl.col("half_hourly"))
    picked = found.select(pl.col("meter_type_code"), "payment", yes, kind)
    return points.hstack(picked.rename(dict(zip(picked.columns, ATTRIBUTES, strict=True))))


def _joined(points: pl.DataFrame, table: pl.DataFrame | None, keys: list[str]) -> pl.DataFrame:
    """Return the attributes by key, in the order of the points; all null without a table."""
    if table is None:
        return points.with_columns(pl.lit(None, pl.String).alias(c) for c in _COLUMNS).select(_COLUMNS)
    each = table.select(*keys, *_COLUMNS).unique(keys, keep="first", maintain_order=True)
    return points.join(each, on=keys, how="left", maintain_order="left").select(_COLUMNS)
