"""What a unit is, who may use it, and which criteria hold: the binding semantics, case by case."""

from __future__ import annotations

import polars as pl
import pytest

from contracts.errors import ConfigurationError, IntakeError
from contracts.ringfence.model import AllocationPolicy, Criterion, Demand, UnitKind
from tests.ringfence.cases import KEY
from transforms.ringfence.allocate import allocate


def people(*rows: dict, **more) -> pl.DataFrame:
    base = {"linked_mpan": None, "related_mpan": None, "conforming": True, "direction": "IMPORT"}
    names = {name for row in rows for name in row} - {"mpan", *base}
    whole = [base | dict.fromkeys(names) | row | {"mpan": f"{row['mpan']:013d}"} for row in rows]
    for row in whole:
        for link in ("linked_mpan", "related_mpan"):
            row[link] = None if row[link] is None else f"{row[link]:013d}"
    return pl.DataFrame(whole, schema_overrides={"linked_mpan": pl.String, "related_mpan": pl.String} | more)


def want(base=1, *criteria: Criterion, **more) -> Demand:
    return Demand(test_case=more.pop("test_case", "TC"), base=base, criteria=criteria, **more)


def given(frame, *demands, policy=None, **more) -> list[tuple[str, str, int]]:
    rows = allocate(frame, demands, KEY, policy, **more).rows
    return sorted((r["test_case"], r["role"], int(r["mpan"])) for r in rows.to_dicts())


PAIR = ({"mpan": 1, "linked_mpan": 2, "a": "x"}, {"mpan": 2, "direction": "EXPORT", "a": "y"})


@pytest.mark.requirement("Q53", "Q57")
def test_a_single_on_a_pair_books_the_other_half_as_companion():
    frame = people(*PAIR)
    assert given(frame, want(2, Criterion("a", ("y",)))) == [("TC", "BASE", 2), ("TC", "COMPANION", 1)]
    assert given(frame, want(2, Criterion("a", ("x",)))) == [("TC", "BASE", 1), ("TC", "COMPANION", 2)]


def test_where_both_halves_would_do_the_import_serves():
    frame = people({"mpan": 1, "direction": "EXPORT", "linked_mpan": 2}, {"mpan": 2})
    assert given(frame, want(1)) == [("TC", "BASE", 2), ("TC", "COMPANION", 1)]


def test_a_pair_wants_import_and_export_half_to_meet_their_own_criteria():
    frame = people(*PAIR)
    met = want(1, Criterion("a", ("x",)), kind=UnitKind.PAIR, export_criteria=(Criterion("a", ("y",)),))
    assert given(frame, met) == [("TC", "BASE", 1), ("TC", "BASE", 2)]
    swapped = want(1, Criterion("a", ("y",)), kind=UnitKind.PAIR, export_criteria=(Criterion("a", ("x",)),))
    assert given(frame, swapped) == []


def test_two_imports_joined_are_no_pair_but_a_group():
    frame = people({"mpan": 1, "related_mpan": 2, "a": "x"}, {"mpan": 2, "a": "y"}, {"mpan": 3, "a": "x"})
    assert given(frame, want(1, kind=UnitKind.PAIR)) == []
    group = want(5, Criterion("a", ("x",)), kind=UnitKind.GROUP)
    assert given(frame, group) == [("TC", "BASE", 1), ("TC", "BASE", 2)]


def test_an_import_with_two_exports_serves_as_one_pair_with_a_companion():
    frame = people(
        {"mpan": 1, "a": "x"},
        {"mpan": 2, "direction": "EXPORT", "linked_mpan": 1, "a": "y"},
        {"mpan": 3, "direction": "EXPORT", "linked_mpan": 1, "a": "z"},
    )
    pair = want(3, kind=UnitKind.PAIR, export_criteria=(Criterion("a", ("z",)),))
    assert given(frame, pair) == [("TC", "BASE", 1), ("TC", "BASE", 3), ("TC", "COMPANION", 2)]


@pytest.mark.requirement("Q48")
def test_one_member_that_does_not_conform_makes_the_unit_unusable():
    frame = people({"mpan": 1, "linked_mpan": 2}, {"mpan": 2, "direction": "EXPORT", "conforming": False})
    assert given(frame, want(1)) == []
    assert given(frame, want(1, kind=UnitKind.PAIR)) == []


def test_a_partner_that_is_not_there_makes_a_unit_unusable_unless_allowed():
    frame = people({"mpan": 1, "linked_mpan": 9}, {"mpan": 2})
    assert given(frame, want(2)) == [("TC", "BASE", 2)]
    allowed = AllocationPolicy(absent_partner="allow")
    assert given(frame, want(2), policy=allowed) == [("TC", "BASE", 1), ("TC", "BASE", 2)]


def test_two_that_point_at_the_same_absent_partner_are_one_unit():
    frame = people({"mpan": 1, "linked_mpan": 9}, {"mpan": 2, "linked_mpan": 9})
    allowed = AllocationPolicy(absent_partner="allow")
    assert given(frame, want(2), policy=allowed) == [("TC", "BASE", 1), ("TC", "COMPANION", 2)]


@pytest.mark.requirement("Q57")
def test_the_same_meter_or_premises_is_the_same_unit_and_never_in_two_phases():
    rows = [{"mpan": n, "meter": f"M{n // 2}", "premises": f"P{n // 3}"} for n in range(24)]
    frame = people(*rows)
    policy = AllocationPolicy(keep_together=("meter", "premises"))
    demands = [want(3, test_case="C", phase="CIT"), want(3, test_case="S", phase="SIT")]
    out = allocate(frame, demands, KEY, policy).rows.to_dicts()
    for column in ("meter", "premises"):
        value = {f"{row['mpan']:013d}": row[column] for row in rows}
        phases = [{value[r["mpan"]] for r in out if r["phase"] == phase} for phase in ("CIT", "SIT")]
        assert phases[0]
        assert phases[1]
        assert not phases[0] & phases[1]


