"""A contract's rules as verdicts over rows: what excludes, warns, and is counted.

The same rules, in the same words, go to Great Expectations for the report (``suite``). A null verdict counts as kept,
except where the rule is that a value must be there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.conditions import sql
from contracts.errors import ContractError
from contracts.model import Arguments, Contract, Rule
from contracts.vocabulary import LOOK_UPS, Classification, Effect, Expectation, RuleStage
from transforms.conform import bad
from transforms.quality.code_tuples import CodeTuples
from transforms.quality.lookups import MPAN, ORDER, PARTICIPANT, Tables, derive, found, judged, look_up, rule_columns

MASK = "_faults"
WORD = 64  # rules of a mask column; a contract with more of them has more columns


def judge(
    frame: pl.DataFrame,
    contract: Contract,
    tables: Tables,
    cut_date: date,
    *,
    uncarried: Mapping[str, Collection[str]],
    silent: Mapping[str, Collection[str]] = MappingProxyType({}),
    tuples: CodeTuples | None = None,
) -> pl.DataFrame:
    """Judge every rule of the quality stage that can be judged with the tables at hand.

    Columns in: the contract's staged columns, ``_order``, ``participant``, and the masks with the verdicts so far.
    Columns out: the derived columns, ``_in_<rule>`` of look-up rules, and the masks with all verdicts. Rows stay.

    Args:
        tables: reference tables, and ``extract:``, ``all:``, ``senders:`` and other tables that rules name.
        cut_date: the cut's date.
        uncarried: participant -> columns that its source does not carry; rules ``carried`` by one pass its rows over.
        silent: participant -> ids of rules that pass its rows over (:func:`flows.quality.silent.silent_rules`).
        tuples: of the frame; rules that read codes alone are judged once a tuple.
    """
    mine = judged(contract, RuleStage.QUALITY, tables)
    frame = look_up(derive(frame, contract, tables, cut_date, tuples=tuples), contract, mine, tables, tuples)
    masks = {name: frame[name].to_numpy().copy() for name in mask_columns(contract)}
    broken_by = _broken_rows(frame, mine, tuples)
    for rule in mine:
        rows = broken_by[rule.id]
        without = [who for who, ids in silent.items() if rule.id in ids]
        if rule.carried:
            without += [who for who, columns in uncarried.items() if rule.carried in columns]
        if without and rows.len():
            rows = rows.filter(~frame[PARTICIPANT].gather(rows).is_in(without))
        _mark(masks, contract, rule, rows.to_numpy())
    return frame.with_columns(pl.Series(name, mask) for name, mask in masks.items())


def _broken_rows(frame: pl.DataFrame, mine: Sequence[Rule], tuples: CodeTuples | None) -> dict[str, pl.Series]:
    """Return the rows that break each rule, by rule id; excuses apart."""
    once = [rule for rule in mine if tuples is not None and _reads_codes(rule, tuples)]
    each = [rule for rule in mine if rule not in once]
    kept = frame.select(holds(rule).alias(rule.id) for rule in each)
    broken_rows = {rule.id: (~kept[rule.id]).arg_true() for rule in each}
    if tuples is not None and once:
        kept = tuples.rows.select(holds(rule).alias(rule.id) for rule in once)
        for rule in once:
            lost = ~kept[rule.id].to_numpy()
            rows = np.flatnonzero(lost[tuples.number]) if lost.any() else np.empty(0, np.uint32)
            broken_rows[rule.id] = pl.Series(rows, dtype=pl.UInt32)
    return broken_rows


def _reads_codes(rule: Rule, tuples: CodeTuples) -> bool:
    if rule.expectation == Expectation.UNIQUE:
        return False
    condition = str(rule.kwargs.get("row_condition", ""))
    own = {found(rule.id)} if rule.expectation in LOOK_UPS else rule_columns(rule)
    return tuples.know({*own, *(sql(condition).meta.root_names() if condition else ())})


def rests_on(rule: Rule, contract: Contract) -> frozenset[str]:
    """Return the optional columns of its contract that a rule reads; without all of them it says nothing."""
    words = set(re.findall(r"[a-z_][a-z0-9_]*", " ".join(_texts(rule.kwargs))))
    return frozenset(column.name for column in contract.columns if not column.required and column.name in words)


def _texts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _mark(masks: Mapping[str, NDArray[np.uint64]], contract: Contract, rule: Rule, rows: NDArray[np.uint32]) -> None:
    """Set a rule's bit for the rows that break it, unless an earlier rule speaks for them."""
    for other in rule.unless:
        name, bit = _place(contract, other)
        rows = rows[(masks[name][rows] & np.uint64(bit)) == 0]
    name, bit = _place(contract, rule.id)
    masks[name][rows] |= np.uint64(bit)


