"""Metrics of Great Expectations for Polars: each becomes a question about rows, asked later with the rest.

Registered here is all that the engine can compute. A metric that would hand on values, positions or rows is
registered as withheld and returns nothing whatever the result format; any other is unknown to the engine and
therefore refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from great_expectations.core.metric_function_types import MetricFunctionTypes, MetricPartialFunctionTypes
from great_expectations.expectations.metrics.metric_provider import MetricProvider
from great_expectations.expectations.registry import register_metric

from contracts.conditions import parse_sql
from contracts.model import Arguments
from flows.quality.great_expectations.passes import ANYTHING, MetricFault, MetricTally, Question, Repeats
from flows.quality.great_expectations.rules import COLUMN_RULES, PAIR_RULES, kept

if TYPE_CHECKING:
    from flows.quality.great_expectations.engine import PolarsExecutionEngine

ROWS_UNSATISFIED = "rows.condition.unexpected_count"
_ROW_DOMAIN = ("batch_id", "table", "row_condition", "condition_parser")
_COLUMN_DOMAIN = ("batch_id", "table", "column", "row_condition", "condition_parser")
_PAIR_DOMAIN = ("batch_id", "table", "column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")
_LIST_DOMAIN = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
_BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")
_VALUES: Mapping[str, tuple[str, ...]] = {
    "column_values.in_set": ("value_set",),
    "column_values.not_in_set": ("value_set",),
    "column_values.match_regex": ("regex",),
    "column_values.not_match_regex": ("regex",),
    "column_values.between": _BOUNDS,
    "column_values.value_length.between": _BOUNDS,
    "column_values.value_length.equals": ("value",),
    "column_pair_values.a_greater_than_b": ("or_equal",),
}
"""What each metric reads beside its domain, as Great Expectations registers it for its own engines."""
_AGGREGATE = MetricPartialFunctionTypes.AGGREGATE_FN
_WITHHELD = {
    "unexpected_values": list,
    "unexpected_value_counts": list,
    "unexpected_index_list": None,
    "unexpected_index_query": None,
    "unexpected_rows": None,
}

Builder = Callable[["PolarsExecutionEngine", Arguments, Arguments], Question]


class PolarsMetric(MetricProvider):
    """Provider of every metric here; each depends on nothing but its own question."""


def both(first: pl.Expr | None, second: pl.Expr | None) -> pl.Expr | None:
    """Return the conjunction, where ``None`` stands for all rows."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _row_count(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    return MetricTally(engine.domain(domain))


