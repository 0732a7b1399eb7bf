"""Instances for the ring-fence benchmarks: a population and a demand book of any size, the same for the same seed.

The population has the shape of the market, not its data: GSP groups follow distributors, a few suppliers hold most
metering points, advanced and unmetered ones are few, about one premises in twenty-two has an export beside its import
and some have two imports. Demands are random, but most are drawn around a metering point that exists, as test
managers do; a handful of bulk ones take most of the units.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import polars as pl

DISTRIBUTORS = 14
SIZES = {
    "ldso": 14,
    "gsp": 14,
    "seg": 3,
    "conn": 4,
    "dom": 2,
    "met": 8,
    "ener": 2,
    "sup": 40,
    "ms": 16,
    "ds": 14,
    "pc": 9,
}
WORDS = {
    "seg": ["SMART", "ADVANCED", "UNMETERED"],
    "conn": ["W", "L", "H", "E"],
    "dom": ["D", "ND"],
    "ener": ["E", "D"],
}
STAGES = ("CIT", "SIT-FUNCTIONAL", "SIT-MIGRATION", "SIT-OPERATIONAL")
COLUMNS = (
    "round", "test_case", "stage", "participant", "priority", "base", "spare", "kind", "criteria", "export_criteria",
    "mutates",
)  # fmt: skip


def zipf(size: int, power: float) -> np.ndarray:
    """Return falling shares."""
    share = 1.0 / np.arange(1, size + 1) ** power
    return share / share.sum()


def attributes(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Return codes of every attribute for ``rows`` premises."""
    ldso = rng.choice(DISTRIBUTORS, rows, p=zipf(DISTRIBUTORS, 0.4)).astype(np.uint8)
    stray = rng.random(rows) < 0.03
    gsp = np.where(stray, rng.integers(0, 14, rows), ldso).astype(np.uint8)
    seg = rng.choice(3, rows, p=[0.93, 0.06, 0.01]).astype(np.uint8)
    conn = np.where(seg == 0, 0, rng.choice(4, rows, p=[0.6, 0.3, 0.08, 0.02])).astype(np.uint8)
    dom = np.where(seg == 0, rng.random(rows) < 0.08, True).astype(np.uint8)
    met = np.where(seg == 0, rng.choice(5, rows, p=zipf(5, 1)), np.where(seg == 1, rng.integers(5, 7, rows), 7))
    sup = rng.choice(40, rows, p=zipf(40, 1.1)).astype(np.uint8)
    services = rng.random(rows) < 0.8  # most premises use the services of their supplier's choice
    ms = np.where(services, sup % 16, rng.choice(16, rows, p=zipf(16, 0.8))).astype(np.uint8)
    ds = np.where(services, sup % 14, rng.choice(14, rows, p=zipf(14, 0.8))).astype(np.uint8)
    pc = np.where(dom == 0, rng.integers(1, 3, rows), rng.integers(3, 9, rows))
    return {
        "ldso": ldso, "gsp": gsp, "seg": seg, "conn": conn, "dom": dom, "met": met.astype(np.uint8),
        "ener": (rng.random(rows) < 0.04).astype(np.uint8), "sup": sup, "ms": ms, "ds": ds, "pc": pc.astype(np.uint8),
    }  # fmt: skip


def word(name: str, code: int) -> str:
    """Return the value of a code."""
    return WORDS[name][code] if name in WORDS else f"{name.upper()}{code:02d}"


