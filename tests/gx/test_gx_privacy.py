"""No value of the data reaches a result, an error, a log or a stream, whether rules fail or crash."""

from __future__ import annotations

import json
import logging
from typing import Any

import polars as pl
import pytest
from gx_cases import rule, whole_great_expectations

from contracts.errors import ContractError, QualityError
from flows.quality.great_expectations import SUPPORTED, PolarsExecutionEngine, raise_on_crash, run_suite

CANARY, NUMBER = "CANARY7731", 987_654_321
DATA = pl.DataFrame({"text": [CANARY, CANARY, None], "whole": [NUMBER, NUMBER, 1], "other": [NUMBER + 1, NUMBER, 2]})
FAILING = [
    rule("expect_column_values_to_not_be_null", column="text"),
    rule("expect_column_values_to_be_null", column="text"),
    rule("expect_column_values_to_be_in_set", column="text", value_set=["a"]),
    rule("expect_column_values_to_not_be_in_set", column="whole", value_set=[1]),
    rule("expect_column_values_to_match_regex", column="text", regex="^x"),
    rule("expect_column_values_to_not_match_regex", column="text", regex="^C"),
    rule("expect_column_values_to_be_between", column="whole", min_value=2, max_value=3),
    rule("expect_column_value_lengths_to_be_between", column="text", max_value=2),
    rule("expect_column_value_lengths_to_equal", column="text", value=2),
    rule("expect_column_values_to_be_unique", column="text"),
    rule("expect_compound_columns_to_be_unique", column_list=["text", "whole"]),
    rule("expect_column_pair_values_a_to_be_greater_than_b", column_A="whole", column_B="other"),
    rule("expect_column_pair_values_to_be_equal", column_A="whole", column_B="other"),
    rule("expect_table_row_count_to_be_between", max_value=1),
    rule("expect_column_to_exist", column="absent"),
    rule("expect_rows_to_satisfy", condition="whole < 5"),
]
UNREADABLE = DATA.lazy().with_columns(pl.col("text", "whole", "other").cast(pl.String).cast(pl.Date))
FORMATS: list[Any] = [
    "BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE",
    {"result_format": "COMPLETE", "include_unexpected_rows": True, "unexpected_index_column_names": ["text"],
     "return_unexpected_index_query": True},
]  # fmt: skip


def assert_clean(*texts: str) -> None:
    for text in texts:
        assert CANARY not in text
        assert str(NUMBER) not in text


def with_condition(condition: str) -> list[dict[str, Any]]:
    """Return the rules that take a row condition, with this one."""
    return [
        {**given, "kwargs": {**given["kwargs"], "row_condition": condition}}
        for given in FAILING
        if given["type"] != "expect_column_to_exist"
    ]


def test_the_cases_cover_every_supported_type() -> None:
    assert {given["type"] for given in FAILING} == SUPPORTED


@pytest.mark.requirement("Q67", "DQ32")
@pytest.mark.parametrize("given", FAILING, ids=lambda given: given["type"])
def test_a_failing_rule_shows_no_value(
    given: dict, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = run_suite([DATA.lazy()], [given], name="canary")
    assert result.failed("critical") == result.rules
    raise_on_crash(result)
    assert_clean(result.to_json(), repr(result), caplog.text, *capfd.readouterr())


@pytest.mark.requirement("Q67", "DQ32")
@pytest.mark.parametrize(
    ("partition", "rules"),
    [
        (DATA.lazy(), with_condition("CAST(text AS INT) = 1")),
        (
            UNREADABLE,
            [given for given in FAILING if "exist" not in given["type"] and "table" not in given["type"]],
        ),
    ],
    ids=["condition", "plan"],
)
def test_a_crashing_rule_shows_no_value(
    partition: pl.LazyFrame, rules: list, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for given in rules:
        result = run_suite([partition], [given], name="canary")
        assert [r.crashed for r in result.rules] == [True], given
        assert not result.failed()
        with pytest.raises(QualityError) as refused:
            raise_on_crash(result)
        assert refused.value.__cause__ is None
        assert refused.value.__context__ is None
        assert given["meta"]["rule"] in str(refused.value)
        assert_clean(result.to_json(), repr(result), str(refused.value), repr(refused.value))
    assert_clean(caplog.text, *capfd.readouterr())


@pytest.mark.requirement("Q67", "DQ32")
@pytest.mark.parametrize("result_format", FORMATS, ids=str)
@pytest.mark.parametrize("condition", [None, "CAST(text AS INT) = 1"], ids=["failing", "crashing"])
def test_the_engine_itself_gives_no_value_whatever_the_format(
    result_format: Any, condition: str | None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    """Used without ``run_suite``, with its logs and tracebacks, the engine has nothing to show either."""
    whole_great_expectations()
    from great_expectations.core.batch import Batch
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.row_conditions import PassThroughCondition
    from great_expectations.validator.validator import Validator

    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="great_expectations")
    extra = {"row_condition": PassThroughCondition(pass_through_filter=condition)} if condition else {}
    cases = [given for given in FAILING if not (condition and given["type"] == "expect_column_to_exist")]
    suite = [ExpectationConfiguration(type=given["type"], kwargs={**given["kwargs"], **extra}) for given in cases]
    validator = Validator(execution_engine=PolarsExecutionEngine(), batches=[Batch(data=DATA.lazy())])
    found = validator.graph_validate(suite, {"catch_exceptions": True, "result_format": result_format})
    assert [result.success for result in found] == [False] * len(suite)
    raised = [bool(result.exception_info.get("raised_exception", True)) for result in found]
    assert raised == [condition is not None] * len(suite)
    assert_clean(json.dumps([result.to_json_dict() for result in found]), caplog.text, *capfd.readouterr())


@pytest.mark.parametrize(
    "metric",
    [
        "column.max",
        "column.distinct_values",
        "column.value_counts",
        "table.head",
        "column_values.in_set.condition",
    ],
)
def test_metrics_that_would_hold_values_are_refused(metric: str) -> None:
    from great_expectations.core.batch import Batch
    from great_expectations.exceptions import MetricProviderError
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from great_expectations.validator.validator import Validator

    validator = Validator(execution_engine=PolarsExecutionEngine(), batches=[Batch(data=DATA.lazy())])
    with pytest.raises(MetricProviderError):
        validator.get_metric(MetricConfiguration(metric, {"column": "text"}, {}))


def test_records_are_refused() -> None:
    from great_expectations.exceptions import ExecutionEngineError

    engine = PolarsExecutionEngine(batch_data_dict={"batch": DATA.lazy()})
    for ask in (lambda: engine.get_domain_records({}), lambda: engine.get_compute_domain({}, "table")):
        with pytest.raises(ExecutionEngineError):
            ask()


@pytest.mark.parametrize(
    "given",
    [
        {**rule("expect_column_values_to_be_null", column="a"), "meta": {}},
        rule("expect_column_max_to_be_between", column="a", max_value=3),
        rule("expect_column_values_to_be_null", column="a", value=CANARY),
        rule("expect_column_values_to_be_between", column="a"),
        rule("expect_column_values_to_be_null", column="a", mostly=2),
        rule("expect_column_values_to_be_null", severity=CANARY, column="a"),
    ],
)
def test_wrong_rules_are_errors_of_the_contract_and_quote_nothing(given: dict) -> None:
    with pytest.raises(ContractError) as refused:
        run_suite([DATA.lazy()], [given], name="canary")
    assert_clean(str(refused.value))
    assert refused.value.__context__ is None
