"""Half-hourly series: sums of a group stay to the watt-hour, no home's day is its own, shapes look like real days."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.sealed_series import SEALED, seal, unseal
from transforms.treatment.mixed_series import ALONE, about, grouped, mixed_series

Ints = NDArray[np.int64]
PERIODS = 48


def seeds(n: int, seed: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)


def homes(n: int, seed: int, evening: int = 36) -> Ints:
    """Days of homes: a level and an hour of their own, appliances that stay on for a while."""
    draw, t = np.random.default_rng(seed), np.arange(PERIODS)
    shape = 0.3 + np.exp(-(((t - evening) / 4) ** 2)) + 0.5 * np.exp(-(((t - 15) / 3) ** 2))
    shapes = np.stack([np.roll(shape, shift) for shift in draw.integers(-3, 4, n)])
    state, noise = draw.normal(0, 1, n), np.zeros((n, PERIODS))
    for p in range(PERIODS):
        state = 0.7 * state + draw.normal(0, 0.714, n)
        noise[:, p] = state
    return np.round(250 * shapes * draw.lognormal(0, 0.5, n)[:, None] * np.exp(0.7 * noise)).astype(np.int64)


def sums(values: Ints, group: Ints) -> Ints:
    return np.stack([np.bincount(group, column) for column in values.T]).astype(np.int64)


@pytest.mark.requirement("Q58")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(10, 40), st.integers(1, 4), st.sampled_from(["days", "flat", "one", "few"]))
def test_sums_stay_and_nobodys_day_does(seed: int, size: int, groups: int, kind: str) -> None:
    draw, n = np.random.default_rng(seed), size * groups
    real = {
        "days": lambda: draw.integers(0, 3_000, (n, PERIODS)),
        "flat": lambda: np.full((n, PERIODS), 7),  # everybody alike
        "one": lambda: np.where(np.arange(n)[:, None] % size == 0, 500, 0) * np.ones((1, PERIODS), np.int64),
        "few": lambda: (draw.random((n, PERIODS)) < 0.02).astype(np.int64),
    }[kind]()
    group = draw.permutation(np.arange(n) // size)
    if kind == "one":
        group = np.arange(n) // size
    made = mixed_series(seeds(n, seed), real, group)
    assert (sums(made, group) == sums(real, group)).all()
    assert made.min() >= 0
    used = sums(real, group).sum(axis=0)[group] > 2 * size
    assert not (used & (made.sum(axis=1) == real.sum(axis=1))).any()


@pytest.mark.requirement("Q58")
def test_the_order_of_rows_makes_no_difference() -> None:
    real, group, keyed = homes(600, 3), np.arange(600) // 20, seeds(600, 4)
    mixed_up = np.random.default_rng(5).permutation(600)
    made = mixed_series(keyed, real, group)
    assert (mixed_series(keyed[mixed_up], real[mixed_up], group[mixed_up]) == made[mixed_up]).all()
    assert (mixed_series(seeds(600, 6), real, group) != made).mean() > 0.5  # another key, another mix
    alone = np.where(group == 0, ALONE, group)
    assert (mixed_series(keyed, real, alone)[group == 0] == real[group == 0]).all()


def fidelity(values: Ints) -> dict[str, float]:
    """Mean of homes' peak time (half-hour), load factor and autocorrelation of one half-hour (lag 1)."""
    apart = values - values.mean(axis=1, keepdims=True)
    lag = (apart[:, 1:] * apart[:, :-1]).sum(axis=1) / (apart**2).sum(axis=1)
    factor = values.mean(axis=1) / values.max(axis=1)
    return {"peak": float(values.argmax(axis=1).mean()), "load": float(factor.mean()), "lag": float(lag.mean())}


@pytest.mark.requirement("Q58")
@pytest.mark.parametrize(("size", "evening"), [(40, 36), (400, 36), (400, 24)])
def test_days_look_like_days(size: int, evening: int) -> None:
    real = homes(2_000, 8, evening)
    group = np.arange(2_000) // size
    made = mixed_series(seeds(2_000, 9), real, group)
    before, after = fidelity(real), fidelity(made)
    for name, value in before.items():
        assert after[name] == pytest.approx(value, rel=0.05), name
    assert (made.sum(axis=0) == real.sum(axis=0)).all()  # so the class's own peak and load factor are the same


