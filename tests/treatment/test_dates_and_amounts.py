"""Dates keep their order and the cut date, amounts their band; two keys give releases that cannot be joined."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.load import load_all
from contracts.overlay import NONE
from contracts.profiles import Profile, amount_steps, loosened, under_profile
from contracts.profiles.model import ReleasedPrecision
from contracts.scheme import scheme_lists
from contracts.vocabulary import Form, Method
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser, treat
from transforms.treatment.amounts import varied
from transforms.treatment.dates import moved

CUT = date(2023, 8, 19)
CUT_DAY = (CUT - date(1970, 1, 1)).days
STEPS = amount_steps()
STRETCHES = [10, 365, 1096]


def seeds(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)


@pytest.mark.requirement("Q58")
@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(CUT_DAY - 20_000, CUT_DAY + 3_000), min_size=2, max_size=40),
    st.sampled_from(STRETCHES),
)
def test_order_equality_and_the_cut_date_stay(seed: int, days: list[int], stretch: int) -> None:
    real = np.sort(np.array(days, np.int64))
    released = moved(np.full(real.size, seed, np.uint64), real, CUT_DAY, stretch)
    assert (np.diff(released) >= 0).all()
    assert (released[real <= CUT_DAY] <= CUT_DAY).all()
    assert (released[real > CUT_DAY] > CUT_DAY).all()
    assert (np.abs(released - real) < 4 * stretch).all()
    alone = [int(moved(np.array([seed], np.uint64), np.array([day]), CUT_DAY, stretch)[0]) for day in real]
    assert alone == released.tolist()  # what else the metering point has makes no difference


@pytest.mark.parametrize("stretch", STRETCHES[1:])
def test_two_keys_cannot_be_joined_on_dates_or_their_differences(stretch: int) -> None:
    draw = np.random.default_rng(5)
    first = CUT_DAY - draw.integers(30, 4_000, 50_000)
    second = first - draw.integers(0, 3_000, first.size)
    a, b = seeds(first.size, 1), seeds(first.size, 2)
    one, other = moved(a, first, CUT_DAY, stretch), moved(b, first, CUT_DAY, stretch)
    assert (one == other).mean() < 0.01
    assert (one == first).mean() < 0.01
    apart = one - moved(a, second, CUT_DAY, stretch), other - moved(b, second, CUT_DAY, stretch)
    assert (apart[0] == apart[1])[first != second].mean() < 0.01
    assert abs((one - first).mean()) < stretch / 20  # no drift


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.lists(
        st.one_of(st.floats(0, 250_000), st.sampled_from([0.0, 999.9, 1000.0, 2000.0, 99_999.9, -12.5])), min_size=1
    ),
    st.sampled_from([0.1, 0.3]),
)
def test_amounts_keep_sign_band_and_size(seed: int, amounts: list[float], share: float) -> None:
    real = np.round(np.array(amounts), 1)
    some = np.full(real.size, seed, np.uint64)
    released = varied(some, real, np.zeros(real.size, np.uint64), share, STEPS.bands, STEPS.steps)
    bands = np.asarray(STEPS.bands)
    size = np.abs(real)
    assert (np.sign(released)[size >= 1] == np.sign(real)[size >= 1]).all()
    assert (np.searchsorted(bands, np.abs(released), "right") == np.searchsorted(bands, size, "right"))[size > 1].all()
    assert (np.abs(released - real) <= share * size + 1.0).all()
    assert (released[real == 0] == 0).all()


def test_a_metering_points_date_is_alike_in_every_extract() -> None:
    under = under_profile(load_all(), Profile.STANDARD, NONE)
    maker = Pseudonymiser(
        FieldKeys(bytes(range(32)), "MOVE"), lists=scheme_lists(), precision=ReleasedPrecision(CUT, STEPS)
    )
    points = [f"10{n:010d}0" for n in range(400)]
    dates = [CUT - timedelta(days=37 * n % 4_000 + 1) for n in range(400)]
    released = {}
    for extract, column in (
        ("registration", "supplier_effective_from"),
        ("portfolio", "supplier_effective_from"),
        ("metering", "meter_install_date"),
        ("bmu_mapping", "effective_from"),
        ("annual_consumption", "effective_from"),
    ):
        frame = pl.LazyFrame({"mpan_core": points, column: dates}, {"mpan_core": pl.String, column: pl.Date})
        released[extract] = treat(frame, under[extract], maker).collect()[column].to_list()
    assert len({tuple(found) for found in released.values()}) == 1
    assert sum(a == b for a, b in zip(released["registration"], dates, strict=True)) < 12


def test_profiles_treat_every_date_and_amount_that_singles_out() -> None:
    """What is released as it is, is a settlement day, a key, or a day that readings tell by month."""
    for profile in (Profile.STANDARD, Profile.STRICT):
        for extract, contract in under_profile(load_all(), profile, NONE).items():
            for column in contract.released:
                if column.form is Form.DATE and not column.key:
                    assert contract.treatment(column).method is Method.MOVE, (profile, extract, column.name)
                if column.name in ("eac", "aa"):
                    assert contract.treatment(column).method is Method.VARY
    exact = under_profile(load_all(), Profile.EXACT, NONE)
    assert all(not contract.overlay for contract in exact.values())


def test_an_overlay_loosens_by_name(tmp_path) -> None:
    from contracts.overlay import read_overlay

    path = tmp_path / "overlay.yaml"
    path.write_text("treatments: {registration: {supplier_effective_from: keep}, metering: {make_and_model: token}}\n")
    overlay = read_overlay(path, load_all())
    assert loosened(load_all(), Profile.STANDARD, overlay) == ["registration.supplier_effective_from"]
    assert loosened(load_all(), Profile.EXACT, overlay) == []
    under = under_profile(load_all(), Profile.STANDARD, overlay)["registration"]
    assert under.treatment(under.column("supplier_effective_from")).method is Method.KEEP
    assert under.treatment(under.column("disconnection_date")).method is Method.MOVE
