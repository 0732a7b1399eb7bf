"""How far the released columns single out a metering point once its identifiers are gone.

Prosecutor and marketer risk as ARX reports them: a class is the metering points with equal quasi-identifiers; the
prosecutor's risk of a record is one by the size of its class, the marketer's the share of records that a guess inside
each class would name. The cut is the population, so the journalist's risk is the prosecutor's.

Source: NIST SP 800-188; ARX risk model; ICO guidance on anonymisation (singling out).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from contracts.evidence_results import ClassSize, Risk
from contracts.model import Treatment
from contracts.vocabulary import Method

SIZES = ((1, "1"), (4, "2 to 4"), (10, "5 to 10"), (100, "11 to 100"), (None, "more than 100"))
CONSUMPTION_BANDS = (0, 1_000, 2_000, 3_000, 5_000, 10_000, 50_000, 100_000)  # kWh a year


def _band() -> pl.Expr:
    """Return the lower bound of the band that the annual consumption lies in; null where it is unknown."""
    eac = pl.col("eac").cast(pl.Float64)
    bounds = [pl.when(eac >= bound).then(pl.lit(str(bound))) for bound in reversed(CONSUMPTION_BANDS)]
    return pl.coalesce(*bounds, pl.when(eac.is_not_null()).then(pl.lit("negative")))


# What an intruder may be taken to know beside the registration's own columns.
DERIVED = {
    "outward": pl.col("postcode").str.extract(r"^([A-Z0-9]+)", 1),
    "area": pl.col("postcode").str.extract(r"^([A-Z]+)", 1),
    "consumption_band": _band(),
}
READS = {"outward": "postcode", "area": "postcode", "consumption_band": "eac"}


def classes(points: pl.LazyFrame, quasi_identifiers: Sequence[str]) -> pl.LazyFrame:
    """Count metering points by class.

    Columns in: the columns that the quasi-identifiers name or are derived from; one row per metering point.
    Columns out: the quasi-identifiers and ``size``.
    """
    named = [DERIVED[name].alias(name) if name in DERIVED else pl.col(name) for name in quasi_identifiers]
    return points.select(named).group_by(list(quasi_identifiers)).len("size")


def as_precise(value: pl.Expr, treatment: Treatment) -> pl.Expr:
    """Return what an intruder with the real value could tell of a released one: itself, or how far it may be off.

    Columns in: a date or an amount as it is released.
    """
    rule = str(treatment.rule or "").partition(" ")[0]
    match treatment.method:
        case Method.MOVE:
            return value.cast(pl.Date).cast(pl.Int32).cast(pl.Int64) // (2 * int(rule))
        case Method.VARY:
            share = int(rule) / 100
            return (value.cast(pl.Float64).abs().log1p() / math.log((1 + share) / (1 - share))).floor()
    return value


def keys(points: pl.LazyFrame, quasi_identifiers: Sequence[str], more: Mapping[str, Treatment]) -> pl.Series:
    """Return a 64-bit digest of the class of every metering point, at the precision of the release.

    Args:
        more: dates and amounts that count beside the quasi-identifiers, with their treatment; a band of consumption
            says less than its amount and is left out.
    """
    named = [
        (DERIVED[name] if name in DERIVED else pl.col(name)).alias(name)
        for name in quasi_identifiers
        if name != "consumption_band" and name not in more
    ]
    exact = [as_precise(pl.col(name), treatment).alias(name) for name, treatment in more.items()]
    whole = points.select(*named, *exact)
    return whole.select(pl.struct(pl.all()).hash().alias("key")).collect(engine="streaming")["key"]


def alone(keys_of_all: Sequence[pl.Series]) -> float:
    """Return the share of metering points whose class holds nobody else."""
    whole = np.sort(np.concatenate([part.to_numpy() for part in keys_of_all]))
    if not whole.size:
        return 0.0
    before = np.concatenate([[True], whole[1:] != whole[:-1]])
    return round(float((before & np.concatenate([before[1:], [True]])).mean()), 6)


def merge_classes(parts: Sequence[pl.DataFrame], quasi_identifiers: Sequence[str]) -> pl.DataFrame:
    """Add up the classes of several parts."""
    whole = pl.concat(parts)
    return whole.group_by(list(quasi_identifiers)).agg(pl.col("size").sum())


def figures(sizes: pl.Series, quasi_identifiers: Sequence[str]) -> Risk:
    """Return the figures of the evidence.

    Args:
        sizes: number of metering points of each class.
    """
    points = int(sizes.sum())
    bands, least = [], 1
    for most, words in SIZES:
        inside = sizes.filter(sizes >= least) if most is None else sizes.filter((sizes >= least) & (sizes <= most))
        bands.append(ClassSize(size=words, metering_points=int(inside.sum())))
        least = (most or 0) + 1
    worst = 1 / int(sizes.sort()[0]) if points else 0.0
    mean = sizes.len() / points if points else 0.0
    return Risk(
        quasi_identifiers=tuple(quasi_identifiers),
        metering_points=points,
        classes=sizes.len(),
        class_sizes=tuple(bands),
        prosecutor_max=round(worst, 6),
        prosecutor_mean=round(mean, 6),
        journalist_max=round(worst, 6),
        marketer=round(mean, 6),
    )


def passed(found: Risk, thresholds: Mapping[str, float]) -> list[str]:
    """Name every figure that is above its threshold, with both."""
    figures = {name: getattr(found, name) for name in thresholds}
    return [
        f"{name} is {figures[name]:g}, above {most:g}"
        for name, most in sorted(thresholds.items())
        if figures[name] > most
    ]
