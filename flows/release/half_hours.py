"""Half-hourly series of a release mixed among the homes of a group: sums stay real, nobody's day does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import QualityError
from contracts.evidence_half_hours import MixedSeriesEvidence
from contracts.model import Contract
from contracts.vocabulary import Method
from flows.cut.context import Context
from flows.cut.partitions import EXTRACT, JUDGED, ParticipantExtract, frames
from flows.cut.records import MixedSeries
from transforms.pseudonymise.half_hourly import kilowatt_hours, watt_hours
from transforms.pseudonymise.sealed_series import SEALED
from transforms.treatment.keyed_numbers import Seeds
from transforms.treatment.mixed_series import ALONE, Grouped, about, grouped, mixed_series

ROOM = "mixed"
AT_ONCE = 250_000  # series-days that are mixed together; of more than these, partitions and their parts by themselves
AREA, KIND = "gsp_group_id", "measurement_class"
FOUND = ("_part", AREA, KIND)

Flags = NDArray[np.bool_]


def mixes(contract: Contract) -> int:
    """Return among how many homes at least an extract's series are mixed; 0 where they are not."""
    for column in contract.columns:
        treatment = contract.treatment(column)
        if treatment.method is Method.MIX:
            return int(str(treatment.rule).partition(" ")[0])
    return 0


def mixed_parts(
    known: Context, source: ParticipantExtract, parts: Sequence[tuple[int, pl.LazyFrame]]
) -> list[pl.LazyFrame]:
    """Return the released rows of partitions with their series mixed, in the same order; and record what was done.

    Args:
        parts: number of a partition, and its rows with ``_sealed`` where real values are known.

    Raises:
        QualityError: a sum of a group is not what it was.
    """
    done = [_mixed(known, source, wave) for wave in _waves(parts)]
    record = MixedSeriesEvidence(
        participant=source.participant,
        series_days=sum(one.series_days for one in done),
        groups=sum(one.groups for one in done),
        least_homes=min((one.least_homes for one in done if one.groups), default=0),
        merged=sum(one.merged for one in done),
        invented=sum(one.invented for one in done),
        own_totals=sum(one.own_totals for one in done),
    )
    known.workspace.record(MixedSeries(**record.model_dump()), source.participant)
    scans = [known.workspace.scan(ROOM, source.participant, source.extract, number) for number, _ in parts]
    return [scan for scan in scans if scan is not None]


