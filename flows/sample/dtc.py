"""DTC user files: D0150 and D0268 (meter technical details) and D0019 (annual consumption) of one chunk as bytes.

Records end with a pipe and a line feed. Groups and the positions of their fields are those of the catalogue (DTC 15.4).
A D0268 holds half-hourly meters that stand alone; one beside a check meter stays in the D0150, which can say so.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.sample import market, meters
from flows.sample.codes import COMPACT, CUT_DATE, CUT_DAY, DATES
from flows.sample.extracts import Consumption, mpans, regimes, tenths
from flows.sample.market import GSP, MPID, SSC, STATUS
from flows.sample.metering import CT_RATIO, MULTIPLIER, QUANTITY, REGISTER, Meters, SampleRegisters
from flows.sample.population import SamplePopulation
from flows.sample.writers import joined

Ints = NDArray[np.int64]
_MADE = f"{CUT_DATE:%Y%m%d}020000"
_DONE = f"{CUT_DATE:%Y%m%d}020100"


def header(file_id: str, flow: str, sender: tuple[str, str], receiver: tuple[str, str]) -> bytes:
    """Return the ZHV record; the test flag says that the file is no live one."""
    fields = ["ZHV", file_id, flow, *sender, *receiver, _MADE, "", "", "", "TR01", ""]
    return ("|".join(fields) + "\n").encode("ascii")


def trailer(file_id: str, groups: int) -> bytes:
    """Return the ZPT record with the number of groups, header and trailer excluded."""
    return f"ZPT|{file_id}|{groups}||1|{_DONE}|\n".encode("ascii")


def _where(text: pl.Series, keep: NDArray[np.bool_]) -> pl.Series:
    """Blank the text where ``keep`` does not hold."""
    return text.set(pl.Series(~keep), None) if not keep.all() else text


def dtc_text(parts: list[pl.Series | str]) -> pl.Series:
    """Join columns and constants into one text per row; a row's null parts become nothing."""
    frame = pl.DataFrame([p.alias(str(n)) for n, p in enumerate(parts) if isinstance(p, pl.Series)])
    pieces = [pl.lit(p) if isinstance(p, str) else pl.col(str(n)) for n, p in enumerate(parts)]
    return frame.select(pl.concat_str(pieces, ignore_nulls=True)).to_series()


def _register(rows: SampleRegisters, at: Ints) -> list[pl.Series | str]:
    return [
        REGISTER.text(rows.register[at]), "|C|", QUANTITY.text(rows.quantity[at]), "|",
        MULTIPLIER.text(rows.multiplier[at]), "||", meters.DIGITS.text(rows.digits[at]), "|||\n",
    ]  # fmt: skip


def d0150(people: SamplePopulation, fleet: Meters, at: Ints, registers: SampleRegisters) -> tuple[bytes, int]:
    """Return the groups 288, 289, 290, 291 and 293 of some meters, and how many there are."""
    if not at.size:
        return b"", 0
    mp, first = fleet.row[at], ~fleet.second[at]
    installed = DATES[COMPACT].text(fleet.install[at])
    rated = first & (people.rates[mp] > 0)
    point = dtc_text(["288|", mpans(people, mp), "|", installed, "||", STATUS.text(people.held_status[mp]), "|\n"])
    rates = dtc_text(["289|", SSC.text(people.rates[mp]), "|", installed, "|||\n"])
    ratio = fleet.multiplier[at] > 1
    transformer = dtc_text(["291|", CT_RATIO.text(np.maximum(fleet.multiplier[at] - 1, 0)), "|\n"])
    # of each meter: the entries of its first and, where there is one, its second register
    start = np.searchsorted(registers.meter, at)
    two = np.searchsorted(registers.meter, at, side="right") - start > 1
    second = dtc_text(["293|", *_register(registers, start + two)])
    text = dtc_text(
        [
            _where(point, first), _where(rates, rated), "290|", fleet.serial_text(at).fill_null(""), "|||100|J|",
            meters.MODEL.text(fleet.model[at]), "|", market.MAP_MPID.text(fleet.provider[at]), "|||||||||||",
            meters.TYPE.text(fleet.type[at]), "|", installed, "|", installed, "||||H|", installed, "|\n",
            _where(transformer, ratio), "293|", *_register(registers, start), _where(second, two),
        ]
    )  # fmt: skip
    groups = 2 * at.size + int(first.sum()) + int(rated.sum()) + int(ratio.sum()) + int(two.sum())
    return joined(text), groups


