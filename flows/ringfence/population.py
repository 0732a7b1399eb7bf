"""What the ring-fence chooses from: one row per released metering point, as Parquet."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import polars as pl

from flows.augment.inputs import ATTRIBUTES, PREMISES
from flows.cut.context import Context
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, JUDGED, ORDER, frames, read_exclusions
from flows.cut.workspace import disk

POPULATION = "population.parquet"
DIRECTIONS = {"E": "EXPORT", "I": "IMPORT"}


def _premises() -> pl.Expr:
    """Return what tells premises apart, null where nothing is known of an address.

    A blank or malformed real postcode has no pseudonym. House and street are compared without it all the same: that
    may put strangers into one unit, which costs a choice, whereas apart CIT and SIT might share an address. Where
    sameness is evidence (``flows.augment.associations``, DQ14) it is safer not to compare such addresses at all.
    """
    *lines, postcode = PREMISES
    return pl.concat_str([*map(pl.col, lines), pl.col(postcode).fill_null("")], separator="|")


REGISTERS = "register_count"


def _registers(known: Context, frame: pl.LazyFrame, number: int) -> pl.LazyFrame:
    """Add how many registers the settlement meter of each metering point has, null where no register is held."""
    parts = frames(known.workspace, JUDGED, known.extracts, "register", number)
    if not parts:
        return frame.with_columns(pl.lit(None, pl.Int64).alias(REGISTERS))
    keys = [ORDER, "meter_serial_number"]
    count = pl.col("register_id").n_unique().cast(pl.Int64).alias(REGISTERS)
    return frame.join(pl.concat(parts).group_by(keys).agg(count), on=keys, how="left", maintain_order="left")


def population(known: Context, asked: Collection[str] = ()) -> Path:
    """Write the population.

    Args:
        asked: attributes that the plan names; ``register_count`` is counted for a plan that asks for it alone.

    Columns out: ``mpan``, ``linked_mpan``, ``related_mpan``, ``conforming``, ``direction`` (IMPORT, EXPORT, or null
    where nothing tells it), ``meter_serial_number`` and ``premises`` (pseudonyms; equal ones make one unit of
    allocation), and the attributes that criteria may name: ``distributor_id``, ``meter_type``, ``ATTRIBUTES``,
    ``linked_mpan_confidence``, and every released item with a list of values or an MPID. An item that is not decided
    is null, and no criterion that names it is met.
    """
    workspace = known.workspace
    every = known.tables.items
    items = [i.item for i in every if i.criterion or (i.held_by and (i.values or i.item.endswith("_mpid")))]
    counted = (REGISTERS,) if REGISTERS in asked else ()
    fixed = ("distributor_id", "meter_type", "linked_mpan_confidence")
    attributes = dict.fromkeys((*fixed, *ATTRIBUTES, *items, *counted))
    parts = []
    for number in range(workspace.partitions):
        frame = workspace.scan(AUGMENTED, ALL, EXTRACT, number)
        if frame is None:
            continue
        excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
        frame = _registers(known, frame, number) if counted else frame
        direction = pl.col("energy_direction").replace_strict(DIRECTIONS, default=None, return_dtype=pl.String)
        parts.append(
            frame.join(excluded, on="mpan_core", how="anti", maintain_order="left").select(
                pl.col("mpan_core").alias("mpan"),
                "linked_mpan",
                "related_mpan",
                pl.lit(value=True).alias("conforming"),
                direction.alias("direction"),
                "meter_serial_number",
                _premises().alias("premises"),
                *attributes,
            )
        )
    path = workspace.root / POPULATION
    with disk(path):
        pl.concat(parts).sink_parquet(path, maintain_order=True)
    return path
