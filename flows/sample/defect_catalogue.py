"""The catalogue of planted defects: which metering points can carry one, what is changed, and where it stands.

Each variant breaks one data-quality rule and, as far as the rules allow, no other: where a value stands in several
files they agree on it, and what would contradict it elsewhere is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.sample import market, meters
from flows.sample.codes import CUT_DAY
from flows.sample.market import CLASS, DCC_FLAG, FLAG, GSP, LLFC, MPID, MTC, PROFILE, SSC, STATUS
from flows.sample.permutation import mpan_cores, permute, pick
from flows.sample.population import EXPORT, PRIMARY, SamplePopulation

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Listed = tuple[tuple[str, str], ...]
EXTRACTS = ("registration", "metering", "register", "portfolio", "annual_consumption", "bmu_mapping")
_BODY = 10**5
_ABSENT = 5 * 10**9  # ordinals from here on are in no population


class Traits:
    """Masks over a chunk that say which metering points can carry a defect."""

    def __init__(self, people: SamplePopulation) -> None:
        self.people = people
        metered = market.METER_CLASS_OF[people.product] > 0
        apart = (people.kind == PRIMARY) & (people.linked == 0) & (people.related == 0)
        self.alone = apart & (people.disconnected == 0) & (people.meters < 2)
        self.energised = self.alone & (people.status == STATUS.code("E"))
        self.metered = self.energised & (people.meters == 1)
        self.meterless = self.alone & metered & (people.meters == 0)
        smart = meters.IS_SMART[people.type]
        self.smart, self.plain = self.metered & smart, self.metered & ~smart
        self.second_operator = people.meterer == MPID.code("MOPB")
        self.half_hourly = self.alone & people.half_hourly & metered
        self.network_operator = self.alone & (people.distributor < 2)

    def product(self, *keys: str) -> Flags:
        """Tell which stand-alone metering points are of one of some products."""
        codes = [market.PRODUCT_KEYS.index(key) for key in keys]
        such: Flags = self.alone & np.isin(self.people.product, codes)
        return such

    def type(self, name: str) -> Flags:
        such: Flags = self.metered & (self.people.type == meters.TYPE.code(name))
        return such


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to break a rule.

    Attributes:
        rule: the data-quality rule that is broken.
        key: name of the variant, unique within the rule.
        able: mask of the metering points that can carry it.
        change: plants it in some rows of a population.
        listed: (extract, column) pairs in which the defective value stands.
        paired: the defect needs two metering points; rows come in two halves.
    """

    rule: str
    key: str
    able: Callable[[Traits], Flags]
    change: Callable[[SamplePopulation, Ints], None]
    listed: Listed
    paired: bool = False


def _put(**values: int) -> Callable[[SamplePopulation, Ints], None]:
    """Return a change that sets columns to fixed codes."""

    def change(people: SamplePopulation, rows: Ints) -> None:
        for column, value in values.items():
            getattr(people, column)[rows] = value

    return change


def _say(column: str, *texts: str | None) -> Callable[[SamplePopulation, Ints], None]:
    """Return a change that writes one of some texts as it stands in the files; ``{}`` is the ordinal, five digits."""

    def change(people: SamplePopulation, rows: Ints) -> None:
        planted = people.texts.setdefault(column, {})
        for row in rows.tolist():
            ordinal = int(people.index[row])
            text = texts[ordinal % len(texts)]
            planted[row] = text and text.format(f"{ordinal % 100_000:05d}")

    return change


def _bad_mpan(spoil: Callable[[str], str]) -> Callable[[SamplePopulation, Ints], None]:
    """Return a change that writes a wrong MPAN in the registration alone; nobody else holds the metering point."""

    def change(people: SamplePopulation, rows: Ints) -> None:
        planted = people.texts.setdefault("mpan", {})
        planted.update((int(row), spoil(str(people.mpan[row]))) for row in rows)
        for column in (people.in_portfolio, people.in_mapping, people.in_others):
            column[rows] = False

    return change


def _distributor(code: int) -> Callable[[SamplePopulation, Ints], None]:
    def change(people: SamplePopulation, rows: Ints) -> None:
        bodies = people.mpan[rows] // 10 % 10**10
        people.mpan[rows] = mpan_cores(np.full(rows.size, code), bodies)

    return change