def d0268(people: SamplePopulation, fleet: Meters, at: Ints, registers: SampleRegisters) -> tuple[bytes, int]:
    """Return the groups 01A, 02A, 03A and 04A of some half-hourly meters, one a metering point, and how many."""
    if not at.size:
        return b"", 0
    mp = fleet.row[at]
    installed = DATES[COMPACT].text(fleet.install[at])
    outstation = dtc_text(["OS", pl.Series(people.index[mp] % 10**8).cast(pl.String)])
    start = np.searchsorted(registers.meter, at)
    two = np.searchsorted(registers.meter, at, side="right") - start > 1
    one, other = (_channel(registers, at, outstation, n) for at, n in ((start, 1), (start + two, 2)))
    ratio = np.maximum(fleet.multiplier[at] - 1, 0)
    text = dtc_text(
        [
            "01A|", mpans(people, mp), "|", installed, "|5||F||230|3|A||\n02A|", outstation, "|EL||4|6|", "|" * 8, "CT||O|", "|" * 7,
            "\n03A|", fleet.serial_text(at).fill_null(""), "|",
            meters.MODEL.text(fleet.model[at]), "|", installed, "|100||", CT_RATIO.text(ratio).fill_null(""), "||E|",
            installed, "|", market.MAP_MPID.text(fleet.provider[at]), "|\n", one, _where(other, two),
        ]
    )  # fmt: skip
    return joined(text), 4 * at.size + int(two.sum())


def _channel(rows: SampleRegisters, at: Ints, outstation: pl.Series, channel: int) -> pl.Series:
    return dtc_text(
        [
            "04A|", REGISTER.text(rows.register[at]), "|", outstation, f"|{channel}|1|", MULTIPLIER.text(rows.multiplier[at]),
            "|1|", QUANTITY.text(rows.quantity[at]), "|", meters.DIGITS.text(rows.digits[at]), "|||\n",
        ]
    )  # fmt: skip


def d0019(people: SamplePopulation, use: Consumption, before: int) -> tuple[bytes, int]:
    """Return the groups ZIN to IES of a chunk, numbered from ``before``, and how many groups there are."""
    rows = use.rows
    if not rows.size:
        return b"", 0
    day = DATES[COMPACT].text(use.from_day)
    until = DATES[COMPACT].text(np.maximum(use.from_day, CUT_DAY - 1))
    two = use.regimes[:, 1] > 0
    one, other = regimes(use.regimes[:, 0]), regimes(use.regimes[:, 1])
    eac, aa = [tenths(use.eac[:, n]) for n in (0, 1)], [tenths(use.aa[:, n]) for n in (0, 1)]
    night = _where(dtc_text(["EAD|", other, "|", eac[1], "|\n"]), two)
    advance = _where(dtc_text(["AAH|", day, "|", until, "|\nAAD|", one, "|", aa[0], "|\n"]), use.advanced)
    night_advance = _where(dtc_text(["AAD|", other, "|", aa[1], "|\n"]), use.advanced & two)
    held = [
        MPID.text(people.holder[rows]), market.PROFILE.text(market.PC_OF[people.product[rows]]).str.slice(1),
        SSC.text(people.rates[rows]), market.CLASS.text(market.MC_OF[people.product[rows]]),
        GSP.text(people.mapped_group[rows]), STATUS.text(people.held_status[rows]),
    ]  # fmt: skip
    text = dtc_text(
        [
            "ZIN|", pl.Series(np.arange(before + 1, before + 1 + rows.size)).cast(pl.String), "|NH09|",
            mpans(people, rows), "|\nISD|", day, "|\nEAH|", day, "|\nEAD|", one, "|", eac[0], "|\n", night,
            advance, night_advance, "REG|", day, "|", held[0], "|\nPSC|", day, "|", held[1], "|", held[2],
            "|\nIMC|", day, "|", held[3], "|\nGSP|", day, "|", held[4], "|\nIES|", day, "|", held[5], "|\n",
        ]
    )  # fmt: skip
    groups = 9 * rows.size + int(two.sum()) + 2 * int(use.advanced.sum()) + int((use.advanced & two).sum())
    return joined(text), groups


def advances(use: Consumption) -> int:
    """Return how many AAD records there are: one for each regime of a metering point that has them."""
    return int(use.advanced.sum()) + int((use.advanced & (use.regimes[:, 1] > 0)).sum())


def rows_of(use: Consumption) -> Ints:
    """Return the metering point of each EAD record: one for each regime."""
    return np.repeat(use.rows, 1 + (use.regimes[:, 1] > 0))
