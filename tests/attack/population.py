"""People with facts, and releases of them: noise but for what is planted. No product code makes them."""

from __future__ import annotations

import numpy as np

from contracts.attack.model import Attack, FactKind
from transforms.attack.facts import Values
from transforms.attack.search import ReleasedPart

CODES = {"outward": 120, "profile_class": 8, "supplier": 12, "home": 2, "meter": 9, "loss_class": 40, "make": 60}
DATES = {"supplied_from": 3650, "installed": 5000, "consumption_from": 400}
AMOUNTS = {"consumption": 0.6, "advance": 0.6, "largest_register": 0.6, "reading": 1.0}


def people(n: int, seed: int) -> ReleasedPart:
    """So many metering points with independent facts: codes, dates, amounts."""
    draw = np.random.default_rng(seed)
    values: Values = {name: draw.integers(1, k + 1, n).astype(np.uint64) for name, k in CODES.items()}
    values |= {name: draw.integers(15_000, 15_000 + k, n).astype(np.float64) for name, k in DATES.items()}
    values |= {name: np.log1p(np.round(np.exp(draw.normal(8, s, n)), 1)) for name, s in AMOUNTS.items()}
    points = np.sort(draw.choice(10**9, n, replace=False).astype(np.uint64))
    return ReleasedPart(points, values)


def noise(real: ReleasedPart, seed: int, exact: tuple[str, ...] = ()) -> ReleasedPart:
    """A release in which every fact is drawn anew, but those left exact."""
    drawn = people(real.points.size, seed).values
    return ReleasedPart(real.points, {n: c if n in exact else drawn[n] for n, c in real.values.items()})


def kinds(plan: Attack) -> dict[str, FactKind]:
    """The kind of every fact of these people."""
    return {name: plan.facts[name].kind for name in (*CODES, *DATES, *AMOUNTS)}
