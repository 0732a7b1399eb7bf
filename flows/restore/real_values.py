"""Released dates and amounts to real ones, for a participant's own values alone: looked up, never undone.

The treatment is applied anew to the own backup; what comes out is what the pack has, so each own value is found again.
Two own dates of a metering point that were released as one day cannot be told apart unless the column's name does: then
the released day stays, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.evidence import Evidence
from contracts.model import Contract, Treatment
from contracts.vocabulary import Method
from flows.restore.step_names import StepNames
from transforms.augment.volumes import volumes
from transforms.pseudonymise.pseudonymiser import Pseudonymiser, treat

Points = NDArray[np.uint64]
_STATED = re.compile(r"(move|vary) \((.+)\)")
_DAYS = np.int64(1 << 22)  # day numbers lie between minus this and this
AMOUNT = pl.Decimal(18, 3)
VOLUMES, TOTAL = "annual_consumption", "annual_consumption"


def stated_precision(evidence: Evidence, extract: str) -> dict[str, Treatment]:
    """Return the columns of an extract that the pack says are moved or varied, with how."""
    stated = ((evidence.policy.extracts if evidence.policy else None) or {}).get(extract, {})
    found = {}
    for name, entry in stated.items():
        if match := _STATED.fullmatch(entry if isinstance(entry, str) else entry.treatment):
            found[name] = Treatment(Method(match[1]), None, match[2])
    return found


def as_released(
    named: pl.DataFrame, contract: Contract, treated: Mapping[str, Treatment], pseudonymiser: Pseudonymiser
) -> pl.DataFrame:
    """Return own rows with dates and amounts as they were released; other columns as they are."""
    if not treated:
        return named
    alone = tuple(column for column in contract.columns if column.name in treated or column.key)
    under = replace(contract, columns=alone, overlay=MappingProxyType(dict(treated)))
    return treat(named.lazy(), under, pseudonymiser).collect()


def _keys(points: Points, days: NDArray[np.int64]) -> Points:
    return (points << np.uint64(23)) | (days + _DAYS).astype(np.uint64)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Sorted keys, each once, and what each stands for."""

    keys: Points
    values: NDArray[Any]

    @classmethod
    def of(cls, keys: Points, values: NDArray[Any]) -> _Lookup:
        """Make one; a key that stands for two values is left out."""
        order = np.lexsort((values, keys))
        keys, values = keys[order], values[order]
        first = np.concatenate([[True], keys[1:] != keys[:-1]]) if keys.size else np.empty(0, np.bool_)
        starts = np.flatnonzero(first)
        ends = np.concatenate([starts[1:], [keys.size]]) - 1 if keys.size else starts
        sure = values[starts] == values[ends]
        return cls(keys[starts][sure], values[starts][sure])

    def find(self, keys: Points) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return what keys stand for, and which of them are known."""
        if not self.keys.size:
            return np.zeros(keys.size), np.zeros(keys.size, np.bool_)
        at = np.minimum(np.searchsorted(self.keys, keys), self.keys.size - 1)
        return self.values[at], self.keys[at] == keys


def _joined(pairs: Sequence[tuple[Points, NDArray[np.int64]]]) -> _Lookup:
    keys = np.concatenate([np.empty(0, np.uint64), *(k for k, _ in pairs)])
    return _Lookup.of(keys, np.concatenate([np.empty(0, np.int64), *(v for _, v in pairs)]))


def _cells(points: Points, released: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64], Points]:
    """Return the places of a column's dates, their day numbers and their keys."""
    rows = np.flatnonzero(released.is_not_null().to_numpy())
    days = released.gather(rows).cast(pl.Int32).to_numpy().astype(np.int64)
    return rows, days, _keys(points[rows], days)