def _waves(parts: Sequence[tuple[int, pl.LazyFrame]]) -> list[list[_Piece]]:
    """Return what is mixed together: all partitions where they are few rows, else pieces of bounded size."""
    sizes = [frame.select(pl.len()).collect().item() for _, frame in parts]
    if sum(sizes) <= AT_ONCE:
        return [[_Piece(number, 0, frame) for number, frame in parts]]
    return [
        [_Piece(number, begin // AT_ONCE, frame.slice(begin, AT_ONCE))]
        for (number, frame), size in zip(parts, sizes, strict=True)
        for begin in range(0, size, AT_ONCE)
    ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of a partition, in its order; ``part`` is their place among its pieces."""

    number: int
    part: int
    rows: pl.LazyFrame


@dataclass(frozen=True, slots=True)
class _Wave:
    """Rows that are mixed together: their watt-hours, where there are any, and whether these are the real ones."""

    rows: pl.DataFrame
    values: NDArray[np.int64]
    present: Flags


def _mixed(known: Context, source: ParticipantExtract, wave_of: Sequence[_Piece]) -> MixedSeriesEvidence:
    contract = known.contracts[source.extract]
    periods = [column.name for column in contract.columns if contract.treatment(column).method is Method.MIX]
    pieces = [
        piece.rows.join(_classes(known, piece.number), on="mpan_core", how="left", maintain_order="left")
        .with_columns(pl.lit(at).alias("_part"))
        .collect()
        for at, piece in enumerate(wave_of)
    ]
    rows = pl.concat(pieces, how="diagonal")
    wave = _wave(known, rows, periods)
    there: Flags = np.any(wave.present, axis=1)
    team = _teams(wave, there, mixes(contract))
    seeds = known.pseudonymiser.series_seeds(wave.rows)
    made = mixed_series(seeds, wave.values, team.group)
    lonely = team.group == ALONE
    made[lonely] = _invented(wave.rows.filter(pl.Series(lonely)), seeds[lonely], periods)
    _require_sums(made, wave.values, team, source)
    columns = kilowatt_hours(made, ~wave.present, periods)
    out = wave.rows.with_columns(columns).drop([*FOUND[1:], SEALED], strict=False)
    done = out.partition_by("_part", as_dict=True, include_key=False)
    for at, piece in enumerate(wave_of):
        if (at,) in done:
            place = (ROOM, source.participant, source.extract, piece.number, piece.part)
            known.workspace.write(done[at,], *place)
    return _told(source, wave, made, team, there)


def _wave(known: Context, rows: pl.DataFrame, periods: list[str]) -> _Wave:
    """Return rows with real values where they are sealed, else with the invented ones, whose totals are real."""
    values, present = watt_hours(rows, periods)
    if SEALED in rows.columns:
        sealed = np.flatnonzero(rows[SEALED].is_not_null().to_numpy() & rows["mpan_core"].is_not_null().to_numpy())
        if sealed.size:
            real, known_values = known.pseudonymiser.unsealed(rows[SEALED].gather(sealed))
            values[sealed], present[sealed] = real, known_values
    return _Wave(rows, values, present)


def _invented(rows: pl.DataFrame, seeds: Seeds, periods: list[str]) -> NDArray[np.int64]:
    """Return series of homes that are too few to be mixed: of about their totals, and of no home's shape.

    A shape that is real is as good as a name to whoever knows a few of its half-hours, whatever it is multiplied by.
    """
    return about(seeds, watt_hours(rows, periods)[0])


def _teams(wave: _Wave, there: Flags, least: int) -> Grouped:
    """Group the rows that have values: alike in day, quantity and which half-hours there are."""
    n = there.size
    group, merged = np.full(n, ALONE, np.int64), np.zeros(n, np.bool_)
    at = np.flatnonzero(there)
    packed = np.zeros((at.size, 8), np.uint8)
    bits = np.packbits(wave.present[at], axis=1)
    packed[:, : bits.shape[1]] = bits
    few = wave.rows[at].select("measurement_quantity", "settlement_date", AREA, KIND)
    scope = few.select(
        pl.struct("measurement_quantity", "settlement_date", pl.Series("_which", packed.view("<u8").ravel())).rank(
            "dense"
        )
        - 1
    )
    numbers = [few[name].fill_null("").rank("dense").cast(pl.Int64).to_numpy() - 1 for name in (AREA, KIND)]
    found = grouped(scope.to_series().cast(pl.Int64).to_numpy(), numbers[0], numbers[1], least)
    group[at], merged[at] = found.group, found.merged
    return Grouped(group, merged)


def _classes(known: Context, number: int) -> pl.LazyFrame:
    """Return GSP group and class of the metering points of a partition, as registered."""
    registered = frames(known.workspace, JUDGED, known.extracts, EXTRACT, number)
    if not registered:
        return pl.LazyFrame(schema={"mpan_core": pl.String, AREA: pl.String, KIND: pl.String})
    whole = pl.concat([frame.select("mpan_core", AREA, KIND) for frame in registered])
    return whole.drop_nulls("mpan_core").unique("mpan_core", keep="first", maintain_order=True)


def _sums(values: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of groups, by group and half-hour."""
    _, at = np.unique(group, return_inverse=True)
    return np.stack([np.bincount(at, column).astype(np.int64) for column in values.T])


def _require_sums(made: NDArray[np.int64], real: NDArray[np.int64], team: Grouped, source: ParticipantExtract) -> None:
    inside = team.group != ALONE
    if inside.any() and (_sums(made[inside], team.group[inside]) != _sums(real[inside], team.group[inside])).any():
        raise QualityError(
            "a sum of a group of half-hourly series changed",
            where=f"{source.participant}/{source.extract}",
            remedy="please report it",
        )


def _told(
    source: ParticipantExtract, wave: _Wave, made: NDArray[np.int64], team: Grouped, there: Flags
) -> MixedSeriesEvidence:
    inside = team.group != ALONE
    sizes = np.unique(team.group[inside], return_counts=True)[1]
    own = made.sum(axis=1) == wave.values.sum(axis=1)
    used = there & (wave.values.sum(axis=1) > 0)
    return MixedSeriesEvidence(
        participant=source.participant,
        series_days=int(there.sum()),
        groups=int(sizes.size),
        least_homes=int(sizes.min()) if sizes.size else 0,
        merged=int(team.merged.sum()),
        invented=int((there & ~inside).sum()),
        own_totals=int((own & used).sum()),
    )
