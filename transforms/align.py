"""How far participants' backups agree about the same metering points: counts per pair and item, on pseudonyms alone.

Source: Q74 (all cut on one day to align), Q78 (who misses the day may be misaligned), Q83 (items to be aligned).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from contracts.alignment import Comparison, Tolerance
from contracts.conditions import sql
from contracts.evidence import AgreementEvidence, ParticipantAgreement
from transforms.quality.lookups import ORDER, PARTICIPANT

KEYS = ("left", "right", "extract_right", "item")
NUMBERS = ("compared", "disagree", "missing_left", "missing_right", "expected")
COUNTS = dict.fromkeys(KEYS, pl.String) | dict.fromkeys(NUMBERS, pl.UInt64)
REGISTRATION = "registration"
PRESENCE = "presence"
NOBODY, ANYBODY = "none", "any"
WITHIN, BEYOND, NOTHING = "within", "beyond", "nothing to compare"
Silent = Mapping[str, Collection[str]]  # participant -> columns that its source does not carry


def compare(
    registration: pl.DataFrame,
    other: pl.DataFrame,
    spec: Comparison,
    senders: Sequence[str],
    silent: tuple[Silent, Silent] = ({}, {}),
) -> pl.DataFrame:
    """Compare one extract of all participants with the registration, within a partition.

    Columns in: both frames have ``_order`` and ``participant`` (who sent the row), and the columns of the comparison.
    Columns out: as ``COUNTS``. ``item`` is ``presence`` for metering points that one side lacks: ``missing_right`` of
    ``expected``, those whose expected holder is among ``senders`` and lacks them itself, and ``missing_left`` of
    ``expected``, those that the other extract holds.

    Args:
        silent: what sources of the registration, and of the other extract, do not carry: that is not compared.
    """
    left = registration.filter(pl.col(ORDER).is_not_null()).rename({PARTICIPANT: "left"})
    items = list(spec.items.items())
    right = (
        other.lazy()
        .filter(pl.col(ORDER).is_not_null())
        .select(ORDER, pl.col(PARTICIPANT).alias("right"), *(pl.col(i.column).alias(f"_{mine}") for mine, i in items))
        .unique()
        .collect()
    )
    parts = [_presence(left, right, spec, senders)]
    if items:
        met = left.select(ORDER, "left", *spec.items).join(right, on=ORDER, how="inner")
        for mine, item in items:
            said = ~_among("left", silent[0], mine) & ~_among("right", silent[1], item.column)
            parts.append(_agreement(met.filter(said), mine, where_held=item.where_held))
    return pl.concat(parts).with_columns(pl.lit(spec.right).alias("extract_right")).select(_shape())


def _among(side: str, silent: Silent, column: str) -> pl.Expr:
    """Tell which rows are of a participant whose source does not carry a column."""
    return pl.col(side).is_in([who for who, columns in silent.items() if column in columns])


def _agreement(met: pl.DataFrame, mine: str, *, where_held: bool) -> pl.DataFrame:
    theirs = pl.col(f"_{mine}")
    compared = theirs.is_not_null() if where_held else pl.lit(value=True)
    return (
        met.filter(compared)
        .group_by("left", "right")
        .agg(pl.len().alias("compared"), pl.col(mine).ne_missing(theirs).sum().alias("disagree"))
        .with_columns(pl.lit(mine).alias("item"))
        .select(_bare())
    )


def _presence(left: pl.DataFrame, right: pl.DataFrame, spec: Comparison, senders: Sequence[str]) -> pl.DataFrame:
    holder = pl.col(spec.expected) if spec.expected else pl.lit(senders[0] if len(senders) == 1 else ANYBODY)
    wanted = left.filter(sql(spec.scope)).select(ORDER, "left", holder.alias("right"))
    wanted = wanted.filter(pl.col("right").is_in([*senders, ANYBODY]))
    held = right.select(ORDER, "right").unique()
    anybody = held.select(ORDER, pl.lit(ANYBODY).alias("right")).unique()
    there = pl.concat([held, anybody]).with_columns(absent=pl.lit(value=False))
    lacking = wanted.join(there, on=[ORDER, "right"], how="left").with_columns(pl.col("absent").fill_null(value=True))
    unknown = held.with_columns(absent=~pl.col(ORDER).is_in(left[ORDER].implode()), left=pl.lit(NOBODY))
    return pl.concat(
        [
            frame.group_by("left", "right")
            .agg(pl.len().alias("expected"), pl.col("absent").sum().alias(side))
            .with_columns(pl.lit(PRESENCE).alias("item"))
            .select(_bare())
            for frame, side in ((lacking, "missing_right"), (unknown, "missing_left"))
        ]
    )


def _bare() -> list[pl.Expr]:
    """Return the columns of a count without the extract; numbers that a frame lacks are 0."""
    return [*map(pl.col, ("left", "right", "item")), *(_number(name) for name in NUMBERS)]


def _number(name: str) -> pl.Expr:
    return pl.coalesce(pl.col(f"^{name}$"), pl.lit(0)).cast(pl.UInt64).alias(name)


def _shape() -> list[pl.Expr]:
    return [pl.col(name).cast(dtype) for name, dtype in COUNTS.items()]


def total(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up the counts of all partitions, in a fixed order of rows."""
    whole = pl.concat(parts) if parts else pl.DataFrame(schema=COUNTS)
    return whole.group_by(KEYS).agg(pl.col(NUMBERS).sum()).sort(KEYS).select(*COUNTS)


