"""Which units are taken among equals: keyed, fair to none, the same for ever; and what a policy changes."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from ortools.sat.python import cp_model

from contracts.errors import KeyMaterialError
from contracts.ringfence.model import AllocationPolicy, Criterion, Demand, Pick
from tests.ringfence.cases import KEY, demands_of, frame_of
from tests.ringfence.reference import random_instance, suits, units_of, usable
from transforms.ringfence.allocate import allocate


def pool(number: int, **columns) -> pl.DataFrame:
    rows = [f"{1_000_000_000_000 + n:013d}" for n in range(number)]
    frame = pl.DataFrame({"mpan": rows, "conforming": True, "direction": "IMPORT"})
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_over_many_keys_every_unit_is_taken_alike_often():
    frame = pool(50)
    taken = Counter()
    for number in range(1, 401):
        taken.update(allocate(frame, [Demand("TC", 10)], key(number), with_coverage=False).rows["mpan"])
    # 400 draws of 10 in 50: 80 expected each, standard deviation 8; chi-square with 49 degrees stays below 85 (0.1 %).
    counts = [taken[mpan] for mpan in frame["mpan"]]
    assert sum((count - 80) ** 2 / (80 * 0.8) for count in counts) * 49 / 50 < 85


def test_the_order_is_the_documented_hash_and_nothing_else():
    import hashlib
    import hmac

    frame = pool(40)
    marks = {m: hmac.new(KEY.hex().encode(), m.encode(), hashlib.sha256).hexdigest() for m in frame["mpan"]}
    expected = sorted(frame["mpan"], key=lambda mpan: marks[mpan])[:7]
    assert sorted(allocate(frame, [Demand("TC", 7)], KEY).rows["mpan"]) == sorted(expected)


def test_a_top_up_takes_the_next_in_the_same_order():
    frame = pool(100)
    seven = allocate(frame, [Demand("TC", 7)], KEY).rows
    twelve = set(allocate(frame, [Demand("TC", 12)], KEY).rows["mpan"])
    more = allocate(frame, [Demand("TC", 5)], KEY, taken=seven["mpan"]).rows
    assert set(seven["mpan"]) | set(more["mpan"]) == twelve


def test_a_newcomer_changes_nobody_elses_place():
    few = pool(60)
    many = pool(61)
    one = set(allocate(few, [Demand("TC", 30)], KEY).rows["mpan"])
    other = set(allocate(many, [Demand("TC", 30)], KEY).rows["mpan"])
    assert len(one - other) <= 1


def test_another_key_is_another_choice_and_an_unfit_key_is_refused():
    frame = pool(200)
    first, second = (set(allocate(frame, [Demand("TC", 20)], k).rows["mpan"]) for k in (key(1), key(2)))
    assert first != second
    with pytest.raises(KeyMaterialError, match="32 bytes"):
        allocate(frame, [Demand("TC", 1)], b"short")


def test_stratified_takes_every_stratum_in_proportion():
    gsp = ["A"] * 700 + ["B"] * 200 + ["C"] * 100
    frame = pool(1000, gsp=gsp)
    policy = AllocationPolicy(pick=Pick.STRATIFIED, strata=("gsp",))
    out = allocate(frame, [Demand("TC", 100)], KEY, policy).rows
    counts = out.join(frame, on="mpan").group_by("gsp").len()
    got = dict(counts.iter_rows())
    assert all(abs(got[name] - share) <= 1 for name, share in (("A", 70), ("B", 20), ("C", 10)))


def test_a_spare_never_costs_a_base_unit_and_priorities_are_served_in_turn():
    frame = pool(10)
    demands = [Demand("LOW", 6, priority=2, spare=5), Demand("HIGH", 6, priority=1, spare=5)]
    got = allocate(frame, demands, KEY).fulfilment
    assert {row["test_case"]: (row["allocated"], row["spares"]) for row in got.to_dicts()} == {
        "HIGH": (6, 0),
        "LOW": (4, 0),
    }


def test_a_shortage_inside_a_tier_is_spread_and_minimums_come_first():
    frame = pool(12)
    even = allocate(frame, [Demand("A", 8), Demand("B", 8), Demand("C", 8)], KEY).fulfilment
    assert even["allocated"].to_list() == [4, 4, 4]
    least = allocate(frame, [Demand("A", 8, minimum=8), Demand("B", 8), Demand("C", 8)], KEY).fulfilment
    assert least["allocated"].to_list()[0] == 8
    assert sum(least["allocated"]) == 12


def whole_reference(rows, wants):
    """Return by tier how many test cases can run in full at best, then how many units are given at best."""
    groups = [group for group in units_of(rows).values() if usable(group)]
    model = cp_model.CpModel()
    runs = [model.new_bool_var(f"r{n}") for n in range(len(wants))]
    uses = {
        (u, n): model.new_bool_var(f"{u} {n}")
        for u, group in enumerate(groups)
        for n, want in enumerate(wants)
        if suits(group, want)
    }
    for unit in range(len(groups)):
        model.add(sum(use for (u, _), use in uses.items() if u == unit) <= 1)
    for number, want in enumerate(wants):
        model.add(sum(use for (_, n), use in uses.items() if n == number) == want.base * runs[number])
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    found = []
    for tier in sorted({want.priority for want in wants}):
        goal = sum(runs[n] for n, want in enumerate(wants) if want.priority == tier)
        model.maximize(goal)
        assert solver.solve(model) == cp_model.OPTIMAL
        found.append(round(solver.objective_value))
        model.add(goal >= found[-1])
    return found


def test_all_or_nothing_runs_as_many_test_cases_as_can_be():
    policy = AllocationPolicy(whole_test_cases=True)
    gained = 0
    for seed in range(1000, 1120):
        rows, wants = random_instance(seed)
        plain = allocate(frame_of(rows), demands_of(wants), KEY, with_coverage=False).fulfilment
        result = allocate(frame_of(rows), demands_of(wants), KEY, policy, with_coverage=False)
        got = result.fulfilment
        assert got.filter((pl.col("allocated") > 0) & (pl.col("allocated") < pl.col("wanted"))).is_empty(), seed
        tiers = sorted({want.priority for want in wants})
        full = got.filter(pl.col("short") == 0)
        runs = [full.filter(pl.col("priority") == tier).height for tier in tiers]
        assert runs == whole_reference(rows, wants), seed
        assert result.facts[0].undecided_groups == 0
        gained += full.height - plain.filter(pl.col("short") == 0).height
    assert gained > 0


def test_all_or_nothing_says_who_was_given_up():
    frame = pool(7, a=["x"] * 7)
    demands = [Demand(name, 5, criteria=(Criterion("a", ("x",)),)) for name in ("A", "B")]
    result = allocate(frame, demands, KEY, AllocationPolicy(whole_test_cases=True))
    assert sorted(result.fulfilment["allocated"].to_list()) == [0, 5]
    told = [entry for entry in result.shortages if entry.kind == "given up"]
    assert len(told) == 1
    assert "cannot run with fewer than 5 units" in told[0].text
