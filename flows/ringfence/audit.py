"""The ledger checked against itself: seals, numbers, events, states and reservations, and heads noted elsewhere.

A chain inside a database shows any edit of it; only a head noted outside (in the evidence of a pack) shows that the
whole of it was written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Connection, RowMapping, inspect, select, text

from contracts.errors import EvidenceError
from contracts.ringfence.model import NEXT_STATES, State
from flows.ringfence import hash_chain
from flows.ringfence.database import RESERVED, damage, get, parts, place_of, reading
from flows.ringfence.ledger import Ledger
from flows.ringfence.schema import EVENT, HISTORY, ROW, batch, event, reservation

MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """What a check of a campaign found.

    Attributes:
        batches, events, reservations: how many were checked.
        head: digest of the last batch.
        faults: in words, without an identifier; empty: everything holds.
    """

    campaign: str
    batches: int
    events: int
    reservations: int
    head: str
    faults: tuple[str, ...]


def campaigns(ledger: Ledger) -> list[str]:
    """Return the campaigns of a ledger."""
    with reading(ledger.engine) as connection:
        known = {name for (name,) in connection.execute(select(batch.c.campaign).distinct())}
        known |= {name for (name,) in connection.execute(select(reservation.c.campaign).distinct())}
        known |= {name for (name,) in connection.execute(select(event.c.campaign).distinct())}
    return sorted(known)


def audit(ledger: Ledger, campaign: str, anchors: Sequence[str] = ()) -> Audit:
    """Check everything a ledger says about a campaign.

    Args:
        anchors: heads noted outside the ledger; each must be the digest of one of its batches.
    """
    with reading(ledger.engine) as connection:
        rows = list(
            connection.execute(select(batch).where(batch.c.campaign == campaign).order_by(batch.c.number)).mappings()
        )
        faults = [*damage(connection), *_missing_triggers(connection), *_numbers(connection, campaign, rows)]
        previous, events = hash_chain.genesis(campaign), 0
        heads = {previous}
        for row in rows:
            faults += _sealed(connection, row, previous)
            previous, events = row["sha256"], events + row["events"]
            heads.add(previous)
        held = get(
            connection,
            select(*(reservation.c[n] for n in RESERVED)).where(reservation.c.campaign == campaign),
            RESERVED,
        )
        faults += _states(connection, campaign, held)
    faults += [
        f"the head {anchor[:16]} noted elsewhere is not in the chain" for anchor in anchors if anchor not in heads
    ]
    return Audit(campaign, len(rows), events, held.height, previous, tuple(faults))


def verify_ledger(ledger: Ledger, campaign: str, anchors: Sequence[str] = ()) -> Audit:
    """Check a campaign as ``audit`` does.

    Raises:
        EvidenceError: something does not hold; tells every fault (up to 20).
    """
    found = audit(ledger, campaign, anchors)
    if found.faults:
        more = f"; and {len(found.faults) - MOST_FAULTS} more" if len(found.faults) > MOST_FAULTS else ""
        raise EvidenceError(
            "; ".join(found.faults[:MOST_FAULTS]) + more,
            where=f"{place_of(ledger.engine)}, cut {campaign}",
            remedy="it was changed outside datacut: restore it from a backup",
        )
    return found


def _missing_triggers(connection: Connection) -> list[str]:
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'",
    }[connection.dialect.name]
    found = {name for (name,) in connection.execute(text(query))}
    ends = ("_append_only",) if connection.dialect.name == "postgresql" else ("_no_update", "_no_delete")
    missing = [table.name for table in HISTORY for end in ends if f"{table.name}{end}" not in found]
    if not inspect(connection).get_pk_constraint(reservation.name)["constrained_columns"]:
        missing.append(reservation.name)
    return [f"table {name} has lost its guard" for name in dict.fromkeys(missing)]


def _numbers(connection: Connection, campaign: str, rows: Sequence[RowMapping]) -> list[str]:
    faults = []
    if [row["number"] for row in rows] != list(range(1, len(rows) + 1)):
        faults.append("a batch is missing")
    known = {row["number"] for row in rows}
    query = select(event.c.batch).where(event.c.campaign == campaign).distinct()
    if {number for (number,) in connection.execute(query)} - known:
        faults.append("an event belongs to no batch")
    return faults


def _sealed(connection: Connection, row: RowMapping, previous: str) -> list[str]:
    """Check one batch against its seal and the batch before it."""
    query = (
        select(*(event.c[name] for name in EVENT))
        .where(event.c.campaign == row["campaign"], event.c.batch == row["number"])
        .order_by(event.c.place)
    )
    digest, number = hash_chain.events_digest(parts(connection, query, EVENT))
    said = f"batch {row['number']} ({row['kind']} by {row['actor']} at {row['at']})"
    if row["previous_sha256"] != previous:
        return [f"{said} does not follow the batch before it"]
    if number != row["events"]:
        return [f"{said} has {number} events, not {row['events']}"]
    sealed = hash_chain.seal({name: row[name] for name in hash_chain.HEADER}, previous, digest, row["body"])
    return [] if sealed == row["sha256"] else [f"{said} was changed after it was sealed"]


def _states(connection: Connection, campaign: str, held: pl.DataFrame) -> list[str]:
    """Check that states follow each other as they may, and that the reservations are what the events made them."""
    names = (*EVENT, "batch", "place")
    query = select(*(event.c[name] for name in names)).where(
        event.c.campaign == campaign, event.c.kind != State.PLANNED.value
    )
    events = get(connection, query, names).sort("mpan", "batch", "place")
    free = pl.when(pl.col("pooled") == 1).then(pl.lit("")).otherwise(pl.col("kind"))
    events = events.with_columns(free.shift(1, fill_value="").over("mpan", order_by=["batch", "place"]).alias("was"))
    follows = {f"{one.value} {other.value}" for one, others in NEXT_STATES.items() for other in others}
    follows.add(f" {State.COMMITTED.value}")
    odd = events.filter(~pl.concat_str("was", "kind", separator=" ").is_in(list(follows)))
    faults = [f"batch {number}: a state follows one that it may not" for number in odd["batch"].unique().sort()]
    last = events.group_by("mpan", maintain_order=True).last().filter(pl.col("pooled") == 0)
    made = last.select(*ROW, pl.col("kind").alias("state"), "batch").select(RESERVED)
    unlike = made.join(held, on=list(RESERVED), how="anti").height
    extra = held.join(made, on=list(RESERVED), how="anti").height
    if unlike or extra:
        faults.append(f"{max(unlike, extra)} reservations are not what the history made them")
    return faults
