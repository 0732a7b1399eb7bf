"""What demands already have, what they still lack, and how far they are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from contracts.ringfence.model import SERVING, Demand, Role, State
from transforms.ringfence.population import Population
from transforms.ringfence.result_frames import demand_columns
from transforms.ringfence.units import NON_CONFORMING, PARTNER_ABSENT, Units

CASE = ("round", "test_case", "phase", "stage", "participant", "participant_role")
"""Columns that name a demand, in the order of ``Demand.key``."""

Have = Mapping[tuple[Any, ...], tuple[int, int]]


def serving(reservations: pl.DataFrame, given_back: pl.DataFrame) -> pl.DataFrame:
    """Return the metering points that serve, or have served, their test case.

    Args:
        reservations: the ledger's, with ``state``.
        given_back: services that ended in the pool, with ``was``; those whose test was done count on.
    """
    names = ["mpan", "unit", *CASE, "role"]
    live = reservations.filter(pl.col("state").is_in([state.value for state in SERVING])).select(names)
    done = given_back.filter(pl.col("was") == State.CONSUMED.value).select(names)
    return pl.concat([live, done])


def lost(population: Population, units: Units, mpans: pl.Series) -> pl.Series:
    """Tell which metering points are not in the population any more, or not usable any more."""
    ids = population.names.ids(mpans.cast(pl.String))
    at = np.minimum(np.searchsorted(population.ids, ids), max(len(population.ids) - 1, 0))
    if not len(population.ids):
        return pl.Series("lost", [True] * len(mpans), dtype=pl.Boolean)
    gone = population.ids[at] != ids
    unfit = np.isin(units.status[units.root[at]], (NON_CONFORMING, PARTNER_ABSENT))
    return pl.Series("lost", gone | unfit)


def units_had(held: pl.DataFrame) -> Have:
    """Return base and spare units that each demand's key has in ``held`` (as ``serving`` returns it)."""
    counts = held.group_by(CASE).agg(
        pl.col("unit").filter(pl.col("role") == Role.BASE.value).n_unique().alias("base"),
        pl.col("unit").filter(pl.col("role") == Role.SPARE.value).n_unique().alias("spare"),
    )
    keys = zip(*(counts[name].to_list() for name in CASE), strict=True)
    return dict(zip(keys, zip(counts["base"].to_list(), counts["spare"].to_list(), strict=True), strict=True))


def missing(demands: Sequence[Demand], have: Have) -> list[Demand]:
    """Return the demands reduced by what they have; those that lack nothing are left out."""
    rest = []
    for demand in demands:
        base, spare = have.get(demand.key, (0, 0))
        lacks = replace(
            demand,
            base=max(0, demand.base - base),
            spare=max(0, demand.spare - spare),
            minimum=max(0, demand.minimum - base),
        )
        if lacks.base or lacks.spare:
            rest.append(lacks)
    return rest


def fulfilment(demands: Sequence[Demand], have: Have, eligible: Mapping[tuple[Any, ...], int | None]) -> pl.DataFrame:
    """Return one row for each demand, in the order of their keys: ``CASE`` and

    priority, kind, wanted, minimum, allocated, short, spares_wanted, spares, eligible (free units that satisfied it
    when it was last solved; null if it never was), can_run.
    """
    ordered = sorted(demands, key=lambda demand: demand.key)
    got = [have.get(demand.key, (0, 0)) for demand in ordered]
    rows = [
        {
            "priority": demand.priority,
            "kind": demand.kind.value,
            "wanted": demand.base,
            "minimum": demand.minimum,
            "allocated": base,
            "short": max(0, demand.base - base),
            "spares_wanted": demand.spare,
            "spares": spare,
            "eligible": eligible.get(demand.key),
            "can_run": base >= (demand.minimum or demand.base),
        }
        for demand, (base, spare) in zip(ordered, got, strict=True)
    ]
    schema: dict[str, type[pl.DataType]] = dict.fromkeys(rows[0] if rows else (), pl.Int64)
    if rows:
        schema["kind"], schema["can_run"] = pl.String, pl.Boolean
    return pl.concat([demand_columns(ordered), pl.DataFrame(rows, schema=schema)], how="horizontal")
