"""A contract's rules as column expressions: the row verdicts that exclude, warn and count.

The same rules, in the same words, go to Great Expectations for the report (``expectations``); a null verdict counts
as kept, except where the rule is that a value must be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from contracts.errors import ContractError
from contracts.model import Contract, Rule
from contracts.vocabulary import Effect, Stage
from transforms.conform import bad

MASK = "_faults"
IN_REFERENCE = "expect_rows_in_reference"
ONE_OWNER = "expect_value_to_have_one_owner"
UNIQUE = "expect_compound_columns_to_be_unique"
LOOKUPS = (IN_REFERENCE, ONE_OWNER)
Tables = Mapping[str, pl.LazyFrame]


def found(rule_id: str) -> str:
    """Return the name of the column that says whether a row was found in the rule's reference table."""
    return f"_in_{rule_id}"


def table_of(rule: Rule) -> str:
    """Return the name of the table a look-up rule needs."""
    if rule.expectation == ONE_OWNER:
        return f"owners:{rule.kwargs['column']}"
    return str(rule.kwargs["table"])


def judged(contract: Contract, stage: Stage, tables: Sequence[str]) -> list[Rule]:
    """Return the rules that can be judged with the tables at hand; the others are reported as not judged."""
    return [rule for rule in contract.rules_at(stage) if rule.expectation not in LOOKUPS or table_of(rule) in tables]


def enrich(frame: pl.LazyFrame, contract: Contract, tables: Tables, cut_date: date) -> pl.LazyFrame:
    """Add what rules read beside the extract's own columns.

    Columns out: ``cut_date``, the contract's derived columns (null where their table is not at hand), and a boolean
    ``_in_<rule>`` for each look-up rule that can be judged. Rows are neither added nor dropped.
    """
    frame = frame.with_columns(pl.lit(cut_date).alias("cut_date"))
    for derived in contract.derived:
        if derived.sql:
            frame = frame.with_columns(pl.sql_expr(derived.sql).alias(derived.name))
        elif derived.table in tables:
            value = pl.col(derived.value).alias(derived.name)
            frame = _joined(frame, tables[derived.table], derived.keys, value)
        else:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(derived.name))
    for rule in judged(contract, Stage.QUALITY, list(tables)):
        if rule.expectation not in LOOKUPS:
            continue
        table = tables[table_of(rule)]
        if where := rule.kwargs.get("where"):
            table = table.filter(pl.sql_expr(where))
        keys = {rule.kwargs["column"]: rule.kwargs["column"]} if rule.expectation == ONE_OWNER else rule.kwargs["keys"]
        frame = _joined(frame, table, keys, pl.lit(value=True).alias(found(rule.id)))
        absent = pl.any_horizontal(pl.sql_expr(sql).is_null() for sql in keys.values())
        hit = pl.col(found(rule.id)).fill_null(value=False)
        verdict = ~hit if rule.expectation == ONE_OWNER else hit
        frame = frame.with_columns((absent | verdict).alias(found(rule.id)))
    return frame


def _joined(frame: pl.LazyFrame, table: pl.LazyFrame, keys: Mapping[str, str], value: pl.Expr) -> pl.LazyFrame:
    """Left-join ``value`` of a table by its key columns, each matched to an SQL expression over the row."""
    names = {column: f"_key_{column}" for column in keys}
    right = table.select(*(pl.col(column).alias(name) for column, name in names.items()), value)
    right = right.unique(subset=list(names.values()), keep="any")
    left = frame.with_columns(pl.sql_expr(sql).alias(names[column]) for column, sql in keys.items())
    return left.join(right, on=list(names.values()), how="left", maintain_order="left").drop(list(names.values()))


def holds(rule: Rule) -> pl.Expr:
    """Return the verdict of one rule over an enriched frame: true where the row keeps the rule.

    Raises:
        ContractError: the expectation is not one that this interpreter knows.
    """
    verdict = _verdict(rule.expectation, rule.kwargs, rule)
    if condition := rule.kwargs.get("row_condition"):
        verdict = ~pl.sql_expr(condition).fill_null(value=False) | verdict
    for other in rule.unless:
        verdict = ~pl.col(found(other)).fill_null(value=True) | verdict
    return verdict


