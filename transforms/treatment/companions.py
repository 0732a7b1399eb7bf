"""Metering points whose dates move together: the export with its import, secondaries with their primary.

They share a meter. Were each moved by itself, the day on which it was installed would be told twice, and differently.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.pseudonymise.mpan import order_key

Points = NDArray[np.uint64]
COLUMNS = ("mpan_core", "association_role", "linked_mpan", "related_role", "related_mpan")
FOLLOWS = (("association_role", "SUBSIDIARY", "linked_mpan"), ("related_role", "SECONDARY", "related_mpan"))


def heads(frame: pl.LazyFrame) -> tuple[Points, Points]:
    """Return the metering points that follow another, sorted, and whom each follows, as order keys.

    Columns in: some of ``COLUMNS``, one row per metering point; nobody follows by a column that is not there.
    """
    names = set(frame.collect_schema().names())
    followed = [
        pl.when(pl.col(role) == word).then(order_key(other)) for role, word, other in FOLLOWS if {role, other} <= names
    ]
    if not followed:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    found = frame.select(order_key().alias("point"), pl.coalesce(followed).alias("head")).drop_nulls()
    pairs = found.unique("point", keep="first").sort("point").collect()
    return pairs["point"].to_numpy(), pairs["head"].to_numpy()


def followed(points: Points, following: tuple[Points, Points]) -> Points:
    """Return whom each point follows; itself where nobody."""
    who, head = following
    if not who.size:
        return points
    at = np.minimum(np.searchsorted(who, points), who.size - 1)
    return np.where(who[at] == points, head[at], points)
