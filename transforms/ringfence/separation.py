"""Are sets apart and units whole? Counted from allocations and population alone, without anything that made them.

Source: Q63 and domain 10 (a metering point serves one test case; premises, meters and linked metering points stay
together; CIT and SIT share nothing).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

LINKS = ("linked_mpan", "related_mpan")
SHARED = {"premises": "premises", "meters": "meter_serial_number"}
NEVER = ("repeated", "in_two_phases")  # whatever was allocated before, and to whomever


def separation(allocations: pl.DataFrame, population: pl.LazyFrame) -> dict[str, int]:
    """Count what must hold of allocated metering points.

    Columns in: ``allocations``: ``mpan``, ``phase``, ``test_case``, ``round``; ``population``: ``mpan``,
    ``linked_mpan``, ``related_mpan``, ``premises``, ``meter_serial_number``, where they are known.

    Returns:
        ``metering_points``; ``repeated`` (in more than one place); ``in_two_phases``; ``links`` between metering points
        of the population of which one is allocated at least, and ``links_split`` (the other is elsewhere or nowhere);
        ``premises`` and ``meters`` of allocated metering points, and how many of them are ``_split`` between places or
        only in part allocated.
    """
    place = pl.concat_str([pl.col(name).cast(pl.String) for name in ("round", "phase", "test_case")], separator="|")
    at = allocations.select("mpan", "phase", place.alias("place")).unique()
    found = {
        "metering_points": at["mpan"].n_unique(),
        "repeated": at.height - at["mpan"].n_unique(),
        "in_two_phases": at.group_by("mpan").agg(pl.col("phase").n_unique() > 1)["phase"].sum(),
    }
    names = population.collect_schema().names()
    where = at.unique("mpan", keep="first", maintain_order=True).lazy().select("mpan", "place")
    found |= _links(where, population, [name for name in LINKS if name in names])
    for what, column in SHARED.items():
        if column in names:
            found |= _shared(where, population, what, column)
    return {name: int(count) for name, count in found.items()}


def _links(where: pl.LazyFrame, population: pl.LazyFrame, columns: list[str]) -> dict[str, int]:
    """Count pairs of metering points that belong together, in any direction."""
    if not columns:
        return {"links": 0, "links_split": 0}
    pairs = pl.concat(
        [population.select("mpan", pl.col(name).cast(pl.String).alias("other")).drop_nulls() for name in columns]
    )
    pairs = pairs.filter(pl.col("other") != "").join(population.select(other="mpan"), on="other", how="semi")
    both = pairs.join(where, on="mpan", how="left").join(
        where.rename({"mpan": "other", "place": "others_place"}), on="other", how="left"
    )
    held = both.filter(pl.col("place").is_not_null() | pl.col("others_place").is_not_null())
    split = pl.col("place").ne_missing(pl.col("others_place"))
    row = held.select(links=pl.len(), links_split=split.sum()).collect().row(0, named=True)
    return dict(row)


def _shared(where: pl.LazyFrame, population: pl.LazyFrame, what: str, column: str) -> dict[str, int]:
    """Count values that allocated metering points have, and those whose metering points are not all in one place."""
    known = population.select("mpan", column).filter(pl.col(column).cast(pl.String) != "")
    mine = known.join(where, on="mpan", how="semi").select(column).unique()
    each = known.join(mine, on=column, how="semi").join(where, on="mpan", how="left")
    places = each.group_by(column).agg(split=(pl.col("place").n_unique() > 1))
    row = places.select(pl.len().alias(what), pl.col("split").sum().alias(f"{what}_split")).collect().row(0, named=True)
    return dict(row)


def faults(found: Mapping[str, int]) -> list[str]:
    """Name what must never be and is, with how often; splits are counted: a partner may have come with a later cut."""
    return [f"{found[name]} metering points {name.replace('_', ' ')}" for name in NEVER if found.get(name)]
