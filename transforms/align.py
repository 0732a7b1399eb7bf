"""How far participants' backups agree about the same metering points: counts per pair and item, on pseudonyms alone.

Source: Q74 (all cut on one day to align), Q78 (who misses the day may be misaligned), Q83 (items to be aligned).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from contracts.alignment import ComparedItem, Comparison, Tolerance
from contracts.conditions import sql
from contracts.evidence import AgreementEvidence, ParticipantAgreement
from transforms.quality.lookups import MPAN, ORDER, PARTICIPANT

KEYS = ("left", "right", "extract_right", "item")
NUMBERS = ("compared", "disagree", "missing_left", "missing_right", "expected", "outside")
COUNTS = dict.fromkeys(KEYS, pl.String) | dict.fromkeys(NUMBERS, pl.UInt64)
DIFFERENCES = dict.fromkeys(("mpan_core", "left", "right", "item", "left_value", "right_value", "lacking"), pl.String())
REGISTRATION = "registration"
PRESENCE = "presence"
NOBODY, ANYBODY = "none", "any"
HELD = "_held"  # whether a registration of this cut should have the other extract's metering point
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

    Columns in: both frames have ``_order`` and ``participant`` (who sent the row), and the columns of the comparison;
    ``other`` may have ``_held``: without it all its metering points are expected in a registration.
    Columns out: as ``COUNTS``. ``item`` is ``presence`` for metering points that one side lacks: ``missing_right`` of
    ``expected``, those whose expected holder is among ``senders`` and lacks them itself, and ``missing_left`` of
    ``expected``, those that the other extract holds; ``outside``: those that it holds and no registration of this cut
    should have.

    Args:
        silent: what sources of the registration, and of the other extract, do not carry: that is not compared.
    """
    left, right = _sides(registration, other, spec)
    parts = [_presence(left, right, spec, senders)]
    if spec.items:
        met = left.select(ORDER, "left", *spec.items).join(right, on=ORDER, how="inner")
        parts += [_agreement(_comparable(met, mine, item, silent), mine) for mine, item in spec.items.items()]
    return pl.concat(parts).with_columns(pl.lit(spec.right).alias("extract_right")).select(_shape())


def differences(
    registration: pl.DataFrame,
    other: pl.DataFrame,
    spec: Comparison,
    senders: Sequence[str],
    silent: tuple[Silent, Silent] = ({}, {}),
) -> pl.DataFrame:
    """Return what :func:`compare` counts, one by one.

    Columns in: as there, ``mpan_core``, and for each compared column ``shown:<column>``: its value as it may be shown.
    Columns out: ``DIFFERENCES``. ``item`` is a registration column, or ``presence`` where one side lacks the metering
    point: ``lacking`` tells which. ``left`` is ``none`` where no registration has it, ``right`` may be ``any``.
    """
    left, right = _sides(registration, other, spec)
    parts = [pl.DataFrame(schema=DIFFERENCES)]
    if spec.items:
        met = left.select(ORDER, MPAN, "left", *spec.items, *map(shown, spec.items)).join(right, on=ORDER, how="inner")
        for mine, item in spec.items.items():
            rows = _comparable(met, mine, item, silent).filter(pl.col(mine).ne_missing(pl.col(f"_{mine}")))
            said = {"left_value": pl.col(shown(mine)), "right_value": pl.col(shown(f"_{mine}"))}
            parts.append(_told(rows, **said, item=pl.lit(mine), lacking=pl.lit("")))
    lacking, unknown = _missing(left, right, spec, senders)
    for rows, side in ((lacking, "right"), (unknown, "left")):
        absent = rows.filter("absent").with_columns(pl.lit(PRESENCE).alias("item"))
        parts.append(_told(absent, lacking=pl.lit(side)))
    return pl.concat(parts).unique(maintain_order=True)


def _told(rows: pl.DataFrame, **values: pl.Expr) -> pl.DataFrame:
    named = rows.with_columns(**values)
    empty = [pl.lit(None, pl.String).alias(name) for name in DIFFERENCES if name not in named.columns]
    return named.with_columns(empty).select(pl.col(name).cast(dtype) for name, dtype in DIFFERENCES.items())


def shown(column: str) -> str:
    """Return the name of the column that has another's values as they may be shown."""
    return f"shown:{column}"


