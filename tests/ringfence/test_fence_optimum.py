"""The optimum is met exactly: against CP-SAT and against plain augmenting paths, pairs and larger groups included."""

from __future__ import annotations

import random

import numpy as np
import pytest

from contracts.ringfence.model import AllocationPolicy, SingleOnPair
from tests.ringfence.cases import KEY, demands_of, frame_of
from tests.ringfence.reference import (
    best_fill,
    faults,
    fewest_pairs_on_singles,
    fill_of,
    most_units,
    random_instance,
    units_of,
)
from transforms.ringfence.allocate import allocate
from transforms.ringfence.max_flow import _Flow


def solved(rows, wants, policy=None):
    result = allocate(frame_of(rows), demands_of(wants), KEY, policy)
    return result, result.rows.to_dicts()


@pytest.mark.requirement("Q53", "Q57", "Q84")
@pytest.mark.parametrize("block", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 10))])
def test_five_hundred_small_instances_meet_the_exact_optimum(block):
    for seed in range(block * 50, block * 50 + 50):
        rows, wants = random_instance(seed)
        result, out = solved(rows, wants)
        assert faults(rows, wants, out) == [], seed
        assert fill_of(out, wants) == best_fill(rows, wants), seed
        assert result.fulfilment["allocated"].sum() == most_units(rows, wants), seed
        assert result.facts[0].undecided_groups == 0


def test_forbidding_pairs_for_singles_is_exact_too():
    for seed in range(500, 560):
        rows, wants = random_instance(seed)
        _, out = solved(rows, wants, AllocationPolicy(single_on_pair=SingleOnPair.FORBID))
        assert fill_of(out, wants) == best_fill(rows, wants, "forbid"), seed


@pytest.mark.requirement("Q57")
def test_rounds_are_frozen_one_after_another():
    for seed in range(600, 660):
        rows, wants = random_instance(seed, rounds=3)
        _, out = solved(rows, wants)
        taken: list[str] = []
        for number in sorted({want.round for want in wants}):
            now = [want for want in wants if want.round == number]
            mine = [row for row in out if row["round"] == number]
            left = [row | {"conforming": row["conforming"] and row["mpan"] not in taken} for row in rows]
            assert faults(rows, now, mine, taken) == [], seed
            assert fill_of(mine, now) == best_fill(left, now), seed
            taken += [row["mpan"] for row in mine]


def test_rows_and_demands_in_any_order_give_the_same_allocation():
    for seed in range(700, 730):
        rows, wants = random_instance(seed)
        first = solved(rows, wants)[0]
        rng = random.Random(seed)
        rng.shuffle(rows)
        rng.shuffle(wants)
        again = solved(rows, wants)[0]
        assert first.rows.equals(again.rows), seed
        assert first.shortages == again.shortages, seed
        assert first.coverage.equals(again.coverage), seed


def test_as_few_pairs_as_can_be_are_spent_on_singles():
    spent = 0
    for seed in range(800, 900):
        rows, wants = random_instance(seed)
        single = {want.name for want in wants if want.kind == "SINGLE"}
        result, out = solved(rows, wants)
        several = {unit for unit, group in units_of(rows).items() if len(group) > 1}
        wasted = {row["unit"] for row in out if row["test_case"] in single and row["unit"] in several}
        got: dict[str, int] = {}
        for row in result.fulfilment.to_dicts():
            got[row["test_case"]] = row["allocated"] + row["spares"]
        assert len(wasted) == fewest_pairs_on_singles(rows, wants, got), seed
        spent += len(wasted)
    assert spent > 0


def test_two_flows_are_one_by_class_and_specification():
    one = _Flow(*(np.array(part) for part in ([2, 0], [0, 1], [5, 6])))
    both = one.joined(_Flow(*(np.array(part) for part in ([0, 1], [0, 3], [7, 8]))))
    assert [tuple(arc) for arc in zip(both.classes, both.specifications, both.amounts, strict=True)] == [
        (0, 0, 7), (0, 1, 6), (1, 3, 8), (2, 0, 5),
    ]  # fmt: skip
