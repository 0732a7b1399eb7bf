"""Which reservations a change is about, what state may follow, and what goes back to the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from contracts.errors import RingFenceError
from contracts.ringfence.model import NEXT_STATES, State
from flows.ringfence.database import get
from flows.ringfence.schema import EVENT, ROW, event, reservation


@dataclass(frozen=True, slots=True)
class Selection:
    """Reservations by what they are for; what is not said does not matter. An MPAN stands for its whole unit."""

    phase: str = ""
    stage: str = ""
    test_case: str = ""
    participant: str = ""
    state: str = ""
    mpans: frozenset[str] | None = None

    def conditions(self) -> list[Any]:
        """Return the conditions on the table of reservations; ``mpans`` is left to ``among``."""
        named = {name: getattr(self, name) for name in ("phase", "stage", "test_case", "participant", "state")}
        return [reservation.c[name] == value for name, value in named.items() if value]

    def among(self, found: pl.DataFrame) -> pl.DataFrame:
        """Return those of the reservations found whose unit holds one of ``mpans``, if any are named."""
        if self.mpans is None:
            return found
        units = found.filter(pl.col("mpan").is_in(list(self.mpans))).select("unit").unique()
        return found.join(units, on="unit", how="semi", maintain_order="left")


def settle(chosen: pl.DataFrame, to: State, *, pool: bool) -> pl.DataFrame:
    """Return the events that take reservations to another state.

    Args:
        chosen: columns ``bulk.RESERVED``.
        pool: a release may give back.

    Raises:
        RingFenceError: nothing is chosen, or the state may not follow.
    """
    if chosen.is_empty():
        raise RingFenceError("no reservation matches", where="ledger", remedy="see datacut ringfence status")
    allowed = [state.value for state, following in NEXT_STATES.items() if to in following]
    wrong = chosen.filter(~pl.col("state").is_in(allowed)).group_by("state").len().sort("state")
    if wrong.height:
        counted = ", ".join(f"{row['len']} {row['state']}" for row in wrong.to_dicts())
        raise RingFenceError(
            f"{to} is not possible for {counted}; it must follow {' or '.join(allowed)}",
            where="ledger",
            remedy="select by state",
        )
    unused = pl.col("state") == State.COMMITTED.value
    back = unused | ((pl.col("reuse") == 1) & pl.col("state").is_in([State.ISSUED.value, State.CONSUMED.value]))
    gives = pool and to is State.RELEASED
    return chosen.with_columns(
        pl.lit(to.value).alias("kind"),
        pl.when(back & pl.lit(gives)).then(1).otherwise(0).cast(pl.Int64).alias("pooled"),
    ).select(*EVENT, "state")


def returned(connection: Connection, campaign: str) -> pl.DataFrame:
    """Return the service of metering points that were given back: columns ``ROW`` and ``was``, the state before."""
    pooled = select(event.c.mpan).where(event.c.campaign == campaign, event.c.pooled == 1)
    names = (*EVENT, "batch", "place")
    query = (
        select(*(event.c[name] for name in names))
        .where(event.c.campaign == campaign, event.c.mpan.in_(pooled), event.c.kind != State.PLANNED.value)
        .order_by(event.c.mpan, event.c.batch, event.c.place)
    )
    found = get(connection, query, names)
    before = found.with_columns(pl.col("kind").shift(1).over("mpan", order_by=["batch", "place"]).alias("was"))
    return before.filter(pl.col("pooled") == 1).select(*ROW, "was")
