"""FAULTS: a participant's rows that are excluded or break a rule, for its own list (:mod:`flows.cleanse`).

A return pack tells of excluded rows the reason codes alone. What the rules of intake say is judged again, with the
exact column; of the other rules with a reason code their columns are told, and where this extract has no rule with it,
the extracts that have.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from contracts.load import load_all
from contracts.model import Contract
from contracts.vocabulary import Effect
from flows.cleanse.listing import CleanseList
from flows.cleanse.verdicts import COMPANION, EFFECTS, fault, joined_lines, own_lines
from flows.restore.backup import RestoredExtract, _Batch
from transforms.column_map import ColumnMap
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality.blame import blamed
from transforms.quality.rules import mask_columns

How = tuple[Contract, ColumnMap, Pseudonymiser]


def list_faults(
    out: CleanseList, extract: RestoredExtract, own: _Batch, how: How, places: pl.DataFrame, why: pl.DataFrame
) -> None:
    """Write the lines of one batch of the backup.

    Args:
        places: columns ``file``, ``row`` of each row of the batch.
        why: columns ``at`` (place in the batch), ``reasons`` (codes, parted by spaces) of rows that do not come back.
    """
    contract, columns, _ = how
    masks = own.named.select(mask_columns(contract)).to_numpy()
    hit = np.union1d(np.flatnonzero(masks.any(axis=1)), why["at"].to_numpy())
    if not hit.size:
        return
    rows, here = own.raw[hit], pl.DataFrame({"here": pl.Series(np.arange(hit.size, dtype=np.uint32)), "at": hit})
    lines = own_lines(rows, masks[hit], *how)
    codes = why.with_columns(pl.col("at").cast(pl.Int64)).join(here.with_columns(pl.col("at").cast(pl.Int64)), on="at")
    told = codes.select(pl.col("here").alias("at"), pl.col("reasons").str.split(" ").alias("rule")).explode("rule")
    if lines:
        told = told.join(pl.concat(lines).select("at", "rule"), on=["at", "rule"], how="anti")
    for (code,), some in told.partition_by("rule", as_dict=True, maintain_order=True).items():
        lines.append(_of_code(str(code), some["at"], contract))
    both = joined_lines(lines, rows, places[hit], columns)
    by = pl.lit(f"{extract.participant}/{extract.name}")
    out.add(
        both.with_columns(
            pl.lit(extract.participant).alias("participant"),
            pl.lit(extract.name).alias("extract"),
            pl.coalesce("broken_by", by).alias("broken_by"),
        )
    )


def _of_code(code: str, at: pl.Series, contract: Contract) -> pl.DataFrame:
    """Return lines for rows that are excluded with a reason code whose rule is not judged here."""
    mine = [rule for rule in contract.rules if rule.reason == code and rule.effect is Effect.EXCLUDE]
    others = {
        other.extract: [rule for rule in other.rules if rule.reason == code and rule.effect is Effect.EXCLUDE]
        for other in load_all().values()
        if other.extract != contract.extract
    }
    names = [name for name, rules in others.items() if rules]
    column, ids, reason, by = "mpan_core", code, COMPANION.get(code, ""), None
    if mine:
        found = list(dict.fromkeys(name for rule in mine for name in blamed(rule, contract)))
        column, ids = " or ".join(found), " ".join(rule.id for rule in mine)
        reason = " Or: ".join(fault(rule) for rule in mine)
    elif names:
        by = " or ".join(names)
        reason = " Or: ".join(dict.fromkeys(fault(rule) for name in names for rule in others[name]))
        ids = " ".join(dict.fromkeys(rule.id for name in names for rule in others[name]))
    elif not reason:
        reason = f"excluded with the reason {code}; the documents of the pack say what it means"
    return pl.DataFrame({"at": at}, schema={"at": pl.UInt32}).with_columns(
        pl.lit(-1, pl.Int32).alias("turn"),
        pl.lit(column).alias("column"),
        pl.lit(code).alias("rule"),
        pl.lit(ids).alias("rule_id"),
        pl.lit(reason).alias("reason"),
        pl.lit(EFFECTS[Effect.EXCLUDE]).alias("effect"),
        pl.lit(by, pl.String).alias("broken_by"),
    )
