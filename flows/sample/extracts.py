"""The extracts of one chunk as frames under the contracts' column names, before a participant's own form is given.

Each function returns the frame and, for each of its rows, the row of the metering point in the population.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample import market, meters
from flows.sample.addresses import LINES, Addresses
from flows.sample.codes import CUT_DAY, DATES, dates
from flows.sample.market import DCC_FLAG, FLAG, GSP, LLFC, MPID, MTC, PROFILE, SSC, STATUS, TPR
from flows.sample.metering import MULTIPLIER, QUANTITY, REGISTER, Meters, SampleRegisters, replace
from flows.sample.permutation import permute, pick
from flows.sample.population import SamplePopulation
from flows.sample.request import SampleRequest

Ints = NDArray[np.int64]
Rows = tuple[pl.DataFrame, Ints]
SPACED_OF_100 = 3
# yearly kWh in tenths that a profile class centres on
_TYPICAL = np.array([0, 0, 29_000, 42_000, 110_000, 180_000, 350_000, 600_000, 800_000, 950_000, 0])


def _day(codes: Ints, form: str | None) -> pl.Series:
    return DATES[form].text(codes) if form else dates(codes)


def mpans(people: SamplePopulation, rows: Ints) -> pl.Series:
    """Return the MPANs of some metering points as every participant writes them."""
    text = pl.Series("mpan_core", people.mpan[rows]).cast(pl.String)
    return replace(text, rows, people.texts.get("mpan"))


def _spaced(text: pl.Series, people: SamplePopulation, rows: Ints) -> pl.Series:
    """Write some MPANs in groups, as people do: ``10 1234 5678 901``."""
    at = np.flatnonzero((pick(people.index[rows], 17, 100) < SPACED_OF_100) & (people.fault[rows] == 0))
    if not at.size:
        return text
    part = text.gather(at).to_frame("m").select(
        pl.concat_str(
            pl.col("m").str.slice(0, 2), pl.col("m").str.slice(2, 4), pl.col("m").str.slice(6, 4),
            pl.col("m").str.slice(10), separator=" ",
        )
    )  # fmt: skip
    return text.scatter(at, part.to_series())


def numbers_or_null(values: Ints) -> pl.Series:
    """Return numbers as text, null for 0."""
    text = pl.Series(values).cast(pl.String)
    return text.set(pl.Series(values == 0), None)


def _uprns(people: SamplePopulation, rows: Ints, request: SampleRequest) -> pl.Series:
    premises = people.premises[rows]
    left, right = permute(premises, 4_000, 10**8, request.salt + 600)
    held = pick(premises, request.salt + 601, 10) > 0
    return numbers_or_null(np.where(held, left * 10**8 + right + 10**6, 0))


def registration(
    people: SamplePopulation,
    places: Addresses,
    request: SampleRequest,
    distributor: int,
    form: str | None,
    *,
    spaced: bool,
) -> Rows:
    """Return the registration rows of a distributor; second registrations (DQ03) stand at the end of the chunk."""
    rows = np.flatnonzero(people.distributor == distributor)
    twice = np.array([r for r in people.twice if people.distributor[r] == distributor], dtype=np.int64)
    supplier = np.concatenate([people.supplier[rows], [people.twice[int(r)] for r in twice]]).astype(np.int64)
    rows = np.concatenate([rows, twice])
    text = mpans(people, rows)
    lines = places.lines(rows)
    lines[LINES[5]] = replace(lines[LINES[5]], rows, people.texts.get("note"))
    frame = pl.DataFrame(
        {
            "mpan_core": _spaced(text, people, rows) if spaced else text,
            "supplier_mpid": MPID.text(supplier),
            "supplier_effective_from": _day(people.from_day[rows], form),
            "gsp_group_id": GSP.text(people.gsp[rows]),
            "profile_class": PROFILE.text(people.pc[rows]),
            "meter_timeswitch_code": MTC.text(people.mtc[rows]),
            "line_loss_factor_class_id": LLFC.text(people.llfc[rows]),
            "standard_settlement_configuration_id": SSC.text(people.ssc[rows]),
            "measurement_class": market.CLASS.text(people.mc[rows]),
            "energisation_status": STATUS.text(people.status[rows]),
            "data_collector_mpid": MPID.text(people.collector[rows]),
            "data_aggregator_mpid": MPID.text(people.aggregator[rows]),
            "meter_operator_mpid": MPID.text(people.operator[rows]),
            "domestic_premises_indicator": FLAG.text(people.dpi[rows]),
            "dcc_service_flag": DCC_FLAG.text(people.dcc[rows]),
            "related_mpan": numbers_or_null(people.related[rows]),
            **{name: replace(line, rows, people.texts.get("address")) for name, line in lines.items()},
            "postcode": replace(places.postcodes(rows), rows, people.texts.get("postcode")),
            "uprn": _uprns(people, rows, request),
            "disconnection_date": _day(people.disconnected[rows], form),
        }
    )
    return frame, rows


def portfolio(people: SamplePopulation, fleet: Meters, supplier: int, form: str) -> Rows:
    """Return what a supplier believes it supplies."""
    rows = np.flatnonzero((people.holder == supplier) & people.in_portfolio)
    frame = pl.DataFrame(
        {
            "mpan_core": mpans(people, rows),
            "supplier_mpid": MPID.text(people.holder[rows]),
            "supplier_effective_from": DATES[form].text(people.held_from[rows]),
            "data_collector_mpid": MPID.text(people.held_collector[rows]),
            "meter_operator_mpid": MPID.text(people.held_operator[rows]),
            "meter_serial_number": fleet.first_serial(rows),
            "measurement_class": market.CLASS.text(people.held_class[rows]),
            "energisation_status": STATUS.text(people.held_status[rows]),
        }
    )
    return frame, rows


def metering(people: SamplePopulation, fleet: Meters, at: Ints, form: str) -> Rows:
    """Return the meters ``at`` some entries of the fleet."""
    rows = fleet.row[at]
    frame = pl.DataFrame(
        {
            "mpan_core": mpans(people, rows),
            "meter_serial_number": fleet.serial_text(at),
            "meter_type": meters.TYPE.text(fleet.type[at]),
            "make_and_model": meters.MODEL.text(fleet.model[at]),
            "meter_install_date": DATES[form].text(fleet.install[at]),
            "esme_id": fleet.esme_text(at),
            "meter_asset_provider_mpid": market.MAP_MPID.text(fleet.provider[at]),
        }
    )
    return frame, rows


def register(people: SamplePopulation, fleet: Meters, registers: SampleRegisters) -> Rows:
    """Return the registers of some meters."""
    rows = registers.row
    frame = pl.DataFrame(
        {
            "mpan_core": mpans(people, rows),
            "meter_serial_number": fleet.serial_text(registers.meter),
            "register_id": REGISTER.text(registers.register),
            "measurement_quantity": QUANTITY.text(registers.quantity),
            "multiplier": MULTIPLIER.text(registers.multiplier),
            "number_of_digits": meters.DIGITS.text(registers.digits),
        }
    )
    return frame, rows


def bmu_mapping(people: SamplePopulation, form: str) -> Rows:
    """Return the BM unit of each metering point: its supplier's base unit of the GSP Group, a second one for some."""
    rows = np.flatnonzero(people.in_mapping & people.in_others)
    second = (pick(people.premises[rows], 19, 50) == 0).astype(int)
    codes = ((people.mapped_supplier[rows] * len(GSP)) + people.mapped_group[rows]) * 2 + second
    frame = pl.DataFrame(
        {
            "mpan_core": mpans(people, rows),
            "bm_unit_id": _BM_UNITS.gather(codes.astype(np.uint32)),
            "effective_from": DATES[form].text(people.mapped_from[rows]),
        }
    )
    return frame, rows


