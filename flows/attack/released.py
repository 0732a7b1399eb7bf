"""RELEASED: the tables of a pack as an intruder reads them, one value per metering point and fact."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.attack.model import Attack, SeriesFacts
from contracts.errors import IntakeError
from transforms.attack.facts import ORDER, Values, attribute, differences, gather, series, wanted
from transforms.attack.search import ReleasedPart
from transforms.pseudonymise.mpan import order_key

Points = NDArray[np.uint64]
AT_ONCE = 1_000_000  # metering points whose facts are in memory at a time
SPREAD = 10**12  # order keys lie below it, evenly: pseudonyms are a permutation of ten digits
WIDE = 8  # how many standard deviations a place in a file may be off
FIRST = "registration"
PERIOD = "period_{:02}"


class ReleasedPack:
    """The data files of a release or return pack.

    Args:
        root: the pack's folder.

    Raises:
        IntakeError: it holds no table of metering points.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, list[Path]] = {}
        for form in ("parquet", "csv"):
            for path in sorted((root / "data").glob(f"*/*.{form}")):
                if not any(other.with_suffix("") == path.with_suffix("") for other in self.tables.get(path.stem, ())):
                    self.tables.setdefault(path.stem, []).append(path)
        if FIRST not in self.tables:
            raise IntakeError(
                f"holds no {FIRST}", where=root.name, remedy="name the folder of a release pack that datacut run wrote"
            )

    def rows(self) -> int:
        """Return how many rows of metering points the pack has."""
        return sum(scan(path).select(pl.len()).collect().item() for path in self.tables[FIRST])

    def points(self, within: tuple[int, int] = (0, SPREAD)) -> Points:
        """Return the order keys of the metering points that are released, sorted, each once.

        Args:
            within: lowest order key, and the first one that is beyond.
        """
        found = [
            frame.select(ORDER).drop_nulls().collect().to_series().to_numpy()
            for frame in self.frames(FIRST, (), within)
        ]
        return np.unique(np.concatenate(found))

    def frames(self, extract: str, needed: Sequence[str], within: tuple[int, int] = (0, SPREAD)) -> list[pl.LazyFrame]:
        """Return an extract's files with ``_order`` and the columns needed; only files that have all of these.

        Args:
            within: as for :meth:`points`. Parquet files are in the order of these keys, so only the part of a file is
                read in which they can lie.
        """
        low, high = within
        found = []
        for path in self.tables.get(extract, ()):
            if set(needed) <= set(columns(path)):
                rows = scan(path)
                if high - low < SPREAD and path.suffix == ".parquet":
                    rows = rows.slice(*_place(pq.read_metadata(path).num_rows, low, high))
                named = rows.select(order_key().alias(ORDER), *needed)
                inside = (pl.col(ORDER) >= low) & (pl.col(ORDER) < high)
                found.append(named.filter(inside) if high - low < SPREAD else named)
        return found

    def chunks(
        self, attack: Attack, facts: Sequence[str], points: int, within: tuple[int, int] = (0, SPREAD)
    ) -> Iterator[ReleasedPart]:
        """Yield the release in parts of about a million metering points, with the attributes of some facts."""
        parts, (low, high) = -(-points // AT_ONCE) or 1, within
        for part in range(parts):
            bounds = (low + (high - low) * part // parts, low + (high - low) * (part + 1) // parts)
            yield self._chunk(attack, facts, bounds)

    def _chunk(self, attack: Attack, facts: Sequence[str], within: tuple[int, int]) -> ReleasedPart:
        chosen = {name: fact for name, fact in attack.facts.items() if name in facts or _part(attack, name, facts)}
        frames = []
        for extract in self.tables:
            for fact, column in wanted(chosen, extract):
                files = self.frames(extract, [column], within)
                if files:
                    rows = pl.concat(files, how="vertical_relaxed")
                    frames.append(gather(rows, [(fact, column)], extract))
        return joined([frame.collect(engine="streaming") for frame in frames], attack, chosen)

    def series(self, attack: Attack, days: Sequence[date], within: tuple[int, int] = (0, SPREAD)) -> ReleasedPart:
        """Return totals of days and half-hours of every released series."""
        frames = self.frames(attack.series.extract, needed(attack.series), within)
        periods = [PERIOD.format(n) for n in range(1, attack.series.periods + 1)]
        if not frames or not days:
            return ReleasedPart(np.empty(0, np.uint64), {})
        return as_chunk(series(pl.concat(frames, how="vertical_relaxed"), attack.series, days, periods).collect())

    def days(self, spec: SeriesFacts, within: tuple[int, int] = (0, SPREAD)) -> list[date]:
        """Return the days for which most series are released, the first ones of equals, in order."""
        frames = self.frames(spec.extract, [spec.day, spec.quantity], within)
        if not frames:
            return []
        whole = pl.concat(frames).filter(pl.col(spec.quantity) == spec.of).drop_nulls(spec.day)
        counted = whole.group_by(spec.day).len().sort(["len", spec.day], descending=[True, False]).head(spec.days)
        return sorted(counted.collect()[spec.day].to_list())


def _place(rows: int, low: int, high: int) -> tuple[int, int]:
    """Return offset and length of the rows of a file among which those with keys from ``low`` to ``high`` lie."""
    wide = WIDE * int(rows**0.5) + 1_000
    begin = max(rows * low // SPREAD - wide, 0)
    return begin, rows * high // SPREAD + wide - begin


def needed(spec: SeriesFacts) -> list[str]:
    """Return the columns of half-hourly series that are looked at."""
    return [spec.quantity, spec.day, *(PERIOD.format(n) for n in range(1, spec.periods + 1))]


def _part(attack: Attack, name: str, facts: Sequence[str]) -> bool:
    """Tell whether a fact is part of a difference that is asked for."""
    return any(name in attack.facts[fact].minus for fact in facts)


def joined(frames: Sequence[pl.DataFrame], attack: Attack, facts: Collection[str]) -> ReleasedPart:
    """Return attributes that were gathered from several tables, by metering point; in the contract's order."""
    parts = [frame.drop_nulls(ORDER) for frame in frames]
    points = np.unique(np.concatenate([np.empty(0, np.uint64), *(part[ORDER].to_numpy() for part in parts)]))
    values: Values = {}
    for part in parts:
        at = np.searchsorted(points, part[ORDER].to_numpy())
        for name in part.columns:
            if name != ORDER:
                column = part[name].to_numpy()
                nothing = (
                    np.zeros(points.size, np.uint64) if column.dtype == np.uint64 else np.full(points.size, np.nan)
                )
                whole = values.setdefault(name, nothing)
                whole[at] = column
    places = [attribute(fact.id, place) for fact in attack.facts.values() for place in fact.places]
    ordered = {name: values[name] for name in places if name in values}
    return ReleasedPart(points, differences(ordered, {n: f for n, f in attack.facts.items() if n in facts}))


def as_chunk(frame: pl.DataFrame) -> ReleasedPart:
    """Return a frame of attributes as a chunk."""
    frame = frame.drop_nulls(ORDER).sort(ORDER)
    return ReleasedPart(frame[ORDER].to_numpy(), {n: frame[n].to_numpy() for n in frame.columns if n != ORDER})


def columns(path: Path) -> list[str]:
    """Return the columns of a file of a pack."""
    if path.suffix == ".parquet":
        return list(pq.read_schema(path).names)
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def scan(path: Path) -> pl.LazyFrame:
    """Open a file of a pack; the columns of a CSV are read as what they look like, but MPANs and codes as texts."""
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    frame = pl.scan_csv(path, infer_schema=False)
    dates = [name for name in columns(path) if name.endswith(("_date", "_from"))]
    amounts = [name for name in columns(path) if name in ("eac", "aa", "reading", "annual_consumption")]
    amounts += [name for name in columns(path) if name.startswith("period_") and name != "period_flags"]
    return frame.with_columns(
        *(pl.col(name).str.to_date("%Y-%m-%d", strict=False) for name in dates),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in amounts),
    )
