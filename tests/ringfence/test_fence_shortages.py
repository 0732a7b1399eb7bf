"""Shortages: every missing unit explained once, every set of competitors real and minimal, every number true."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.ringfence.model import Criterion, Demand, UnitKind
from tests.ringfence.cases import KEY, demands_of, frame_of
from tests.ringfence.reference import random_instance, suits, units_of, usable
from tests.ringfence.test_fence_choice import pool
from transforms.ringfence import causes
from transforms.ringfence.allocate import allocate


def told(frame, *demands):
    return allocate(frame, demands, KEY, with_coverage=False)


def of_base(entries):
    return [entry for entry in entries if entry.kind in ("alone", "together")]


def test_causes_account_for_every_missing_unit_and_are_minimal():
    together = 0
    for seed in range(2000, 2250):
        rows, wants = random_instance(seed)
        result = told(frame_of(rows), *demands_of(wants))
        entries = of_base(result.shortages)
        short = {row["test_case"]: row["short"] for row in result.fulfilment.to_dicts()}
        said = dict.fromkeys(short, 0)
        groups = [group for group in units_of(rows).values() if usable(group)]
        left = {want.name: want.base for want in wants}
        for entry in entries:
            members = [want for want in wants if want.name in entry.test_cases]
            eligible = sum(any(suits(group, want) for want in members) for group in groups)
            assert entry.eligible == eligible, seed
            assert entry.wanted == sum(left[want.name] for want in members), seed
            assert entry.short == entry.wanted - eligible > 0, seed
            assert entry.minimal
            for out in members if len(members) > 1 else []:
                rest = [want for want in members if want is not out]
                held = sum(any(suits(group, want) for want in rest) for group in groups)
                assert sum(left[want.name] for want in rest) <= held, seed
            for one in entry.falls_on:
                said[one.test_case] += one.short
                left[one.test_case] -= one.short
            together += len(members) > 1
        assert said == short, seed
    assert together > 30


def test_relaxations_free_what_they_say():
    seen = 0
    for seed in range(2300, 2400):
        rows, wants = random_instance(seed)
        result = told(frame_of(rows), *demands_of(wants))
        by_name = {want.name: want for want in wants}
        taken = set(result.rows["unit"])
        free = [group for unit, group in units_of(rows).items() if usable(group) and unit not in taken]
        for entry in of_base(result.shortages):
            for step in entry.relaxations:
                want = by_name[step.test_case]
                side = getattr(want, step.side)
                kept = {name: values for name, values in side.items() if name != step.attribute}
                wider = type(want)(**{**vars(want), step.side: kept})
                assert step.frees == sum(suits(group, wider) for group in free), seed
                both = kept | {step.attribute: [*side[step.attribute], step.also_accept]}
                near = type(want)(**{**vars(want), step.side: both})
                assert step.also_accept_frees == sum(suits(group, near) for group in free), seed
                seen += 1
    assert seen > 50


def test_what_is_withheld_is_counted_by_reason():
    frame = pool(6).with_columns(pl.Series("conforming", [True, True, True, False, False, True]))
    result = allocate(frame, [Demand("TC", 9)], KEY, taken=frame["mpan"].head(1))
    assert result.shortages[0].withheld == {"non-conforming": 2, "taken": 1}
    assert "Would satisfy, but may not be used: 2 non-conforming and 1 taken." in result.shortages[0].text


@pytest.mark.requirement("Q53", "Q84")
def test_an_infeasible_plan_as_a_reader_sees_it():
    gsp, seg = ["_A"] * 5 + ["_B"] * 40, ["S"] * 3 + ["A"] * 42
    frame = pool(45, gsp=gsp, seg=seg)
    smart, north = (Criterion("seg", ("S",)), Criterion("gsp", ("_A",))), (Criterion("gsp", ("_A",)),)
    result = told(
        frame,
        Demand("CIT-1", 3, participant="SUPA", criteria=north),
        Demand("CIT-2", 3, participant="SUPB", priority=2, criteria=north),
        Demand("CIT-3", 5, participant="SUPC", priority=3, criteria=smart),
        Demand("CIT-4", 2, kind=UnitKind.PAIR, spare=1),
    )
    assert [entry.text for entry in result.shortages] == [
        "CIT-3 (SUPC) wants 5 units, but only 3 free units satisfy it: 2 short. Criteria: gsp=_A & seg=S. "
        "No single criterion, dropped, frees any.",
        "CIT-4 wants 2 units, but no free unit satisfies it: 2 short. No single criterion, dropped, frees any.",
        "CIT-1 (SUPA) and CIT-2 (SUPB) together want 6 units, but only 5 free units satisfy any of them: 1 short, "
        "which falls on CIT-2 (SUPB). Common to all: gsp=_A. To relax: dropping gsp=_A from CIT-2 (SUPB) frees 40 more "
        "(also accepting _B: 40).",
        "CIT-1 (SUPA) and CIT-3 (SUPC) together still want 6 units, but only 5 free units satisfy any of them: 1 "
        "short, which falls on CIT-3 (SUPC). Common to all: gsp=_A. No single criterion, dropped, frees any.",
        "CIT-1 (SUPA), CIT-2 (SUPB) and CIT-3 (SUPC) together still want 7 units, but only 5 free units satisfy any of "
        "them: 2 short, which falls on CIT-3 (SUPC). Common to all: gsp=_A. No single criterion, dropped, frees any.",
        "1 spare unit is missing, from CIT-4. Spares never take a unit that a test case wants.",
    ]


def test_a_search_cut_short_says_so_and_still_accounts(monkeypatch):
    monkeypatch.setattr(causes, "EFFORT", 0)
    result = told(pool(5), Demand("A", 3), Demand("B", 3), Demand("C", 3))
    entries = of_base(result.shortages)
    assert not any(entry.minimal for entry in entries)
    assert sum(entry.short for entry in entries) == 4


def test_spares_are_told_in_one_entry():
    result = told(pool(3), Demand("A", 2, spare=2), Demand("B", 1, spare=1))
    assert [entry.kind for entry in result.shortages] == ["spares"]
    assert result.shortages[0].short == 3


def test_nothing_short_nothing_said():
    assert told(pool(9), Demand("A", 4)).shortages == []