_BM_UNITS = pl.Series(
    [f"2__{(g or '__')[1:]}{s or ''}{n:03d}" for s in MPID.texts for g in GSP.texts for n in (0, 1)], dtype=pl.String
)


class Consumption:
    """Estimated and actual annual consumption of non-half-hourly metering points, by time pattern regime.

    One entry per metering point; ``regimes`` and ``eac`` have two columns, the second blank where there is one rate.
    """

    def __init__(self, people: SamplePopulation, request: SampleRequest) -> None:
        self.rows = np.flatnonzero(~people.half_hourly & people.in_others & (people.disconnected == 0))
        index = people.index[self.rows]
        self.regimes = market.REGIMES_OF[people.rates[self.rows]]
        typical = _TYPICAL[market.PC_OF[people.product[self.rows]]]
        scale = 10 + pick(index, request.salt + 700, 90) + pick(index, request.salt + 701, 90)
        year = typical * scale // 100 + pick(index, request.salt + 702, 1000)
        night = np.where(self.regimes[:, 1] > 0, year * (20 + pick(index, request.salt + 703, 50)) // 100, 0)
        self.eac = np.stack([year - night, night], axis=1)
        drift = 85 + pick(index, request.salt + 704, 30)
        self.aa = self.eac * drift[:, None] // 100
        self.advanced = pick(index, request.salt + 705, 100) < 80
        self.from_day = np.maximum(people.mapped_from[self.rows], CUT_DAY - 60 - pick(index, request.salt + 706, 300))

    def __len__(self) -> int:
        return len(self.rows)


def tenths(values: Ints) -> pl.Series:
    """Return numbers counted in tenths as decimals with one place."""
    frame = pl.DataFrame({"whole": values // 10, "tenth": values % 10})
    return frame.select(pl.concat_str("whole", "tenth", separator=".")).to_series()


def regimes(codes: Ints) -> pl.Series:
    """Return time pattern regime ids of codes."""
    return TPR.text(codes)
