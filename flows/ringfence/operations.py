"""What the commands do: a cut's ring-fence looked at and changed, each change with who, when and why."""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, RingFenceError
from contracts.evidence_results import Shortage
from contracts.json_types import JsonObject
from contracts.ringfence.model import State
from contracts.ringfence.plan import HUB
from flows.cut.config import Job, load_cut
from flows.cut.context import cut_keys
from flows.keys.cut_key import RING_FENCE_FIELD
from flows.ringfence.allocation import (
    AllocationOutcome,
    AllocationRequest,
    Solution,
    commit_plan,
    make_request,
    outcome,
    propose,
    top_up,
)
from flows.ringfence.hash_chain import canonical
from flows.ringfence.ledger import COMMIT, PLAN, Change, Receipt
from flows.ringfence.plan import left_out_of
from flows.ringfence.pool import pool_file
from flows.ringfence.system_of_record import note_head, open_ledger
from flows.ringfence.transitions import Selection


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and why."""

    name: str
    reason: str

    @classmethod
    def named(cls, name: str | None, reason: str) -> Actor:
        """Return a person: by name, or the user of this machine."""
        return cls(name or getpass.getuser(), reason)

    def change(self, cut: str, key: str, request: str) -> Change:
        """Return a change made now."""
        return Change(cut, key, request, self.name, datetime.now(UTC).isoformat(timespec="seconds"), self.reason)


@dataclass(frozen=True, slots=True)
class FenceStatus:
    """Counts by state and by test case, the changes, and the head of the ledger's chain."""

    cut: str
    head: str
    states: pl.DataFrame
    test_cases: pl.DataFrame
    changes: pl.DataFrame

    def document(self) -> JsonObject:
        """Return it as JSON."""
        frames = {"states": self.states, "test_cases": self.test_cases, "changes": self.changes}
        return {"cut": self.cut, "head": self.head, **{name: [*frame.to_dicts()] for name, frame in frames.items()}}