def _other_supplier(column: str) -> Callable[[SamplePopulation, Ints], None]:
    def change(people: SamplePopulation, rows: Ints) -> None:
        first = MPID.code(market.SUPPLIERS[0])
        getattr(people, column)[rows] = first + (people.supplier[rows] - first + 1) % len(market.SUPPLIERS)

    return change


def _second_registration(people: SamplePopulation, rows: Ints) -> None:
    first = MPID.code(market.SUPPLIERS[0])
    others = first + (people.supplier[rows] - first + 1) % len(market.SUPPLIERS)
    people.twice.update(zip(rows.tolist(), others.tolist(), strict=True))


def _other_group(people: SamplePopulation, rows: Ints) -> None:
    wrong = np.where(people.gsp[rows] == GSP.code("_M"), GSP.code("_A"), GSP.code("_M"))
    people.gsp[rows] = people.mapped_group[rows] = wrong


def _foreign_loss_class(people: SamplePopulation, rows: Ints) -> None:
    other = (people.distributor[rows] + 1) % len(market.DISTRIBUTORS)
    people.llfc[rows] = market.LLFC_OF[other, people.product[rows], 0]


def _own_loss_class(key: str) -> Callable[[SamplePopulation, Ints], None]:
    codes = LLFC.codes(market.loss_code(d, key) for d in market.DISTRIBUTORS)

    def change(people: SamplePopulation, rows: Ints) -> None:
        people.llfc[rows] = codes[people.distributor[rows]]

    return change


def _foreign_timeswitch(people: SamplePopulation, rows: Ints) -> None:
    codes = MTC.codes(market.LOCAL_TIMESWITCH[d] for d in market.DISTRIBUTORS)
    people.mtc[rows] = codes[(people.distributor[rows] + 1) % len(codes)]


def _late(*columns: str) -> Callable[[SamplePopulation, Ints], None]:
    def change(people: SamplePopulation, rows: Ints) -> None:
        for column in columns:
            getattr(people, column)[rows] = CUT_DAY + 1 + pick(people.index[rows], 29, 60)

    return change


def _shared(column: str) -> Callable[[SamplePopulation, Ints], None]:
    """Return a change that gives the second half of the rows the meter of the first half."""

    def change(people: SamplePopulation, rows: Ints) -> None:
        donors, victims = np.split(rows, 2)
        getattr(people, column)[victims] = people.meter_of[donors]
        people.esme[rows] |= column == "esme_of"

    return change


def _digits(people: SamplePopulation, rows: Ints) -> None:
    people.extra_digit[rows] = np.where(meters.DIGITS_OF[people.type[rows]] == 6, -1, 1)


def _other_operator(people: SamplePopulation, rows: Ints) -> None:
    first = MPID.code(market.METER_OPERATORS[0])
    people.held_operator[rows] = 2 * first + 1 - people.operator[rows]


def _absent_relation(people: SamplePopulation, rows: Ints) -> None:
    left, right = permute(people.index[rows] + _ABSENT, _BODY, _BODY, 0)
    own = people.mpan[rows] // 10 % 10**10
    bodies = (own + 1 + left * _BODY + right) % 10**10
    people.related[rows] = mpan_cores(market.DISTRIBUTOR_IDS[people.distributor[rows]], bodies)


def _registration(column: str) -> Listed:
    return (("registration", column),)


def _blank(name: str, column: str) -> Variant:
    return Variant("DQ04", column, lambda t: t.energised, _put(**{name: 0}), _registration(column))


def _bad_code(name: str, column: str, code: int) -> Variant:
    return Variant("DQ05", column, lambda t: t.energised, _put(**{name: code}), _registration(column))


_QQQQ, _ENDED = MPID.code(market.UNKNOWN), MPID.code(market.CLOSED_SUPPLIER)
_SERIAL = "meter_serial_number"
_EVERYWHERE = tuple((extract, "mpan_core") for extract in EXTRACTS)
_THREE = tuple((extract, _SERIAL) for extract in ("metering", "register", "portfolio"))
_MALFORMED = ("00-1C-5E-00-{}-56", "00-1C-5E-GG-{}-56-78", "001C5E{}")

