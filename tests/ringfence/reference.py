"""The allocation problem a second time, in plain Python: units, who may use them, the exact optimum, and a checker.

Shares no code with the product. Follows the binding semantics: a unit is a connected group of linked metering points;
criteria are OR inside an attribute and AND between attributes; PAIR wants an import and an export half in one unit;
SINGLE may use any half; a unit with a non-conforming member is unusable; priorities before each other, base before
spare, and never fewer units in all than the maximum.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ortools.sat.python import cp_model

Row = dict[str, Any]


@dataclass(frozen=True)
class Want:
    """One demand."""

    name: str
    kind: str
    base: int
    spare: int
    priority: int
    criteria: dict[str, list[str]]
    export_criteria: dict[str, list[str]] = field(default_factory=dict)
    round: int = 1


def units_of(rows: Sequence[Row], links: Sequence[str] = ("linked_mpan", "related_mpan")) -> dict[str, list[Row]]:
    """Return the members of each connected group, by its lowest MPAN."""
    parent = {row["mpan"]: row["mpan"] for row in rows}

    def find(one: str) -> str:
        while parent[one] != one:
            one = parent[one]
        return one

    for row in rows:
        for link in links:
            other = row.get(link)
            if other is not None:
                parent.setdefault(other, other)
                parent[find(row["mpan"])] = find(other)
    groups = defaultdict(list)
    for row in rows:
        groups[find(row["mpan"])].append(row)
    return {min(member["mpan"] for member in group): group for group in groups.values()}


def usable(group: Sequence[Row]) -> bool:
    """Tell whether every member is conforming."""
    return all(member["conforming"] for member in group)


def meets(member: Row, criteria: dict[str, list[str]]) -> bool:
    """Tell whether a metering point meets criteria."""
    return all(member[name] in values for name, values in criteria.items())


def suits(group: Sequence[Row], want: Want, single_on_pair: str = "penalise") -> bool:
    """Tell whether a unit can serve a demand."""
    if want.kind == "SINGLE":
        if single_on_pair == "forbid" and len(group) > 1:
            return False
        return any(meets(member, want.criteria) for member in group)
    halves = [
        any(m["direction"] == way and meets(m, criteria) for m in group)
        for way, criteria in (("IMPORT", want.criteria), ("EXPORT", want.export_criteria))
    ]
    return all(halves)


def best_fill(rows: Sequence[Row], wants: Sequence[Want], single_on_pair: str = "penalise") -> list[int]:
    """Return the exact optimum of one round: base units by priority, then spares by priority."""
    groups = [group for group in units_of(rows).values() if usable(group)]
    model = cp_model.CpModel()
    uses = {}
    for unit, group in enumerate(groups):
        for number, want in enumerate(wants):
            if suits(group, want, single_on_pair):
                for role in ("base", "spare"):
                    uses[unit, number, role] = model.new_bool_var(f"{unit} {number} {role}")
    for unit in range(len(groups)):
        model.add(sum(use for (at, _, _), use in uses.items() if at == unit) <= 1)
    for number, want in enumerate(wants):
        for role, most in (("base", want.base), ("spare", want.spare)):
            model.add(sum(use for (_, n, r), use in uses.items() if (n, r) == (number, role)) <= most)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    fills = []
    for role in ("base", "spare"):
        for tier in sorted({want.priority for want in wants}):
            goal = sum(u for (_, n, r), u in uses.items() if r == role and wants[n].priority == tier)
            model.maximize(goal)
            assert solver.solve(model) == cp_model.OPTIMAL
            fills.append(round(solver.objective_value))
            model.add(goal >= fills[-1])
    return fills


def fewest_pairs_on_singles(rows: Sequence[Row], wants: Sequence[Want], got: dict[str, int]) -> int:
    """Return with how few units of several members SINGLE demands can do, when each demand gets ``got`` units."""
    groups = [group for group in units_of(rows).values() if usable(group)]
    model = cp_model.CpModel()
    uses = {
        (unit, number): model.new_bool_var(f"{unit} {number}")
        for unit, group in enumerate(groups)
        for number, want in enumerate(wants)
        if suits(group, want)
    }
    for unit in range(len(groups)):
        model.add(sum(use for (at, _), use in uses.items() if at == unit) <= 1)
    for number, want in enumerate(wants):
        model.add(sum(use for (_, n), use in uses.items() if n == number) == got.get(want.name, 0))
    model.minimize(sum(use for (u, n), use in uses.items() if len(groups[u]) > 1 and wants[n].kind == "SINGLE"))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    fewest: int = round(solver.objective_value)
    return fewest


def most_units(rows: Sequence[Row], wants: Sequence[Want]) -> int:
    """Return the greatest number of base units, priorities aside, by augmenting paths."""
    groups = [group for group in units_of(rows).values() if usable(group)]
    slots = [number for number, want in enumerate(wants) for _ in range(want.base)]
    holder: dict[int, int] = {}

    def place(slot: int, seen: set[int]) -> bool:
        for unit, group in enumerate(groups):
            if unit not in seen and suits(group, wants[slots[slot]]):
                seen.add(unit)
                if unit not in holder or place(holder[unit], seen):
                    holder[unit] = slot
                    return True
        return False

    return sum(place(slot, set()) for slot in range(len(slots)))


def fill_of(out: Sequence[Row], wants: Sequence[Want]) -> list[int]:
    """Return base units by priority, then spares by priority, of an allocation."""
    priority = {want.name: want.priority for want in wants}
    units = {(row["test_case"], row["role"], row["unit"]) for row in out if row["role"] != "COMPANION"}
    counts = Counter((role, priority[name]) for name, role, _ in units)
    tiers = sorted(set(priority.values()))
    return [counts[role, tier] for role in ("BASE", "SPARE") for tier in tiers]


def faults(rows: Sequence[Row], wants: Sequence[Want], out: Sequence[Row], taken: Sequence[str] = ()) -> list[str]:
    """Return everything that is wrong with an allocation (columns round, test_case, role, unit, mpan)."""
    found = []
    groups = units_of(rows)
    by_name = {want.name: want for want in wants}
    given = defaultdict(list)
    for row in out:
        given[row["unit"]].append(row)
    if len({row["mpan"] for row in out}) != len(out):
        found.append("an MPAN comes twice")
    if {row["mpan"] for row in out} & set(taken):
        found.append("an issued MPAN was given again")
    counts: Counter[tuple[str, ...]] = Counter()
    for unit, entries in given.items():
        group = groups.get(unit)
        if group is None or {m["mpan"] for m in group} != {e["mpan"] for e in entries}:
            found.append(f"unit {unit} is not whole")
            continue
        if len({entry["test_case"] for entry in entries}) != 1:
            found.append(f"unit {unit} is split over test cases")
        want = by_name[entries[0]["test_case"]]
        if not usable(group):
            found.append(f"unit {unit} has a non-conforming member")
        serving = [e for e in entries if e["role"] != "COMPANION"]
        roles = {e["role"] for e in serving}
        members = {m["mpan"]: m for m in group}
        if len(roles) != 1 or len(serving) != (2 if want.kind == "PAIR" else 1):
            found.append(f"unit {unit} has odd roles")
        if not suits([members[e["mpan"]] for e in serving], want):
            found.append(f"unit {unit} does not satisfy {want.name}")
        counts[want.name, *sorted(roles)] += 1
    for want in wants:
        if counts[want.name, "BASE"] > want.base or counts[want.name, "SPARE"] > want.spare:
            found.append(f"{want.name} has too much")
    return found


VALUES = {"gsp": ["A", "B", "C"], "seg": ["S", "T"], "sup": ["U", "V", "W"]}


def random_instance(seed: int, *, rounds: int = 1) -> tuple[list[Row], list[Want]]:
    """Return a small population (pairs and larger groups among it) and a demand book that competes for it."""
    rng = random.Random(seed)
    number = rng.randint(4, 26)
    rows = []
    for at in range(number):
        row: Row = {"mpan": f"{1_000_000_000_000 + at * 37:013d}", "linked_mpan": None, "related_mpan": None}
        row |= {"conforming": rng.random() > 0.07, "direction": "IMPORT"}
        row |= {name: rng.choice(values) for name, values in VALUES.items()}
        rows.append(row)
    order = rng.sample(range(number), number)
    at = 0
    while at + 1 < number and rng.random() < 0.75:
        one, other = rows[order[at]], rows[order[at + 1]]
        one["direction"] = "EXPORT"
        one["linked_mpan"] = other["mpan"]
        if rng.random() < 0.5:
            other["linked_mpan"] = one["mpan"]
        at += 2
        if at < number and rng.random() < 0.25:
            rows[order[at]]["related_mpan"] = other["mpan"]
            at += 1
    rng.shuffle(rows)
    wants = [_random_want(rng, at, rounds) for at in range(rng.randint(1, 7))]
    return rows, wants


def _random_want(rng: random.Random, number: int, rounds: int) -> Want:
    def some(most: int) -> dict[str, list[str]]:
        names = rng.sample(sorted(VALUES), rng.randint(0, most))
        return {name: sorted(rng.sample(VALUES[name], rng.randint(1, 2))) for name in names}

    pair = rng.random() < 0.3
    return Want(
        name=f"TC-{number:02d}",
        kind="PAIR" if pair else "SINGLE",
        base=rng.randint(0, 6),
        spare=rng.randint(0, 2),
        priority=rng.randint(1, 3),
        criteria=some(3),
        export_criteria=some(1) if pair else {},
        round=rng.randint(1, rounds),
    )
