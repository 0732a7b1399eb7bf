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

import polars as pl

from contracts.errors import EvidenceError
from contracts.evidence import Evidence
from contracts.json_types import JsonObject
from contracts.vocabulary import Classification
from flows.pack import bag, payload
from flows.pack.previous import baseline, read_evidence
from flows.report import figures
from flows.report.figure_types import RuleTrend, VolumeTrend

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


@dataclass(frozen=True, slots=True)
class ComparedPack:
    """One of two packs, and the cut it is of."""

    pack: str
    tagmanifest_sha256: str
    cut: str
    date: str
    kind: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class PackComparison:
    """Two packs, the earlier first.

    Attributes:
        rules: with shares before and now; ``gone_rules``: those that the later pack does not judge.
        drift: by column, the largest first.
    """

    packs: tuple[ComparedPack, ComparedPack]
    volumes: tuple[VolumeTrend, ...]
    rules: tuple[RuleTrend, ...]
    gone_rules: tuple[str, ...]
    drift: tuple[Drift, ...]

    def document(self) -> JsonObject:
        """Return it as JSON."""
        names = ("extract", "rule", "effect", "evaluated", "failed", "before", "now", "change", "way")
        return {
            "packs": [asdict(pack) for pack in self.packs],
            "volumes": [asdict(row) for row in self.volumes],
            "rules": [{name: getattr(rule, name) for name in names} for rule in self.rules],
            "gone_rules": [*self.gone_rules],
            "drift": [asdict(entry) for entry in self.drift],
        }


def compare(before: Path, now: Path) -> PackComparison:
    """Compare two packs.

    Raises:
        EvidenceError: a folder is no whole pack, or its evidence is not the sealed one.
    """
    old, new = baseline(before), read_evidence(now)
    rules = figures.with_trend(figures.rules_by_id(new), old)
    drift = sorted(_drift(before, now, _classes(new)), key=lambda d: (-(d.drift or 0), d.extract, d.column))
    return PackComparison(
        packs=(_side(before), _side(now)),
        volumes=tuple(figures.volumes(new, old)),
        rules=tuple(rules),
        gone_rules=tuple(figures.gone_rules(rules, old)),
        drift=tuple(drift),
    )


def _side(pack: Path) -> ComparedPack:
    evidence, made = read_evidence(pack), bag.pack_reference(pack)
    cut = evidence.cut
    return ComparedPack(made.pack, made.tagmanifest_sha256, cut.id, cut.date, evidence.kind, evidence.key_fingerprint)


def _classes(evidence: Evidence) -> dict[tuple[str, str], str]:
    return {(row.extract, row.column): row.classification for row in evidence.lineage or ()}


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
    types = [frame.select(column).collect_schema()[column] for frame in (left, right)]
    if types[0] != types[1]:  # one pack holds CSV
        left, right = (frame.with_columns(pl.col(column).cast(pl.String)) for frame in (left, right))
    text = pl.String in types
    if identifier or (text and max(_distinct(frame, column) for frame in (left, right)) > WIDE):
        return _identifiers(left, right, extract, column)
    pair = _counts(left, right, column)
    rows = _sums(pair)
    missing = _sums(pair.filter(pl.col("value").is_null()))
    held = pair.drop_nulls("value")
    ordered = not text and pl.Boolean not in types
    return Drift(
        extract=extract,
        column=column,
        measure="values" if ordered else "codes",
        drift=_distance(pair, rows, ordered=ordered),
        missing_before=missing[0] / rows[0] if rows[0] else None,
        missing_now=missing[1] / rows[1] if rows[1] else None,
        distinct_before=held.filter(pl.col("before") > 0).height,
        distinct_now=held.filter(pl.col("now") > 0).height,
        moved=None if ordered else _moved(held, rows),
    )


def _sums(pair: pl.DataFrame) -> tuple[int, int]:
    return int(pair["before"].sum()), int(pair["now"].sum())


def _distinct(frame: pl.LazyFrame, column: str) -> int:
    found: int = frame.select(pl.col(column).approx_n_unique()).collect(engine="streaming").item()
    return found


def _counts(left: pl.LazyFrame, right: pl.LazyFrame, column: str) -> pl.DataFrame:
    """Return ``value``, ``before`` and ``now``: how many rows of each pack have each value, null among them."""
    sides = [
        frame.group_by(pl.col(column).alias("value")).len(name).collect(engine="streaming")
        for frame, name in ((left, "before"), (right, "now"))
    ]
    joined = sides[0].join(sides[1], on="value", how="full", coalesce=True, nulls_equal=True)
    return joined.with_columns(pl.col("before", "now").fill_null(0).cast(pl.Int64)).sort("value", nulls_last=True)


def _identifiers(left: pl.LazyFrame, right: pl.LazyFrame, extract: str, column: str) -> Drift:
    """Compare how many rows share an identifier; the identifiers themselves are seen as 64-bit hashes alone."""
    sides = [_shared_rows(frame, column) for frame in (left, right)]
    names = ("before", "now")
    nothing = pl.lit(0, pl.Int64)
    parts = [
        side.select("value", pl.col("rows").alias(name), nothing.alias(other)).select("value", *names)
        for side, name, other in zip(sides, names, reversed(names), strict=True)
    ]
    pair = pl.concat(parts).group_by("value").sum().sort("value")
    rows, missing = _sums(pair), _sums(pair.filter(pl.col("value") == 0))
    keys = [frame.select(_hashed(column)).drop_nulls() for frame in (left, right)]
    shared = keys[0].unique().join(keys[1], on="key", how="semi").select(pl.len()).collect(engine="streaming").item()
    distinct = [int(side.filter(pl.col("value") > 0)["identifiers"].sum()) for side in sides]
    return Drift(
        extract=extract,
        column=column,
        measure="identifiers",
        drift=_distance(pair, rows, ordered=False),
        missing_before=missing[0] / rows[0] if rows[0] else None,
        missing_now=missing[1] / rows[1] if rows[1] else None,
        distinct_before=distinct[0],
        distinct_now=distinct[1],
        shared=shared,
    )


def _hashed(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null()).then(pl.col(column).hash()).alias("key")


def _shared_rows(frame: pl.LazyFrame, column: str) -> pl.DataFrame:
    """Return ``value`` (rows that share one identifier, 0 for missing ones), ``rows`` and ``identifiers``."""
    size = pl.when(pl.col("key").is_null()).then(0).otherwise(pl.col("len").clip(upper_bound=MOST_SHARED))
    counted = frame.select(_hashed(column)).group_by("key").len()
    grouped = counted.group_by(size.cast(pl.Int64).alias("value")).agg(
        pl.col("len").sum().cast(pl.Int64).alias("rows"), pl.len().cast(pl.Int64).alias("identifiers")
    )
    return grouped.collect(engine="streaming")


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
