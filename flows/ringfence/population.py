"""What the ring-fence chooses from: one row per released metering point, as Parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.augment.inputs import ATTRIBUTES, PREMISES
from flows.cut.context import Context
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, read_exclusions
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


def population(known: Context) -> Path:
    """Write the population.

    Columns out: ``mpan``, ``linked_mpan``, ``related_mpan``, ``conforming``, ``direction`` (IMPORT, EXPORT, or null
    where nothing tells it), ``meter_serial_number`` and ``premises`` (pseudonyms; equal ones make one unit of
    allocation), and the attributes that criteria may name: ``distributor_id``, ``meter_type``, ``ATTRIBUTES``,
    ``linked_mpan_confidence``, and every released item with a list of values or an MPID. An item that is not decided
    is null, and no criterion that names it is met.
    """
    workspace = known.workspace
    every = known.tables.items
    items = [i.item for i in every if i.held_by and (i.values or i.item.endswith("_mpid"))]
    attributes = dict.fromkeys(("distributor_id", "meter_type", "linked_mpan_confidence", *ATTRIBUTES, *items))
    parts = []
    for number in range(workspace.partitions):
        frame = workspace.scan(AUGMENTED, ALL, EXTRACT, number)
        if frame is None:
            continue
        excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
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
