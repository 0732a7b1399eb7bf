"""A plan as the allocator takes it: demands and policy, from YAML or CSV."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.ringfence import AllocationPolicy, Demand
from flows.ringfence.chain import canonical
from flows.ringfence.demand_csv import read_demand_csv, read_text


@dataclass(frozen=True, slots=True)
class Book:
    """Demands and policy of a plan.

    Attributes:
        name: of the file.
        cut: the cut it is for; empty: any.
    """

    name: str
    demands: tuple[Demand, ...]
    policy: AllocationPolicy
    cut: str = ""

    def digest(self) -> str:
        """Return the digest of what the plan asks for: neither layout nor order of lines counts."""
        demands = [asdict(demand) | {"where": ""} for demand in sorted(self.demands, key=lambda demand: demand.key)]
        document = {"demands": demands, "policy": asdict(self.policy)}
        return hashlib.sha256(canonical(document).encode()).hexdigest()


def read_book(path: Path) -> Book:
    """Read a plan.

    Raises:
        ConfigurationError: it cannot be read, or is not a plan; tells every faulty line.
    """
    return Book(path.name, tuple(read_demand_csv(read_text(path), path.name)), AllocationPolicy())
