"""Meter and register rows of a chunk, from the population with its defects."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample import market, meters
from flows.sample.codes import Vocabulary
from flows.sample.permutation import pick
from flows.sample.population import SamplePopulation
from flows.sample.request import SampleRequest

Ints = NDArray[np.int64]
MULTIPLIER = Vocabulary(["1.00", "10.00", "20.00", "40.00", "80.00", "600.00"])
CT_RATIO = Vocabulary(["50/5", "100/5", "200/5", "400/5", "3000/5"])  # of multipliers 2 to 6
QUANTITY = Vocabulary(["AI", "RI", "AE", "RE"])
REGISTER = Vocabulary(["1", "2", "E1", "E2"])
_EHV = market.CONNECTION.code("E")


def replace(texts: pl.Series, rows: Ints, planted: dict[int, str | None] | None) -> pl.Series:
    """Return ``texts`` with the planted text in every entry whose metering point has one."""
    if not planted:
        return texts
    at = np.flatnonzero(np.isin(rows, np.fromiter(planted, np.int64, len(planted))))
    if at.size:
        texts = texts.clone().scatter(at, pl.Series([planted[int(row)] for row in rows[at]], dtype=pl.String))
    return texts


class Meters:
    """Meters of a chunk: one entry per meter and metering point, so a meter shared by a pair stands twice.

    ``row`` is the metering point's row, ``second`` marks the second meter of one.
    """

    def __init__(self, people: SamplePopulation, request: SampleRequest) -> None:
        count = people.meters * people.in_others
        self.row = np.repeat(np.arange(len(people)), count)
        self.second = np.zeros(self.row.size, bool)
        self.second[1:] = self.row[1:] == self.row[:-1]
        source = people.meter_of[self.row]
        first_type = people.type[self.row]
        checked = self.second & (market.METER_CLASS_OF[people.product[self.row]] == len(market.METER_CLASSES) - 1)
        self.type = np.where(checked, meters.CHECK, first_type)
        self.install = people.install[self.row]
        self.ordinal = 2 * people.index[source] + self.second
        self.device = 2 * people.index[people.esme_of[self.row]] + self.second
        shape = meters.shapes(people.index[source], people.type[source], pick(self.ordinal, request.salt + 401, 100))
        plain = np.where(meters.IS_SMART[first_type], meters.SMART_YEAR, meters.PLAIN)
        shape = np.where(self.second, plain, shape)
        self.serials = meters.Serials(self.ordinal, shape, people.install[source], request.salt + 500)
        self.model = meters.models(self.serials.maker, self.type, pick(self.ordinal, request.salt + 402, 2))
        self.provider = 1 + pick(self.ordinal, request.salt + 403, len(market.ASSET_PROVIDERS))
        connection = market.CONNECTION_OF[people.product[self.row]]
        transformed = 2 + pick(self.ordinal, request.salt + 404, 4)
        transformed = np.where(connection == _EHV, 6, transformed)
        self.multiplier = np.where(connection == market.CONNECTION.code("W"), 1, transformed)
        self._people, self._salt = people, request.salt

    def __len__(self) -> int:
        return len(self.row)

    def serial_text(self, at: Ints) -> pl.Series:
        """Return the serial numbers of some entries as they stand in the files."""
        return replace(self.serials.text(at), self.row[at], self._people.texts.get("serial"))

    def esme_text(self, at: Ints) -> pl.Series:
        """Return the ESME ids of some entries, null where none is held."""
        ids = meters.esme_ids(self.device[at], self._salt)
        ids = ids.set(pl.Series(~self._people.esme[self.row[at]]), None) if at.size else ids
        return replace(ids, self.row[at], self._people.texts.get("esme"))

    def first_serial(self, rows: Ints) -> pl.Series:
        """Return the serial number of the first meter of metering points, null where there is none."""
        first = np.full(len(self._people), -1)
        first[self.row[~self.second]] = np.flatnonzero(~self.second)
        at = first[rows]
        metered = np.flatnonzero(at >= 0)
        out = pl.Series([None], dtype=pl.String).new_from_index(0, rows.size)
        return out.scatter(metered, self.serial_text(at[metered])) if metered.size else out


class SampleRegisters:
    """Registers of some meters: ``meter`` is the entry in :class:`Meters`, ``ordinal`` 0 or 1 within it."""

    def __init__(self, people: SamplePopulation, rows: Meters, at: Ints) -> None:
        mp = rows.row[at]
        two_rates = (market.REGIMES_OF[people.rates[mp], 1] > 0) & ~rows.second[at]
        reactive = rows.type[at] == meters.TYPE.code("H")
        count = 1 + (two_rates | reactive)
        self.meter = np.repeat(at, count)
        self.ordinal = np.zeros(self.meter.size, np.int64)
        self.ordinal[1:] = self.meter[1:] == self.meter[:-1]
        self.row = rows.row[self.meter]
        export, active = people.quantity_export[self.row], ~np.repeat(reactive, count) | (self.ordinal == 0)
        self.quantity = np.where(export, np.where(active, 3, 4), np.where(active, 1, 2))
        self.register = 1 + self.ordinal + 2 * people.exports[self.row]
        self.digits = 1 + meters.DIGITS_OF[rows.type[self.meter]] + people.extra_digit[self.row]
        self.multiplier = rows.multiplier[self.meter]
