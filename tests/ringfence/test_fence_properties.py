"""What must hold whatever the plan: more supply never hurts, lower tiers never cost higher ones, the proof can fail."""

from __future__ import annotations

import hmac
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import RingFenceError
from contracts.ringfence.model import AllocationPolicy, Demand
from tests.ringfence.cases import KEY, demands_of, frame_of
from tests.ringfence.reference import Want, random_instance, suits, units_of, usable
from transforms.connected_components import smallest_connected
from transforms.ringfence import allocate as module
from transforms.ringfence.allocate import allocate
from transforms.ringfence.prove import prove_allocation

SEEDS = st.integers(10_000, 10_000_000)


def filled(rows, wants, policy=None) -> dict[str, int]:
    frame = allocate(frame_of(rows), demands_of(wants), KEY, policy, with_coverage=False).fulfilment
    return dict(zip(frame["test_case"], frame["allocated"], strict=True))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_one_more_unit_never_lowers_the_total(seed):
    rows, wants = random_instance(seed)
    more = [*rows, rows[0] | {"mpan": "9000000000000", "linked_mpan": None, "related_mpan": None, "conforming": True}]
    assert sum(filled(more, wants).values()) >= sum(filled(rows, wants).values())


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_demand_of_a_lower_tier_never_costs_a_higher_one_a_unit(seed):
    rows, wants = random_instance(seed)
    top = [want for want in wants if want.priority == 1]
    if top:
        assert sum(filled(rows, top).values()) == sum(filled(rows, wants)[want.name] for want in top)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_spares_never_change_how_many_base_units_a_tier_gets(seed):
    rows, wants = random_instance(seed)
    bare = [replace(want, spare=0) for want in wants]
    one, other = filled(rows, wants), filled(rows, bare)
    for tier in {want.priority for want in wants}:
        names = [want.name for want in wants if want.priority == tier]
        assert sum(one[name] for name in names) == sum(other[name] for name in names)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_an_attribute_that_nobody_asks_about_changes_no_fulfilment(seed):
    rows, wants = random_instance(seed)
    finer = [row | {"colour": row["mpan"][-1]} for row in rows]
    assert filled(finer, wants) == filled(rows, wants)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_connected_groups(edges):
    label = list(range(31))
    for _ in range(31):
        for one, other in edges:
            label[one] = label[other] = min(label[one], label[other])
    left, right = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))
    assert smallest_connected(31, left, right).tolist() == label


def greedy_units(rows, wants, minimum: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Give units one by one in the documented order, each if room for it can be made: exact on a matroid."""
    demands = {demand.test_case: demand for demand in demands_of(wants)}
    mark = {name: hmac.new(KEY, b"turn/" + repr(d.key).encode(), "sha256").digest() for name, d in demands.items()}
    slots = []
    for want in wants:
        first = min(minimum[want.name], want.base)
        parts = ((first, 4, 0, "base"), (want.base - first, 8, 1, "base"), (want.spare, 8, 2, "spare"))
        for number, slices, part, role in parts:
            for unit in range(number):
                late = role == "spare"
                slots.append((late, want.priority, part, unit * slices // number, mark[want.name], want, role))
    slots.sort(key=lambda slot: slot[:5])
    groups = [group for group in units_of(rows).values() if usable(group)]
    holder: dict[int, int] = {}

    def place(slot: int, seen: set[int]) -> bool:
        for unit, group in enumerate(groups):
            if unit not in seen and suits(group, slots[slot][5]):
                seen.add(unit)
                if unit not in holder or place(holder[unit], seen):
                    holder[unit] = slot
                    return True
        return False

    got = {want.name: [0, 0] for want in wants}
    for number, slot in enumerate(slots):
        if place(number, set()):
            got[slot[5].name][slot[6] == "spare"] += 1
    return {name: (base, spare) for name, (base, spare) in got.items()}


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_every_test_case_gets_exactly_what_the_documented_order_gives_it(seed):
    rows, wants = random_instance(seed)
    minimum = {want.name: (seed + n) % (want.base + 1) for n, want in enumerate(wants)}
    demands = [replace(demand, minimum=minimum[demand.test_case]) for demand in demands_of(wants)]
    frame = allocate(frame_of(rows), demands, KEY, with_coverage=False).fulfilment
    got = {row["test_case"]: (row["allocated"], row["spares"]) for row in frame.to_dicts()}
    assert got == greedy_units(rows, wants, minimum)


def tampered(monkeypatch, change) -> None:
    """Run an allocation whose result is changed before it is proven."""

    def checked(problem, *, base, spare, profiles, demands, spares):
        return prove_allocation(
            problem,
            **change({"base": base, "spare": spare, "profiles": profiles, "demands": demands, "spares": spares}),
        )

    monkeypatch.setattr(module, "prove_allocation", checked)
    wants = [Want("A", "SINGLE", 3, 1, 1, {"gsp": ["A"]}), Want("B", "SINGLE", 3, 0, 2, {})]
    rows = [{"mpan": f"{n:013d}", "linked_mpan": None, "related_mpan": None, "conforming": True, "direction": "IMPORT",
             "gsp": "A" if n < 4 else "B"} for n in range(8)]  # fmt: skip
    allocate(frame_of(rows), demands_of(wants), KEY)


def drop(given_: dict) -> dict:
    return given_ | {name: given_[name][:-1] for name in ("profiles", "demands", "spares")}


def swap(given_: dict) -> dict:
    return given_ | {"demands": 1 - given_["demands"]}


def twice(given_: dict) -> dict:
    return given_ | {name: np.concatenate([given_[name], given_[name]]) for name in ("profiles", "demands", "spares")}


def spare_first(given_: dict) -> dict:
    at = np.flatnonzero(~given_["spares"] & (given_["demands"] == 0))[:1]
    spares = given_["spares"].copy()
    spares[at] = True
    return given_ | {"spares": spares, "spare": given_["spare"] + 1}


@pytest.mark.parametrize("change", [drop, swap, twice, spare_first])
def test_the_proof_fails_for_a_worse_or_unsound_allocation(monkeypatch, change):
    with pytest.raises(RingFenceError, match="not optimal") as told:
        tampered(monkeypatch, change)
    assert told.value.exit_code == 17


def test_the_proof_passes_what_the_allocator_gives(monkeypatch):
    tampered(monkeypatch, lambda given_: given_)


def test_undecided_groups_are_told(monkeypatch):
    from transforms.ringfence import all_or_nothing

    monkeypatch.setattr(all_or_nothing, "EFFORT", 1e-9)
    frame = pl.DataFrame({"mpan": [f"{n:013d}" for n in range(60)], "conforming": True, "direction": "IMPORT"})
    demands = [Demand(f"T{n}", 5 + n % 7) for n in range(12)]
    result = allocate(frame, demands, KEY, AllocationPolicy(whole_test_cases=True))
    got = result.fulfilment
    assert got.filter((pl.col("allocated") > 0) & (pl.col("short") > 0)).is_empty() or result.facts[0].undecided_groups
