"""Two packs side by side: volumes, rules, and how far each column's values have moved. Pseudonyms and aggregates alone.

Drift is a number from 0 to 1. Codes: the share of rows that would have to change value for the two cuts to look alike
(total variation distance). Numbers and dates: the largest gap between the two cumulative distributions
(Kolmogorov-Smirnov distance). Identifiers, whose values mean nothing across cuts: the same as for codes, over how many
rows share one value. Missing values count as a value of their own everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import EvidenceError
from contracts.vocabulary import Classification
from flows import payload
from flows.evidence import bag
from flows.evidence.chain import baseline, read_evidence
from flows.report import trend, view

SMALL = 10  # a value that fewer rows have is never shown
WIDE = 5000  # a text column with more values than this is compared as identifiers are
MOST_SHARED = 8  # rows that share one identifier; more count as this many
ALLOCATIONS = "allocations"


@dataclass(frozen=True, slots=True)
class Moved:
    """The value whose share moved most: the value, its share before and now."""

    value: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one column moved.

    Attributes:
        measure: ``codes``, ``values`` or ``identifiers``; ``gone`` or ``new`` for a column that one pack lacks.
        drift: 0 alike to 1 apart; ``None`` where one side has no rows.
        shared: identifiers that both packs hold; pseudonyms of different keys meet by chance alone.
        moved: the value that moved most; never an identifier, never one of few rows.
    """

    extract: str
    column: str
    measure: str
    drift: float | None
    missing_before: float | None = None
    missing_now: float | None = None
    distinct_before: int | None = None
    distinct_now: int | None = None
    shared: int | None = None
    moved: Moved | None = None


def compare(before: Path, now: Path) -> dict[str, Any]:
    """Compare two packs.

    Returns:
        ``packs``, ``volumes`` by extract, ``rules`` with shares before and now, ``gone_rules``, and ``drift`` by
        column, the largest first.

    Raises:
        EvidenceError: a folder is no whole pack, or its evidence is not the sealed one.
    """
    old, new = baseline(before), read_evidence(now)
    rules = trend.with_trend(view.rules_by_id(new), old)
    drift = sorted(_drift(before, now, _classes(new)), key=lambda d: (-(d.drift or 0), d.extract, d.column))
    keys = ("extract", "rule", "effect", "evaluated", "failed", "before", "now", "change", "way")
    return {
        "packs": [_side(before), _side(now)],
        "volumes": trend.volumes(new["accounting"], old),
        "rules": [{key: rule[key] for key in keys} for rule in rules],
        "gone_rules": trend.gone_rules(rules, old),
        "drift": [asdict(entry) for entry in drift],
    }


def _side(pack: Path) -> dict[str, Any]:
    evidence = read_evidence(pack)
    names = ("kind", "key_fingerprint")
    cut = {"cut": evidence["cut"]["id"], "date": evidence["cut"]["date"]}
    return {**bag.pack_reference(pack), **cut, **{name: evidence[name] for name in names}}


