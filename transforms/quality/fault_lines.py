"""Rows that break rules as lines that a person can act on: rule, column, reason in words, effect, whose extract.

Source: Q48 to Q52 (exclusions with reasons, for the participant to cleanse its own data).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.model import Contract, Rule
from contracts.vocabulary import Effect, Expectation
from transforms.quality.blame import BITS, BLAMED, blamed, blamed_in_rows
from transforms.quality.exclusions import COINCIDENT, COMPANION
from transforms.quality.rules import breaking, broken, mask_columns, unique_key

EFFECTS = {Effect.EXCLUDE: "exclude", Effect.WARN: "warn"}
OF_NO_RULE = {
    COMPANION: "a metering point that is linked with this one is excluded",
    COINCIDENT: "the pseudonym happens to be the MPAN of another metering point",
    "DQ31": "the items that were made for the metering point contradict each other",
    "DQ27": "the group of related metering points is partial or contradicts itself",
}
ANOTHER_POINT = "another metering point"
SCHEMA = {
    "at": pl.UInt32, "turn": pl.Int32, "column": pl.String, "rule": pl.String, "rule_id": pl.String,
    "reason": pl.String, "effect": pl.String, "broken_by": pl.String,
}  # fmt: skip
"""Of lines: place of the row in its frame, turn of the rule in the contract (-1: not of this row), and what to say."""
Bits = NDArray[np.uint64]


def fault(rule: Rule) -> str:
    """Return what is wrong where a rule is broken, in words."""
    return rule.fault or f"Expected: {rule.description}"


def fault_lines(rows: pl.DataFrame, contract: Contract, differs: Bits | None = None) -> pl.DataFrame:
    """Return a line for each row, each rule that it breaks and each column that the rule is about there.

    Columns in: the masks, and ``_blamed`` where intake told it.
    Columns out: ``SCHEMA``; ``broken_by`` is null: the row's own extract.

    Args:
        differs: bits of the contract's columns in which a row differs from its duplicates (:func:`duplicates`).
    """
    return stacked(_faults(rows, contract, differs))


def _faults(rows: pl.DataFrame, contract: Contract, differs: Bits | None) -> Iterator[ToldRows]:
    words = rows.select(mask_columns(contract))
    none = np.zeros(rows.height, np.uint64)
    told = rows[BLAMED].to_numpy() if BLAMED in rows.columns else none
    for turn, rule in enumerate(contract.rules):
        if rule.effect not in EFFECTS:
            continue
        places = breaking(words, contract, rule.id)
        if not places.size:
            continue
        at = pl.Series("at", places, pl.UInt32)
        bits = (none if differs is None else differs) if rule.expectation == Expectation.UNIQUE else told
        for name, here in blamed_in_rows(rule, contract, bits[places]).items():
            yield rule_lines(at.filter(here), turn, name, rule)


class ToldRows(NamedTuple):
    """Rows of which the same is said: a column of ``SCHEMA`` each."""

    at: pl.Series
    turn: int
    column: str
    rule: str
    rule_id: str
    reason: str
    effect: str = EFFECTS[Effect.EXCLUDE]
    broken_by: str | None = None


def stacked(told: Iterable[ToldRows]) -> pl.DataFrame:
    """Return lines one after another: ``SCHEMA``; thousands of things may be said, most of a row or two."""
    every = list(told)
    if not every:
        return pl.DataFrame(schema=SCHEMA)
    (_, place), *kinds = SCHEMA.items()
    said = pl.DataFrame([rows[1:] for rows in every], schema=dict(kinds), orient="row")
    which = np.repeat(np.arange(len(every)), [len(rows.at) for rows in every])
    return said[which].insert_column(0, pl.concat([rows.at.cast(place) for rows in every]).alias("at"))


def rule_lines(at: pl.Series, turn: int, column: str, rule: Rule, broken_by: str | None = None) -> ToldRows:
    """Say of some rows that they break a rule."""
    return ToldRows(at, turn, column, rule.reason, rule.id, fault(rule), EFFECTS[rule.effect], broken_by)


def lines_of_cause(at: pl.Series, cause: str, contracts: Mapping[str, Contract]) -> ToldRows:
    """Say of some rows that their metering point is excluded for what another row says.

    Args:
        cause: participant, extract and rule or reason code, parted by spaces; or a reason code alone.
    """
    participant, _, rest = cause.partition(" ")
    if not rest:
        reason = OF_NO_RULE.get(cause, "the metering point is excluded with this reason, and no rule says more")
        return ToldRows(at, -1, "mpan_core", cause, cause, reason, broken_by=ANOTHER_POINT)
    extract, _, name = rest.partition(" ")
    contract = contracts[extract]
    rule = next((rule for rule in contract.rules if rule.id == name), None)
    if rule is not None:
        return rule_lines(at, -1, blamed(rule, contract)[0], rule, f"{participant}/{extract}")
    return lines_of_code(at, name, contract, contracts)


def lines_of_code(at: pl.Series, code: str, contract: Contract, contracts: Mapping[str, Contract]) -> ToldRows:
    """Say of some rows that they are excluded with a reason code, where which rule it was is not told.

    Where the rows' own contract has no rule with the code, it is of the extracts that have.
    """
    mine = [rule for rule in contract.rules if rule.reason == code and rule.effect is Effect.EXCLUDE]
    held = {
        other.extract: [rule for rule in other.rules if rule.reason == code and rule.effect is Effect.EXCLUDE]
        for other in contracts.values()
    }
    others = {} if mine else {name: rules for name, rules in held.items() if rules}
    rules = mine or [rule for some in others.values() for rule in some]
    columns = dict.fromkeys(name for rule in mine for name in blamed(rule, contract))
    reasons = dict.fromkeys(fault(rule) for rule in rules)
    ids = dict.fromkeys(rule.id for rule in rules)
    reason = " Or: ".join(reasons) or OF_NO_RULE.get(code, f"excluded: {code}")
    by = " or ".join(others) or (None if mine else ANOTHER_POINT)
    column = " or ".join(columns) or "mpan_core"
    return ToldRows(at, -1, column, code, " ".join(ids) or code, reason, broken_by=by)


def duplicates(frame: pl.LazyFrame, contract: Contract) -> pl.DataFrame:
    """Return the rows that are in an extract more than once: ``at``, and ``bits`` of the columns that differ."""
    found = []
    numbered = frame.with_row_index("at")
    for rule in contract.rules:
        if rule.expectation == Expectation.UNIQUE:
            rows = numbered.filter(broken(contract, rule.id)).collect()
            alike = unique_key(rule.kwargs["column_list"])
            bits = [
                (pl.col(column.name).n_unique().over(alike) > 1).cast(pl.UInt64) * pl.lit(1 << n, pl.UInt64)
                for n, column in enumerate(contract.columns[:BITS])
                if column.name in rows.columns
            ]
            found.append(rows.select("at", pl.sum_horizontal(bits).cast(pl.UInt64).alias("bits")))
    every = pl.concat([pl.DataFrame(schema={"at": pl.UInt32, "bits": pl.UInt64}), *found])
    return every.group_by("at").agg(pl.col("bits").bitwise_or()).sort("at")
