"""A contract's rules as verdicts over rows: what excludes, warns, and is counted.

The same rules, in the same words, go to Great Expectations for the report (``suite``). A null verdict counts as kept,
except where the rule is that a value must be there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.codes import codes
from contracts.conditions import sql
from contracts.errors import ContractError
from contracts.model import Contract, Rule
from contracts.vocabulary import LOOK_UPS, Effect, Expectation, Stage
from transforms.conform import bad
from transforms.lookups import MPAN, ORDER, PARTICIPANT, Tables, derive, found, judged, look_up

MASK = "_faults"
LIMIT = 64  # rules of one contract: a mask has a bit for each


def judge(
    frame: pl.DataFrame,
    contract: Contract,
    tables: Tables,
    cut_date: date,
    *,
    uncarried: Mapping[str, Collection[str]],
) -> pl.DataFrame:
    """Judge every rule of the quality stage that can be judged with the tables at hand.

    Columns in: the contract's staged columns, ``_order``, ``participant``, and ``_faults`` with the verdicts so far.
    Columns out: the derived columns, ``_in_<rule>`` of look-up rules, and ``_faults`` with all verdicts. Rows stay.

    Args:
        tables: reference tables, and ``extract:``, ``all:``, ``senders:`` and other tables that rules name.
        cut_date: the cut's date.
        uncarried: participant -> columns that its source does not carry; rules ``carried`` by one pass its rows over.
    """
    mine = judged(contract, Stage.QUALITY, tables)
    frame = look_up(derive(frame, contract, tables, cut_date), contract, mine, tables)
    mask = frame[MASK].to_numpy().copy()
    kept = frame.select(holds(rule).alias(rule.id) for rule in mine) if mine else pl.DataFrame()
    for rule in mine:
        rows = (~kept[rule.id]).arg_true()
        if rule.carried and rows.len():
            without = [who for who, columns in uncarried.items() if rule.carried in columns]
            rows = rows.filter(~frame[PARTICIPANT].gather(rows).is_in(without))
        _mark(mask, contract, rule, rows.to_numpy())
    return frame.with_columns(pl.Series(MASK, mask))


def _mark(mask: NDArray[np.uint64], contract: Contract, rule: Rule, rows: NDArray[np.uint32]) -> None:
    """Set a rule's bit for the rows that break it, unless an earlier rule speaks for them."""
    excusing = sum(1 << position(contract, other) for other in rule.unless)
    if excusing and rows.size:
        rows = rows[(mask[rows] & np.uint64(excusing)) == 0]
    mask[rows] |= np.uint64(1 << position(contract, rule.id))


def position(contract: Contract, rule_id: str) -> int:
    """Return a rule's place in its contract, from 0: its bit in a mask.

    Raises:
        ContractError: the contract has no such rule.
    """
    for place, rule in enumerate(contract.rules):
        if rule.id == rule_id:
            return place
    raise ContractError(f"there is no rule {rule_id!r}", where=contract.extract)


def holds(rule: Rule) -> pl.Expr:
    """Return the verdict of one rule over an enriched frame: true where the row keeps it, excuses apart.

    Raises:
        ContractError: the expectation is not one that this interpreter knows.
    """
    verdict = _verdict(rule.expectation, rule.kwargs, rule)
    if condition := rule.kwargs.get("row_condition"):
        verdict = ~sql(condition).fill_null(value=False) | verdict
    return verdict


def _verdict(expectation: str, kwargs: Mapping[str, Any], rule: Rule) -> pl.Expr:
    column = pl.col(str(kwargs.get("column", "")))
    match expectation:
        case Expectation.PRESENT:
            verdict = column.is_not_null()
        case Expectation.CONFORM:
            formed = ~pl.col(bad(str(kwargs["column"])))
            verdict = formed & column.is_not_null() if kwargs.get("required") else formed
        case Expectation.COLUMNS_CONFORM:
            verdict = ~pl.any_horizontal(pl.col(bad(name)) for name in kwargs["column_list"])
        case Expectation.IN_SET:
            verdict = column.is_in(list(codes(str(kwargs["code_list"])))).fill_null(value=True)
        case Expectation.MATCH:
            verdict = column.str.contains(kwargs["regex"]).fill_null(value=True)
        case Expectation.NO_MATCH:
            verdict = ~column.str.contains(kwargs["regex"]).fill_null(value=False)
        case Expectation.SATISFY:
            verdict = sql(kwargs["condition"]).fill_null(value=True)
        case Expectation.UNIQUE:
            columns = [pl.col(name) for name in unique_key(kwargs["column_list"])]
            whole = pl.all_horizontal(c.is_not_null() for c in columns)
            verdict = ~whole | ~pl.struct(*columns, PARTICIPANT).is_duplicated()
        case _ if expectation in LOOK_UPS:
            verdict = pl.col(found(rule.id))
        case _:
            raise ContractError(f"expectation {expectation!r} is not known", where=rule.id)
    return verdict


def unique_key(columns: Sequence[str]) -> list[str]:
    """Return the columns whose values together may stand once in a source; a metering point by its order key."""
    return [ORDER if name == MPAN else name for name in columns]


def fault_mask(contract: Contract, rules: Sequence[Rule]) -> pl.Expr:
    """Return the broken rules of a row as a bit mask: bit ``n`` is the contract's ``n``-th rule."""
    bits = [
        pl.when(holds(rule)).then(pl.lit(0, pl.UInt64)).otherwise(pl.lit(1 << position(contract, rule.id), pl.UInt64))
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
