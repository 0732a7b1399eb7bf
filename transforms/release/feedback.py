"""What a participant is told of its own rows: lines of faults, with what others say where extracts disagree.

Source: Q48 to Q52 (cleanse), Q74, Q78, Q83 (alignment).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from contracts.alignment import Comparison
from contracts.model import Contract
from contracts.vocabulary import Effect, Method
from transforms.align import ANYBODY, NOBODY, PRESENCE, REGISTRATION
from transforms.quality.fault_lines import EFFECTS

DISAGREE = "disagree"
NOT_THERE = "(not there)"
FEEDBACK = {
    "mpan_core": pl.String, "token": pl.String, "extract": pl.String, "row_key": pl.String, "column": pl.String,
    "rule": pl.String, "rule_id": pl.String, "reason": pl.String, "effect": pl.String, "broken_by": pl.String,
    "own_value": pl.String, "other": pl.String, "other_value": pl.String, "alone": pl.Boolean,
}  # fmt: skip
"""Of lines: pseudonym, or keyed token where there is none; ``alone``: the point comes back when this is put right."""
COUNTED = ("extract", "rule", "rule_id", "reason", "effect", "broken_by", "other")
COUNTS: dict[str, pl.DataType] = {
    **dict.fromkeys(COUNTED, pl.String()),
    "columns": pl.List(pl.String()),
    **dict.fromkeys(("rows", "points", "alone"), pl.UInt32()),
}
SAYS = {
    "item": "the extracts have different values",
    "right": "registered, and not in the extract of who should have it",
    "left": "in the extract, and in no registration of this cut",
}


def row_key(contract: Contract) -> pl.Expr:
    """Return what tells the rows of a metering point apart, as text: the key's columns that are released as judged."""
    kept = (Method.KEEP, Method.PSEUDONYMISE)
    columns = [contract.column(name) for name in contract.key[1:]]
    shown = [pl.col(c.name).cast(pl.String).fill_null("") for c in columns if contract.treatment(c).method in kept]
    return (pl.concat_str(shown, separator=" ") if shown else pl.lit("")).alias("row_key")


def sides(found: pl.DataFrame, spec: Comparison, participant: str) -> pl.DataFrame:
    """Return one participant's lines of what two extracts disagree about.

    The registration leads, as in ``alignment.yaml``: of two values it is the other extract's that is asked about.
    A metering point that a participant should have and does not is nowhere in its backup: it is counted
    (:func:`absent`) and has no line.

    Columns in: as of :func:`transforms.align.differences`.
    Columns out: ``FEEDBACK``.
    """
    columns = {name: item.column for name, item in spec.items.items() if item.column != "participant"}
    presence = pl.col("item") == PRESENCE
    kind = pl.when(~presence).then(pl.lit("item")).otherwise("lacking")
    left = f"{REGISTRATION}"
    other_of_left = (
        pl.when(pl.col("right") == ANYBODY).then(pl.lit(spec.right)).otherwise(pl.col("right") + f"/{spec.right}")
    )
    other_of_right = pl.when(pl.col("left") == NOBODY).then(pl.lit(left)).otherwise(pl.col("left") + f"/{left}")
    named = found.with_columns(
        reason=kind.replace_strict(SAYS, return_dtype=pl.String),
        rule=pl.lit("alignment"),
        rule_id=pl.lit(f"{spec.right}.") + pl.col("item"),
        effect=pl.lit(DISAGREE),
        broken_by=other_of_left,
        row_key=pl.lit(""),
    )
    mine = named.filter(pl.col("left") == participant, pl.col("lacking") != "left").with_columns(
        extract=pl.lit(left),
        column=pl.when(presence).then(pl.lit(spec.expected or "mpan_core")).otherwise("item"),
        own_value="left_value",
        other=other_of_left,
        other_value=pl.when(presence).then(pl.lit(NOT_THERE)).otherwise("right_value"),
    )
    theirs = named.filter(pl.col("right") == participant, pl.col("lacking") != "right").with_columns(
        extract=pl.lit(spec.right),
        column=pl.col("item").replace_strict(columns, default="mpan_core", return_dtype=pl.String),
        own_value="right_value",
        other=other_of_right,
        other_value=pl.when(presence).then(pl.lit(NOT_THERE)).otherwise("left_value"),
    )
    return shaped(pl.concat([mine, theirs]))


