"""Frames, suites and a reference run through the pandas engine, shared by the tests beside it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

Rule = dict[str, Any]


def rule(kind: str, rule_id: str | None = None, severity: str = "critical", **kwargs: Any) -> Rule:
    """Return one expectation as contracts hand it over."""
    return {"type": kind, "kwargs": kwargs, "meta": {"rule": rule_id or kind}, "severity": severity}


def suite_of_all_types(**common: Any) -> list[Rule]:
    """Every map expectation both engines know, over the columns of ``frame``; ``common`` goes to each."""
    return [
        rule("expect_column_values_to_not_be_null", column="text", **common),
        rule("expect_column_values_to_not_be_null", "not_null_real", column="real", **common),
        rule("expect_column_values_to_be_null", column="whole", **common),
        rule("expect_column_values_to_be_in_set", column="text", value_set=["01", "ab", 3, None], **common),
        rule("expect_column_values_to_be_in_set", "in_whole", column="whole", value_set=[1, 2.0, "3"],
             **common),
        rule("expect_column_values_to_be_in_set", "in_real", column="real", value_set=[1, 0.5], **common),
        rule("expect_column_values_to_not_be_in_set", column="whole", value_set=[0, -1], **common),
        rule("expect_column_values_to_not_be_in_set", "not_in_text", column="text", value_set=["01"],
             **common),
        rule("expect_column_values_to_match_regex", column="text", regex="^[0-9]{2}$", **common),
        rule("expect_column_values_to_not_match_regex", column="text", regex="b", **common),
        rule("expect_column_values_to_be_between", column="whole", min_value=-1, max_value=3, **common),
        rule("expect_column_values_to_be_between", "above", column="whole", min_value=0, strict_min=True,
             **common),
        rule("expect_column_values_to_be_between", "below", column="real", max_value=0.5, strict_max=True,
             **common),
        rule("expect_column_value_lengths_to_be_between", column="text", min_value=1, max_value=2, **common),
        rule("expect_column_value_lengths_to_equal", column="text", value=2, **common),
        rule("expect_column_values_to_be_unique", column="text", **common),
        rule("expect_column_values_to_be_unique", "unique_whole", column="whole", **common),
        rule("expect_compound_columns_to_be_unique", column_list=["text", "whole"], **common),
        rule("expect_compound_columns_to_be_unique", "compound_any", column_list=["text", "whole"],
             ignore_row_if="any_value_is_missing", **common),
        rule("expect_compound_columns_to_be_unique", "compound_never", column_list=["text", "whole"],
             ignore_row_if="never", **common),
        rule("expect_column_pair_values_a_to_be_greater_than_b", column_A="whole", column_B="other",
             **common),
        rule("expect_column_pair_values_a_to_be_greater_than_b", "greater_or_equal", column_A="whole",
             column_B="other", or_equal=True, ignore_row_if="either_value_is_missing", **common),
        rule("expect_column_pair_values_to_be_equal", column_A="whole", column_B="other", **common),
        rule("expect_column_pair_values_to_be_equal", "equal_neither", column_A="text", column_B="twin",
             ignore_row_if="neither", **common),
    ]  # fmt: skip


def table_rules() -> list[Rule]:
    """The expectations about the table as a whole."""
    return [
        rule("expect_table_row_count_to_be_between", min_value=2, max_value=5),
        rule("expect_column_to_exist", column="text"),
        rule("expect_column_to_exist", "absent", column="absent"),
        rule("expect_column_to_exist", "placed", column="whole", column_index=1),
    ]


SCHEMA = {"text": pl.String, "whole": pl.Int64, "other": pl.Int64, "real": pl.Float64, "twin": pl.String}


def frame(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Return rows as a frame of the shared columns."""
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def cut(data: pl.DataFrame, parts: int) -> list[pl.LazyFrame]:
    """Cut a frame into consecutive parts, some of them empty if it is short."""
    size = -(-data.height // parts)
    return [data.slice(i * size, size).lazy() for i in range(parts)]


def counted(data: pl.DataFrame) -> tuple[pl.LazyFrame, list[int]]:
    """Return a lazy frame over data, and a list that grows by one each time its source is read."""
    reads: list[int] = []

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        reads.append(1)
        found = data if columns is None else data.select(columns)
        found = found if rows is None else found.head(rows)
        yield found if predicate is None else found.filter(predicate)

    return register_io_source(source, schema=data.schema), reads


def whole_great_expectations() -> None:
    """Import what of Great Expectations the product leaves out: its own engines and their metrics."""
    import great_expectations

    from flows.quality.great_expectations.lean_import import complete

    complete()
    assert great_expectations.ExpectationSuite


def through_pandas(data: pl.DataFrame, rules: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Judge by the pandas engine: success, element count and unexpected count of each rule."""
    whole_great_expectations()
    from great_expectations.core.batch import Batch
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.validator.validator import Validator

    configurations = [
        ExpectationConfiguration(type=given["type"], kwargs=dict(given["kwargs"]), meta={"position": i})
        for i, given in enumerate(rules)
    ]
    validator = Validator(execution_engine=PandasExecutionEngine(), batches=[Batch(data=data.to_pandas())])
    validator.metrics_calculator.show_progress_bars = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = validator.graph_validate(configurations, {"catch_exceptions": True, "result_format": "BASIC"})
    ordered = sorted(found, key=lambda r: r.expectation_config.meta["position"])
    assert not any(r.exception_info.get("raised_exception", True) for r in ordered), [
        r.exception_info for r in ordered if r.exception_info.get("raised_exception", True)
    ]
    return [
        (
            r.success,
            r.result.get("element_count", r.result.get("observed_value")),
            r.result.get("unexpected_count"),
        )
        for r in ordered
    ]