@dataclass(slots=True)
class RealValues:
    """What a participant's own rows say of moved dates and varied amounts, batch by batch.

    Attributes:
        names: what steps name of the own meters and addresses.
        back, left: dates and amounts of tables that were found again, and that stay as released.
    """

    names: StepNames
    back: int = 0
    left: int = 0
    _dates: dict[str, list[tuple[Points, NDArray[np.int64]]]] = field(default_factory=dict)
    _rows: list[pl.DataFrame] = field(default_factory=list)
    _found: dict[str, _Lookup] = field(default_factory=dict)
    _latest: list[tuple[Points, NDArray[np.int64]]] = field(default_factory=list)

    def add(
        self, named: pl.DataFrame, released: pl.DataFrame, points: Points, treated: Mapping[str, Treatment]
    ) -> None:
        """Take in rows of the backup beside what they became; ``points`` is 0 where a row has no pseudonym."""
        self._found.clear()
        self._latest = []
        for name, how in treated.items():
            if how.method is Method.MOVE and name in named.columns:
                rows = np.flatnonzero((named[name].is_not_null()).to_numpy() & (points != 0))
                real, day = (frame[name].gather(rows).cast(pl.Int32).to_numpy() for frame in (named, released))
                alike = _Lookup.of(_keys(points[rows], day.astype(np.int64)), real.astype(np.int64))
                self._dates.setdefault(name, []).append((alike.keys, alike.values))
                self._latest.append((alike.keys, alike.values))
        if any(how.method is Method.VARY for how in treated.values()) and {"eac", "aa"} <= set(named.columns):
            both = named.select("time_pattern_regime_id", "eac", "aa").with_columns(pl.Series("point", points))
            self._rows.append(both.filter(pl.col("point") != 0))

    def table(self, frame: pl.DataFrame, points: Points, partners: Points) -> pl.DataFrame:
        """Return rows of a table of the pack with the own dates and amounts as they really are.

        Args:
            partners: order keys of the rows' linked metering points, 0 for none: some dates are theirs.
        """
        if not self._dates and not self._rows:
            return frame
        self._prepare()
        out = []
        for name, kind in frame.schema.items():
            if kind == pl.Date:
                out.append(self._own_dates(name, points, partners, frame[name]))
            elif name == TOTAL and self._rows:
                out.append(self._amounts(points, frame[name]))
        return frame.with_columns(out)

    def steps(self, frame: pl.DataFrame, points: Points, acted: date) -> pl.DataFrame:
        """Return steps (``item``, ``value`` as text) with the own dates and amounts as they really are.

        Args:
            acted: the day on which the steps happen, no record's date: it stays.
        """
        if not self._dates and not self._rows:
            return frame
        self._prepare()
        value = frame["value"]
        days = value.str.to_date("%Y-%m-%d", strict=False)
        real = self._own_dates("value", points, np.zeros_like(points), days.set(days == acted, None)).cast(pl.String)
        if self._rows:
            amounts = value.set(frame["item"].ne_missing(TOTAL), None)
            real = self._amounts(points, amounts.cast(AMOUNT)).cast(pl.String).zip_with(amounts.is_not_null(), real)
        return frame.with_columns(real.zip_with(real.is_not_null(), value).alias("value"))

    def latest(self, points: Points, released: pl.Series) -> pl.Series:
        """Return the real dates of a column for the rows taken in last; released ones where not their own."""
        rows, days, keys = _cells(points, released)
        real, known = _joined(self._latest).find(keys)
        made = pl.Series(np.where(known, real, days).astype(np.int32))
        return released.cast(pl.Int32).scatter(rows, made).cast(pl.Date).alias(released.name)

    def _own_dates(self, name: str, points: Points, partners: Points, released: pl.Series) -> pl.Series:
        """Return the real dates of a column; released ones where they are not the participant's own."""
        rows, days, keys = _cells(points, released)
        real, known = self._found["*"].find(keys)
        if name in self._found:
            own, certain = self._found[name].find(keys)
            real, known = np.where(certain, own, real), certain | known
        theirs, certain = self._found["*"].find(_keys(partners[rows], days))
        real, known = np.where(known | ~certain, real, theirs), known | certain
        self.back += int(known.sum())
        self.left += int((~known).sum())
        made = pl.Series(np.where(known, real, days).astype(np.int32))
        return released.cast(pl.Int32).scatter(rows, made).cast(pl.Date).alias(name)

    def _amounts(self, points: Points, released: pl.Series) -> pl.Series:
        rows = np.flatnonzero(released.is_not_null().to_numpy())
        real, known = self._found["#"].find(points[rows])
        self.back += int(known.sum())
        self.left += int((~known).sum())
        here = rows[known]
        return released.scatter(here, pl.Series(real[known]).round(3).cast(released.dtype)).alias(released.name)

    def _prepare(self) -> None:
        if self._found:
            return
        whole = [pair for pairs in self._dates.values() for pair in pairs]
        for name, pairs in (*self._dates.items(), ("*", whole)):
            self._found[name] = _joined(pairs)
        if self._rows:
            real = volumes(pl.concat(self._rows).lazy(), "point").select("point", pl.col("eac").cast(pl.Float64))
            sums = real.drop_nulls().sort("point").collect()
            self._found["#"] = _Lookup(sums["point"].to_numpy(), sums["eac"].to_numpy())