@pytest.mark.requirement("Q58")
@pytest.mark.parametrize("size", [10, 200])
def test_who_knows_readings_finds_somebody_else(size: int) -> None:
    days = [homes(2_000, 20 + day) for day in range(4)]
    group = np.arange(2_000) // size
    made = [mixed_series(seeds(2_000, 30 + day), real, group) for day, real in enumerate(days)]
    five, theirs = np.log1p(days[0][:, 34:39]), np.log1p(made[0][:, 34:39])
    totals = np.log(np.stack([real.sum(axis=1) for real in days], axis=1))
    released = np.log(np.stack([one.sum(axis=1) for one in made], axis=1))
    for known, shown in ((five, theirs), (totals, released)):
        right = sum(int(np.abs(shown - known[n]).sum(axis=1).argmin() == n) for n in range(0, 2_000, 8))
        assert right / 250 <= 0.01
    assert not (totals == released).any()


def test_small_groups_are_merged_and_nobody_is_mixed_alone() -> None:
    scope = np.array([0] * 40 + [1] * 9)
    area = np.array([0] * 25 + [1] * 15 + [0] * 9)
    kind = np.array([0] * 12 + [1] * 13 + [0] * 6 + [1] * 9 + [0] * 9)
    found = grouped(scope, area, kind, 10)
    assert len(set(found.group[:12])) == len(set(found.group[12:25])) == len(set(found.group[25:40])) == 1
    assert len(set(found.group[:40])) == 3
    assert found.merged.tolist() == [False] * 25 + [True] * 15 + [False] * 9
    assert (found.group[40:] == ALONE).all()
    area, kind = np.repeat([0, 1, 0, 1], [6, 6, 12, 12]), np.repeat([0, 1], [12, 24])
    rare = grouped(np.zeros(36, np.int64), area, kind, 10)  # twelve of the rare class, six in each area
    assert [len(set(rare.group[part])) for part in (slice(12), slice(12, 24), slice(24, 36))] == [1, 1, 1]
    assert len(set(rare.group)) == 3
    assert rare.merged.tolist() == [True] * 12 + [False] * 24
    area, kind = np.repeat([0, 1], [12, 10]), np.repeat([0, 1], [17, 5])
    left_over = grouped(np.zeros(22, np.int64), area, kind, 11)
    assert len(set(left_over.group)) == 1
    assert left_over.merged.all()
    real = homes(9, 1)
    made = about(seeds(9, 2), real)
    assert (made.sum(axis=1) != real.sum(axis=1)).all()
    assert (np.abs(made.sum(axis=1) / real.sum(axis=1) - 1) < 0.32).all()


@pytest.mark.requirement("Q67")
def test_real_half_hours_are_sealed() -> None:
    keys = FieldKeys(bytes(range(32)), "SEAL")
    key, counter = keys.field("one"), keys.field("two")
    real, there = homes(300, 7), np.random.default_rng(1).random((300, PERIODS)) < 0.9
    real[0, 0], there[0, 0] = -5, True
    sealed = seal(key, counter, real, there)
    assert sealed.name == SEALED
    assert sealed.is_null().to_list() == [True] + [False] * 299
    values, present = unseal(key, sealed[1:])
    assert (present == there[1:]).all()
    assert (values == np.where(there, real, 0)[1:]).all()
    shown = np.stack([np.frombuffer(one, np.uint8) for one in sealed[1:].to_list()])
    plain = np.where(there, real, 0)[1:].astype("<i4")
    assert plain[0].tobytes()[:32] not in shown.tobytes()
    wrong, _ = unseal(counter, sealed[1:])
    assert (wrong == values).mean() < 0.01
    first = {bytes(row[:16]) for row in shown}
    assert len(first) == 299  # no counter serves twice
    assert pl.Series(shown[:, 16]).n_unique() > 1
