"""Which records of a return pack do not match the backup, by name: counting them helps nobody to find them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.restore.real_identifiers import RealNames
from transforms.pseudonymise import mpan

RECORD = ["point", "row"]  # metering point, and a digest of the values that must agree
DIFFERS, ALONE = "differs from the backup", "is only in the pack"


def compare(given: pl.DataFrame, met: pl.DataFrame) -> dict[str, int]:
    """Count rows that agree, that differ, and that the pack has alone.

    Args:
        given: columns ``point``, ``row``: a digest of each row of the pack.
        met: the same of each row of the backup whose metering point the pack returns, and ``at``, its number there.
    """
    both = given.group_by(RECORD).len("given").join(met.group_by(RECORD).len("met"), on=RECORD, how="left")
    equal = both.select(pl.min_horizontal("given", pl.col("met").fill_null(0)).sum()).item()
    absent = given.join(met.select("point").unique(), on="point", how="anti").height
    return {"matching": int(equal), "differing": given.height - int(equal) - absent, "only_in_pack": absent}


def unmatched(given: pl.DataFrame, met: pl.DataFrame, real: RealNames) -> pl.DataFrame:
    """Return one row for each record of the pack that the backup has not.

    Columns out: ``row`` (of the backup, from 1; null where none is left to set against it), ``mpan_core`` (the real
    one; null where the backup has none), ``pseudonym`` (as the pack has it), ``finding``.
    """
    turn = pl.int_range(pl.len()).over(RECORD).alias("turn")  # equal records of a metering point are met one by one
    theirs, ours = given.with_columns(turn), met.with_columns(turn)
    again = pl.int_range(pl.len()).over("point").alias("turn")
    left, rest = (
        one.join(other, on=[*RECORD, "turn"], how="anti").sort("point", "row").with_columns(again)
        for one, other in ((theirs, ours), (ours, theirs))
    )
    paired = left.join(rest.select("point", "turn", "at"), on=["point", "turn"], how="left")
    known = paired["point"].is_in(met["point"].unique().implode())
    pseudonym = mpan.texts(paired["point"].to_numpy()).alias("pseudonym")
    finding = known.replace_strict({True: DIFFERS, False: ALONE}, return_dtype=pl.String).alias("finding")
    listed = pl.DataFrame([paired["at"].alias("row"), real.mpan(pseudonym).alias("mpan_core"), pseudonym, finding])
    return listed.sort("row", "pseudonym", nulls_last=True)


def list_unmatched(path: Path, given: pl.DataFrame, met: pl.DataFrame, real: RealNames) -> list[str]:
    """Write the records that do not match as CSV; return the name of the file, in a list."""
    with path.open("wb") as file:
        unmatched(given, met, real).write_csv(file)
    return [path.name]
