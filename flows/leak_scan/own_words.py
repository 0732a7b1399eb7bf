"""Words of the product's own texts that look like meter serial numbers: a change proposal is called CP1558.

Among tens of millions of meters one has such a number. What the product says in every report of itself is no leak.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

from transforms.release import leak_candidates

ROOT = Path(__file__).parents[1]
SAID = (
    "contracts/**/*.yaml",
    "flows/report/**/*.*",
    "flows/report/dpia.py",
)  # what evidence and report are written from
TEXTS = frozenset({".py", ".yaml", ".j2", ".js", ".css"})


@cache
def own_words() -> frozenset[str]:
    """Return the words of contracts and report that the leak scan would take for a meter serial number (DQ32)."""
    files = [path for said in SAID for path in sorted(ROOT.glob(said)) if path.suffix in TEXTS]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return frozenset(
        leak_candidates.serial_candidates(leak_candidates.plain(pl.Series("", lines, dtype=pl.String)))["value"]
    )
