"""Serials, devices and addresses in the steps of a return pack, as the participant's own backup spells them.

A step names a meter or device as it was released: the row of the same metering point that was released as that says
what it really is. An address is the metering point's own, line by line, or none of it: never half of it. A free text
that too few share to be released is the metering point's own, where it has but one. Only metering points of steps are
looked at, so that what is held does not grow with the backup.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from flows.restore.real_identifiers import Points
from transforms.pseudonymise.mpan import order_key
from transforms.treatment.shared_texts import OTHER

if TYPE_CHECKING:
    from flows.restore.backup import _Batch

STEPS, EXPECTED = "expected/steps", "expected"
WANTED = ("point", "column", "value")
FOREIGN = "not in the own backup"
ADDRESS = ("uprn", "postcode", *(f"address_line_{n}" for n in range(1, 10)))
TEXTS = ("make_and_model",)  # free texts: ``OTHER`` stands for those that few share
WHOLE = (*ADDRESS, *TEXTS)  # known by the metering point alone
COLUMN_OF = {  # item of a step -> column of an extract that states it
    "meter_serial_number": "meter_serial_number",
    "removed_meter_serial_number": "meter_serial_number",
    "esme_id": "esme_id",
    **{name: name for name in WHOLE},
}
NAMED = {"point": pl.UInt64, "column": pl.String, "value": pl.String, "real": pl.String}


class StepNames:
    """What steps name, and what the backup says of it.

    Args:
        wanted: ``point``, ``column`` and ``value`` of what is named, each once.
    """

    def __init__(self, wanted: pl.DataFrame) -> None:
        self._wanted = wanted
        self._points: Points = wanted["point"].unique().sort().to_numpy()
        self._columns = wanted["column"].unique().sort().to_list()
        self._found = [pl.DataFrame(schema=NAMED)]

    @classmethod
    def of(cls, pack: Path, participant: str) -> Self:
        """Return those of a return pack; nothing is named where it has no steps and no expected results."""
        point, parts = order_key().alias("point"), [pl.LazyFrame(schema={n: NAMED[n] for n in WANTED})]
        if (file := pack / f"data/{participant}/{STEPS}.parquet").is_file():
            named = pl.scan_parquet(file).filter(
                pl.col("item").is_in(list(COLUMN_OF)), pl.col("value").is_not_null(), _hidden("item", "value")
            )
            column = pl.col("item").replace_strict(COLUMN_OF).alias("column")
            parts.append(named.select(point, column, _key("item", "value")))
        if (file := pack / f"data/{participant}/{EXPECTED}.parquet").is_file():
            table = pl.scan_parquet(file)
            parts += [
                table.filter(pl.col(text) == OTHER).select(
                    point, pl.lit(text).alias("column"), pl.lit("").alias("value")
                )
                for text in TEXTS
                if text in table.collect_schema()
            ]
        return cls(pl.concat(parts).unique().drop_nulls().collect())

    def add(self, own: _Batch, released: pl.DataFrame) -> None:
        """Take in a batch of the backup, beside how its rows were released."""
        at = np.flatnonzero(own.among(self._points))
        for column in self._columns if at.size else ():
            raw = own.physical(column)
            if raw is None:
                continue
            for frame in (released, own.named):
                if column in frame.columns or column in WHOLE:
                    text = raw.cast(pl.String)[at]
                    rows = pl.DataFrame(
                        {
                            "point": own.points[at],
                            "column": [column] * at.size,
                            "value": text if column in WHOLE else frame[column].cast(pl.String)[at],
                            "real": text.set(text == "", None),
                        },
                        schema=NAMED,
                    ).with_columns(_key("column", "value"))
                    mine = rows.join(self._wanted, on=["point", "column", "value"], how="semi")
                    self._found.append(mine.drop_nulls().unique(maintain_order=True))

    def steps(self, frame: pl.DataFrame, points: Points) -> pl.DataFrame:
        """Return steps (``item``, ``value``) with real names; ``value_note`` says where the backup holds none.

        A line of an address that the own one does not have is left out.
        """
        names = self._names()
        address = pl.col("column").is_in(list(ADDRESS))
        keyed = frame.with_columns(
            pl.Series("point", points, pl.UInt64),
            pl.col("item").replace_strict(COLUMN_OF, default=None, return_dtype=pl.String).alias("column"),
            pl.when(pl.col("value").is_not_null() & _hidden("item", "value")).then(_key("item", "value")).alias("key"),
        )
        found = keyed.join(
            names.rename({"value": "key"}), on=["point", "column", "key"], how="left", maintain_order="left"
        ).filter(  # a line that the own address does not have
            ~(address & pl.col("real").is_null() & pl.col("point").is_in(names.filter(address)["point"].implode()))
            | pl.col("column").is_null()
        )
        strange = (
            pl.col("column").is_not_null()
            & ~pl.col("column").is_in(list(TEXTS))
            & pl.col("value").is_not_null()
            & pl.col("real").is_null()
        )
        return found.with_columns(
            pl.coalesce("real", "value").alias("value"),
            pl.when(strange).then(pl.lit(FOREIGN)).cast(pl.String).alias("value_note"),
        ).drop("point", "column", "key", "real")

    def texts(self, frame: pl.DataFrame, points: Points) -> pl.DataFrame:
        """Return rows of a table with the own free texts in place of ``OTHER``."""
        for column in TEXTS:
            if frame.schema.get(column) == pl.String:
                mine = self._names().filter(pl.col("column") == column).select("point", "real")
                found = pl.DataFrame({"point": pl.Series(points, dtype=pl.UInt64)}).join(
                    mine, on="point", how="left", maintain_order="left"
                )
                hidden = (frame[column] == OTHER) & found["real"].is_not_null()
                frame = frame.with_columns(
                    found["real"].zip_with(hidden.fill_null(value=False), frame[column]).alias(column)
                )
        return frame

    def _names(self) -> pl.DataFrame:
        """Return what the backup says of what is named, each once; of free texts those alone that cannot be another."""
        found = pl.concat(self._found).unique(maintain_order=True)
        several = pl.col("real").n_unique().over("point", "column") > 1
        sure = found.filter(~(pl.col("column").is_in(list(TEXTS)) & several))
        return sure.unique(["point", "column", "value"], keep="first", maintain_order=True)


def _hidden(item: str, value: str) -> pl.Expr:
    """Return whether a step's value stands for another: a free text does where it is ``OTHER``."""
    return ~pl.col(item).is_in(list(TEXTS)) | (pl.col(value) == OTHER)


def _key(item: str, value: str) -> pl.Expr:
    """Return what a named thing is known by: its released value; an address is that of the metering point."""
    return pl.when(pl.col(item).is_in(list(WHOLE))).then(pl.lit("")).otherwise(pl.col(value)).alias("value")
