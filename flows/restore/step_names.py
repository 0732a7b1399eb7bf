"""Serials, devices and addresses in the steps of a return pack, as the participant's own backup spells them.

A step names a meter or device as it was released: the row of the same metering point that was released as that says
what it really is. An address is the metering point's own, line by line, or none of it: never half of it. Only metering
points of steps are looked at, so that what is held does not grow with the backup.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from flows.restore.real_identifiers import Points
from transforms.pseudonymise.mpan import order_key

if TYPE_CHECKING:
    from flows.restore.backup import _Batch

STEPS = "expected/steps"
FOREIGN = "not in the own backup"
ADDRESS = ("uprn", "postcode", *(f"address_line_{n}" for n in range(1, 10)))
COLUMN_OF = {  # item of a step -> column of an extract that states it
    "meter_serial_number": "meter_serial_number",
    "removed_meter_serial_number": "meter_serial_number",
    "esme_id": "esme_id",
    **{name: name for name in ADDRESS},
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
        """Return those of a return pack; nothing is named where it has no steps."""
        file = pack / f"data/{participant}/{STEPS}.parquet"
        if not file.is_file():
            return cls(pl.DataFrame(schema={name: NAMED[name] for name in ("point", "column", "value")}))
        named = pl.scan_parquet(file).filter(pl.col("item").is_in(list(COLUMN_OF)), pl.col("value").is_not_null())
        point, column = order_key().alias("point"), pl.col("item").replace_strict(COLUMN_OF).alias("column")
        return cls(named.select(point, column, _key("item", "value")).unique().drop_nulls().collect())

    def add(self, own: _Batch, released: pl.DataFrame) -> None:
        """Take in a batch of the backup, beside how its rows were released."""
        at = np.flatnonzero(own.among(self._points))
        for column in self._columns if at.size else ():
            raw = own.physical(column)
            if raw is None:
                continue
            for frame in (released, own.named):
                if column in frame.columns or column in ADDRESS:
                    text = raw.cast(pl.String)[at]
                    rows = pl.DataFrame(
                        {
                            "point": own.points[at],
                            "column": [column] * at.size,
                            "value": text if column in ADDRESS else frame[column].cast(pl.String)[at],
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
        names = pl.concat(self._found).unique(["point", "column", "value"], keep="first", maintain_order=True)
        address = pl.col("column").is_in(list(ADDRESS))
        keyed = frame.with_columns(
            pl.Series("point", points, pl.UInt64),
            pl.col("item").replace_strict(COLUMN_OF, default=None, return_dtype=pl.String).alias("column"),
            pl.when(pl.col("value").is_not_null()).then(_key("item", "value")).alias("key"),
        )
        found = keyed.join(
            names.rename({"value": "key"}), on=["point", "column", "key"], how="left", maintain_order="left"
        ).filter(  # a line that the own address does not have
            ~(address & pl.col("real").is_null() & pl.col("point").is_in(names.filter(address)["point"].implode()))
            | pl.col("column").is_null()
        )
        strange = pl.col("column").is_not_null() & pl.col("value").is_not_null() & pl.col("real").is_null()
        return found.with_columns(
            pl.coalesce("real", "value").alias("value"),
            pl.when(strange).then(pl.lit(FOREIGN)).cast(pl.String).alias("value_note"),
        ).drop("point", "column", "key", "real")


def _key(item: str, value: str) -> pl.Expr:
    """Return what a named thing is known by: its released value; an address is that of the metering point."""
    return pl.when(pl.col(item).is_in(list(ADDRESS))).then(pl.lit("")).otherwise(pl.col(value)).alias("value")
