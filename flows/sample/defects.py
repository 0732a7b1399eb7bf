"""Planting defects, and listing where each one stands.

Defects are spread evenly over the rules, and within a rule over its variants. A metering point carries one at most.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample.defect_catalogue import EXTRACTS, VARIANTS, Traits
from flows.sample.population import SamplePopulation

Ints = NDArray[np.int64]
NATURAL = "DQ20"  # disconnected metering points are listed, though no rate asks for them
RULES = tuple(dict.fromkeys(v.rule for v in VARIANTS if v.rule != NATURAL))
OF_RULE = {rule: [n for n, v in enumerate(VARIANTS) if v.rule == rule] for rule in (*RULES, NATURAL)}
SCHEMA = {
    "participant": pl.String,
    "extract": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "mpan_core": pl.String,
    "column": pl.String,
    "rule": pl.String,
}
# extract -> fault code -> whether rows with that fault are listed; fault 0 is none, n is VARIANTS[n - 1]
_STANDS = {e: np.array([False, *(any(x == e for x, _ in v.listed) for v in VARIANTS)]) for e in EXTRACTS}
_COLUMN = {e: pl.Series(["", *(dict(v.listed).get(e, "") for v in VARIANTS)]) for e in EXTRACTS}
_RULE = pl.Series(["", *(v.rule for v in VARIANTS)])


def quotas(total: int, turn: int) -> dict[int, int]:
    """Return how many metering points each variant gets; ``turn`` rotates who gets the remainders."""
    wanted = {}
    share, rest = divmod(total, len(RULES))
    for place, rule in enumerate(RULES):
        variants = OF_RULE[rule]
        count = share + ((place - turn * rest) % len(RULES) < rest)
        each, left = divmod(count, len(variants))
        for seat, variant in enumerate(variants):
            wanted[variant] = each + ((seat - turn * left - turn) % len(variants) < left)
    return wanted


def plant(people: SamplePopulation, rate: float, turn: int, rng: np.random.Generator) -> int:
    """Plant defects in a population and return how many metering points carry one.

    A variant that fewer metering points can carry than its share asks for is planted as often as it can be.
    """
    traits, free = Traits(people), np.ones(len(people), dtype=bool)
    chosen: dict[int, Ints] = {}
    for number, wanted in quotas(int(len(people) * rate + 0.5), turn).items():
        variant = VARIANTS[number]
        able = np.flatnonzero(variant.able(traits) & free)
        count = min(wanted + (variant.paired and wanted % 2), able.size)
        count -= count % 2 if variant.paired else 0
        if count:
            rows = np.sort(able[rng.choice(able.size, count, replace=False)])
            chosen[number], free[rows] = rows, False
    for number, rows in chosen.items():  # after all choices, so that no mask sees a planted value
        VARIANTS[number].change(people, rows)
        people.fault[rows] = number + 1
    people.fault[people.disconnected > 0] = OF_RULE[NATURAL][0] + 1
    return sum(rows.size for rows in chosen.values())


class Places:
    """Collects the rows of ``defects.csv``, extract by extract, and counts the data rows of every file."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], int] = {}

    def rows(self, extract: str, file: str) -> int:
        """Return how many data rows of an extract have been seen in a file."""
        return self._rows.get((extract, file), 0)

    def count(self, extract: str, file: str, rows: int) -> None:
        """Count data rows in which no defect stands."""
        self._rows[extract, file] = self.rows(extract, file) + rows

    def list(self, participant: str, extract: str, file: str, mpans: pl.Series, faults: Ints) -> pl.DataFrame:
        """Return the defects that stand in the next data rows of an extract.

        Args:
            participant: MPID of the participant whose file it is.
            extract: name of the extract.
            file: its path in the sample.
            mpans: the MPANs as they stand in the file, one per data row.
            faults: fault code of each data row's metering point.
        """
        before = self.rows(extract, file)
        self.count(extract, file, faults.size)
        at = np.flatnonzero(_STANDS[extract][faults])
        codes = faults[at].astype(np.uint32)
        return pl.DataFrame(
            {
                "participant": pl.Series([participant]).new_from_index(0, at.size),
                "extract": pl.Series([extract]).new_from_index(0, at.size),
                "file": pl.Series([file]).new_from_index(0, at.size),
                "row": at + before + 1,
                "mpan_core": mpans.gather(at),
                "column": _COLUMN[extract].gather(codes),
                "rule": _RULE.gather(codes),
            },
            schema=SCHEMA,
        )
