"""Holds what augmentation found against the sample generator's hidden truth: confusion, precision and recall."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from contracts.vocabulary import Field
from flows.cut.context import Context
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, read_exclusions
from transforms.augment.decision_tables import provenance

SEGMENT = "market_segment"
ITEMS = (SEGMENT, "connection_type", "energy_direction")


def truth(known: Context, sample: Path) -> pl.DataFrame:
    """Return ``truth.parquet`` under pseudonyms; columns but ``mpan_core`` end in ``_true``."""
    frame = pl.read_parquet(sample / "truth.parquet", columns=["mpan_core", *ITEMS, "linked_mpan", "related_mpan"])
    named = frame.with_columns(
        known.pseudonymiser.values(Field.MPAN, frame[c]).alias(c) for c in ("mpan_core", "linked_mpan", "related_mpan")
    )
    return named.rename({c: f"{c}_true" for c in named.columns if c != "mpan_core"})


def records(known: Context) -> Iterator[pl.DataFrame]:
    """Yield the augmented records of each partition that are released."""
    deciders = [f"{item}_rule" for item in ITEMS]
    wanted = [
        "mpan_core",
        *ITEMS,
        *deciders,
        "linked_mpan",
        "linked_mpan_confidence",
        "association_role",
        "related_mpan",
    ]
    for number in range(known.workspace.partitions):
        frame = known.workspace.scan(AUGMENTED, ALL, EXTRACT, number)
        if frame is not None:
            out = read_exclusions(known.workspace, number).lazy().select("mpan_core")
            released = frame.join(out, on="mpan_core", how="anti")
            told = provenance(known.tables.items, frame.collect_schema().names())
            (source,) = (e for e in told if e.meta.output_name() == f"{SEGMENT}_decided_by")
            yield released.select(*wanted, source).collect()


def compare(known: Context, sample: Path) -> dict[str, Any]:
    """Return confusion matrices, and of links: right, wrong, missed and grades.

    An export's link is right where it names the truth's import; missed where both ends are released and it names none.
    """
    real = truth(known, sample)
    whole = pl.concat(records(known))
    both = whole.join(real, on="mpan_core", how="inner")
    confusion = {
        item: sorted((str(f), str(t), n) for f, t, n in both.group_by(item, f"{item}_true").len().rows())
        for item in ITEMS
    }
    segments = (f"{SEGMENT}_rule", SEGMENT, f"{SEGMENT}_true")
    sourced = (f"{SEGMENT}_decided_by", *segments[1:])
    by_source = sorted((str(r), str(f), str(t), n) for r, f, t, n in both.group_by(sourced).len().rows())
    by_rule = sorted((str(r), str(f), str(t), n) for r, f, t, n in both.group_by(segments).len().rows())
    exports = both.filter(pl.col("energy_direction_true") == "E").with_columns(
        pl.col("linked_mpan_true").is_in(whole["mpan_core"].implode()).alias("partner_released")
    )
    right = pl.col("linked_mpan") == pl.col("linked_mpan_true")
    counts = exports.select(
        right.sum().alias("right"),
        (pl.col("linked_mpan").is_not_null() & ~right.fill_null(value=False)).sum().alias("wrong"),
        (pl.col("linked_mpan").is_null() & pl.col("partner_released")).sum().alias("missed"),
        ((pl.col("linked_mpan_confidence") == "certain") & ~right.fill_null(value=False)).sum().alias("certain_wrong"),
    ).row(0, named=True)
    grades = dict(exports["linked_mpan_confidence"].value_counts().rows())
    related = both.filter(pl.any_horizontal(pl.col("related_mpan", "related_mpan_true").is_not_null()))
    pairs = {"right": int((related["related_mpan"] == related["related_mpan_true"]).sum()), "rows": related.height}
    return {
        "rows": both.height,
        "confusion": confusion,
        "segment_by_rule": by_rule,
        "segment_by_source": by_source,
        "links": counts,
        "grades": grades,
        "related": pairs,
    }


def shares(links: dict[str, int]) -> tuple[float, float]:
    """Return precision and recall of the links."""
    found, there = links["right"] + links["wrong"], links["right"] + links["missed"]
    return (links["right"] / found if found else 1.0, links["right"] / there if there else 1.0)
