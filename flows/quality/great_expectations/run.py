"""Runs a suite of plain expectation dictionaries over the partitions of one extract.

No data context is opened: nothing is written, looked up or sent, and no progress bar is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from importlib import import_module

import polars as pl
from great_expectations.core.batch import Batch
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.row_conditions import PassThroughCondition
from great_expectations.validator.validator import Validator

from contracts.errors import ContractError
from contracts.model import Arguments
from flows.quality.great_expectations import expectations as own_expectations
from flows.quality.great_expectations.engine import PolarsExecutionEngine
from flows.quality.great_expectations.lean_import import lean_import
from flows.quality.great_expectations.result import RuleResult, SuiteResult

SUPPORTED = frozenset(
    {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_to_exist",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_null",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_not_match_regex",
        "expect_compound_columns_to_be_unique",
        own_expectations.ExpectRowsToSatisfy.expectation_type,
        "expect_table_row_count_to_be_between",
    }
)
# Its log repeats exceptions and arguments, and would reach the error stream of a program without handlers.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)
_COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}


def run_suite(
    partitions: Sequence[pl.LazyFrame],
    expectations: Sequence[Arguments],
    *,
    name: str,
    range_key: str | None = None,
) -> SuiteResult:
    """Judge an extract by a suite of rules.

    Args:
        partitions: the extract, one or more frames with equal schemas; read one after another, never kept.
        expectations: ``{"type", "kwargs", "meta": {"rule": id}, "severity": "critical|warning|info"}`` each;
            a ``row_condition`` is a SQL boolean expression.
        name: name of the suite in results and errors.
        range_key: column whose disjoint ranges the partitions are, if they are. Uniqueness of a key that
            contains it is then settled partition by partition, and crashes as ``PartitionOverlap`` if the
            ranges overlap.

    Returns:
        One verdict per expectation, in their order; a crash is told apart from broken data.

    Raises:
        ContractError: an expectation has no rule id, is of a type this engine does not know, or has wrong
            arguments.
        QualityError: there are no partitions, they are unreadable, their schemas differ, or they lack the
            range key.
    """
    _load({str(given.get("type")) for given in expectations})
    configurations = [_configuration(position, given) for position, given in enumerate(expectations)]
    engine = PolarsExecutionEngine(range_key=range_key)
    validator = Validator(execution_engine=engine, batches=[Batch(data=list(partitions))])
    validator.metrics_calculator.show_progress_bars = False
    with own_expectations.one_configuration_each():
        found = validator.graph_validate(
            configurations=configurations,
            runtime_configuration={"catch_exceptions": True, "result_format": dict(_COUNTS_ONLY)},
        )
    by_position = {result.expectation_config.meta["position"]: result for result in found}
    faults = {str(metric): kind for metric, kind in engine.faults.items()}
    rules = (_verdict(given, by_position[position], faults) for position, given in enumerate(expectations))
    return SuiteResult(name=name, rules=tuple(rules))


def _load(kinds: Set[str]) -> None:
    """Import the expectations that a suite uses, which register themselves, and what a validator asks a batch for."""
    with lean_import():
        import_module("great_expectations.datasource.fluent.interfaces")
        for kind in sorted(kinds & SUPPORTED - {own_expectations.ExpectRowsToSatisfy.expectation_type}):
            import_module(f"great_expectations.expectations.core.{kind}")


def _configuration(position: int, given: Arguments) -> ExpectationConfiguration:
    """Build one expectation and have Great Expectations check its arguments."""
    rule = str(given.get("meta", {}).get("rule", ""))
    kind = given.get("type")
    if not rule:
        raise ContractError("an expectation carries no rule id in its meta", where=f"expectation {position}")
    if kind not in SUPPORTED:
        raise ContractError("the type of expectation is not one that the Polars engine knows", where=rule)
    kwargs = dict(given.get("kwargs", {}))
    if isinstance(condition := kwargs.get("row_condition"), str):
        kwargs["row_condition"] = PassThroughCondition(pass_through_filter=condition)
    refusal = ""
    try:
        configuration = ExpectationConfiguration(
            type=kind, kwargs=kwargs, meta={"position": position}, severity=given.get("severity", "critical")
        )
        configuration.to_domain_obj()
    except Exception as error:  # noqa: BLE001 - its text quotes arguments; the type and the rule are enough
        refusal = type(error).__name__
    if refusal:
        raise ContractError(f"the arguments of the expectation are refused ({refusal})", where=rule)
    return configuration


def _verdict(given: Arguments, found: ExpectationValidationResult, faults: Mapping[str, str]) -> RuleResult:
    info = found.exception_info
    crashed = bool(info.get("raised_exception")) or any(isinstance(value, dict) for value in info.values())
    kinds = sorted({faults[metric] for metric in info if metric in faults})
    result = {} if crashed else found.result
    return RuleResult(
        rule=str(given["meta"]["rule"]),
        expectation=str(given["type"]),
        severity=str(given.get("severity", "critical")),
        success=bool(found.success) and not crashed,
        element_count=result.get("element_count", result.get("observed_value")),
        unexpected_count=result.get("unexpected_count"),
        crashed=crashed,
        fault=(kinds[0] if kinds else "ExpectationError") if crashed else None,
    )