def judged(counts: pl.DataFrame, comparisons: Iterable[Comparison]) -> list[AgreementEvidence]:
    """Hold every count against its tolerance.

    Returns:
        A row for each pair, extract and item, with ``share`` (of compared ones that disagree, of expected ones that
        are missing), ``tolerance``, ``policy`` (``report`` or ``fail``) and ``outcome``: ``within``, ``beyond`` or
        ``nothing to compare``.
    """
    specs = {spec.right: spec for spec in comparisons}
    return [
        _judged(_Compared(**row), _tolerance(specs[row["extract_right"]], row["item"]))
        for row in counts.iter_rows(named=True)
    ]


def _tolerance(spec: Comparison, item: str) -> Tolerance:
    return spec.presence if item == PRESENCE else spec.items[item].tolerance


@dataclass(frozen=True, slots=True)
class _Compared:
    """A row of ``COUNTS``."""

    left: str
    right: str
    extract_right: str
    item: str
    compared: int
    disagree: int
    missing_left: int
    missing_right: int
    expected: int


def _judged(row: _Compared, tolerance: Tolerance) -> AgreementEvidence:
    presence = row.item == PRESENCE
    part = row.missing_left + row.missing_right if presence else row.disagree
    whole = row.expected if presence else row.compared
    share = part / whole if whole else 0.0
    return AgreementEvidence(
        **asdict(row),
        extract_left=REGISTRATION,
        share=round(share, 6),
        tolerance=tolerance.share,
        policy=tolerance.beyond,
        outcome=NOTHING if not whole else BEYOND if share > tolerance.share else WITHIN,
    )


def by_participant(
    rows: Iterable[AgreementEvidence], before: Iterable[AgreementEvidence] = ()
) -> list[ParticipantAgreement]:
    """Sum up for each participant, on either side, how much of what it said others contradict or lack.

    Args:
        rows: alignment of this cut, as :func:`judged` gives it.
        before: alignment of an earlier cut, for the trend.

    Returns:
        A row for each participant, in their order; ``before`` and ``change`` of the share are null without an earlier
        cut.
    """
    now, then = _sums(rows), _sums(before)
    found = []
    for participant, sums in sorted(now.items()):
        share, earlier = _share(sums), _share(then[participant]) if participant in then else None
        change = None if earlier is None or share is None else round(share - earlier, 6)
        found.append(ParticipantAgreement(participant=participant, **sums, share=share, before=earlier, change=change))
    return found


def _sums(rows: Iterable[AgreementEvidence]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        for participant in {row.left, row.right} - {NOBODY, ANYBODY}:
            mine = sums.setdefault(participant, dict.fromkeys(("compared", "disagree", "missing", "beyond"), 0))
            mine["compared"] += row.compared
            mine["disagree"] += row.disagree
            mine["missing"] += row.missing_left + row.missing_right
            mine["beyond"] += row.outcome == BEYOND
    return sums


def _share(sums: Mapping[str, int]) -> float | None:
    return round(sums["disagree"] / sums["compared"], 6) if sums["compared"] else None
