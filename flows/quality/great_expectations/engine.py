"""A native Polars execution engine for Great Expectations: lazy, streaming, and unable to show a value.

All counts of a suite are taken in one streaming pass over each partition; each uniqueness rule takes one
more. The engine hands out counts and column names only: whoever asks for records, values or positions is
refused or gets nothing, so a validation result cannot hold a cell of the data whatever its format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from great_expectations.core.batch import BatchData, BatchMarkers
from great_expectations.exceptions import ExecutionEngineError, MetricResolutionError
from great_expectations.execution_engine import ExecutionEngine
from great_expectations.execution_engine.execution_engine import MetricComputationConfiguration
from great_expectations.expectations.row_conditions import (
    AndCondition,
    ComparisonCondition,
    Condition,
    NullityCondition,
    OrCondition,
    PassThroughCondition,
    deserialize_row_condition,
)
from great_expectations.validator.metric_configuration import MetricConfigurationID

from contracts.conditions import NotRowWiseError, parse_sql
from contracts.model import Arguments
from flows.quality.great_expectations.metrics import register
from flows.quality.great_expectations.passes import Answer, MetricFault, Partitions

__all__ = ["NotRowWiseError", "compare", "parse_sql"]


def compare(column: str, operator: str, parameter: Any) -> pl.Expr:
    """Return ``column operator parameter`` for an operator of Great Expectations' condition objects."""
    value = pl.col(column)
    if operator in ("IN", "NOT_IN"):
        within = value.is_in(list(parameter))
        return within if operator == "IN" else ~within
    comparisons = {
        "==": value.eq,
        "!=": value.ne,
        "<": value.lt,
        "<=": value.le,
        ">": value.gt,
        ">=": value.ge,
    }
    return comparisons[operator](pl.lit(parameter))


class PolarsBatchData(BatchData):
    """A batch as the engine keeps it: the partitions of one extract."""

    def __init__(self, execution_engine: ExecutionEngine, partitions: Partitions) -> None:
        """Tie partitions to the engine that counts over them."""
        super().__init__(execution_engine=execution_engine)
        self.partitions = partitions


