"""Planted weaknesses and noise: 5,000 metering points of the sample, treated as a release is, one attribute left exact.

    python -m tests.attack.campaign --runs 100 --scratch DIR

Every run has its own key, so other dates, amounts and people searched for; ten samples take turns. What is released
comes from the product's own treatment of exact submission packs, and is held against what profile ``standard``
promises, as in a run. No whole run is made: rules, expected results and packs have no part in what an intruder sees
of an attribute.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from contracts.attack import intruders
from contracts.attack.model import Attack, Intruder
from contracts.load import load_all
from contracts.model import Contract, Treatment
from contracts.overlay import Overlay
from contracts.profiles import JOINS, Profile, promised, under_profile
from contracts.vocabulary import Method
from flows.attack.released import as_chunk, joined
from flows.sample import SampleRequest, generate
from tests.command import datacut
from tests.treatment.treated import extracts, shared, treating
from transforms.attack.blocks import firsts
from transforms.attack.facts import ORDER, gather, series, wanted
from transforms.attack.intervals import paired_difference
from transforms.attack.joins import Join, combinations
from transforms.attack.memory import remember, sample
from transforms.attack.outcome import conclude
from transforms.attack.search import ReleasedPart, Searcher, Sought, uses
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.mpan import order_key
from transforms.pseudonymise.pseudonymiser import treat

WEAK: dict[str, tuple[str, ...]] = {
    "the day on which supply began": ("registration.supplier_effective_from", "portfolio.supplier_effective_from"),
    "the day on which the meter was installed": ("registration.meter_install_date", "metering.meter_install_date"),
    "annual consumption": ("annual_consumption.eac",),
    "annualised advance": ("annual_consumption.aa",),
    "the day from which annual consumption holds": ("annual_consumption.effective_from",),
    "totals of half-hourly days": ("half_hourly.period_01",),
}
PLAYING = ("bill_holder", "former_supplier")  # the joins find the rest; the linker is promised nothing
POINTS, TARGETS = 5_000, 200
Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Exact:
    """The exact tables of a sample's submission pack, with ``_order``, and the cut they are of."""

    tables: Tables
    cut: Path


def exact(folder: Path, seed: int) -> Exact:
    """Make a sample and anonymise it; taken from the folder where it has been made."""
    cut = folder / "cut.yaml"
    if not cut.is_file():
        generate(SampleRequest(POINTS, seed, 0.0), folder)
    if not (packs := sorted((folder / "out").glob("*-submission"))):
        done = datacut("anonymise", cut, "--plain")
        assert done.code == 0, done.err
        packs = sorted((folder / "out").glob("*-submission"))
    tables: dict[str, list[pl.DataFrame]] = {}
    for path in extracts(packs[0], load_all()):
        tables.setdefault(path.stem, []).append(pl.read_parquet(path).with_columns(order_key().alias(ORDER)))
    return Exact({name: pl.concat(parts, how="diagonal_relaxed") for name, parts in tables.items()}, cut)


def contracts(weak: Sequence[str]) -> Mapping[str, Contract]:
    """Return the contracts of profile standard with some columns let through."""
    keep = Treatment(Method.KEEP)
    columns: dict[str, dict[str, Treatment]] = {}
    for name in weak:
        extract, _, column = name.partition(".")
        columns.setdefault(extract, {})[column] = keep
    overlay = Overlay(MappingProxyType({name: MappingProxyType(one) for name, one in columns.items()}))
    return under_profile(load_all(), Profile.STANDARD, overlay)


def facts(tables: Tables, plan: Attack, *, first: bool) -> ReleasedPart:
    """Return the attributes of metering points; of each fact the first place alone, for what is true."""
    found = []
    for extract, table in tables.items():
        asked = [
            (fact, column)
            for fact, column in wanted(plan.facts, extract)
            if column in table.columns and (not first or fact.places[0] == f"{extract}.{column}")
        ]
        if asked:
            found.append(gather(table.lazy(), asked, extract))
    return joined(found, plan, plan.facts)


