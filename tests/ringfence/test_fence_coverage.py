"""How like the pool a choice is: the measures recomputed plainly, and the choice close to a random sample."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from contracts.ringfence.model import Criterion, Demand
from tests.benchmarks.ringfence_instance import population
from tests.ringfence.cases import KEY
from transforms.ringfence.allocate import allocate

ATTRIBUTES = ("ldso", "gsp", "seg", "conn", "dom", "met", "ener", "sup", "ms", "ds", "pc", "direction")


def plain_distance(chosen: pl.DataFrame, eligible: pl.DataFrame, name: str) -> float:
    one, other = Counter(chosen[name]), Counter(eligible[name])
    return sum(abs(one[v] / chosen.height - other[v] / eligible.height) for v in other | one) / 2


def plain_pairwise(chosen: pl.DataFrame, eligible: pl.DataFrame) -> float:
    counted = held = 0
    for one, other in combinations(ATTRIBUTES, 2):
        have = set(zip(chosen[one], chosen[other], strict=True))
        pairs = Counter(zip(eligible[one], eligible[other], strict=True))
        frequent = [pair for pair, count in pairs.items() if count >= eligible.height / 1000]
        counted += len(frequent)
        held += sum(pair in have for pair in frequent)
    return held / counted


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return population(20_000, 5)


def usable(people: pl.DataFrame) -> pl.DataFrame:
    bad = people.filter(~pl.col("conforming"))
    partners = bad.select(pl.col("linked_mpan").alias("mpan")).drop_nulls()
    return people.filter(pl.col("conforming")).join(partners, on="mpan", how="anti")


BULK = ("SUP01", "SUP02")


def bulk(people: pl.DataFrame) -> pl.DataFrame:
    return people.filter(pl.col("dom") == "D", pl.col("sup").is_in(BULK))


@pytest.fixture(scope="module")
def crowded(people) -> tuple[pl.DataFrame, pl.DataFrame, list[Demand]]:
    """Bulk demands that compete, so that the second flow, not the keyed order, chooses their classes."""
    demands = [
        Demand("BULK", 800, stage="nft", criteria=(Criterion("dom", ("D",)), Criterion("sup", BULK))),
        *(Demand(f"S{n}", 300, stage="fun", criteria=(Criterion("sup", (f"SUP{n:02d}",)),)) for n in range(9)),
        *(Demand(f"L{n}", 250, stage="fun", criteria=(Criterion("ldso", (f"LDSO{n:02d}",)),)) for n in range(9)),
    ]
    result = allocate(people, demands, KEY)
    assert result.facts[0].contested_specifications == len(demands)
    return result.rows, result.coverage, demands


def test_the_measures_are_what_they_say(people, crowded):
    rows, coverage, _ = crowded
    free = usable(people)
    chosen = people.join(rows.filter(pl.col("test_case") == "BULK"), on="mpan", how="semi")
    fits = bulk(free)
    partners = fits.select(pl.col("linked_mpan").alias("mpan")).drop_nulls()
    eligible = pl.concat([fits, free.join(partners, on="mpan", how="semi")]).unique("mpan")
    said = coverage.filter(pl.col("name") == "BULK")
    for row in said.filter(pl.col("attribute") != "").to_dicts():
        assert row["distance"] == pytest.approx(plain_distance(chosen, eligible, row["attribute"]), abs=1e-6)
    whole = said.filter(pl.col("attribute") == "").to_dicts()[0]
    assert whole["pairwise"] == pytest.approx(plain_pairwise(chosen, eligible), abs=1e-6)
    assert whole["metering_points"] == chosen.height
    assert set(said["attribute"]) == {"", *ATTRIBUTES}


@pytest.mark.requirement("Q84")
def test_bulk_choices_are_as_like_the_pool_as_a_random_sample_nearly(people, crowded):
    """``ringfence.md`` section 10: mean distance below 3 times a random sample's + 0.02, pairs at least 0.9 of its."""
    _, coverage, _ = crowded
    fits = bulk(usable(people))
    said = coverage.filter(pl.col("name") == "BULK", pl.col("attribute") == "").to_dicts()[0]
    rng = random.Random(3)
    samples = [fits[rng.sample(range(fits.height), 800)] for _ in range(3)]
    floor = np.mean([plain_distance(sample, fits, name) for sample in samples for name in ATTRIBUTES])
    pairs = np.mean([plain_pairwise(sample, fits) for sample in samples])
    assert said["distance"] < 3 * floor + 0.02
    assert said["pairwise"] >= 0.9 * pairs


def test_what_is_absent_is_named(people):
    result = allocate(people, [Demand("TC", 1, stage="fun", criteria=(Criterion("seg", ("UNMETERED",)),))], KEY)
    row = result.coverage.filter(pl.col("scope") == "stage", pl.col("attribute") == "seg").to_dicts()[0]
    assert row["absent"] == ["ADVANCED", "SMART"]


def test_nobody_gets_the_leavings_of_others(people):
    """Narrow demands that are served before, and others that ask the same, must not skew a broad one."""
    narrow = [Demand(f"N{n}", 200, criteria=(Criterion("sup", (f"SUP{n:02d}",)),)) for n in range(8)]
    broad = [Demand(f"B{n}", 400, criteria=(Criterion("dom", ("D",)),)) for n in range(3)]
    result = allocate(people, narrow + broad, KEY)
    assert result.facts[0].contested_specifications < len(narrow) + 1
    fits = usable(people).filter(pl.col("dom") == "D")
    rng = random.Random(3)
    sample = fits[rng.sample(range(fits.height), 400)]
    floor = np.mean([plain_distance(sample, fits, name) for name in ATTRIBUTES])
    for demand in broad:
        chosen = people.join(result.rows.filter(pl.col("test_case") == demand.test_case), on="mpan", how="semi")
        mean = np.mean([plain_distance(chosen, fits, name) for name in ATTRIBUTES])
        assert mean < 1.5 * floor + 0.02, demand.test_case
        assert plain_pairwise(chosen, fits) > 0.9 * plain_pairwise(sample, fits)
