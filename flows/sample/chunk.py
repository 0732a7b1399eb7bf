"""One chunk of a sample: population, defects, and what goes into each file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample import dtc, extracts, market, meters, readings
from flows.sample.addresses import Addresses
from flows.sample.codes import Vocabulary
from flows.sample.defect_catalogue import VARIANTS
from flows.sample.defects import Places, plant
from flows.sample.layout import EXTRACTS, SampleExtract
from flows.sample.market import MPID
from flows.sample.metering import Meters, SampleRegisters
from flows.sample.population import SamplePopulation, generator, populate
from flows.sample.request import SampleRequest

Ints = NDArray[np.int64]
_BY_CONTRACT: dict[str, list[SampleExtract]] = {
    c: [e for e in EXTRACTS if e.contract == c] for c in {e.contract for e in EXTRACTS}
}
_UNRELATED = [n for n, v in enumerate(VARIANTS, start=1) if v.rule == "DQ27"]


@dataclass(slots=True)
class SampleTally:
    """What has been made so far, over all chunks: data rows per extract, DTC groups per file, defects."""

    places: Places = field(default_factory=Places)
    groups: dict[str, int] = field(default_factory=dict)
    advances: int = 0
    planted: int = 0

    def rows(self, extract: SampleExtract) -> int:
        """Return how many rows of an extract a reader of its file will find."""
        found = self.places.rows(extract.contract, extract.path)
        return found + self.advances if extract.contract == "annual_consumption" else found


@dataclass(slots=True)
class Chunk:
    """Parts of files in the order in which they are to be written: path below the folder, rows or bytes."""

    parts: list[tuple[str, pl.DataFrame | bytes]] = field(default_factory=list)
    defects: list[pl.DataFrame] = field(default_factory=list)


def compose(request: SampleRequest, number: int, tally: SampleTally) -> Chunk:
    """Make a chunk and count it in the tally."""
    rng = generator(request, number)
    people = populate(request, number, rng)
    tally.planted += plant(people, request.defects, number, rng)
    out = Chunk()
    fleet = Meters(people, request)
    _registrations(out, people, request, tally)
    _portfolios(out, people, fleet, tally)
    _metering(out, people, fleet, tally)
    _consumption(out, people, request, tally)
    _readings(out, people, fleet, request, tally)
    (mapping,) = _BY_CONTRACT["bmu_mapping"]
    frame, rows = extracts.bmu_mapping(people, str(mapping.dates))
    _add(out, tally, mapping, frame, people.fault[rows])
    out.parts.append(("defects.csv", pl.concat(out.defects)))
    out.parts.append(("truth.parquet", _truth(people)))
    return out


def _add(out: Chunk, tally: SampleTally, extract: SampleExtract, frame: pl.DataFrame, faults: Ints) -> None:
    out.defects.append(
        tally.places.list(extract.participant, extract.contract, extract.path, frame["mpan_core"], faults)
    )
    out.parts.append((extract.path, frame))


def _registrations(out: Chunk, people: SamplePopulation, request: SampleRequest, tally: SampleTally) -> None:
    addresses = Addresses(people, request)
    for number, extract in enumerate(_BY_CONTRACT["registration"]):
        frame, rows = extracts.registration(
            people, addresses, request, number, extract.dates, spaced=extract.participant == "EELC"
        )
        _add(out, tally, extract, frame, people.fault[rows])


def _portfolios(out: Chunk, people: SamplePopulation, fleet: Meters, tally: SampleTally) -> None:
    for extract in _BY_CONTRACT["portfolio"]:
        frame, rows = extracts.portfolio(people, fleet, MPID.code(extract.participant), str(extract.dates))
        _add(out, tally, extract, frame, people.fault[rows])


def _metering(out: Chunk, people: SamplePopulation, fleet: Meters, tally: SampleTally) -> None:
    operator = people.meterer[fleet.row]
    alone_half_hourly = (fleet.type == meters.TYPE.code("H")) & (people.meters[fleet.row] == 1)
    flows = {extract.path for extract in _BY_CONTRACT["metering"] if "D0268" in extract.path}
    for meter, register in zip(_BY_CONTRACT["metering"], _BY_CONTRACT["register"], strict=True):
        here = operator == MPID.code(meter.participant)
        if meter.participant in {path.partition("/")[0] for path in flows}:
            here &= alone_half_hourly == (meter.path in flows)
        at = np.flatnonzero(here)
        registers = SampleRegisters(people, fleet, at)
        if meter.path.endswith(".usr"):
            write = dtc.d0268 if meter.path in flows else dtc.d0150
            data, groups = write(people, fleet, at, registers)
            _flow(out, tally, meter.path, data, groups)
            for extract, rows in ((meter, fleet.row[at]), (register, registers.row)):
                _list(out, people, tally, extract, rows)
        else:
            frame, rows = extracts.metering(people, fleet, at, str(meter.dates))
            _add(out, tally, meter, frame, people.fault[rows])
            frame, rows = extracts.register(people, fleet, registers)
            _add(out, tally, register, frame, people.fault[rows])


def _flow(out: Chunk, tally: SampleTally, path: str, data: bytes, groups: int) -> None:
    tally.groups[path] = tally.groups.get(path, 0) + groups
    out.parts.append((path, data))


def _readings(out: Chunk, people: SamplePopulation, fleet: Meters, request: SampleRequest, tally: SampleTally) -> None:
    made = {
        "meter_reading": readings.d0010(people, fleet, request),
        "half_hourly": readings.d0036(people, request),
    }
    for contract, (data, groups, rows) in made.items():
        (extract,) = _BY_CONTRACT[contract]
        _flow(out, tally, extract.path, data, groups)
        tally.places.count(contract, extract.path, rows)


def _list(out: Chunk, people: SamplePopulation, tally: SampleTally, extract: SampleExtract, rows: Ints) -> None:
    texts = extracts.mpans(people, rows)
    out.defects.append(
        tally.places.list(extract.participant, extract.contract, extract.path, texts, people.fault[rows])
    )


def _consumption(out: Chunk, people: SamplePopulation, request: SampleRequest, tally: SampleTally) -> None:
    (extract,) = _BY_CONTRACT["annual_consumption"]
    use = extracts.Consumption(people, request)
    before = tally.groups.get("instructions", 0)
    data, groups = dtc.d0019(people, use, before)
    tally.groups["instructions"] = before + len(use)
    tally.advances += dtc.advances(use)
    _flow(out, tally, extract.path, data, groups)
    _list(out, people, tally, extract, dtc.rows_of(use))


def _truth(people: SamplePopulation) -> pl.DataFrame:
    """Return what an ideal pipeline would find for each metering point; null where the rules leave it undecided."""
    connection = market.CONNECTION_OF[people.product]
    advanced = meters.IS_ADVANCED[people.type] | np.isin(connection, market.CONNECTION.codes("LHE"))
    unmetered = connection == market.CONNECTION.code("U")
    segment = np.where(unmetered, 3, np.where(advanced, 2, np.where(meters.IS_UNDECIDED[people.type], 0, 1)))
    related = np.where(np.isin(people.fault, _UNRELATED), 0, people.related)
    return pl.DataFrame(
        {
            "mpan_core": pl.Series(people.mpan).cast(pl.String),
            "market_segment": _SEGMENT.text(segment),
            "connection_type": market.CONNECTION.text(connection),
            "energy_direction": _DIRECTION.text(1 + people.exports),
            "linked_mpan": extracts.numbers_or_null(people.linked),
            "related_mpan": extracts.numbers_or_null(related),
            "premises": people.premises,
        }
    )


_SEGMENT, _DIRECTION = Vocabulary("SAU"), Vocabulary("IE")