class RingFence:
    """The ring-fence of one cut.

    Args:
        cut: ``cut.yaml``.

    Raises:
        ConfigurationError: the cut has no ring-fence. PlaceError, EvidenceError: its ledger is unfit.
    """

    def __init__(self, cut: Path) -> None:
        self.job: Job = load_cut(cut)
        if self.job.model.ring_fence is None:
            raise ConfigurationError("has no ring_fence section", where=str(cut))
        self.cut = self.job.model.cut.id
        self.ledger = open_ledger(self.job)

    # -- planning ---------------------------------------------------------------------------------------------

    def request(self) -> AllocationRequest:
        """Return the cut's plan on the population of its last run.

        Raises:
            RingFenceError: the cut was not run yet.
        """
        pool, cut, plan = pool_file(self.job), self.job.model.cut, self.job.model.ring_fence
        if not pool.is_file():
            raise RingFenceError("the cut has no population yet", where=str(pool), remedy="run it with datacut run")
        key = cut_keys(self.job).field(RING_FENCE_FIELD).material()
        assert plan is not None  # noqa: S101 - refused when the ring-fence was opened
        return make_request(pool, self.job.path(plan.plan), cut.id, key, left_out_of(self.job))

    def plan(self, actor: Actor) -> AllocationOutcome:
        """Solve what is missing and write it down as a plan, which holds nothing."""
        request = self.request()
        key = f"plan/{request.digest}/{self.ledger.version(self.cut)}"
        planned = self._noted(propose(self.ledger, actor.change(self.cut, key, request.digest), request))
        return outcome(self.ledger, planned, request)

    def commit(self, actor: Actor, number: int | None) -> Receipt:
        """Commit the last plan, or the one with a number, as it stands."""
        return self._noted(commit_plan(self.ledger, actor.change(self.cut, "commit", "commit"), number))

    def _noted(self, receipt: Receipt) -> Receipt:
        """Note a change beside the packs."""
        note_head(self.job, self.ledger)
        return receipt

    def top_up(self, actor: Actor) -> AllocationOutcome:
        """Solve what is missing, for old and new test cases, and commit it; what stands is not touched."""
        request = self.request()
        key = f"top-up/{request.digest}/{self.ledger.version(self.cut)}"
        done = self._noted(top_up(self.ledger, actor.change(self.cut, key, request.digest), request))
        return outcome(self.ledger, done, request)

    def shortages(self, test_case: str, plan: int | None) -> list[Shortage]:
        """Return the shortages of the last allocation, or of a plan; of all test cases, or of one.

        Raises:
            RingFenceError: there is no such allocation.
        """
        kind = COMMIT if plan is None else PLAN
        receipt = self.ledger.latest(self.cut, kind, number=plan)
        if receipt is None:
            raise RingFenceError("nothing was allocated yet", where=f"cut {self.cut}", remedy="datacut run, or top-up")
        found = Solution.model_validate(receipt.body).shortages
        return [s for s in found if not test_case or any(_is(test_case, name) for name in s.test_cases or ())]

    # -- changing ---------------------------------------------------------------------------------------------

    def move(self, actor: Actor, selection: Selection, to: State, *, pool: bool = True) -> Receipt:
        """Issue, consume, release or quarantine what is selected."""
        wanted = asdict(selection) | {"mpans": sorted(selection.mpans) if selection.mpans is not None else None}
        request = hashlib.sha256(canonical({"to": to.value, "pool": pool, **wanted}).encode()).hexdigest()
        version = self.ledger.version(self.cut)
        change = replace(actor.change(self.cut, f"{to.value}/{version}/{request}", request), base=version)
        return self._noted(self.ledger.move(change, selection, to, pool=pool))

    def involving(self, mpid: str) -> frozenset[str]:
        """Return the metering points that a participant supplies or serves in the population of the last run.

        Raises:
            RingFenceError: the cut was not run yet.
        """
        pool = pool_file(self.job)
        if not pool.is_file():
            raise RingFenceError("the cut has no population yet", where=str(pool), remedy="run it with datacut run")
        people = pl.scan_parquet(pool)
        roles = [name for name in HUB.values() if name in people.collect_schema().names()]
        hit = people.filter(pl.any_horizontal(pl.col(name) == mpid for name in roles)).select("mpan").collect()
        return frozenset(hit["mpan"].to_list())

    # -- looking ----------------------------------------------------------------------------------------------

    def status(self, selection: Selection) -> FenceStatus:
        """Return counts by state, stage and participant, the changes, and the head of the chain."""
        held = self.ledger.reservations(self.cut, selection)
        by = ["phase", "stage", "test_case", "participant", "state"]
        counts = held.group_by(by).agg(
            pl.col("unit").n_unique().alias("units"), pl.len().alias("metering_points")
        ).sort(by)  # fmt: skip
        states = held.group_by("state").agg(pl.col("unit").n_unique().alias("units"), pl.len().alias("metering_points"))
        head, changes = self.ledger.head(self.cut), self.ledger.batches(self.cut)
        return FenceStatus(self.cut, head, states.sort("state"), counts, changes)

    def listing(self, selection: Selection) -> pl.DataFrame:
        """Return the reservations selected, a row for each metering point."""
        names = ["test_case", "participant", "phase", "stage", "role", "unit", "mpan", "state"]
        return self.ledger.reservations(self.cut, selection).select(names).sort("test_case", "unit", "role", "mpan")

    def history(self, mpan: str) -> pl.DataFrame:
        """Return all that ever happened to a metering point: what, for which test case, by whom, when and why."""
        changes = self.ledger.batches(self.cut).select("number", "actor", "at", "reason")
        events = self.ledger.events(self.cut, mpan=mpan).rename({"batch": "number"})
        shown = ["number", "at", "kind", "test_case", "participant", "stage", "role", "actor", "reason"]
        return events.join(changes, on="number", how="left", maintain_order="left").select(shown)


def _is(test_case: str, label: str) -> bool:
    return label == test_case or label.startswith(f"{test_case} (")


@contextmanager
def open_ring_fence(cut: Path) -> Iterator[RingFence]:
    """Open the ring-fence of a cut, and close it."""
    fence = RingFence(cut)
    try:
        yield fence
    finally:
        fence.ledger.close()
