"""A plan as the allocator takes it: demands and policy, from YAML or CSV."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from contracts.errors import ConfigurationError
from contracts.processes import market_processes
from contracts.ringfence.model import HAS_LINK, AllocationPolicy, Demand
from contracts.ringfence.plan import PlanPolicy, RingFencePlan
from contracts.strict import none_of
from contracts.validation import load_model
from flows.cut.config import Job
from flows.ringfence.demand_csv import read_demand_csv, read_text
from flows.ringfence.hash_chain import canonical

MPID_LENGTH = 4  # a longer name may be anything, an identifier too, and is not repeated
YAML_NAMES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class AllocationPlan:
    """Demands and policy of a plan.

    Attributes:
        name: of the file.
        cut: the cut it is for; empty: any.
        not_applicable: why test cases are not their participant's to run, in words; they make no demand.
    """

    name: str
    demands: tuple[Demand, ...]
    policy: AllocationPolicy
    cut: str = ""
    not_applicable: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return the digest of what the plan asks for: neither layout nor order of lines counts."""
        demands = [asdict(demand) | {"where": ""} for demand in sorted(self.demands, key=lambda demand: demand.key)]
        for demand in demands:
            del demand["processes"]  # they say what is done with metering points, not which
        document = {"demands": demands, "policy": asdict(self.policy)}
        return hashlib.sha256(canonical(document).encode()).hexdigest()


def read_plan(path: Path) -> AllocationPlan:
    """Read a plan: YAML by its name, else a CSV demand book.

    Raises:
        ConfigurationError: it cannot be read, or is not a plan; tells every faulty line.
    """
    text = read_text(path)
    if path.suffix.lower() not in YAML_NAMES:
        return _checked(AllocationPlan(path.name, tuple(read_demand_csv(text, path.name)), AllocationPolicy()))
    plan, document = load_model(text.encode(), RingFencePlan, ConfigurationError, where=path.name, typed=False)
    demands = tuple(
        replace(demand, where=f"{path.name} line {document.line(place)}") for place, demand in plan.demands()
    )  # fmt: skip
    apart = tuple(words for _, words in plan.not_applicable())
    return _checked(AllocationPlan(path.name, demands, plan.policy.allocation_policy(), plan.cut, apart))


def attributes_of(plan: AllocationPlan) -> set[str]:
    """Return the attributes that some criterion of a plan names."""
    return {c.attribute for demand in plan.demands for c in (*demand.criteria, *demand.export_criteria)}


def processes_by_case(plan: AllocationPlan) -> dict[str, tuple[str, ...]]:
    """Return the processes that a plan names for each test case; a test case that names none is left out."""
    named: dict[str, dict[str, None]] = {}
    for demand in plan.demands:
        if demand.processes:
            named.setdefault(demand.test_case, {}).update(dict.fromkeys(demand.processes))
    return {case: tuple(names) for case, names in sorted(named.items())}


def read_policy(path: Path) -> AllocationPolicy:
    """Read a file that holds the ``policy`` section of a plan alone.

    Raises:
        ConfigurationError: it cannot be read, or is not a policy.
    """
    policy, _ = load_model(read_text(path).encode(), PlanPolicy, ConfigurationError, where=path.name, typed=False)
    return policy.allocation_policy()


def _checked(plan: AllocationPlan) -> AllocationPlan:
    """Refuse demands that come twice, and processes that there are not.

    Raises:
        ConfigurationError: names the lines.
    """
    known = market_processes().processes
    for demand in plan.demands:
        for name in demand.processes:
            if name not in known:
                raise ConfigurationError(none_of(name, [*known], "process"), where=demand.where)
    seen: dict[tuple[object, ...], Demand] = {}
    for demand in plan.demands:
        first = seen.setdefault(demand.key, demand)
        if first is not demand:
            raise ConfigurationError(
                f"test case {demand.label()} is listed twice in round {demand.round}, first in {first.where}",
                where=demand.where,
            )
    return plan


def check_attributes(plan: AllocationPlan, columns: Collection[str]) -> None:
    """Refuse criteria on attributes that the population does not have.

    Raises:
        ConfigurationError: names the lines, and what may have been meant.
    """
    faults: dict[str, None] = {}
    for demand in plan.demands:
        for criterion in (*demand.criteria, *demand.export_criteria):
            if criterion.attribute not in columns and criterion.attribute != HAS_LINK:
                close = difflib.get_close_matches(criterion.attribute, list(columns), 1)
                meant = f", perhaps {close[0]}" if close else ""
                line = demand.where.removeprefix(f"{plan.name} ")
                faults[f"{line}: the population has no attribute {criterion.attribute}{meant}"] = None
    if faults:
        shown = list(faults)[:20]
        more = f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else ""
        raise ConfigurationError("; ".join(shown) + more, where=plan.name, remedy=f"it has {', '.join(columns)}")


def left_out_of(job: Job) -> dict[str, str]:
    """Return why participants are left out of a cut, by MPID: a plan may name them, and they get nothing."""
    return {participant.mpid: participant.left_out or "" for participant in job.left_out}


def refuse_strangers(plan: Path, mpids: Collection[str]) -> None:
    """Refuse a plan that names somebody who is not in the cut.

    Raises:
        ConfigurationError: it does.
    """
    strangers = sorted({d.participant for d in read_plan(plan).demands if d.participant} - set(mpids))
    if strangers:
        named = [name if len(name) <= MPID_LENGTH else "a name that is no MPID" for name in strangers[:5]]
        raise ConfigurationError(
            f"plans metering points for {', '.join(named)}, not a participant of this cut",
            where=plan.name,
            remedy="correct the plan, or add the participant to cut.yaml",
        )