def absent(found: pl.DataFrame, spec: Comparison, participant: str) -> pl.DataFrame:
    """Count what registrations say a participant should have and its extract has not: ``COUNTS``."""
    gone = found.filter(pl.col("right") == participant, pl.col("lacking") == "right")
    told = (
        gone.group_by("left", maintain_order=True)
        .agg(pl.len().alias("points"))
        .with_columns(
            extract=pl.lit(spec.right),
            columns=pl.lit(["mpan_core"], pl.List(pl.String)),
            rule=pl.lit("alignment"),
            rule_id=pl.lit(f"{spec.right}.{PRESENCE}"),
            reason=pl.lit("registrations name you for the metering point, and your extract does not have it"),
            effect=pl.lit(DISAGREE),
            broken_by=pl.lit(f"{participant}/{spec.right}"),
            other=pl.col("left") + f"/{REGISTRATION}",
            rows=pl.lit(0),
            alone=pl.lit(0),
        )
    )
    return told.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items())


def shaped(lines: pl.DataFrame) -> pl.DataFrame:
    """Return lines with the columns of ``FEEDBACK``; those that they lack are empty."""
    empty = [pl.lit(None, dtype).alias(name) for name, dtype in FEEDBACK.items() if name not in lines.columns]
    return lines.with_columns(empty).select(pl.col(name).cast(dtype) for name, dtype in FEEDBACK.items())


def joined(lines: pl.DataFrame, disagreements: pl.DataFrame, reasons: Collection[str]) -> pl.DataFrame:
    """Return both, one line for one fault: a warning about a column has the values of the disagreement about it.

    Args:
        reasons: codes of the rules that say of a row what a comparison says (``alignment.yaml``).

    Columns in and out: ``FEEDBACK``.
    """
    keys = ["mpan_core", "extract", "column"]
    values = ["own_value", "other", "other_value"]
    presence_first = disagreements.sort(pl.col("rule_id").str.ends_with(PRESENCE), descending=True, maintain_order=True)
    numbered = presence_first.with_row_index("_n")
    once = numbered.unique(keys, keep="first", maintain_order=True)
    warned = (pl.col("effect") == EFFECTS[Effect.WARN]) & pl.col("rule").is_in([*reasons])
    told = (
        lines.filter(warned)
        .drop(values)
        .join(once.select(*keys, *values, "_n"), on=keys, how="left", maintain_order="left")
    )
    used = told["_n"].drop_nulls().implode()
    rest = numbered.filter(~pl.col("_n").is_in(used)).sort("_n")
    same = ["mpan_core", "extract", "rule_id"]
    others = pl.coalesce("other", pl.col("other").drop_nulls().first().over(same))
    return pl.concat([lines.filter(~warned), shaped(told.with_columns(others)), shaped(rest)])


def in_order(lines: pl.DataFrame) -> pl.DataFrame:
    """Return lines in an order that depends on nothing but what they say."""
    return lines.unique().sort("mpan_core", "token", "extract", "row_key", "effect", "rule_id", "column", "other",
                               "own_value", "other_value", nulls_last=True)  # fmt: skip


def counts(lines: pl.DataFrame) -> pl.DataFrame:
    """Count rows and metering points by what is wrong: ``COUNTS``; ``columns``: those that are to be looked at."""
    point = pl.coalesce("mpan_core", "token")
    found = lines.group_by(COUNTED, maintain_order=True).agg(
        pl.col("column").unique().sort().alias("columns"),
        pl.struct(point.alias("point"), "row_key").n_unique().alias("rows"),
        point.n_unique().alias("points"),
        point.filter(pl.col("alone").fill_null(value=False)).n_unique().alias("alone"),
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in COUNTS.items())


def total(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up counts of partitions: excluding ones first, those whose correction brings most back before others."""
    whole = pl.concat([pl.DataFrame(schema=COUNTS), *parts])
    turn = pl.col("effect").replace_strict({"exclude": 0, "warn": 1, DISAGREE: 2}, return_dtype=pl.Int32)
    sums = whole.group_by(COUNTED).agg(
        pl.col("columns").explode().unique().sort(), pl.col("rows", "points", "alone").sum()
    )
    order = [turn, -pl.col("alone").cast(pl.Int64), -pl.col("points").cast(pl.Int64)]
    return sums.sort([*order, *COUNTED], nulls_last=True)