@pytest.mark.parametrize(
    ("criterion", "mpans"),
    [
        (Criterion("n", at_least="9", at_most="100"), [2, 3]),
        (Criterion("n", at_least="10.5"), [3]),
        (Criterion("day", at_least="2023-06-01"), [2, 3]),
        (Criterion("day", at_most="2023-06-01"), [1, 2]),
        (Criterion("day", present=False), [4]),
        (Criterion("n", present=True), [1, 2, 3]),
        (Criterion("has_link", ("true",)), [3, 4]),
        (Criterion("has_link", ("false",)), [1, 2]),
        (Criterion("flag", ("true",)), [1, 3]),
        (Criterion("n", ("2", "10")), [1, 2]),
        (Criterion("direction", ("EXPORT",)), [4]),
    ],
)
def test_criteria(criterion, mpans):
    frame = people(
        {"mpan": 1, "n": 2, "day": "2023-01-01", "flag": True},
        {"mpan": 2, "n": 10, "day": "2023-06-01", "flag": False},
        {"mpan": 3, "n": 100, "day": "2023-12-01", "flag": True, "linked_mpan": 4},
        {"mpan": 4, "n": None, "day": None, "flag": None, "direction": "EXPORT"},
    )
    out = given(frame, want(9, criterion))
    serving = {mpan for _, role, mpan in out if role == "BASE"}
    assert serving <= set(mpans)
    assert {mpan for *_, mpan in out if mpan < 3} == {mpan for mpan in mpans if mpan < 3}
    assert bool(serving & {3, 4}) == bool(set(mpans) & {3, 4})


def test_many_distinct_values_do_not_make_many_profiles():
    rows = [{"mpan": n, "eac": n * 1.5} for n in range(3000)]
    result = allocate(people(*rows), [want(50, Criterion("eac", at_least="100", at_most="200"))], KEY)
    got = [float(m) * 1.5 for m in result.rows["mpan"].cast(pl.Int64)]
    assert len(got) == 50
    assert all(100 <= value <= 200 for value in got)
    assert result.facts[0].unit_profiles < 10


def test_an_unknown_attribute_and_a_double_mpan_are_refused():
    with pytest.raises(ConfigurationError, match="no such attribute"):
        given(people({"mpan": 1, "a": "x"}), want(1, Criterion("b", ("x",))))
    with pytest.raises(IntakeError, match="1 MPANs are listed twice"):
        given(people({"mpan": 1}, {"mpan": 1}), want(1))
    with pytest.raises(IntakeError, match="lacks conforming"):
        given(people({"mpan": 1}).drop("conforming"), want(1))
    with pytest.raises(ConfigurationError, match="is listed twice"):
        given(people({"mpan": 1}), want(1), want(2))


@pytest.mark.parametrize("kind", ["text", "number", "float", "odd"])
def test_mpans_of_any_shape(kind):
    frame = people({"mpan": 1, "linked_mpan": 2}, {"mpan": 2, "direction": "EXPORT"}, {"mpan": 3})
    if kind == "number":
        frame = frame.with_columns(pl.col("mpan", "linked_mpan").cast(pl.Int64))
    if kind == "float":
        frame = frame.with_columns(pl.col("mpan").cast(pl.Int64), pl.col("linked_mpan").cast(pl.Float64))
    if kind == "odd":
        frame = frame.with_columns(("X" + pl.col(name)).fill_null("").alias(name) for name in ("mpan", "linked_mpan"))
    out = allocate(frame, [want(1, kind=UnitKind.PAIR), want(1, test_case="S")], KEY).rows
    assert out["role"].to_list() == ["BASE", "BASE", "BASE"]
    assert out.filter(pl.col("test_case") == "TC")["unit"].n_unique() == 1


def test_no_unit_at_all_is_a_shortage_not_a_fault():
    empty = people({"mpan": 1}).clear()
    result = allocate(empty, [want(3)], KEY)
    assert result.rows.is_empty()
    assert result.fulfilment["short"].to_list() == [3]
    assert result.shortages[0].text.startswith("TC wants 3 units, but no free unit satisfies it: 3 short.")


@pytest.mark.requirement("Q84")
def test_reuse_allows_another_stage_of_the_same_phase_only():
    frame = people({"mpan": 1}, {"mpan": 2})
    past = pl.DataFrame({"mpan": ["0000000000001"], "phase": ["SIT"], "stage": ["functional"]})

    def units(phase, stage):
        demand = Demand("TC", 5, phase=phase, stage=stage)
        return allocate(frame, [demand], KEY, histories=past).rows["mpan"].cast(pl.Int64).sort().to_list()

    assert units("SIT", "migration") == [1, 2]
    assert units("SIT", "functional") == [2]
    assert units("CIT", "cit") == [2]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.String])
def test_a_whole_number_is_itself_whatever_type_holds_it(dtype):
    frame = people({"mpan": 1, "n": 5}, {"mpan": 2, "n": None}, {"mpan": 3, "n": 50})
    frame = frame.with_columns(pl.col("n").cast(dtype))
    assert given(frame, want(3, Criterion("n", ("5",)))) == [("TC", "BASE", 1)]


@pytest.mark.parametrize("said", [[True, False], ["true", "FALSE"], ["True", ""], [1, 0], [1.0, None]])
def test_conforming_in_any_spelling(said):
    frame = people({"mpan": 1}, {"mpan": 2}).with_columns(pl.Series("conforming", said))
    assert given(frame, want(2)) == [("TC", "BASE", 1)]
