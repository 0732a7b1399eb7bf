"""RELEASED: the tables of a pack as an intruder reads them, one value per metering point and fact."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.attack.model import Attack, Fact, SeriesFacts
from contracts.errors import IntakeError
from transforms.attack.blocks import once
from transforms.attack.facts import ORDER, Values, attribute, differences, gather, series, wanted
from transforms.attack.search import ReleasedPart
from transforms.pseudonymise.mpan import order_key

Points = NDArray[np.uint64]
AT_ONCE = 1_000_000  # metering points whose facts are in memory at a time
SPREAD = 10**12  # order keys lie below it, evenly: pseudonyms are a permutation of ten digits
WIDE = 8  # how many standard deviations a place in a file may be off
FIRST, POINT = "registration", "mpan_core"
NAME_ONE = "name the folder of a release pack that datacut run wrote"
AS_WRITTEN = "take the pack as datacut wrote it; datacut verify tells which file was altered"
PERIOD = "period_{:02}"


class ReleasedPack:
    """The data files of a release or return pack.

    Args:
        root: the pack's folder.

    Raises:
        IntakeError: it holds no table of metering points, or one of its files is no table.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, list[Path]] = {}
        self._columns: dict[Path, list[str]] = {}
        for form in ("parquet", "csv"):
            for path in sorted((root / "data").glob(f"*/*.{form}")):
                if not any(other.with_suffix("") == path.with_suffix("") for other in self.tables.get(path.stem, ())):
                    self.tables.setdefault(path.stem, []).append(path)
        if not root.is_dir():
            raise IntakeError("there is no such folder", where=str(root), remedy=NAME_ONE)
        if FIRST not in self.tables:
            raise IntakeError(f"holds no {FIRST}", where=root.name, remedy=NAME_ONE)

    def rows(self) -> int:
        """Return how many rows of metering points the pack has.

        Raises:
            IntakeError: there are none.
        """
        for path in self.tables[FIRST]:
            self.columns(path)
        with self._read(FIRST):
            found = sum(int(scan(path).select(pl.len()).collect().item()) for path in self.tables[FIRST])
        if not found:
            raise IntakeError("releases no metering point", where=self.root.name, remedy=NAME_ONE)
        return found

    def points(self, within: tuple[int, int] = (0, SPREAD)) -> Points:
        """Return the order keys of the metering points that are released, sorted, each once.

        Args:
            within: lowest order key, and the first one that is beyond.
        """
        with self._read(FIRST):
            found = [frame.select(ORDER).collect().to_series() for frame in self.frames(FIRST, (), within)]
        if nobody := sum(column.null_count() for column in found):
            raise IntakeError(f"{nobody} rows name no metering point", where=f"{self.root.name}: {FIRST}")
        return once(np.concatenate([column.to_numpy() for column in found]))

    def frames(self, extract: str, needed: Sequence[str], within: tuple[int, int] = (0, SPREAD)) -> list[pl.LazyFrame]:
        """Return an extract's files with ``_order`` and the columns needed; only files that have all of these.

        Args:
            within: as for :meth:`points`. Parquet files are in the order of these keys, so only the part of a file is
                read in which they can lie.
        """
        low, high = within
        found: list[pl.LazyFrame] = []
        for path in self.tables.get(extract, ()):
            if set(needed) <= set(self.columns(path)):
                if POINT not in self.columns(path):
                    raise IntakeError(f"has no column {POINT}", where=self.name(path), remedy=NAME_ONE)
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
            alike: dict[tuple[Path, ...], list[tuple[Fact, str]]] = {}
            for fact, column in wanted(chosen, extract):
                alike.setdefault(self.telling(extract, column), []).append((fact, column))
            for paths, asked in alike.items():
                needed = list(dict.fromkeys(column for _, column in asked))
                files = self.frames(extract, needed, within)
                if paths and files:
                    with self._read(extract):
                        frames.append(gather(pl.concat(files, how="vertical_relaxed"), asked, extract))
        return joined(frames, attack, chosen)

    def telling(self, extract: str, column: str) -> tuple[Path, ...]:
        """Return the files of an extract that have a column."""
        return tuple(path for path in self.tables[extract] if column in self.columns(path))

    def columns(self, path: Path) -> list[str]:
        """Return the columns of a file, which is opened for them once.

        Raises:
            IntakeError: it is no table.
        """
        if path not in self._columns:
            try:
                self._columns[path] = columns(path)
            except (OSError, UnicodeError, csv.Error, pa.ArrowException) as fault:
                what = f"cannot be read as {path.suffix[1:]} ({type(fault).__name__})"
                raise IntakeError(what, where=self.name(path), remedy=AS_WRITTEN) from None
        return self._columns[path]

    def name(self, path: Path) -> str:
        """Return what a message calls a file."""
        return f"{self.root.name}/{path.relative_to(self.root)}"

    @contextmanager
    def _read(self, extract: str) -> Iterator[None]:
        """Say of a fault in reading which table it is in, and nothing that stands there."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as fault:
            what = f"does not hold what a release has ({type(fault).__name__})"
            raise IntakeError(what, where=f"{self.root.name}: {extract}", remedy=AS_WRITTEN) from None

    def series(self, attack: Attack, days: Sequence[date], within: tuple[int, int] = (0, SPREAD)) -> ReleasedPart:
        """Return totals of days and half-hours of every released series."""
        frames = self.frames(attack.series.extract, needed(attack.series), within)
        periods = [PERIOD.format(n) for n in range(1, attack.series.periods + 1)]
        if not frames or not days:
            return ReleasedPart(np.empty(0, np.uint64), {})
        with self._read(attack.series.extract):
            return as_chunk(series(pl.concat(frames, how="vertical_relaxed"), attack.series, days, periods).collect())

    def days(self, spec: SeriesFacts, within: tuple[int, int] = (0, SPREAD)) -> list[date]:
        """Return the days for which most series are released, the first ones of equals, in order."""
        frames = self.frames(spec.extract, [spec.day, spec.quantity], within)
        if not frames:
            return []
        whole = pl.concat(frames).filter(pl.col(spec.quantity) == spec.of).drop_nulls(spec.day)
        counted = whole.group_by(spec.day).len().sort(["len", spec.day], descending=[True, False]).head(spec.days)
        with self._read(spec.extract):
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
    points = once(np.concatenate([np.empty(0, np.uint64), *(part[ORDER].to_numpy() for part in frames)]))
    values: Values = {}
    for part in frames:
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