def released(real: Exact, key: bytes, weak: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return the tables as a cut under a key would release them."""
    under = contracts(weak)
    counted = shared(((name, table.lazy()) for name, table in real.tables.items()), under)
    maker = treating(FieldKeys(key, "CAMPAIGN"), real.cut).among(counted)
    return {
        name: treat(table.lazy(), under[name], maker).collect()
        for name, table in real.tables.items()
        if name != "half_hourly"
    }


def alarms(real: Exact, tables: Tables, other: Tables, seed: int, *, noise: bool = False) -> list[str]:
    """Return who finds surely more than is promised; in noise, who finds surely more than nothing."""
    plan = intruders()
    plan = replace(plan, search=replace(plan.search, targets=TARGETS))
    truth, here, there = (facts(one, plan, first=one is real.tables) for one in (real.tables, tables, other))
    people = sample(here.points, TARGETS, seed)
    figures = promised(Profile.STANDARD, here.points.size).figures
    most = {name: 0.0 if noise else figures[name] for name in (*PLAYING, JOINS)}
    said = []
    for intruder in plan.intruders:
        if intruder.id in PLAYING and surest(plan, intruder, people, truth, here, seed) > most[intruder.id]:
            said.append(intruder.id)
    return said + [", ".join(columns) for columns in linked(plan, here, firsts(there.of(people)), people, most[JOINS])]


def surest(
    plan: Attack, intruder: Intruder, people: np.ndarray, truth: ReleasedPart, here: ReleasedPart, seed: int
) -> float:
    """Return the largest lower end of the interval of what an intruder finds beyond its control."""
    real, found = truth.of(people), []
    known = remember(real, intruder.knows, people, seed)
    for _, used in uses(intruder, plan.facts):
        searcher = Searcher(plan, intruder, used, Sought(people, known, real))
        searcher.count(here)
        searcher.search(here)
        found.append(conclude(searcher).outcome().difference_interval[0])
    return max(found)


def linked(
    plan: Attack, here: ReleasedPart, theirs: dict[str, np.ndarray], people: np.ndarray, most: float
) -> Iterator[tuple[str, ...]]:
    """Yield the joins that link surely more than the same public columns alone and what is promised."""
    alone: dict[tuple[str, ...], np.ndarray] = {(): np.zeros(people.size, np.bool_)}
    for columns in combinations(plan.public, plan.released):
        join = Join(columns, people, theirs)
        join.add(here)
        public = tuple(name for name in columns if name in plan.public)
        if public == columns:
            alone[columns] = join.linked
            continue
        with_, without = join.linked, alone[public]
        both, one, rest = (int(x.sum()) for x in (with_ & without, with_ & ~without, ~with_ & without))
        if paired_difference(both, one, rest, people.size - both - one - rest)[1] > most:
            yield columns


def app_user(real: Exact, seed: int) -> float:
    """Return what an app user surely finds where totals of days are let through."""
    plan = intruders()
    spec, table = plan.series, real.tables["half_hourly"]
    of = table.filter(pl.col(spec.quantity) == spec.of)
    days = sorted(of[spec.day].value_counts().sort("count", spec.day, descending=True)[spec.day][: spec.days])
    periods = [f"period_{n:02}" for n in range(1, spec.periods + 1)]
    here = as_chunk(series(table.lazy(), spec, days, periods).collect())
    people = sample(here.points, TARGETS, seed)
    intruder = next(one for one in plan.intruders if one.series)
    return surest(plan, intruder, people, here, here, seed)


def shuffled(tables: Tables, seed: int) -> dict[str, pl.DataFrame]:
    """Return tables in which every value is somebody else's."""
    return {
        name: table.select(
            ORDER, *(pl.col(c).shuffle(seed=seed + n) for n, c in enumerate(table.columns) if c != ORDER)
        )
        for name, table in tables.items()
    }


def one(real: Exact, weak: str | None, run: int) -> bool:
    """Make a release and tell whether anybody finds more than is promised; ``None`` is noise."""
    key, other = (hashlib.sha256(f"{weak} {run} {cut}".encode()).digest() for cut in ("one", "two"))
    seed = int.from_bytes(key[:8], "little")
    if weak and WEAK[weak][0].startswith("half_hourly"):
        return app_user(real, seed) > promised(Profile.STANDARD, POINTS).figures["app_user"]
    columns = WEAK.get(weak or "", ())
    here, there = released(real, key, columns), released(real, other, columns)
    if weak == "":
        return bool(alarms(real, here, there, seed))
    if weak is None:
        return bool(alarms(real, shuffled(here, run * 100), shuffled(there, run * 100 + 50), seed, noise=True))
    return bool(alarms(real, here, there, seed))


def main() -> None:
    """Run the campaign; print after every ten runs of how many releases of each kind somebody finds too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=10, help="different samples that the runs take in turn")
    given = parser.parse_args()
    reals = [exact(given.scratch / f"sample-{seed}", seed) for seed in range(1, given.samples + 1)]
    kinds: dict[str | None, str] = {weak: weak for weak in WEAK}
    kinds |= {"": "profile standard, nothing left exact", None: "noise"}
    found: Counter[str] = Counter()
    for run in range(1, given.runs + 1):
        found.update(name for weak, name in kinds.items() if one(reals[run % len(reals)], weak, run))
        if run % 10 == 0 or run == given.runs:
            print(f"{run} runs: {'; '.join(f'{name} {found[name]}' for name in kinds.values())}", flush=True)


if __name__ == "__main__":
    main()
