"""Expectations that Great Expectations lacks: a row rule in SQL."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.execution_engine import ExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, _format_map_output, _mostly_success
from great_expectations.expectations.expectation_configuration import parse_result_format
from great_expectations.expectations.model_field_types import MostlyField
from great_expectations.expectations.row_conditions import RowConditionType

from flows.quality.great_expectations.metrics import ROWS_UNSATISFIED


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

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine | None = None,
    ) -> dict[str, Any]:
        rows, unexpected = metrics["table.row_count"], metrics[ROWS_UNSATISFIED]
        output: dict[str, Any] = _format_map_output(
            result_format=parse_result_format(self._get_result_format(runtime_configuration)),
            success=rows == 0 or _mostly_success(rows, unexpected, self._get_success_kwarg("mostly")),
            element_count=rows,
            nonnull_count=rows,
            unexpected_count=unexpected,
            unexpected_list=[],
        )
        return output
