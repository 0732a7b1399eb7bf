"""Fills MHHS-only columns that the participant's own layout has, where its backup left them empty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.augmentation import Item, Outcome, tables
from transforms.conform import DATE_FORMATS, ColumnMap
from transforms.pseudonymise.mpan import order_key

if TYPE_CHECKING:
    from flows.restore.extracts import Extract

NAMES = ("linked_mpan", "related_mpan", "esme_id")  # they name other metering points and meters: not by pseudonym


class Filler:
    """Fills columns of one extract.

    Args:
        values: ``point`` and the augmented columns, one row per metering point.
        columns: physical column -> augmented column.
    """

    def __init__(self, values: pl.DataFrame, columns: Mapping[str, str]) -> None:
        self._values, self._columns = values, columns

    @classmethod
    def of(cls, extract: Extract, columns: ColumnMap) -> Self:
        """Find the columns to fill, and read what to fill them with."""
        sources = {c: a for item in tables().items if _adds(item) for c, a in _stated_in(item, extract.name).items()}
        path = Path(extract.pack) / f"data/{extract.participant}/augmented.parquet"
        held = set(pq.read_schema(path).names) if path.is_file() else set()
        wanted = {p: sources[c] for p, c in columns.names.items() if sources.get(c) in held}
        if not wanted:
            return cls(pl.DataFrame(), {})
        dates = extract.how.dates
        formats = {sources[c]: fmt for c, fmt in dates.items() if c in sources}
        read = pl.read_parquet(path, columns=["mpan_core", *dict.fromkeys(wanted.values())])
        kinds = read.schema
        texts = [
            pl.col(n).dt.strftime(formats.get(n, DATE_FORMATS[0])) if kinds[n] == pl.Date else pl.col(n).cast(pl.String)
            for n in dict.fromkeys(wanted.values())
        ]
        return cls(read.select(order_key().alias("point"), *texts), wanted)

    def filled(self, batch: pl.DataFrame, points: NDArray[np.uint64]) -> pl.DataFrame:
        """Return a batch of the backup with its empty MHHS-only cells filled."""
        if not self._columns:
            return batch
        found = pl.DataFrame({"point": points}).join(self._values, on="point", how="left", maintain_order="left")
        return batch.with_columns(
            pl.coalesce(pl.when(pl.col(physical).str.strip_chars() != "").then(pl.col(physical)), found[name]).alias(
                physical
            )
            for physical, name in self._columns.items()
        )


def _adds(item: Item) -> bool:
    """Tell whether augmentation can give an item that nobody stated."""
    return item.item not in NAMES and any(r.outcome not in (Outcome.NONE, Outcome.UNDECIDED) for r in item.rows)


def _stated_in(item: Item, extract: str) -> dict[str, str]:
    """Return the columns of an extract that state an item or its date, with the augmented column of each."""
    found = {}
    for statement in item.stated:
        if statement.extract == extract:
            found[statement.column] = item.item
            if statement.date:
                found[statement.date] = f"{item.item}_from"
    return found
