"""How the engine reads: once for all counts, once more per uniqueness rule, alike for any cut."""

from __future__ import annotations

import random

import polars as pl
import pytest
from gx_cases import counted, cut, rule, suite_of_all_types
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gx_parity import EXAMPLE, ROWS, frame

from contracts.errors import QualityError
from flows.quality.great_expectations import run_suite
from flows.quality.great_expectations.passes import MetricFault, MetricTally, Partitions, Repeats

UNIQUENESS = ("unique", "compound")
ROW_RULE = rule("expect_rows_to_satisfy", "row_rule", condition="whole >= other OR text LIKE '0%'")


def verdicts(parts: list[pl.LazyFrame], rules: list, **options: str) -> list[tuple]:
    result = run_suite(parts, rules, name="passes", **options)
    return [(r.rule, r.success, r.element_count, r.unexpected_count, r.fault) for r in result.rules]


@settings(max_examples=10, deadline=None)
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_any_cut_and_any_order_give_the_same_verdicts(rows: list[tuple], order: random.Random) -> None:
    rules = [*suite_of_all_types(), ROW_RULE]
    data = frame(rows)
    order.shuffle(rows)
    whole = verdicts(cut(data, 1), rules)
    for shuffled in (data, frame(rows)):
        for parts in (1, 3, 7):
            assert verdicts(cut(shuffled, parts), rules) == whole


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_a_partition_is_read_once_and_once_more_for_each_uniqueness_rule(parts: int) -> None:
    rules = [*suite_of_all_types(), *suite_of_all_types(row_condition="whole > 0"), ROW_RULE]
    unique = sum(any(word in given["type"] for word in UNIQUENESS) for given in rules)
    sources = [counted(data.collect()) for data in cut(pl.concat([EXAMPLE] * 3), parts)]
    result = run_suite([lazy for lazy, _ in sources], rules, name="passes")
    assert not result.crashed
    assert [len(reads) for _, reads in sources] == [1 + unique] * parts


def test_a_suite_without_uniqueness_is_one_pass() -> None:
    lazy, reads = counted(EXAMPLE)
    rules = [given for given in suite_of_all_types() if "unique" not in given["type"]]
    run_suite([lazy], [*rules, ROW_RULE], name="passes")
    assert len(reads) == 1


def test_rules_that_do_not_fit_the_columns_cost_no_pass() -> None:
    lazy, reads = counted(EXAMPLE)
    faulty = [
        rule("expect_column_values_to_match_regex", "look_ahead", column="text", regex="(?=0)"),
        rule("expect_column_values_to_not_be_null", "no_column", column="absent"),
        rule("expect_column_values_to_be_between", "kind", column="text", min_value=1),
        rule("expect_column_values_to_be_unique", "no_key", column="absent"),
        rule("expect_rows_to_satisfy", "mixed", condition="text > 3"),
    ]
    result = run_suite([lazy], [*faulty, rule("expect_column_values_to_not_be_null", column="text")], name="passes")
    assert [r.crashed for r in result.rules] == [True] * 5 + [False]
    assert len(reads) == 1


def test_a_fault_in_the_data_leaves_the_other_counts_alone() -> None:
    rules = suite_of_all_types()
    faulty = rule("expect_rows_to_satisfy", "cast", condition="CAST(text AS INT) > 0")
    found = verdicts(cut(EXAMPLE, 3), [*rules[:5], faulty, *rules[5:]])
    assert found.pop(5) == ("cast", False, None, None, "InvalidOperationError")
    assert found == verdicts(cut(EXAMPLE, 1), rules)


def ranges(*keys: list[int | None]) -> list[pl.LazyFrame]:
    return [pl.LazyFrame({"key": part, "n": [1] * len(part)}, schema={"key": pl.Int64, "n": pl.Int64}) for part in keys]


COMPOUND = rule("expect_compound_columns_to_be_unique", column_list=["n", "key"])


@pytest.mark.parametrize("parts", [ranges([1, 2, 2], [3, 3, 4], []), ranges([5, 5], [None, None, 1])])
def test_a_key_of_disjoint_ranges_is_settled_by_partition(parts: list[pl.LazyFrame]) -> None:
    by_range = verdicts(parts, [COMPOUND], range_key="key")
    assert by_range == verdicts(parts, [COMPOUND])
    assert by_range[0][1:] == (False, by_range[0][2], 4, None)


@pytest.mark.parametrize("parts", [ranges([1, 3], [3, 4]), ranges([1, 4], [2, 3]), ranges([1, None], [2, None])])
def test_ranges_that_overlap_are_refused_rather_than_believed(parts: list[pl.LazyFrame]) -> None:
    (verdict,) = verdicts(parts, [COMPOUND], range_key="key")
    assert verdict[-1] == "PartitionOverlap"


def test_a_range_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(QualityError, match="absent"):
        verdicts(ranges([1], [2]), [COMPOUND], range_key="absent")


def test_range_key_does_not_touch_keys_without_it() -> None:
    parts = ranges([1, 2], [3, 4])
    (verdict,) = verdicts(parts, [rule("expect_column_values_to_be_unique", column="n")], range_key="key")
    assert verdict[3] == 4


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [pl.LazyFrame({"a": [1]}), pl.LazyFrame({"b": [1]})],
        [pl.LazyFrame({"a": [1]}), pl.LazyFrame({"a": ["1"]})],
        [pl.LazyFrame({"a": [1]}), pl.LazyFrame({"a": [1]}).select("absent")],
    ],
)
def test_partitions_that_do_not_fit_together_are_refused(parts: list[pl.LazyFrame]) -> None:
    with pytest.raises(QualityError):
        run_suite(parts, [rule("expect_column_to_exist", column="a")], name="passes")


def test_a_question_about_numbers_is_not_summed() -> None:
    partitions = Partitions([pl.LazyFrame({"a": [3, 4]})])
    assert partitions.count([MetricTally(pl.col("a")), Repeats(pl.col("a"), ("a",))]) == [MetricFault("NotBoolean")] * 2
    assert partitions.collects == 0
