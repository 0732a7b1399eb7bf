"""Words of the product's own texts that look like meter serial numbers: a change proposal is called CP1558.

Among tens of millions of meters one has such a number. What the product says in every report of itself is no leak.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

from transforms import leaks

ROOT = Path(__file__).parents[1]
PACKAGES = ("contracts", "transforms", "flows")
SAMPLE = ROOT / "flows" / "sample"  # invents meters; reports say nothing of it
TEXTS = frozenset({".py", ".yaml", ".json", ".j2", ".js", ".css"})


@cache
def own_words() -> frozenset[str]:
    """Return every word of contracts, code and templates that the leak scan would take for a serial number."""
    files = [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*"))
        if path.suffix in TEXTS and SAMPLE not in path.parents
    ]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return frozenset(leaks.serial_candidates(leaks.plain(pl.Series("", lines, dtype=pl.String)))["value"])
