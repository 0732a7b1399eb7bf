"""A contract's rules as a suite of Great Expectations, over judged rows: the second, independent count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from contracts.model import Contract, Rule
from contracts.vocabulary import LOOK_UPS, Effect, Expectation, RuleStage
from transforms.quality.lookups import found
from transforms.quality.rules import broken, unique_key


def kept(rule_id: str) -> str:
    """Return the name of the column that says whether a row keeps a rule, read back from the fault mask."""
    return f"_kept_{rule_id}"


def expectations(contract: Contract, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return rules as expectations.

    Rules judged at intake, on raw text that is gone by now, are read from their verdicts (``_kept_<rule>``); look-ups
    from what was found (``_in_<rule>``); all others are evaluated anew, independently of the row verdicts.
    """
    return [_expectation(rule) for rule in rules]


def _expectation(rule: Rule) -> dict[str, Any]:
    kwargs: dict[str, Any] = {k: v for k, v in rule.kwargs.items() if k != "row_condition"}
    conditions = [str(rule.kwargs["row_condition"])] if "row_condition" in rule.kwargs else []
    conditions += [kept(other) for other in rule.unless]
    kind = str(rule.expectation)
    if rule.stage is RuleStage.INTAKE:
        kind, kwargs, conditions = str(Expectation.SATISFY), {"condition": kept(rule.id)}, []
    elif kind in LOOK_UPS:
        kind, kwargs = str(Expectation.SATISFY), {"condition": found(rule.id)}
    elif kind == Expectation.IN_SET:
        kwargs = {"column": kwargs["column"], "value_set": list(rule.codes)}
    elif kind == Expectation.UNIQUE:
        kwargs = {"column_list": unique_key(kwargs["column_list"]), "ignore_row_if": "any_value_is_missing"}
        if len(kwargs["column_list"]) == 1:
            kind, kwargs = "expect_column_values_to_be_unique", {"column": kwargs["column_list"][0]}
    if conditions:
        kwargs["row_condition"] = " and ".join(f"({c})" for c in conditions)
    severity = "warning" if rule.effect is Effect.WARN else "critical"
    return {"type": kind, "kwargs": kwargs, "meta": {"rule": rule.id}, "severity": severity}


def kept_columns(contract: Contract) -> list[pl.Expr]:
    """Return ``_kept_<rule>`` for each rule that was judged at intake or that excuses another."""
    excusing = {other for rule in contract.rules for other in rule.unless}
    wanted = [r for r in contract.rules if r.stage is RuleStage.INTAKE or r.id in excusing]
    return [(~broken(contract, rule.id)).alias(kept(rule.id)) for rule in wanted]