VARIANTS: tuple[Variant, ...] = (
    Variant("DQ01", "check_digit", lambda t: t.alone, _bad_mpan(lambda m: m[:-1] + str((int(m[-1]) + 3) % 10)),
            _registration("mpan_core")),
    Variant("DQ01", "twelve_digits", lambda t: t.alone, _bad_mpan(lambda m: m[:-1]), _registration("mpan_core")),
    Variant("DQ01", "letters", lambda t: t.alone, _bad_mpan(lambda m: m[:6] + "O" + m[7:]), _registration("mpan_core")),
    Variant("DQ02", "closed", lambda t: t.energised, _distributor(28), _EVERYWHERE),
    Variant("DQ02", "unknown", lambda t: t.energised, _distributor(88), _EVERYWHERE),
    Variant("DQ03", "two_suppliers", lambda t: t.energised, _second_registration, _registration("supplier_mpid")),
    _blank("supplier", "supplier_mpid"),
    _blank("from_day", "supplier_effective_from"),
    _blank("gsp", "gsp_group_id"),
    _blank("pc", "profile_class"),
    _blank("mtc", "meter_timeswitch_code"),
    _blank("llfc", "line_loss_factor_class_id"),
    _blank("mc", "measurement_class"),
    _blank("status", "energisation_status"),
    _bad_code("gsp", "gsp_group_id", GSP.code("_I")),
    _bad_code("pc", "profile_class", PROFILE.code("09")),
    _bad_code("mc", "measurement_class", CLASS.code("Z")),
    _bad_code("status", "energisation_status", STATUS.code("X")),
    _bad_code("dpi", "domestic_premises_indicator", FLAG.code("X")),
    _bad_code("dcc", "dcc_service_flag", DCC_FLAG.code("Q")),
    Variant("DQ05", "meter_type", lambda t: t.type("N"), _put(type=meters.TYPE.code("N9")), (("metering", "meter_type"),)),
    Variant("DQ06", "half_hourly_with_rates", lambda t: t.half_hourly, _put(ssc=SSC.code("0393")),
            _registration("standard_settlement_configuration_id")),
    Variant("DQ06", "profile_without_rates", lambda t: t.product("dom1"), _put(ssc=0),
            _registration("standard_settlement_configuration_id")),
    Variant("DQ06", "profile_in_half_hourly_class", lambda t: t.product("nd1"),
            _put(mc=CLASS.code("C"), held_class=CLASS.code("C")), _registration("measurement_class")),
    Variant("DQ07", "ended", lambda t: t.product("dom1"), _put(ssc=SSC.code("0244")),
            _registration("standard_settlement_configuration_id")),
    Variant("DQ07", "profile", lambda t: t.product("dom1"), _own_loss_class("nd1"),
            _registration("line_loss_factor_class_id")),
    Variant("DQ07", "half_hourly", lambda t: t.product("hhwc"), _own_loss_class("dom1"),
            _registration("line_loss_factor_class_id")),
    Variant("DQ08", "foreign", lambda t: t.alone, _foreign_loss_class, _registration("line_loss_factor_class_id")),
    Variant("DQ08", "unknown", lambda t: t.alone, _put(llfc=LLFC.code("ZZ9")), _registration("line_loss_factor_class_id")),
    Variant("DQ08", "ended", lambda t: t.product("dom1"), _own_loss_class("closed"),
            _registration("line_loss_factor_class_id")),
    Variant("DQ08", "timeswitch", lambda t: t.product("dom2"), _foreign_timeswitch, _registration("meter_timeswitch_code")),
    Variant("DQ09", "other_group", lambda t: t.network_operator, _other_group, _registration("gsp_group_id")),
    Variant("DQ10", "supplier_unknown", lambda t: t.energised,
            _put(supplier=_QQQQ, mapped_supplier=_QQQQ, in_portfolio=0), _registration("supplier_mpid")),
    Variant("DQ10", "supplier_ended", lambda t: t.energised,
            _put(supplier=_ENDED, mapped_supplier=_ENDED, in_portfolio=0), _registration("supplier_mpid")),
    Variant("DQ10", "collector_role", lambda t: t.half_hourly,
            _put(collector=MPID.code("MOPA"), held_collector=MPID.code("MOPA")), _registration("data_collector_mpid")),
    Variant("DQ10", "aggregator_unknown", lambda t: t.alone, _put(aggregator=_QQQQ), _registration("data_aggregator_mpid")),
    Variant("DQ10", "operator_role", lambda t: t.meterless,
            _put(operator=MPID.code("DAGG"), held_operator=MPID.code("DAGG")), _registration("meter_operator_mpid")),
    Variant("DQ11", "supplier_from", lambda t: t.energised, _late("from_day", "held_from"),
            (*_registration("supplier_effective_from"), ("portfolio", "supplier_effective_from"))),
    Variant("DQ11", "meter_install", lambda t: t.metered, _late("install"), (("metering", "meter_install_date"),)),
    Variant("DQ12", "no_meter", lambda t: t.plain, _put(meters=0), _registration("energisation_status")),
    Variant("DQ13", "missing", lambda t: t.metered, _say("serial", None), _THREE[:2]),
    Variant("DQ13", "long", lambda t: t.metered, _say("serial", "K17WAX{}77", "21P050{}33"), _THREE),
    Variant("DQ13", "forbidden", lambda t: t.metered, _say("serial", "S82?{}", "L04C*{}", "40#{}"), _THREE),
    Variant("DQ14", "two_premises", lambda t: t.plain, _shared("meter_of"), (("metering", _SERIAL),), paired=True),
    Variant("DQ15", "plain_with_id", lambda t: t.plain & t.second_operator, _put(esme=1), (("metering", "esme_id"),)),
    Variant("DQ15", "malformed", lambda t: t.smart & t.second_operator, _say("esme", *_MALFORMED),
            (("metering", "esme_id"),)),
    Variant("DQ15", "two_meters", lambda t: t.smart & t.second_operator, _shared("esme_of"),
            (("metering", "esme_id"),), paired=True),
    Variant("DQ16", "digits", lambda t: t.type("S2A") | t.type("S2C"), _digits, (("register", "number_of_digits"),)),
    Variant("DQ17", "linked", lambda t: (t.people.kind == EXPORT) & (t.people.dpi == FLAG.code("T")),
            _put(dpi=FLAG.code("F")), _registration("domestic_premises_indicator")),
    Variant("DQ17", "domestic", lambda t: t.product("dom1"), _put(dpi=FLAG.code("F")),
            _registration("domestic_premises_indicator")),
    Variant("DQ17", "business", lambda t: t.product("nd1"), _put(dpi=FLAG.code("T")),
            _registration("domestic_premises_indicator")),
    Variant("DQ18", "plain_active", lambda t: t.plain, _put(dcc=DCC_FLAG.code("A")), _registration("dcc_service_flag")),
    Variant("DQ18", "smart_none", lambda t: t.smart, _put(dcc=DCC_FLAG.code("N")), _registration("dcc_service_flag")),
    Variant("DQ19", "export_register", lambda t: t.metered & ~t.half_hourly, _put(quantity_export=1),
            (("register", "measurement_quantity"),)),
    Variant("DQ21", "postcode", lambda t: t.alone, _say("postcode", "XX1 1CC", "IP1", "NR99 9ZZZ"), _registration("postcode")),
    Variant("DQ21", "empty", lambda t: t.alone, _say("address", None), _registration("address_line_1")),
    Variant("DQ22", "telephone", lambda t: t.alone, _say("note", "TEL 01632 960123"), _registration("address_line_6")),
    Variant("DQ22", "mail", lambda t: t.alone, _say("note", "J.SMITH@EXAMPLE.COM"), _registration("address_line_6")),
    Variant("DQ22", "name", lambda t: t.alone, _say("note", "MRS SMITH"), _registration("address_line_6")),
    Variant("DQ22", "care", lambda t: t.alone, _say("note", "CARE - CALL FIRST"), _registration("address_line_6")),
    Variant("DQ24", "supplier", lambda t: t.energised, _other_supplier("holder"), (("portfolio", "supplier_mpid"),)),
    Variant("DQ24", "operator", lambda t: t.metered, _other_operator, (("portfolio", "meter_operator_mpid"),)),
    Variant("DQ24", "status", lambda t: t.energised, _put(held_status=STATUS.code("D")),
            (("portfolio", "energisation_status"),)),
    Variant("DQ24", "missing", lambda t: t.energised, _put(in_portfolio=0), _registration("supplier_mpid")),
    Variant("DQ27", "absent", lambda t: t.energised, _absent_relation, _registration("related_mpan")),
    Variant("DQ28", "missing", lambda t: t.energised, _put(in_mapping=0), _registration("mpan_core")),
    Variant("DQ28", "supplier", lambda t: t.energised, _other_supplier("mapped_supplier"), (("bmu_mapping", "bm_unit_id"),)),
    Variant("DQ20", "disconnected", lambda t: t.people.disconnected > 0, _put(), _registration("disconnection_date")),
)  # fmt: skip
