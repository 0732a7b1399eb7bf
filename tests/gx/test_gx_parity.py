"""The same data and suite through the pandas engine and the Polars engine: every count and verdict equal."""

from __future__ import annotations

import math

import polars as pl
import pytest
from gx_cases import cut, frame, rule, suite_of_all_types, table_rules, through_pandas
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.quality.great_expectations import SUPPORTED, run_suite

EXAMPLE = frame(
    [
        ("01", 1, 1, 0.5, "01"),
        ("ab", 2, 1, math.nan, "ba"),
        (None, None, None, None, None),
        ("01", 1, None, 1.0, None),
        ("abc", -1, 0, -2.5, "abc"),
        ("", 0, 3, 0.25, ""),
        (None, 7, 7, 0.5, "x"),
    ]
)
TEXTS = st.one_of(st.none(), st.sampled_from(["", "01", "02", "ab", "abc", "é9", "b"]))
WHOLES = st.one_of(st.none(), st.integers(-2, 4))
REALS = st.one_of(st.none(), st.just(math.nan), st.sampled_from([-1.0, 0.25, 0.5, 1.0, 2.0]))
ROWS = st.lists(st.tuples(TEXTS, WHOLES, WHOLES, REALS, TEXTS), min_size=1, max_size=14)


def through_polars(data: pl.DataFrame, rules: list, parts: int = 1) -> list[tuple]:
    result = run_suite(cut(data, parts), rules, name="parity")
    assert not result.crashed
    return [(r.success, r.element_count, r.unexpected_count) for r in result.rules]


def labelled(rules: list, found: list[tuple]) -> dict[str, tuple]:
    return {given["meta"]["rule"]: verdict for given, verdict in zip(rules, found, strict=True)}


def assert_parity(data: pl.DataFrame, rules: list, parts: int = 1) -> None:
    assert labelled(rules, through_polars(data, rules, parts)) == labelled(rules, through_pandas(data, rules))


@pytest.mark.requirement("Q48")
@pytest.mark.parametrize("mostly", [None, 0.5, 0.0])
def test_every_type_gives_the_counts_of_pandas(mostly: float | None) -> None:
    common = {} if mostly is None else {"mostly": mostly}
    assert_parity(EXAMPLE, suite_of_all_types(**common) + table_rules())


def test_the_suite_of_parity_covers_every_supported_type() -> None:
    covered = {given["type"] for given in suite_of_all_types() + table_rules()}
    assert SUPPORTED - covered == {"expect_rows_to_satisfy"}


def test_condition_objects_select_the_same_rows() -> None:
    from great_expectations.expectations.row_conditions import Column

    whole, text = Column("whole"), Column("text")
    for condition in (
        whole > 0,
        text == "01",
        whole.is_in([1, 2]),
        text.is_not_null() & (whole <= 1),
        (whole == 1) | text.is_null(),
    ):
        rules = [
            *suite_of_all_types(row_condition=condition),
            rule("expect_table_row_count_to_be_between", min_value=1, row_condition=condition),
        ]
        assert_parity(EXAMPLE, rules)


@pytest.mark.parametrize(
    ("sql", "query"),
    [
        ("whole > 0", "whole > 0"),
        ("text = '01' AND whole < 2", "text == '01' and whole < 2"),
        ("text IN ('01', 'ab') OR whole >= 7", "text in ['01', 'ab'] or whole >= 7"),
        ("text IS NULL", "text.isnull()"),
        ("whole = 99", "whole == 99"),
    ],
)
def test_sql_row_conditions_select_what_pandas_queries_select(sql: str, query: str) -> None:
    from great_expectations.expectations.row_conditions import PassThroughCondition

    ours = through_polars(EXAMPLE, suite_of_all_types(row_condition=sql))
    theirs = through_pandas(EXAMPLE, suite_of_all_types(row_condition=PassThroughCondition(pass_through_filter=query)))
    assert labelled(suite_of_all_types(), ours) == labelled(suite_of_all_types(), theirs)


def test_dates_between_text_bounds() -> None:
    data = pl.DataFrame({"day": ["2023-08-18", "2023-08-19", "2023-08-20", None]}).with_columns(
        pl.col("day").str.to_date()
    )
    rules = [rule("expect_column_values_to_be_between", column="day", min_value="2023-08-19", max_value="2023-08-19")]
    assert through_polars(data, rules) == [(False, 4, 2)]
    wanted = [rule("expect_column_values_to_be_in_set", column="day", value_set=["2023-08-19", "2023-08-20"])]
    assert through_polars(data, wanted) == [(False, 4, 1)]


def test_text_between_is_by_code_point_and_categories_are_text() -> None:
    data = pl.DataFrame({"code": ["A", "B", None]}, schema={"code": pl.Enum(["A", "B", "C"])})
    rules = [
        rule("expect_column_values_to_be_in_set", column="code", value_set=["A", "not a category"]),
        rule("expect_column_value_lengths_to_equal", column="code", value=1),
    ]
    assert through_polars(data, rules) == [(False, 3, 1), (True, 3, 0)]


@pytest.mark.requirement("Q48")
@settings(max_examples=25, deadline=None)
@given(rows=ROWS, parts=st.sampled_from([1, 3, 7]), mostly=st.sampled_from([1.0, 0.7]))
def test_random_frames_agree_with_pandas(rows: list[tuple], parts: int, mostly: float) -> None:
    assert_parity(frame(rows), suite_of_all_types(mostly=mostly) + table_rules(), parts)