def _sides(registration: pl.DataFrame, other: pl.DataFrame, spec: Comparison) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both sides: left's columns as they are, right's under the names of the left with ``_`` before."""
    left = registration.filter(pl.col(ORDER).is_not_null()).rename({PARTICIPANT: "left"})
    there = set(other.columns)
    renamed = {f"_{mine}": item.column for mine, item in spec.items.items()}
    renamed |= {shown(f"_{mine}"): shown(item.column) for mine, item in spec.items.items()}
    columns = [pl.col(source).alias(name) for name, source in renamed.items() if source in there]
    own = [name for name in (MPAN, HELD) if name in there]
    right = other.lazy().filter(pl.col(ORDER).is_not_null())
    chosen = right.select(ORDER, pl.col(PARTICIPANT).alias("right"), *(pl.col(c).alias(f"_{c}") for c in own), *columns)
    return left, chosen.unique(maintain_order=True).collect()


def _comparable(met: pl.DataFrame, mine: str, item: ComparedItem, silent: tuple[Silent, Silent]) -> pl.DataFrame:
    said = ~_among("left", silent[0], mine) & ~_among("right", silent[1], item.column)
    return met.filter(said, pl.col(f"_{mine}").is_not_null() if item.where_held else pl.lit(value=True))


def _among(side: str, silent: Silent, column: str) -> pl.Expr:
    """Tell which rows are of a participant whose source does not carry a column."""
    return pl.col(side).is_in([who for who, columns in silent.items() if column in columns])


def _agreement(met: pl.DataFrame, mine: str) -> pl.DataFrame:
    differs = pl.col(mine).ne_missing(pl.col(f"_{mine}"))
    return (
        met.group_by("left", "right")
        .agg(pl.len().alias("compared"), differs.sum().alias("disagree"))
        .with_columns(pl.lit(mine).alias("item"))
        .select(_bare())
    )


def _presence(left: pl.DataFrame, right: pl.DataFrame, spec: Comparison, senders: Sequence[str]) -> pl.DataFrame:
    lacking, unknown = _missing(left, right, spec, senders)
    counts = [
        frame.group_by("left", "right").agg(pl.len().alias("expected"), pl.col("absent").sum().alias(side))
        for frame, side in ((lacking, "missing_right"), (unknown, "missing_left"))
    ]
    if f"_{HELD}" in right.columns:
        beyond = right.filter(~pl.col(f"_{HELD}")).with_columns(left=pl.lit(NOBODY))
        counts.append(beyond.group_by("left", "right").agg(pl.col(ORDER).n_unique().alias("outside")))
    return pl.concat([frame.with_columns(pl.lit(PRESENCE).alias("item")).select(_bare()) for frame in counts])


def _missing(
    left: pl.DataFrame, right: pl.DataFrame, spec: Comparison, senders: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return who should be in the other extract and who is in it, ``absent`` where the other side lacks them."""
    holder = pl.col(spec.expected) if spec.expected else pl.lit(senders[0] if len(senders) == 1 else ANYBODY)
    own = [MPAN] if MPAN in left.columns else []
    wanted = left.filter(sql(spec.scope)).select(ORDER, *own, "left", holder.alias("right"))
    wanted = wanted.filter(pl.col("right").is_in([*senders, ANYBODY]))
    also = [pl.col(f"_{c}").alias(c) for c in own]
    held = right.select(ORDER, "right", *also).unique(maintain_order=True)
    anybody = held.select(ORDER, pl.lit(ANYBODY).alias("right")).unique()
    there = pl.concat([held.select(ORDER, "right"), anybody]).with_columns(absent=pl.lit(value=False))
    lacking = wanted.join(there, on=[ORDER, "right"], how="left").with_columns(pl.col("absent").fill_null(value=True))
    expected = right.filter(f"_{HELD}") if f"_{HELD}" in right.columns else right
    asked = held.join(expected.select(ORDER, "right").unique(), on=[ORDER, "right"], how="semi", maintain_order="left")
    unknown = asked.with_columns(absent=~pl.col(ORDER).is_in(left[ORDER].implode()), left=pl.lit(NOBODY))
    return lacking, unknown


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
    outside: int


def _judged(row: _Compared, tolerance: Tolerance) -> AgreementEvidence:
    presence = row.item == PRESENCE
    part = row.missing_left + row.missing_right if presence else row.disagree
    whole = row.expected if presence else row.compared
    share = part / whole if whole else 0.0
    return AgreementEvidence(
        **asdict(row) | {"outside": row.outside or None},
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
