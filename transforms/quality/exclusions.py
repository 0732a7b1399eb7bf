"""Which MPANs are out, why first, and why at all; and the accounting that shows no row was lost.

An excluded MPAN is excluded from every extract of every participant, with the reason codes of its first cause (Q48).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from contracts.model import Contract
from contracts.vocabulary import Effect
from transforms.connected_components import smallest_connected
from transforms.quality.rules import any_broken, reasons

PRECEDENCE = (
    "registration",
    "metering",
    "register",
    "portfolio",
    "annual_consumption",
    "half_hourly",
    "meter_reading",
    "bmu_mapping",
)
COMPANION = "companion"
COINCIDENT = "coincident"  # its pseudonym is the real MPAN of somebody else in the cut
SCHEMA = {"mpan_core": pl.String, "first_cause": pl.String, "reasons": pl.String, "extract": pl.String}


def precedence(extract: str) -> int:
    """Return an extract's place when causes compete: the registration first, extracts that are new to us last."""
    return PRECEDENCE.index(extract) if extract in PRECEDENCE else len(PRECEDENCE)


def faulty(frame: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    """Return the MPANs with a broken excluding rule in one extract.

    Columns in: ``mpan_core``, the masks.
    Columns out: ``mpan_core``, ``reasons`` (codes in contract order, joined by spaces), ``_rank`` (the extract's
    precedence). Rows whose MPAN has no pseudonym are left out: they name no metering point.
    """
    broken = frame.filter(any_broken(contract, Effect.EXCLUDE), pl.col("mpan_core").is_not_null())
    return broken.select(
        "mpan_core",
        reasons(contract).alias("reasons"),
        pl.lit(precedence(contract.extract), pl.UInt8).alias("_rank"),
        pl.lit(contract.extract).alias("extract"),
    )


def exclusions(parts: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Join the causes of all extracts into one row per MPAN.

    Columns out: ``mpan_core``, ``first_cause`` (one code), ``reasons`` (all codes, first cause first, each once),
    ``extract`` (where the first cause stands). Ordered by ``mpan_core``.
    """
    if not parts:
        return pl.LazyFrame(schema=SCHEMA)
    causes = pl.concat(parts).sort("mpan_core", "_rank", "reasons")
    codes = pl.col("reasons").str.split(" ").list.explode(keep_nulls=False, empty_as_null=False)
    return (
        causes.group_by("mpan_core", maintain_order=True)
        .agg(codes.unique(maintain_order=True).alias("codes"), pl.col("extract").first())
        .select(
            "mpan_core",
            pl.col("codes").list.first().alias("first_cause"),
            pl.col("codes").list.join(" ").alias("reasons"),
            "extract",
        )
    )


def companions(links: pl.DataFrame, excluded: pl.Series) -> pl.DataFrame:
    """Return the metering points that are connected with an excluded one and not excluded themselves.

    A group with one unusable member is unusable as a whole (``ringfence`` section 11, DQ27).

    Columns in: ``links`` has ``mpan_core`` and ``other``, the two ends of each link, in any order and number.
    Columns out: as of :func:`exclusions`, reason ``companion``; ordered by ``mpan_core``.
    """
    names = pl.concat([links["mpan_core"], links["other"]]).unique().sort()
    place = pl.Series("place", np.arange(names.len()))
    left, right = (links[end].replace_strict(names, place, return_dtype=pl.Int64) for end in ("mpan_core", "other"))
    group = smallest_connected(names.len(), left.to_numpy(), right.to_numpy())
    out = names.is_in(excluded.implode())
    unusable = np.isin(group, np.unique(group[out.to_numpy()]))
    found = names.filter(pl.Series(unusable) & ~out).alias("mpan_core").to_frame()
    return found.select(
        "mpan_core",
        pl.lit(COMPANION).alias("first_cause"),
        pl.lit(COMPANION).alias("reasons"),
        pl.lit("").alias("extract"),
    )


def split(
    frame: pl.LazyFrame, contract: Contract, excluded: pl.LazyFrame, more: Sequence[str] = ()
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Split an extract's rows into released and excluded ones; every row is in exactly one of them.

    Columns in: the extract's columns, ``_token``, the masks; ``excluded`` as from :func:`exclusions`.
    Columns out: released rows with the contract's released columns and ``more`` of those that are there; excluded rows
    as ``mpan_core`` (the pseudonym, null where there is none), ``token`` (keyed token of an MPAN without a pseudonym),
    ``first_cause``, ``reasons``.
    """
    why = excluded.select("mpan_core", pl.col("first_cause").alias("_cause"), pl.col("reasons").alias("_reasons"))
    joined = frame.join(why, on="mpan_core", how="left", maintain_order="left")
    own = any_broken(contract, Effect.EXCLUDE)
    out = pl.col("_cause").is_not_null() | own
    codes = pl.coalesce(pl.col("_reasons"), reasons(contract))
    kept = [*(column.name for column in contract.released), *(name for name in more if name in frame.collect_schema())]
    released = joined.filter(~out).select(kept)
    gone = joined.filter(out).select(
        "mpan_core",
        pl.col("_token").alias("token"),
        pl.coalesce(pl.col("_cause"), codes.str.split(" ").list.first()).alias("first_cause"),
        codes.alias("reasons"),
    )
    return released, gone