class PolarsExecutionEngine(ExecutionEngine[pl.Expr]):
    """Computes the metrics of a suite over lazy frames.

    A batch is one ``polars.LazyFrame`` or a sequence of them with equal schemas, the partitions of one
    extract. Row conditions are SQL boolean expressions, or condition objects of Great Expectations; a row
    whose condition is NULL is outside the domain.
    """

    def __init__(self, *args: Any, range_key: str | None = None, **kwargs: Any) -> None:
        """Build an engine; ``range_key`` names the column whose disjoint ranges the partitions are."""
        self._range_key = range_key
        self._answers: dict[MetricConfigurationID, Answer] = {}
        super().__init__(*args, **kwargs)

    @property
    def faults(self) -> dict[MetricConfigurationID, str]:
        """Metrics that could not be computed: the type name of the exception, never its text."""
        return {metric: answer.kind for metric, answer in self._answers.items() if isinstance(answer, MetricFault)}

    def load_batch_data(self, batch_id: str, batch_data: Any) -> None:
        """Take a lazy frame, or a sequence of them, as a batch; nothing is read yet.

        Raises:
            QualityError: the partitions are none, unreadable or unequal in schema.
        """
        if isinstance(batch_data, pl.LazyFrame):
            batch_data = [batch_data]
        if not isinstance(batch_data, PolarsBatchData):
            batch_data = PolarsBatchData(self, Partitions(list(batch_data), range_key=self._range_key))
        self._answers.clear()
        if self._caching:
            self._metric_cache.clear()
        super().load_batch_data(batch_id=batch_id, batch_data=batch_data)

    def get_batch_data_and_markers(self, batch_spec: Any) -> tuple[PolarsBatchData, BatchMarkers]:
        """Wrap the frames that a runtime batch specification carries."""
        frames = batch_spec.batch_data
        frames = [frames] if isinstance(frames, pl.LazyFrame) else list(frames)
        data = PolarsBatchData(self, Partitions(frames, range_key=self._range_key))
        return data, BatchMarkers({"ge_load_time": None})

    def partitions(self, domain_kwargs: Arguments) -> Partitions:
        """Return the partitions of the batch that a domain names, or of the one loaded last."""
        manager = self.batch_manager
        batch_id = domain_kwargs.get("batch_id")
        data = manager.active_batch_data if batch_id is None else manager.batch_data_cache.get(batch_id)
        if not isinstance(data, PolarsBatchData):
            raise ExecutionEngineError("no batch is loaded under this identifier")
        return data.partitions

    def dtype(self, domain_kwargs: Arguments, column: str) -> pl.DataType:
        """Return the type of a column as the rules see it."""
        schema = self.partitions(domain_kwargs).schema
        if column not in schema:
            raise pl.exceptions.ColumnNotFoundError(column)
        return schema[column]

    def domain(self, domain_kwargs: Arguments) -> pl.Expr | None:
        """Return the row condition of a domain as an expression, or ``None`` for all rows."""
        condition = domain_kwargs.get("row_condition")
        if not condition:
            return None
        if isinstance(condition, dict):
            condition = deserialize_row_condition(condition)
        if isinstance(condition, PassThroughCondition):
            condition = condition.pass_through_filter
        expression = parse_sql(condition) if isinstance(condition, str) else self.condition_to_filter_clause(condition)
        return self.checked(domain_kwargs, expression)

    def checked(self, domain_kwargs: Arguments, condition: pl.Expr) -> pl.Expr:
        """Return a condition that is known to be boolean over the columns of the batch.

        Raises:
            TypeError: it yields something else, whose sum would be a sum of values.
            polars.exceptions.PolarsError: it does not fit the columns.
        """
        if self.partitions(domain_kwargs).dry_run(condition).dtypes != [pl.Boolean]:
            raise TypeError("a condition must be true, false or NULL")
        return condition

    def resolve_metric_bundle(
        self, metric_fn_bundle: Iterable[MetricComputationConfiguration]
    ) -> dict[MetricConfigurationID, int]:
        """Answer all open questions together and remember every answer.

        Great Expectations takes a failed bundle apart and tries it again, up to three times: remembered
        answers make that free, so one faulty rule costs no further pass.

        Raises:
            MetricResolutionError: some metrics could not be computed; carries them, and no text of the cause.
        """
        bundle = list(metric_fn_bundle)
        by_batch: dict[Any, list[MetricComputationConfiguration]] = {}
        for asked in bundle:
            if asked.metric_configuration.id not in self._answers:
                by_batch.setdefault((asked.compute_domain_kwargs or {}).get("batch_id"), []).append(asked)
        for batch_id, open_questions in by_batch.items():
            answers = self.partitions({"batch_id": batch_id}).count([asked.metric_fn for asked in open_questions])
            self._answers.update(zip((a.metric_configuration.id for a in open_questions), answers, strict=True))
        metrics = [asked.metric_configuration for asked in bundle]
        resolved = {m.id: a for m in metrics if not isinstance(a := self._answers[m.id], MetricFault)}
        failed = tuple(metric for metric in metrics if metric.id not in resolved)
        if failed:
            raise MetricResolutionError(message="metrics could not be computed", failed_metrics=failed)
        return resolved

    def get_domain_records(self, domain_kwargs: dict[str, Any]) -> Any:
        """Refuse: this engine hands out counts, not records."""
        raise ExecutionEngineError("the Polars engine hands out no records")

    def get_compute_domain(
        self, domain_kwargs: dict[str, Any], domain_type: Any, accessor_keys: Iterable[str] | None = None
    ) -> Any:
        """Refuse: this engine hands out counts, not records."""
        raise ExecutionEngineError("the Polars engine hands out no records")

    def _comparison_condition_to_filter_clause(self, condition: ComparisonCondition) -> pl.Expr:
        return compare(condition.column.name, str(condition.operator), condition.parameter)

    def _nullity_condition_to_filter_clause(self, condition: NullityCondition) -> pl.Expr:
        column = pl.col(condition.column.name)
        return column.is_null() if condition.is_null else column.is_not_null()

    def _and_condition_to_filter_clause(self, condition: AndCondition) -> pl.Expr:
        return pl.all_horizontal(self._clauses(condition.conditions))

    def _or_condition_to_filter_clause(self, condition: OrCondition) -> pl.Expr:
        return pl.any_horizontal(self._clauses(condition.conditions))

    def _clauses(self, conditions: Sequence[Condition]) -> list[pl.Expr]:
        return [self.condition_to_filter_clause(condition) for condition in conditions]


register(PolarsExecutionEngine)