def mask_columns(contract: Contract) -> list[str]:
    """Return the names of the mask columns of a contract's rows: bit ``n % 64`` of column ``n // 64`` is rule ``n``."""
    return [MASK if word == 0 else f"{MASK}_{word}" for word in range((len(contract.rules) - 1) // WORD + 1)] or [MASK]


def _place(contract: Contract, rule_id: str) -> tuple[str, int]:
    """Return the mask column and the bit of a rule.

    Raises:
        ContractError: the contract has no such rule.
    """
    for number, rule in enumerate(contract.rules):
        if rule.id == rule_id:
            return mask_columns(contract)[number // WORD], 1 << number % WORD
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


def _verdict(expectation: str, kwargs: Arguments, rule: Rule) -> pl.Expr:
    column = pl.col(str(kwargs.get("column", "")))
    match expectation:
        case Expectation.PRESENT:
            verdict = column.is_not_null()
        case Expectation.CONFORM:
            formed = ~pl.col(bad(str(kwargs["column"])))
            verdict = formed & column.is_not_null() if kwargs.get("required") else formed
        case Expectation.COLUMNS_CONFORM:
            verdict = ~pl.any_horizontal(pl.col(bad(name)) for name in kwargs["column_list"])
        case Expectation.IN_SET if rule.codes:
            verdict = column.is_in(list(rule.codes)).fill_null(value=True)
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
            raise ContractError(f"expectation {expectation!r} is not known, or has no codes", where=rule.id)
    return verdict


def unique_key(columns: Sequence[str]) -> list[str]:
    """Return the columns whose values together may stand once in a source; a metering point by its order key."""
    return [ORDER if name == MPAN else name for name in columns]


def fault_masks(contract: Contract, rules: Sequence[Rule]) -> list[pl.Expr]:
    """Return the mask columns of rows by some rules; the bits of all other rules are clear."""
    bits: dict[str, list[pl.Expr]] = {name: [] for name in mask_columns(contract)}
    kept: dict[str, pl.Expr] = {}
    for rule in rules:
        excused = [~kept[other] for other in rule.unless if other in kept]
        kept[rule.id] = pl.any_horizontal([holds(rule), *excused]) if excused else holds(rule)
        name, bit = _place(contract, rule.id)
        bits[name].append(pl.when(kept[rule.id]).then(pl.lit(0, pl.UInt64)).otherwise(pl.lit(bit, pl.UInt64)))
    return [
        (pl.sum_horizontal(some).cast(pl.UInt64) if some else pl.lit(0, pl.UInt64)).alias(name)
        for name, some in bits.items()
    ]


NEEDS_NO_RAW = (
    Expectation.PRESENT,
    Expectation.IN_SET,
    Expectation.MATCH,
    Expectation.NO_MATCH,
    Expectation.SATISFY,
)


def judged_again(contract: Contract, changed: Collection[str]) -> list[Rule]:
    """Return the rules of intake that can be judged by what a submission pack holds: they need no raw value.

    Those that ask for the form of a text need it as it was written; of an identifier a pseudonym tells whether there
    was one, and no more.

    Args:
        changed: columns that the sender's policy hid or changed.
    """
    here = {column.name for column in contract.staged} - set(changed)
    plain = {c.name for c in contract.staged if c.classification is not Classification.IDENTIFIER} & here
    return [
        rule
        for rule in contract.rules_at(RuleStage.INTAKE)
        if rule.expectation in NEEDS_NO_RAW
        and rule_columns(rule) <= (here if rule.expectation == Expectation.PRESENT else plain)
    ]


def broken(contract: Contract, rule_id: str) -> pl.Expr:
    """Tell whether a row breaks a rule, from its masks."""
    name, bit = _place(contract, rule_id)
    return _has_any(name, bit)


def breaking(masks: pl.DataFrame, contract: Contract, rule_id: str) -> NDArray[np.intp]:
    """Return the places of the rows that break a rule, from their masks.

    Raises:
        ContractError: the contract has no such rule.
    """
    name, bit = _place(contract, rule_id)
    return np.flatnonzero(masks[name].to_numpy() & np.uint64(bit))


def any_broken(contract: Contract, effect: Effect, reason: str = "") -> pl.Expr:
    """Tell whether a row breaks a rule with an effect, and with a reason code where one is given."""
    bits: dict[str, int] = {}
    names = mask_columns(contract)
    for number, rule in enumerate(contract.rules):
        if rule.effect is effect and reason in ("", rule.reason):
            name = names[number // WORD]
            bits[name] = bits.get(name, 0) | 1 << number % WORD
    return pl.any_horizontal([pl.lit(value=False), *(_has_any(name, some) for name, some in bits.items())])


def _has_any(name: str, bits: int) -> pl.Expr:
    return (pl.col(name) & bits) != 0  # plain numbers take the column's type, and cost a third to make


def reasons(contract: Contract) -> pl.Expr:
    """Return all reason codes of excluding rules broken by a row, in contract order, as one text joined by spaces."""
    ordered = dict.fromkeys(rule.reason for rule in contract.rules if rule.effect is Effect.EXCLUDE)
    texts = [pl.when(any_broken(contract, Effect.EXCLUDE, reason)).then(pl.lit(reason)) for reason in ordered]
    return pl.concat_str(texts, separator=" ", ignore_nulls=True) if texts else pl.lit("")