def _classes(evidence: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {(row["extract"], row["column"]): row["classification"] for row in evidence.get("lineage", ())}


def _drift(before: Path, now: Path, classes: Mapping[tuple[str, str], str]) -> list[Drift]:
    old, new = ({k: f for k, f in payload.frames(pack).items() if k != ALLOCATIONS} for pack in (before, now))
    found = []
    for extract in sorted(set(old) | set(new)):
        left, right = (side.get(extract, pl.LazyFrame()) for side in (old, new))
        types, others = left.collect_schema(), right.collect_schema()
        for column in dict.fromkeys([*types.names(), *others.names()]):
            if column not in others or column not in types:
                found.append(Drift(extract, column, "new" if column in others else "gone", None))
                continue
            identifier = classes.get((extract, column)) == Classification.IDENTIFIER
            try:
                found.append(_column(left, right, extract, column, identifier=identifier))
            except pl.exceptions.PolarsError as fault:
                where = f"{now.name}/data/*/{extract}"
                raise EvidenceError(f"column {column} cannot be read ({type(fault).__name__})", where=where) from None
    return found


def _column(left: pl.LazyFrame, right: pl.LazyFrame, extract: str, column: str, *, identifier: bool) -> Drift:
    pair = _counts(left, right, column)
    rows = pair.select(pl.col("before", "now").sum()).row(0)
    missing = pair.filter(pl.col("value").is_null()).select(pl.col("before", "now").sum()).row(0)
    held = pair.drop_nulls("value")
    text = pair.schema["value"] == pl.String
    measure = "identifiers" if identifier or (text and held.height > WIDE) else "codes"
    if measure == "codes" and not text and pair.schema["value"] != pl.Boolean:
        measure = "values"
    compared = _multiplicity(pair) if measure == "identifiers" else pair
    shared = held.filter((pl.col("before") > 0) & (pl.col("now") > 0)).height
    return Drift(
        extract=extract,
        column=column,
        measure=measure,
        drift=_distance(compared, rows, ordered=measure == "values"),
        missing_before=missing[0] / rows[0] if rows[0] else None,
        missing_now=missing[1] / rows[1] if rows[1] else None,
        distinct_before=held.filter(pl.col("before") > 0).height,
        distinct_now=held.filter(pl.col("now") > 0).height,
        shared=shared if measure == "identifiers" else None,
        moved=_moved(held, rows) if measure == "codes" else None,
    )


def _counts(left: pl.LazyFrame, right: pl.LazyFrame, column: str) -> pl.DataFrame:
    """Return ``value``, ``before`` and ``now``: how many rows of each pack have each value, null among them."""
    sides = [
        frame.group_by(pl.col(column).alias("value")).len(name).collect(engine="streaming")
        for frame, name in ((left, "before"), (right, "now"))
    ]
    if sides[0].schema["value"] != sides[1].schema["value"]:  # one pack holds CSV
        sides = [side.with_columns(pl.col("value").cast(pl.String)) for side in sides]
    joined = sides[0].join(sides[1], on="value", how="full", coalesce=True, nulls_equal=True)
    return joined.with_columns(pl.col("before", "now").fill_null(0).cast(pl.Int64)).sort("value", nulls_last=True)


def _multiplicity(pair: pl.DataFrame) -> pl.DataFrame:
    """Return how many rows stand under identifiers that 1, 2, 3 ... rows share; missing ones apart."""
    parts = []
    for name, other in (("before", "now"), ("now", "before")):
        size = pl.when(pl.col("value").is_null()).then(0).otherwise(pl.col(name).clip(upper_bound=MOST_SHARED))
        grouped = pair.filter(pl.col(name) > 0).group_by(size.alias("value")).agg(pl.col(name).sum())
        parts.append(grouped.with_columns(pl.lit(0, pl.Int64).alias(other)).select("value", "before", "now"))
    return pl.concat(parts).group_by("value").sum().sort("value")


def _distance(pair: pl.DataFrame, rows: tuple[int, int], *, ordered: bool) -> float | None:
    """Return the total variation distance of two counts, or of their order the Kolmogorov-Smirnov distance."""
    if not all(rows):
        return None
    gap = pl.col("before") / rows[0] - pl.col("now") / rows[1]
    found = pair.select(gap.cum_sum().abs().max() if ordered else gap.abs().sum() / 2).item()
    return round(float(found or 0), 6)


def _moved(held: pl.DataFrame, rows: tuple[int, int]) -> Moved | None:
    if not all(rows):
        return None
    shares = held.filter(pl.max_horizontal("before", "now") >= SMALL).select(
        pl.col("value").cast(pl.String), (pl.col("before") / rows[0]).alias("b"), (pl.col("now") / rows[1]).alias("n")
    )
    top = shares.sort((pl.col("b") - pl.col("n")).abs(), descending=True, maintain_order=True).head(1)
    for value, before, now in top.iter_rows():
        return Moved(value, round(before, 6), round(now, 6)) if before != now else None
    return None