def _verdict(expectation: str, kwargs: Mapping[str, Any], rule: Rule) -> pl.Expr:
    column = pl.col(str(kwargs.get("column", "")))
    match expectation:
        case "expect_column_values_to_not_be_null":
            return column.is_not_null()
        case "expect_column_values_to_conform":
            formed = ~pl.col(bad(str(kwargs["column"])))
            return formed & column.is_not_null() if kwargs.get("required") else formed
        case "expect_column_values_to_match_regex":
            return column.str.contains(kwargs["regex"]).fill_null(value=True)
        case "expect_column_values_to_not_match_regex":
            return ~column.str.contains(kwargs["regex"]).fill_null(value=False)
        case "expect_rows_to_satisfy":
            condition: pl.Expr = pl.sql_expr(kwargs["condition"]).fill_null(value=True)
            return condition
        case _ if expectation == UNIQUE:
            columns = [pl.col(name) for name in kwargs["column_list"]]
            whole = pl.all_horizontal(c.is_not_null() for c in columns)
            alone: pl.Expr = ~whole | (pl.len().over(columns) == 1)
            return alone
        case _ if expectation in LOOKUPS:
            return pl.col(found(rule.id))
    raise ContractError(f"expectation {expectation!r} is not known", where=rule.id)


def fault_mask(contract: Contract, rules: Sequence[Rule]) -> pl.Expr:
    """Return the broken rules of a row as a bit mask: bit ``n`` is the contract's ``n``-th rule."""
    position = {rule.id: n for n, rule in enumerate(contract.rules)}
    bits = [
        pl.when(holds(rule)).then(pl.lit(0, pl.UInt64)).otherwise(pl.lit(1 << position[rule.id], pl.UInt64))
        for rule in rules
    ]
    return pl.sum_horizontal(bits).cast(pl.UInt64) if bits else pl.lit(0, pl.UInt64)


def bits_of(contract: Contract, effect: Effect) -> int:
    """Return the mask of all rules with an effect."""
    return sum(1 << n for n, rule in enumerate(contract.rules) if rule.effect is effect)


def has_any(mask: pl.Expr, bits: int) -> pl.Expr:
    """Tell whether a fault mask has any of ``bits``."""
    return (mask & pl.lit(bits, pl.UInt64)) != pl.lit(0, pl.UInt64)


def broken(position: int, mask: str = MASK) -> pl.Expr:
    """Tell whether the rule at ``position`` of its contract is broken."""
    return has_any(pl.col(mask), 1 << position)


def reasons(contract: Contract, mask: str = MASK) -> pl.Expr:
    """Return all reason codes of excluding rules broken by a row, in contract order, as one text joined by spaces."""
    ordered: dict[str, int] = {}
    for n, rule in enumerate(contract.rules):
        if rule.effect is Effect.EXCLUDE:
            ordered[rule.reason] = ordered.get(rule.reason, 0) | 1 << n
    texts = [pl.when(has_any(pl.col(mask), bits)).then(pl.lit(reason)) for reason, bits in ordered.items()]
    return pl.concat_str(texts, separator=" ", ignore_nulls=True) if texts else pl.lit("")


def expectations(contract: Contract, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return the rules as a Great Expectations suite over an enriched frame with its fault mask spread out.

    Rules judged at intake, on raw text that is gone by now, are read from their verdict column ``_kept_<rule>``; all
    others are evaluated anew, independently of the row verdicts.
    """
    suite = []
    for rule in rules:
        kwargs = {k: v for k, v in rule.kwargs.items() if k != "row_condition"}
        conditions = [str(rule.kwargs["row_condition"])] if "row_condition" in rule.kwargs else []
        conditions += [found(other) for other in rule.unless]
        kind = rule.expectation
        if rule.stage is Stage.INTAKE:
            kind, kwargs = "expect_rows_to_satisfy", {"condition": f"_kept_{rule.id}"}
        elif kind in LOOKUPS:
            kind, kwargs = "expect_rows_to_satisfy", {"condition": found(rule.id)}
        elif kind == UNIQUE and len(kwargs["column_list"]) == 1:
            kind, kwargs = "expect_column_values_to_be_unique", {"column": kwargs["column_list"][0]}
        if conditions:
            kwargs["row_condition"] = " and ".join(f"({c})" for c in conditions)
        severity = "warning" if rule.effect is Effect.WARN else "critical"
        suite.append({"type": kind, "kwargs": kwargs, "meta": {"rule": rule.id}, "severity": severity})
    return suite


def kept_columns(contract: Contract) -> list[pl.Expr]:
    """Return ``_kept_<rule>`` for each intake rule, read back from the fault mask."""
    return [
        (~broken(n)).alias(f"_kept_{rule.id}") for n, rule in enumerate(contract.rules) if rule.stage is Stage.INTAKE
    ]
