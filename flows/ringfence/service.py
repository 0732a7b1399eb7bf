"""Plan and commit: what the demands still lack is solved on what the ledger has left, and written down.

What the ledger holds is never solved again. The same request (population, plan, policy, key) is committed once: a run
that was killed and started again finds its own batch and returns what stands in it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import ConfigurationError
from contracts.ringfence import Demand, Role
from flows.ringfence.book import Book, read_book
from flows.ringfence.chain import canonical
from flows.ringfence.ledger import Change, Ledger, Receipt
from flows.ringfence.tables import ROW
from transforms.ringfence.allocate import Allocation, Pool, check_demands, prepare, solve
from transforms.ringfence.digest import population_digest
from transforms.ringfence.frames import demand_columns

ALGORITHM = "ringfence/1"
HELD = ("committed", "issued", "consumed")
"""States in which a metering point serves its test case."""

CASE = ("round", "test_case", "phase", "stage", "participant", "participant_role")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ring-fence of a cut is after planning and committing.

    Attributes:
        allocations: one row for each metering point that serves or accompanies: ``mpan_core``, phase, stage,
            test_case, participant, participant_role, role, unit, round; sorted.
        fulfilment: one row for each demand: wanted, allocated, short, spares_wanted, spares, eligible, ...
        shortages: why units are missing, in words and as data.
        coverage: how representative the choice is.
        ledger_head: digest of the ledger's last batch of this cut.
    """

    allocations: pl.DataFrame
    fulfilment: pl.DataFrame
    shortages: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    ledger_head: str


def plan_and_commit(  # noqa: PLR0917 - as ``flows.stages`` calls it
    population: Path, plan: Path, ledger_url: str, cut_id: str, key: bytes, actor: str, at: str
) -> Outcome:
    """Allocate metering points of a population to a plan's test cases and commit them to the ledger.

    Args:
        population: Parquet, columns as ``transforms.ringfence.population``.
        plan: YAML plan or CSV demand book.
        ledger_url: ``sqlite:///FILE`` or ``postgresql://...``.
        cut_id: the campaign in the ledger.
        key: 32 bytes of the ring-fence key.
        actor: who does it; ``at``: when (UTC, ISO 8601).

    Raises:
        ConfigurationError, IntakeError: plan or population are not what they should be.
        RingFenceError: the allocation did not pass its proof, or the ledger moved on again and again.
        PlaceError: the ledger's database is unfit.
    """
    book = read_book(plan)
    if book.cut not in ("", cut_id):
        raise ConfigurationError(f"is for cut {book.cut}, not for {cut_id}", where=book.name)
    demands = check_demands(book.demands)
    pool = prepare(pl.scan_parquet(population), demands, key, book.policy)
    request = request_digest(pool, book, key)
    with Ledger(ledger_url) as ledger:
        receipt = ledger.find(cut_id, f"run/{request}")
        if receipt is None:
            change = Change(cut_id, f"run/{request}", request, actor, at, f"plan {book.name}")
            receipt = allocate_missing(ledger, change, pool, book, key)
        return outcome(ledger, receipt, demands)


def request_digest(pool: Pool, book: Book, key: bytes) -> str:
    """Return the digest of everything an allocation is computed from, beside the ledger."""
    parts = {
        "algorithm": ALGORITHM,
        "population": population_digest(pool.population),
        "book": book.digest(),
        "key": hmac.digest(key, b"fingerprint", "sha256").hex(),
    }
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def allocate_missing(ledger: Ledger, change: Change, pool: Pool, book: Book, key: bytes) -> Receipt:
    """Solve what the ledger does not hold yet and commit it.

    Raises:
        RingFenceError: the ledger changed while it was solved.
    """
    version = ledger.version(change.campaign)
    held = ledger.reservations(change.campaign)
    wanted = missing(book.demands, held)
    solved = solve(pool, wanted, key, book.policy, taken=held["mpan"])
    body = {
        "algorithm": ALGORITHM,
        "fulfilment": solved.fulfilment.to_dicts(),
        "shortages": solved.shortages,
        "coverage": solved.coverage.to_dicts(),
        "facts": solved.facts,
    }
    return ledger.commit(replace(change, base=version, body=body), reservation_rows(solved, book.demands))


def missing(demands: Sequence[Demand], held: pl.DataFrame) -> list[Demand]:
    """Return the demands reduced by the units that already serve them; those that lack nothing are left out."""
    have = held_units(held)
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


def held_units(held: pl.DataFrame) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Return base and spare units held by each demand's key."""
    serving = held.filter(pl.col("state").is_in(HELD), pl.col("role") != Role.COMPANION.value)
    counts = serving.group_by(CASE).agg(
        pl.col("unit").filter(pl.col("role") == Role.BASE.value).n_unique().alias("base"),
        pl.col("unit").filter(pl.col("role") == Role.SPARE.value).n_unique().alias("spare"),
    )
    return {tuple(row[: len(CASE)]): (row[-2], row[-1]) for row in counts.iter_rows()}


def reservation_rows(solved: Allocation, demands: Sequence[Demand]) -> pl.DataFrame:
    """Return the rows of the ledger for what was solved."""
    reuse = demand_columns(demands).with_columns(
        pl.Series("reuse", [int(demand.reuse and not demand.mutates) for demand in demands], dtype=pl.Int64)
    )
    return solved.rows.join(reuse, on=list(CASE), how="left", maintain_order="left").select(ROW)


def outcome(ledger: Ledger, receipt: Receipt, demands: Sequence[Demand]) -> Outcome:
    """Return what the ledger now holds for the demands, with the reasons found when it was solved."""
    held = ledger.reservations(receipt.campaign)
    serving = held.filter(pl.col("state").is_in(HELD)).rename({"mpan": "mpan_core"})
    columns = ("mpan_core", "phase", "stage", "test_case", "participant", "participant_role", "role", "unit", "round")
    return Outcome(
        serving.select(columns).sort("round", "test_case", "participant", "participant_role", "unit", "mpan_core"),
        fulfilment(demands, held, receipt.body),
        receipt.body["shortages"],
        receipt.body["coverage"],
        ledger.head(receipt.campaign),
    )


def fulfilment(demands: Sequence[Demand], held: pl.DataFrame, body: dict[str, Any]) -> pl.DataFrame:
    """Return one row for each demand: what it wants, what serves it now, and what there was to choose from."""
    have = held_units(held)
    seen = {tuple(row[name] for name in CASE): row["eligible"] for row in body["fulfilment"]}
    rows = []
    for demand in sorted(demands, key=lambda each: each.key):
        base, spare = have.get(demand.key, (0, 0))
        short = max(0, demand.base - base)
        rows.append(
            {
                "priority": demand.priority,
                "kind": demand.kind.value,
                "wanted": demand.base,
                "minimum": demand.minimum,
                "allocated": base,
                "short": short,
                "spares_wanted": demand.spare,
                "spares": spare,
                "eligible": seen.get(demand.key),
                "can_run": base >= (demand.minimum or demand.base),
            }
        )
    ordered = sorted(demands, key=lambda each: each.key)
    return pl.concat([demand_columns(ordered), pl.DataFrame(rows)], how="horizontal")
