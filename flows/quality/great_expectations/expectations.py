"""Expectations that Great Expectations lacks, a row rule in SQL, and one configuration of each while a suite runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from great_expectations.core.id_dict import IDDict, IDDictID
from great_expectations.execution_engine import ExecutionEngine
from great_expectations.expectations.expectation import (
    BatchExpectation,
    Expectation,
    _format_map_output,
    _mostly_success,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration, parse_result_format
from great_expectations.expectations.model_field_types import MostlyField
from great_expectations.expectations.row_conditions import Condition, RowConditionType
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from flows.quality.great_expectations.metrics import ROWS_UNSATISFIED


class _Domain(IDDict):
    """The rows that a rule is about, as both of its metrics name them: the id is worked out once. Never changed."""

    _id: IDDictID | None = None

    def to_id(self, id_keys: Any = None, id_ignore_keys: Any = None) -> IDDictID:
        if id_keys is not None or id_ignore_keys is not None:
            return super().to_id(id_keys, id_ignore_keys)
        if self._id is None:
            self._id = super().to_id()
        return self._id


class ExpectRowsToSatisfy(BatchExpectation):
    """Expect every row to satisfy a SQL boolean expression over its own columns.

    NULL counts as satisfied: whether a value must be present is a rule of its own.

    Args:
        condition: SQL boolean expression, for example ``profile_class <> '00' OR measurement_class <> 'A'``.
        mostly: share of rows that must satisfy it.
        row_condition: SQL boolean expression that selects the rows the rule is about.
    """

    condition: str
    mostly: MostlyField = 1
    row_condition: RowConditionType = None

    metric_dependencies: ClassVar[tuple[str, ...]] = (ROWS_UNSATISFIED, "table.row_count")
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "row_condition")
    success_keys: ClassVar[tuple[str, ...]] = ("condition", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """Return the two counts that the rule needs.

        The general way of Great Expectations builds the whole configuration anew for each argument of each metric.
        """
        chosen = self.row_condition
        domain = _Domain(
            batch_id=self.batch_id,
            table=None,
            row_condition=chosen.dict() if isinstance(chosen, Condition) else chosen,
            condition_parser=None,
        )
        values = {ROWS_UNSATISFIED: {"condition": self.condition}}
        return ValidationDependencies(
            metric_configurations={
                name: MetricConfiguration(name, domain, values.get(name, {})) for name in self.metric_dependencies
            },
            result_format=parse_result_format((runtime_configuration or {}).get("result_format", {})),
        )

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine | None = None,
    ) -> dict[str, Any]:
        rows, unexpected = metrics["table.row_count"], metrics[ROWS_UNSATISFIED]
        output: dict[str, Any] = _format_map_output(
            result_format=parse_result_format((runtime_configuration or {}).get("result_format", {})),
            success=rows == 0 or _mostly_success(rows, unexpected, self.mostly),
            element_count=rows,
            nonnull_count=rows,
            unexpected_count=unexpected,
            unexpected_list=[],
        )
        return output


_suite = threading.local()
_build_configuration = Expectation.configuration.fget


def _configuration(expectation: Expectation) -> ExpectationConfiguration:
    last: list[Any] | None = getattr(_suite, "last", None)
    if last is None:
        return _build_configuration(expectation)
    if last[0] is not expectation:
        last[:] = expectation, _build_configuration(expectation)
    built: ExpectationConfiguration = last[1]
    return built


Expectation.configuration = property(_configuration)


@contextmanager
def one_configuration_each() -> Iterator[None]:
    """Have this thread build the configuration of an expectation once, as long as it works on that expectation.

    Great Expectations builds it for every argument that it reads, some fifty times a rule. No expectation may be
    changed inside.
    """
    before = getattr(_suite, "last", None)
    _suite.last = [None, None]
    try:
        yield
    finally:
        _suite.last = before