def _missing(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    return MetricTally(both(engine.domain(domain), pl.col(domain["column"]).is_null()))


def _present(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    return MetricTally(both(engine.domain(domain), pl.col(domain["column"]).is_not_null()))


def _column_unexpected(name: str) -> Builder:
    rule = COLUMN_RULES[name]

    def build(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
        column = pl.col(domain["column"])
        expected = rule(column, engine.dtype(domain, domain["column"]), values)
        return MetricTally(both(engine.domain(domain), column.is_not_null() & ~expected))

    return build


def _pair_domain(engine: PolarsExecutionEngine, domain: Arguments) -> pl.Expr | None:
    columns = [pl.col(domain["column_A"]), pl.col(domain["column_B"])]
    return both(engine.domain(domain), kept(columns, domain["ignore_row_if"]))


def _pair_rows(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    return MetricTally(_pair_domain(engine, domain))


def _pair_unexpected(name: str) -> Builder:
    rule = PAIR_RULES[name]

    def build(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
        expected = rule(pl.col(domain["column_A"]), pl.col(domain["column_B"]), values)
        return MetricTally(both(_pair_domain(engine, domain), ~expected.fill_null(False)))

    return build


def _column_repeats(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    present = pl.col(domain["column"]).is_not_null()
    condition = engine.domain(domain)
    return Repeats(present if condition is None else condition & present, (domain["column"],))


def _compound_domain(engine: PolarsExecutionEngine, domain: Arguments) -> pl.Expr | None:
    columns = [pl.col(name) for name in domain["column_list"]]
    return both(engine.domain(domain), kept(columns, domain["ignore_row_if"]))


def _compound_rows(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    return MetricTally(_compound_domain(engine, domain))


def _compound_repeats(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    rows = _compound_domain(engine, domain)
    return Repeats(pl.lit(True) if rows is None else rows, tuple(domain["column_list"]))


def _unsatisfied(engine: PolarsExecutionEngine, domain: Arguments, values: Arguments) -> Question:
    satisfied = engine.checked(domain, parse_sql(values["condition"]))
    return MetricTally(both(engine.domain(domain), ~satisfied.fill_null(True)))


def _deferred(build: Builder) -> Callable[..., tuple[Question, Arguments, Arguments]]:
    """Wrap a builder as an aggregate function: it asks now and is answered with the bundle."""

    def provider(
        *,
        execution_engine: PolarsExecutionEngine,
        metric_domain_kwargs: Arguments,
        metric_value_kwargs: Arguments,
        **_: Any,
    ) -> tuple[Question, Arguments, Arguments]:
        question: Question
        try:
            question = build(execution_engine, metric_domain_kwargs, metric_value_kwargs)
        except ANYTHING as error:
            question = MetricFault(type(error).__name__)
        return question, metric_domain_kwargs, {}

    return provider


def _columns(*, execution_engine: PolarsExecutionEngine, metric_domain_kwargs: Arguments, **_: Any) -> list[str]:
    return list(execution_engine.partitions(metric_domain_kwargs).schema.names())


def _withheld(substitute: Callable[[], Any] | None) -> Callable[..., Any]:
    def provider(**_: Any) -> Any:
        return None if substitute is None else substitute()

    return provider


def _domain(name: str) -> tuple[str, ...]:
    domains = {"column_values": _COLUMN_DOMAIN, "column_pair_values": _PAIR_DOMAIN, "compound_columns": _LIST_DOMAIN}
    return domains.get(name.split(".", maxsplit=1)[0], _ROW_DOMAIN)


def _register_count(engine: type, name: str, build: Builder, values: Sequence[str] = ()) -> None:
    for suffix, provider in ((f".{_AGGREGATE.metric_suffix}", _deferred(build)), ("", None)):
        register_metric(
            metric_name=name + suffix,
            metric_domain_keys=_domain(name),
            metric_value_keys=tuple(values),
            execution_engine=engine,
            metric_class=PolarsMetric,
            metric_provider=provider,
            metric_fn_type=_AGGREGATE,
        )


def _register_value(engine: type, name: str, provider: Callable[..., Any], values: Sequence[str] = ()) -> None:
    register_metric(
        metric_name=name,
        metric_domain_keys=_domain(name),
        metric_value_keys=tuple(values),
        execution_engine=engine,
        metric_class=PolarsMetric,
        metric_provider=provider,
        metric_fn_type=MetricFunctionTypes.VALUE,
    )


def register(engine: type[PolarsExecutionEngine]) -> None:
    """Register every metric of this engine; the metrics of other engines are untouched."""
    unexpected: dict[str, Builder] = {
        "column_values.nonnull": _missing,
        "column_values.null": _present,
        "column_values.unique": _column_repeats,
        "compound_columns.unique": _compound_repeats,
        **{name: _column_unexpected(name) for name in COLUMN_RULES},
        **{name: _pair_unexpected(name) for name in PAIR_RULES},
    }
    _register_count(engine, "table.row_count", _row_count)
    _register_value(engine, "table.columns", _columns)
    filtered: dict[str, Builder] = {"compound_columns.unique": _compound_rows, **dict.fromkeys(PAIR_RULES, _pair_rows)}
    for name, build in filtered.items():
        _register_count(engine, f"{name}.filtered_row_count", build, (*_VALUES.get(name, ()), "result_format"))
    for name, build in unexpected.items():
        values = _VALUES.get(name, ())
        _register_count(engine, f"{name}.unexpected_count", build, values)
        multiple = name.startswith(("compound_columns", "column_pair_values"))
        for suffix, substitute in _WITHHELD.items():
            if not (multiple and suffix == "unexpected_value_counts"):  # there is none for several columns
                _register_value(engine, f"{name}.{suffix}", _withheld(substitute), (*values, "result_format"))
    _register_count(engine, ROWS_UNSATISFIED, _unsatisfied, ("condition",))
