"""Results as frames: allocated metering points, and fulfilment by demand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.ringfence.model import Demand, Role
from transforms.ringfence.all_or_nothing import needed
from transforms.ringfence.contested import Contested, Problem
from transforms.ringfence.max_flow import Fill
from transforms.ringfence.population import Population

Ints = NDArray[np.int64]

ALLOCATION_SCHEMA = {
    "round": pl.Int64,
    "test_case": pl.String,
    "phase": pl.String,
    "stage": pl.String,
    "participant": pl.String,
    "participant_role": pl.String,
    "role": pl.String,
    "unit": pl.String,
    "mpan": pl.String,
}
"""``role`` is BASE, SPARE or COMPANION; ``unit`` is the lowest MPAN of the unit that ``mpan`` belongs to."""

SORT = ["round", "test_case", "phase", "stage", "participant", "participant_role", "role", "unit", "mpan"]


def demand_columns(demands: Sequence[Demand]) -> pl.DataFrame:
    """Return the identity of each demand as columns."""
    return pl.DataFrame(
        {
            "round": [demand.round for demand in demands],
            "test_case": [demand.test_case for demand in demands],
            "phase": [demand.phase for demand in demands],
            "stage": [demand.stage for demand in demands],
            "participant": [demand.participant for demand in demands],
            "participant_role": [demand.role for demand in demands],
        },
        schema={name: kind for name, kind in ALLOCATION_SCHEMA.items() if name in SORT[:6]},
    )


def allocation_rows(
    population: Population,
    demands: Sequence[Demand],
    given: tuple[Ints, NDArray[np.bool_], NDArray[np.int32]],
    members: tuple[Ints, Ints, NDArray[np.bool_]],
) -> pl.DataFrame:
    """Return one sorted row for each allocated metering point (``ALLOCATION_SCHEMA``).

    Args:
        population: for the MPANs.
        demands: of the round.
        given: for each unit its demand, whether it is a spare, and its root row.
        members: for each member its place in ``given``, its row, and whether it serves.
    """
    demand, spare, roots = given
    owner, rows, serves = members
    words = np.array([Role.BASE.value, Role.SPARE.value, Role.COMPANION.value])
    role = words[np.where(serves, spare[owner].astype(np.int64), 2)]
    frame = demand_columns(demands)[demand[owner]].with_columns(
        pl.Series("role", role, dtype=pl.String),
        population.names.text(population.ids[roots[owner]]).alias("unit"),
        population.names.text(population.ids[rows]).alias("mpan"),
    )
    return frame.select(list(ALLOCATION_SCHEMA)).sort(SORT)


def fulfilment_rows(problem: Problem, contested: Contested, filled: Fill) -> pl.DataFrame:
    """Return one row for each demand, in the order of their keys.

    Columns out (beside those of ``demand_columns``):
        priority, kind, wanted, minimum, allocated, short, spares_wanted, spares: units
        eligible: free units that satisfied the criteria before this round took any
        can_run: at least the minimum (the whole want where none is stated) was allocated
    """
    least = needed(problem)
    return demand_columns(problem.demands).with_columns(
        pl.Series("priority", [demand.priority for demand in problem.demands], dtype=pl.Int64),
        pl.Series("kind", [demand.kind.value for demand in problem.demands], dtype=pl.String),
        pl.Series("wanted", problem.base),
        pl.Series("minimum", [demand.minimum for demand in problem.demands], dtype=pl.Int64),
        pl.Series("allocated", filled.base),
        pl.Series("short", problem.base - filled.base),
        pl.Series("spares_wanted", problem.spare),
        pl.Series("spares", filled.spare),
        pl.Series("eligible", contested.eligible[problem.asks]),
        pl.Series("can_run", filled.base >= least),
    )
