"""Why units are missing, in words and as data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.ringfence.cells import Cells
from transforms.ringfence.fill import Fill
from transforms.ringfence.kernel import Kernel, Problem

Ints = NDArray[np.int64]


def explain(
    cells: Cells, problem: Problem, kernel: Kernel, filled: Fill, given: NDArray[np.int32]
) -> list[dict[str, Any]]:
    """Return one entry for each demand that is short."""
    found = []
    for number in np.flatnonzero(filled.base < problem.base):
        demand = problem.demands[number]
        eligible = int(kernel.eligible[problem.asks[number]])
        short = int(problem.base[number] - filled.base[number])
        found.append(
            {
                "text": f"{demand.label()} wants {demand.base} but gets {int(filled.base[number])}; "
                f"{eligible} free units satisfy it.",
                "test_cases": [demand.test_case],
                "short": short,
                "eligible": eligible,
            }
        )
    return found
