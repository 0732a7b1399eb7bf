"""FAULTS: a participant's rows that are excluded, warned about or contradicted, for its own list (``flows.cleanse``).

A return pack tells what is wrong under pseudonyms; here it meets the rows of the backup. What the rules of intake say
is judged again, since a submission pack tells of them the reason code alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from contracts.load import load_all
from contracts.model import Contract
from flows.cleanse.listing import CleanseList
from flows.cleanse.verdicts import joined_lines
from flows.restore.backup import RestoredExtract, _Batch
from transforms.column_map import ColumnMap
from transforms.pseudonymise.mpan import order_key
from transforms.quality.fault_lines import SCHEMA, fault_lines, lines_of_code, stacked
from transforms.quality.rules import mask_columns
from transforms.release.feedback import row_key

FEEDBACK = "feedback/lines.parquet"  # of a return pack
VALUES = ("own_value", "other", "other_value")
LINE = {**SCHEMA, **dict.fromkeys(VALUES, pl.String)}
BATCH = 131_072


class FaultList:
    """Lists the faulty rows of one extract, with what its return pack says of them."""

    def __init__(self, out: CleanseList, extract: RestoredExtract, contract: Contract) -> None:
        self._out, self._extract, self._contract = out, extract, contract
        path = extract.pack / FEEDBACK
        self._lines = pl.concat([_empty(), *_batches(path, extract.name)])
        tokens = self._lines["token"].is_not_null() & self._lines["mpan_core"].is_null()
        self._by_token, self._by_point = self._lines.filter(tokens), self._lines.filter(~tokens)

    def add(self, own: _Batch, columns: ColumnMap, places: pl.DataFrame, why: pl.DataFrame) -> None:
        """Write the lines of one batch of the backup.

        Args:
            places: columns ``file``, ``row`` of each row of the batch.
            why: columns ``at`` (place in the batch), ``reasons`` (codes, parted by spaces) of rows that do not come
                back.
        """
        contract = self._contract
        masks = own.named.select(mask_columns(contract)).to_numpy()
        said = self._said(own.named)
        hit = np.union1d(np.flatnonzero(masks.any(axis=1)), np.union1d(why["at"].to_numpy(), said["at"].to_numpy()))
        if not hit.size:
            return
        here = pl.DataFrame({"at": pl.Series(hit, dtype=pl.UInt32)}).with_row_index("here")
        said = said.join(here, on="at").drop("at").rename({"here": "at"}).select(*LINE)
        lines = _once(_wide(fault_lines(own.named[hit], contract)), said, contract)
        codes = why.with_columns(pl.col("at").cast(pl.UInt32)).join(here, on="at")
        codes = codes.select(pl.col("here").alias("at"), pl.col("reasons").str.split(" ").alias("rule")).explode("rule")
        codes = codes.join(lines.filter(effect="exclude"), on=["at", "rule"], how="anti")
        by_code = codes.partition_by("rule", as_dict=True, maintain_order=True).items()
        rest = stacked(lines_of_code(some["at"], str(code), contract, load_all()) for (code,), some in by_code)
        both = joined_lines([lines, _wide(rest)], own.raw[hit], places[hit], columns)
        by = pl.lit(f"{self._extract.participant}/{self._extract.name}")
        self._out.add(
            both.with_columns(
                pl.lit(self._extract.participant).alias("participant"),
                pl.lit(self._extract.name).alias("extract"),
                pl.coalesce("broken_by", by).alias("broken_by"),
            )
        )

    def _said(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the pack's lines about some pseudonymised rows: ``LINE``, ``at`` their place among them."""
        keyed = rows.select(order_key().alias("point"), pl.col("_token").alias("token"), row_key(self._contract))
        keyed = keyed.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"))
        whole = [keyed.with_columns(row_key=pl.lit("")), keyed] if len(self._contract.key) > 1 else [keyed]
        met = [
            some.join(lines.drop("point" if by == "token" else "token"), on=[by, "row_key"], how="inner")
            for some in whole
            for lines, by in ((self._by_point, "point"), (self._by_token, "token"))
            if lines.height
        ]
        return pl.concat([pl.DataFrame(schema=LINE), *(lines.select(*LINE) for lines in met)])


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema={**LINE, "mpan_core": pl.String, "token": pl.String, "row_key": pl.String,
                                "point": pl.UInt64}).drop("at")  # fmt: skip


def _batches(path: Path, extract: str) -> Iterator[pl.DataFrame]:
    if not path.is_file():  # of a release by which nobody was told
        return
    for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
        lines = pl.DataFrame(batch).filter(pl.col("extract") == extract)
        if lines.height:
            turned = lines.with_columns(order_key().alias("point"), turn=pl.lit(-1, pl.Int32))
            yield turned.select(_empty().columns)


def _wide(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.with_columns(pl.lit(None, pl.String).alias(name) for name in VALUES).select(*LINE)


def _once(mine: pl.DataFrame, said: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return both, a fault once: what is judged here names the column; the pack has what others say.

    A line of the pack that could not tell which rule it was gives way to those that are judged here.
    """
    known = {rule.id for rule in contract.rules}
    judged = said.join(mine, on=["at", "rule_id", "column", "effect"], how="anti")
    vague = ~judged["rule_id"].is_in(list(known)) & (judged["effect"] == "exclude")
    here = mine.filter(effect="exclude").select("at", "rule").unique()
    vague_twice = judged.filter(vague).join(here, on=["at", "rule"], how="anti")
    return pl.concat([mine, judged.filter(~vague), vague_twice])
