"""Mixed half-hours beside the real ones: peak time, load factor and autocorrelation, means over homes and days.

    python -m tests.treatment.half_hours                   made-up homes with shapes of days, by kind and size of group
    python -m tests.treatment.half_hours PACK CUT.yaml     a release (standard or strict) and its cut, by class

The sample's half-hours have no shape: each is drawn by itself. Only made-up homes tell how well shapes are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.attack import intruders
from flows.attack.released import ReleasedPack
from flows.attack.truth import Truth
from tests.treatment.__main__ import files
from tests.treatment.test_mixed_series import homes, seeds
from transforms.attack.facts import ORDER
from transforms.pseudonymise.mpan import order_key
from transforms.treatment.mixed_series import mixed_series

Numbers = NDArray[np.float64]
SIZES = (10, 40, 400)
MEASURES = ("peak time", "load factor", "autocorrelation")


def days(pack: Path, cut: Path) -> Iterator[tuple[NDArray[np.uint64], Numbers, Numbers]]:
    """Yield of each day the homes, their real watt-hours and the released ones: ``(homes, half-hours)``."""
    plan = intruders()
    plan = replace(plan, series=replace(plan.series, half_hours=tuple(range(1, plan.series.periods + 1))))
    released, truth = ReleasedPack(pack), Truth.of(cut)
    for day in released.days(plan.series):
        made = released.series(plan, [day])
        known = truth.series(plan, made.points, [day]).of(made.points)
        both = [
            np.stack([np.round(1000 * np.expm1(side[f"half_hour_{n}"])) for n in plan.series.half_hours], axis=1)
            for side in (known, made.values)
        ]
        there = ~np.isnan(both[0]).any(axis=1) & ~np.isnan(both[1]).any(axis=1)
        yield made.points[there], both[0][there], both[1][there]


def measures(values: Numbers) -> Numbers:
    """Return peak time, load factor and autocorrelation, means over homes that use anything."""
    used = values[(values.max(axis=1) > 0) & (values.std(axis=1) > 0)]
    apart = used - used.mean(axis=1, keepdims=True)
    lag = (apart[:, 1:] * apart[:, :-1]).sum(axis=1) / (apart**2).sum(axis=1)
    highest = used == used.max(axis=1, keepdims=True)  # several half-hours may be: their middle counts
    peak = (highest * np.arange(used.shape[1])).sum(axis=1) / highest.sum(axis=1)
    found: Numbers = np.array([peak.mean(), (used.mean(axis=1) / used.max(axis=1)).mean(), lag.mean()], np.float64)
    return found


def classes(pack: Path) -> dict[int, str]:
    """Return the measurement class of each metering point, by order key."""
    rows = pl.concat(
        [
            pl.read_parquet(path).select(order_key().alias(ORDER), "measurement_class")
            for path in files(pack, "registration")
        ]
    )
    return dict(rows.iter_rows())


def shapes(before: Numbers, after: Numbers) -> str:
    """Return the cells of a line: of each measure before, after, and how far apart."""
    pairs = zip(measures(before), measures(after), strict=True)
    return " | ".join(f"{a:.2f} to {b:.2f} ({100 * (b / a - 1):+.1f} %)" for a, b in pairs)


def made_up() -> None:
    """Print a line for each kind of home and size of group."""
    print(f"| homes | of a group | {' | '.join(MEASURES)} |\n{'|---' * (len(MEASURES) + 2)}|")
    for kind, peak in (("evening peak", 36), ("midday peak", 24)):
        for size in SIZES:
            real = homes(2_000, 8, peak)
            made = mixed_series(seeds(2_000, 9), real, np.arange(2_000) // size)
            print(f"| {kind} | {size} | {shapes(real.astype(np.float64), made.astype(np.float64))} |")


def by_class(pack: Path, cut: Path) -> None:
    """Print a line for each class of a release."""
    of = classes(pack)
    real: dict[str, list[Numbers]] = {}
    made: dict[str, list[Numbers]] = {}
    for points, before, after in days(pack, cut):
        letters = np.array([of.get(int(point)) or "none" for point in points])
        for letter in ("all", *np.unique(letters)):
            rows = np.ones(letters.size, np.bool_) if letter == "all" else letters == letter
            real.setdefault(letter, []).append(before[rows])
            made.setdefault(letter, []).append(after[rows])
    print(f"| class | series-days | {' | '.join(MEASURES)} | sum | own total |")
    print("|---" * (len(MEASURES) + 4) + "|")
    for letter, parts in sorted(real.items()):
        before, after = np.concatenate(parts), np.concatenate(made[letter])
        own = ((before.sum(axis=1) == after.sum(axis=1)) & (before.sum(axis=1) > 0)).sum()
        sums = "real" if before.sum() == after.sum() else f"{100 * (after.sum() / before.sum() - 1):+.3f} %"
        print(f"| {letter} | {before.shape[0]:,} | {shapes(before, after)} | {sums} | {own} |")


if __name__ == "__main__":
    by_class(Path(sys.argv[1]), Path(sys.argv[2])) if sys.argv[1:] else made_up()