def population(mpans: int, seed: int) -> pl.DataFrame:
    """Return a population of ``mpans`` metering points in random order."""
    rng = np.random.default_rng(seed)
    exports = mpans // 23
    imports = mpans - exports
    base = attributes(rng, imports)
    hosts = rng.choice(imports, exports, replace=False)
    ids = 1_000_000_000_000 + rng.permutation(np.arange(mpans, dtype=np.int64) * 7 + 3)
    link = np.full(mpans, -1, dtype=np.int64)
    link[hosts] = ids[imports:]
    link[imports:] = ids[hosts]
    frame = {"mpan": pl.Series(ids).cast(pl.String)}
    frame["linked_mpan"] = pl.Series(link).cast(pl.String).set(pl.Series(link < 0), None)
    frame["conforming"] = pl.Series(rng.random(mpans) >= 0.02)
    way = np.zeros(mpans, dtype=np.uint8)
    way[imports:] = 1
    frame["direction"] = pl.Series(way).replace_strict([0, 1], ["IMPORT", "EXPORT"])
    for name, codes in base.items():
        both = np.concatenate([codes, codes[hosts]])
        if name in ("sup", "ms", "ds", "ener"):  # an export may have a supplier of its own
            other = np.arange(imports, mpans)[rng.random(exports) < 0.3]
            both[other] = rng.choice(SIZES[name], len(other), p=zipf(SIZES[name], 1.0))
        values = [word(name, code) for code in range(SIZES[name])]
        frame[name] = pl.Series(both).replace_strict(list(range(SIZES[name])), values)
    return pl.DataFrame(frame)[rng.permutation(mpans)]


def demand_book(people: pl.DataFrame, cases: int, seed: int, *, bulk_units: int) -> list[dict[str, object]]:
    """Return ``cases`` demands; one in twenty-seven is a bulk one, together they want ``bulk_units``."""
    rng = np.random.default_rng(seed + 1)
    names = list(SIZES)
    linked = people.filter(pl.col("linked_mpan").is_not_null(), pl.col("direction") == "IMPORT")
    pairs = linked[rng.integers(0, linked.height, cases)].select(names).rows()
    singles = people[rng.integers(0, people.height, cases)].select(names).rows()
    bulks = max(1, cases // 27)
    weights = rng.dirichlet(np.full(bulks, 1.5)) * bulk_units
    book = []
    for number in range(cases):
        bulk, pair = number < bulks, number % 9 == 8
        stage = "SIT-NON-FUNCTIONAL" if bulk else STAGES[int(rng.integers(0, 4))]
        chosen = rng.choice(len(names), int(rng.integers(0, 3)) if bulk else int(rng.integers(2, 7)), replace=False)
        seedling = pairs[number] if pair else singles[number]
        if rng.random() < 0.05:  # some ask for a mixture that hardly exists
            seedling = tuple(word(name, int(rng.integers(0, SIZES[name]))) for name in names)
        criteria = {}
        for at in sorted(chosen):
            extra = [word(names[at], int(rng.integers(0, SIZES[names[at]])))] if rng.random() < 0.25 else []
            criteria[names[at]] = sorted({seedling[at], *extra})
        base = max(1, int(weights[number])) if bulk else int(rng.choice([1, 2, 4, 6, 10, 20, 50, 100], p=PICK))
        book.append(
            {
                "round": 1 if bulk or stage == "CIT" else int(rng.integers(1, 4)),
                "test_case": f"TC-{number:04d}",
                "stage": stage,
                "participant": word("sup", int(rng.integers(0, 40))),
                "priority": 4 if bulk else int(rng.integers(1, 4)),
                "base": base,
                "spare": 0 if bulk else base // 5,
                "kind": "PAIR" if pair and not bulk else "SINGLE",
                "criteria": json.dumps(criteria),
                "export_criteria": json.dumps(
                    {"ldso": criteria["ldso"]} if "ldso" in criteria and pair and not bulk else {}
                ),
                "mutates": "false" if bulk else "true",
            }
        )
    return book


PICK = [0.1, 0.15, 0.2, 0.2, 0.15, 0.1, 0.06, 0.04]


def write(folder: Path, mpans: int, cases: int, seed: int, *, rounds: bool) -> tuple[Path, Path]:
    """Write population and demand book of an instance unless they are there; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    people_file = folder / f"population-{mpans}-{seed}.parquet"
    book_file = folder / f"demands-{mpans}-{cases}-{seed}-{'rounds' if rounds else 'one'}.csv"
    if not people_file.is_file():
        population(mpans, seed).write_parquet(people_file, row_group_size=1_000_000)
    if not book_file.is_file():
        people = pl.read_parquet(people_file)
        book = demand_book(people, cases, seed, bulk_units=min(200_000, mpans // 5))
        with book_file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row if rounds else row | {"round": 1} for row in book)
    return people_file, book_file


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mpans", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", action="store_true")
    options = parser.parse_args()
    print(*write(options.folder, options.mpans, options.cases, options.seed, rounds=options.rounds))
