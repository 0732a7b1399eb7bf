"""What the data collector of a sample measures: register readings (D0010) and half-hourly consumption (D0036) as bytes.

Both are of metering points without a planted defect. A D0010 holds the reading of one metering point in three; half-hourly
metering points have two days each, so that no day is short or long.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from flows.sample import meters
from flows.sample.codes import COMPACT, CUT_DAY, DATES
from flows.sample.dtc import dtc_text
from flows.sample.extracts import mpans, tenths
from flows.sample.market import MPID
from flows.sample.metering import QUANTITY, REGISTER, Meters, SampleRegisters
from flows.sample.permutation import pick
from flows.sample.population import SamplePopulation
from flows.sample.request import SampleRequest
from flows.sample.writers import joined

ONE_IN = 3
DAYS, PERIODS = (CUT_DAY - 2, CUT_DAY - 1), 48


def d0010(people: SamplePopulation, fleet: Meters, request: SampleRequest) -> tuple[bytes, int, int]:
    """Return the groups 026, 028 and 030 of some metering points, how many there are, and how many readings."""
    rows = fleet.row
    read = (people.fault[rows] == 0) & ~people.half_hourly[rows] & (people.meters[rows] == 1)
    at = np.flatnonzero(read & (pick(people.index[rows], request.salt + 720, ONE_IN) == 0))
    if not at.size:
        return b"", 0, 0
    registers = SampleRegisters(people, fleet, at)
    first = registers.ordinal == 0
    ordinal = 2 * fleet.ordinal[registers.meter] + registers.ordinal
    digits = np.minimum(meters.DIGITS_OF[fleet.type[registers.meter]], 5)
    value = pick(ordinal, request.salt + 721, 10**6) % (10 * 10**digits)
    day = np.maximum(
        CUT_DAY - 1 - pick(people.index[registers.row], request.salt + 722, 60), people.install[registers.row]
    )
    head = dtc_text(["026|", mpans(people, registers.row), "|V|\n028|",
                     fleet.serial_text(registers.meter).fill_null(""), "|R|\n"])  # fmt: skip
    text = dtc_text(
        [
            head.set(pl.Series(~first), None), "030|", REGISTER.text(registers.register), "|", DATES[COMPACT].text(day),
            "000000|", tenths(value), "|||T|N|\n",
        ]
    )  # fmt: skip
    return joined(text), 2 * at.size + registers.row.size, registers.row.size


def d0036(people: SamplePopulation, request: SampleRequest) -> tuple[bytes, int, int]:
    """Return the groups 101, 102 and 103 of half-hourly metering points, how many there are, and how many days."""
    rows = np.flatnonzero((people.fault == 0) & people.half_hourly & people.in_others & (people.disconnected == 0))
    if not rows.size:
        return b"", 0, 0
    quantity = QUANTITY.text(np.where(people.exports[rows], QUANTITY.code("AE"), QUANTITY.code("AI")))
    parts: list[pl.Series | str] = [
        "101|",
        mpans(people, rows),
        "|",
        quantity,
        "|",
        MPID.text(people.supplier[rows]),
        "|\n",
    ]
    scale = 20 + pick(people.index[rows], request.salt + 730, 400)
    for day in DAYS:
        hours = np.arange(PERIODS) + PERIODS * (day - DAYS[0])
        share = 50 + pick(people.index[rows][:, None] * 128 + hours[None, :], request.salt + 731, 100)
        values = dtc_text(["103|A|", tenths((scale[:, None] * share // 100).ravel()), "|\n"])
        text = DATES[COMPACT].texts[day]
        parts += [f"102|{text}|\n", values.reshape((rows.size, PERIODS)).arr.join("")]
    count = rows.size * len(DAYS)
    return joined(dtc_text(parts)), rows.size + count * (1 + PERIODS), count
