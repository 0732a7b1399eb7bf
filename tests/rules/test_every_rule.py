"""Every rule of every extract, one change at a time: a sound metering point, one thing altered, the rules that break.

The change stands beside its harmless neighbour where there is one: what is just right breaks nothing. All cases lie in
one cut, each at a metering point of its own that has a sound row in every extract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.load import load_all
from tests.rules.cutting import (
    BMU,
    DAY,
    HALF_HOURLY,
    METERING,
    PORTFOLIO,
    READING,
    REGISTER,
    REGISTRATION,
    VOLUME,
    MiniCut,
    mpan,
)

SENDERS = {
    "registration": "EELC",
    "metering": "MOPA",
    "register": "MOPA",
    "portfolio": "SUPA",
    "bmu_mapping": "ELEX",
    "annual_consumption": "DCOL",
    "meter_reading": "DCOL",
    "half_hourly": "DCOL",
}
NHH = {
    "registration": REGISTRATION,
    "metering": METERING,
    "register": REGISTER,
    "portfolio": PORTFOLIO,
    "bmu_mapping": BMU,
    "annual_consumption": VOLUME,
    "meter_reading": READING,
}
HH = {
    **NHH,
    "registration": HALF_HOURLY,
    "metering": {**METERING, "meter_type": "H"},
    "portfolio": {**PORTFOLIO, "measurement_class": "C"},
    "half_hourly": DAY,
}
del HH["annual_consumption"]
INDEPENDENT = {"line_loss_factor_class_id": "N01"}  # what a metering point of distributor 24 has
ESME, OTHER_ESME = "00-1C-5E-01-23-45-67-89", "00-1C-5E-01-23-45-67-90"
# Metering points that cases refer to: an import, an export, an unmetered one, and one that two register.
IMPORT, EXPORT, UNMETERED, TWICE = (mpan(10, 900 + n) for n in range(4))
NOBODY = mpan(10, 999)  # nobody's, but a valid number
BAD_MPAN = "1000000000041"
Change = Mapping[str, Any] | list[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Case:
    """One rule at its edge.

    Attributes:
        rule: the rule that breaks, of the extract that the case stands under.
        wrong: what is altered in that extract's row; a list gives several rows, None takes the row away.
        right: the nearest alteration that is harmless.
        also: what else breaks, by nature.
        wrong_beside, right_beside: alterations in other extracts, and away (None).
        of: distributor of the metering points; wrong_of: of the wrong one; wrong_point: the wrong one itself.
        good: a sound metering point to begin with.
    """

    rule: str
    wrong: Change = field(default_factory=dict)
    right: Change = field(default_factory=dict)
    also: frozenset[str] | set[str] = frozenset()
    wrong_beside: Mapping[str, Change] = field(default_factory=dict)
    right_beside: Mapping[str, Change] = field(default_factory=dict)
    of: int = 10
    wrong_of: int = 0
    wrong_point: str = ""
    good: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: NHH)


PASSING = {  # a column that passes as it is, which an identifier could hide in
    "registration": "dcc_service_flag", "metering": "make_and_model", "register": "measurement_quantity",
    "portfolio": "consent_granularity", "bmu_mapping": "bm_unit_id", "half_hourly": "measurement_quantity",
    "annual_consumption": "time_pattern_regime_id", "meter_reading": "reading_method",
}  # fmt: skip
REQUIRED = {"register", "bmu_mapping", "annual_consumption", "half_hourly"}  # where it may not be blank, as it then is


def of_every_extract(extract: str) -> list[Case]:
    """Return the cases of what every extract asks for: an MPAN of a known distributor, and no identifier elsewhere."""
    good = HH if extract == "half_hourly" else NHH
    column = PASSING[extract]
    also = {f"DQ04_{column}"} if extract in REQUIRED else set()
    value = {"metering": "{body}", "bmu_mapping": "E_S10AZ"}.get(extract, "S10AZ")  # codes are too short for more
    beside = {} if extract == "registration" else {"registration": INDEPENDENT}
    return [
        Case("DQ01_mpan_core", {"mpan_core": BAD_MPAN}, {"mpan_core": "{spaced}"}, good=good),
        Case("DQ22_own_identifier", {column: value}, also=also, good=good),
        Case("DQ02_distributor_id", {}, INDEPENDENT if extract == "registration" else {}, right_beside=beside,
             of=24, wrong_of=28, good=good),
    ]  # fmt: skip


CASES: dict[str, list[Case]] = {extract: of_every_extract(extract) for extract in SENDERS}


def form(rule: str, column: str, wrong: str, right: str, **more: Any) -> Case:
    """Return a case of a text that does not take its column's form, and one that does."""
    return Case(rule, {column: wrong}, {column: right}, **more)


def absent(rule: str, column: str, *also: str, **more: Any) -> Case:
    """Return a case of a mandatory item that is empty."""
    return Case(rule, {column: None}, also=set(also), **more)


CASES["registration"] += [
    form("DQ22_address", "address_line_2", "MR JONES", "DRAYTON"),
    form("DQ11_supplier_effective_from_form", "supplier_effective_from", "31/04/2019", "01/04/2019"),
    form("DQ11_disconnection_date_form", "disconnection_date", "2023-02-29", "2024-02-29"),
    form("DQ05_domestic_premises_indicator_form", "domestic_premises_indicator", "X", "yes"),
    form("DQ05_codes_form", "data_collector_mpid", "DCO", "dcol"),
    form("DQ05_stated_form", "smso_mpid", "SM-O", "SMSO"),
    form("DQ15_esme_id_form", "esme_id", "00-1C-5E-01-23-45-67", "001C5E0123456780"),
    form("DQ13_meter_serial_number_form", "meter_serial_number", "X1", "K17W003712"),
    form("DQ05_meter_form", "meter_asset_provider_mpid", "AMA", "amap"),
    form("DQ27_related_mpan_form", "related_mpan", BAD_MPAN, IMPORT),
    form("DQ26_linked_mpan_form", "linked_mpan", BAD_MPAN, EXPORT),
    Case("DQ21_address", {"address_line_1": None, "address_line_5": None}, {"address_line_1": None}),
    Case("DQ21_postcode", {"postcode": None}, {"postcode": "co11aa"}),
    form("DQ21_postcode_form", "postcode", "CO1 1CC", "co11aa"),
    form("DQ21_uprn_form", "uprn", "1234567890123", "123456789012"),
    Case("DQ03_mpan_core", [{}, {"supplier_mpid": "SUPB"}]),
    Case("DQ03_one_sender", wrong_point=TWICE),
    *(absent(f"DQ04_{name}", name, *also) for name, *also in (
        ("supplier_mpid",), ("supplier_effective_from",), ("gsp_group_id",), ("profile_class",),
        ("meter_timeswitch_code",), ("line_loss_factor_class_id",), ("measurement_class",), ("energisation_status",))),
    form("DQ05_gsp_group_id", "gsp_group_id", "_I", "_a"),
    form("DQ05_profile_class", "profile_class", "09", "1"),
    form("DQ05_measurement_class", "measurement_class", "H", "a"),
    form("DQ05_energisation_status", "energisation_status", "X", "e"),
    form("DQ05_dcc_service_flag", "dcc_service_flag", "X", "I"),
    form("DQ05_market_segment", "market_segment", "T", "S"),
    form("DQ05_connection_type", "connection_type", "X", "W"),
    form("DQ05_energy_direction", "energy_direction", "B", "I"),
    form("DQ05_ihd_install_status", "ihd_install_status", "N", "D"),
    form("DQ05_meter_timeswitch_code", "meter_timeswitch_code", "802", "801"),
    Case("DQ06_settlement_configuration", {"standard_settlement_configuration_id": None}),
    Case("DQ06_measurement_class", {"measurement_class": "F"}),
    form("DQ08_line_loss_factor_class", "line_loss_factor_class_id", "002", "003"),
    form("DQ08_meter_timeswitch_code", "meter_timeswitch_code", "117", "801"),
    Case("DQ07_half_hourly", {"line_loss_factor_class_id": "003"}, {"line_loss_factor_class_id": "060"}, good=HH),
    Case("DQ07_timeswitch_configuration", {"standard_settlement_configuration_id": "0151", "profile_class": "02"},
         {"standard_settlement_configuration_id": "0151", "profile_class": "02", "meter_timeswitch_code": "023"}),
    Case("DQ07_loss_class", {"line_loss_factor_class_id": "050"}, {"line_loss_factor_class_id": "001"}),
    Case("DQ07_profile_class", {"profile_class": "02"}, {"profile_class": "03", "domestic_premises_indicator": "F"}),
    Case("DQ09_gsp_group", {"gsp_group_id": "_M"}),
    Case("DQ09_usual_group", {**INDEPENDENT, "gsp_group_id": "_M"}, INDEPENDENT, of=24),
    form("DQ10_supplier_mpid", "supplier_mpid", "SUPE", "SUPB"),
    form("DQ10_data_collector_mpid", "data_collector_mpid", "MOPA", "DCHH"),
    form("DQ10_data_aggregator_mpid", "data_aggregator_mpid", "DCOL", "DAGG"),
    form("DQ10_meter_operator_mpid", "meter_operator_mpid", "DCOL", "MOPA"),
    absent("DQ10_data_collector_mpid_appointed", "data_collector_mpid"),
    absent("DQ10_data_aggregator_mpid_appointed", "data_aggregator_mpid"),
    absent("DQ10_meter_operator_mpid_appointed", "meter_operator_mpid"),
    form("DQ11_supplier_effective_from", "supplier_effective_from", "2023-08-20", "2023-08-19"),
    form("DQ20_disconnected", "disconnection_date", "2023-08-19", "2023-08-20"),
    Case("DQ12_meter", wrong_beside={"metering": None}, right={"energisation_status": "D"},
         right_beside={"metering": None}),
    Case("DQ12_unmetered", {"measurement_class": "B"}, {"measurement_class": "B"}, right_beside={"metering": None}),
    form("DQ27_related_mpan", "related_mpan", NOBODY, IMPORT),
    Case("DQ26_related_to_itself", {"related_mpan": "{mpan}"}),
    Case("DQ26_related_import", {"related_mpan": EXPORT}),
    Case("DQ26_related_metered", {"related_mpan": UNMETERED}),
    Case("DQ26_one_relationship", {"related_mpan": mpan(10, 905)}, {"related_mpan": IMPORT}),
    Case("DQ26_related_supplier", {"related_mpan": mpan(10, 906)}),
    Case("DQ26_related_group", {"related_mpan": mpan(24, 907)}),
    Case("DQ26_linked_present", {"linked_mpan": NOBODY}, {"linked_mpan": EXPORT}),
    Case("DQ26_linked_direction", {"linked_mpan": IMPORT}),
    Case("DQ26_linked_metered", {"linked_mpan": mpan(10, 908)}),
    Case("DQ26_linked_group", {"linked_mpan": mpan(10, 909)}),
    Case("DQ17_linked", {"linked_mpan": mpan(10, 910)}, {"linked_mpan": EXPORT}),
    Case("DQ17_domestic", {"domestic_premises_indicator": "F"}, {"domestic_premises_indicator": None}),
    Case("DQ18_dcc_service_flag", {"dcc_service_flag": "A"}, {"dcc_service_flag": "A"},
         right_beside={"metering": {"meter_type": "S1"}}),
    Case("DQ18_smart_meter", wrong_beside={"metering": {"meter_type": "2ADF"}}, right={"dcc_service_flag": "I"},
         right_beside={"metering": {"meter_type": "2ADF"}}),
    Case("DQ19_export_profile_class", {"line_loss_factor_class_id": "060", "profile_class": "01"},
         {"line_loss_factor_class_id": "060", "profile_class": "08"}, also={"DQ07_profile_class"}),
    form("DQ19_energy_direction", "energy_direction", "E", "i"),
    Case("DQ24_registered_not_supplied", wrong_beside={"portfolio": None},
         right={"supplier_mpid": "SUPB"}, right_beside={"portfolio": None}),
    Case("DQ28_bm_unit", wrong_beside={"bmu_mapping": None}),
]  # fmt: skip


def serial_rules(*unknown: str) -> list[Case]:
    """Return the cases of a meter's serial number; ``unknown`` is what breaks where no such meter is known."""
    return [
        absent("DQ13_meter_serial_number", "meter_serial_number"),
        form("DQ13_length", "meter_serial_number", "K17WAX12345", "{serial} ", also=set(unknown)),
        form("DQ13_pseudonym", "meter_serial_number", "AB1", "{serial}"),
    ]


CASES["metering"] += [
    *serial_rules(),
    form("DQ15_esme_id_form", "esme_id", "00-1C-5E-GG-23-45-67-89", ""),
    form("DQ11_meter_install_date_form", "meter_install_date", "2004-13-01", "20041231"),
    form("DQ05_make_and_model", "make_and_model", "E110;DROP", "LANDIS+GYR E110 (5/100)"),
    form("DQ22_make_and_model", "make_and_model", "H12E24905", "ACTARIS SL761A071 5-100A"),
    form("DQ05_codes_form", "meter_asset_provider_mpid", "AMA", "AMAP"),
    absent("DQ04_meter_type", "meter_type"),
    form("DQ05_meter_type", "meter_type", "S3", "lag_"),
    Case("DQ03_meter", [{}, {}], [{}, {"meter_serial_number": "K17W003712"}]),
    form("DQ11_meter_install_date", "meter_install_date", "2023-08-20", "2023-08-19"),
    Case("DQ15_not_smart", {"esme_id": "00-1C-5E-01-23-45-00-01"},
         {"esme_id": "00-1C-5E-01-23-45-00-02", "meter_type": "S1"}),
    Case("DQ15_one_meter", {"esme_id": ESME, "meter_type": "S2A"}, {"esme_id": OTHER_ESME, "meter_type": "S2A"}),
    Case("DQ14_one_premises", {"meter_serial_number": "L04C90911"}, {"meter_serial_number": "L04C90912"}),
    Case("DQ24_registered", wrong_beside={"registration": None}, of=10),
    Case("DQ24_meter_operator_mpid", wrong_beside={"registration": {"meter_operator_mpid": "MOPX"}}),
]  # fmt: skip
CASES["register"] += [
    *serial_rules("DQ24_meter"),
    form("DQ05_number_of_digits_form", "number_of_digits", "five", "5"),
    form("DQ05_multiplier_form", "multiplier", "x10", "0.1"),
    form("DQ05_codes_form", "register_id", "R-1", "r1"),
    absent("DQ04_register_id", "register_id"),
    Case("DQ04_measurement_quantity", {"measurement_quantity": None},
         {"measurement_quantity": None, "time_pattern_regime_id": "1"}),
    form("DQ05_measurement_quantity", "measurement_quantity", "AX", "ri"),
    form("DQ05_multiplier", "multiplier", "0", "0.01"),
    Case("DQ03_register", [{}, {}], [{}, {"register_id": "2"}]),
    Case("DQ19_direction", {"measurement_quantity": "AE"}, [{}, {"register_id": "2", "measurement_quantity": "AE"}]),
    Case("DQ16_digits", {"number_of_digits": "6"}, {"number_of_digits": "5"},
         wrong_beside={"metering": {"meter_type": "S2B"}}, right_beside={"metering": {"meter_type": "S2B"}}),
    Case("DQ24_meter", {"meter_serial_number": "K17W003712"}),
]  # fmt: skip
CASES["portfolio"] += [
    form("DQ13_length", "meter_serial_number", "K17WAX12345", "{serial}"),
    form("DQ13_meter_serial_number_form", "meter_serial_number", "AB1", "{serial}"),
    form("DQ11_supplier_effective_from_form", "supplier_effective_from", "2019-04-31", "20190401"),
    form("DQ11_consent_granularity_effective_from_form", "consent_granularity_effective_from", "soon", "2023-01-01"),
    form("DQ05_codes_form", "energisation_status", "E!", "e"),
    form("DQ15_esme_id_form", "esme_id", "00:1C", "00:1C:5E:01:23:45:67:91"),
    form("DQ26_linked_mpan_form", "linked_mpan", BAD_MPAN, EXPORT),
    Case("DQ03_mpan_core", [{}, {}]),
    absent("DQ04_supplier_mpid", "supplier_mpid"),
    form("DQ05_measurement_class", "measurement_class", "H", "A", also={"DQ24_measurement_class"}),
    form("DQ05_energisation_status", "energisation_status", "X", "E", also={"DQ24_energisation_status"}),
    form("DQ05_consent_granularity", "consent_granularity", "W", "N"),
    form("DQ10_supplier_mpid", "supplier_mpid", "SUPE", "SUPA", also={"DQ24_supplier_mpid"}),
    form("DQ11_supplier_effective_from", "supplier_effective_from", "2023-08-20", "2023-08-19",
         also={"DQ24_supplier_effective_from"},
         right_beside={"registration": {"supplier_effective_from": "2023-08-19"}}),
    form("DQ26_linked_present", "linked_mpan", NOBODY, EXPORT),
    Case("DQ24_registered", wrong_beside={"registration": None}),
    form("DQ24_supplier_mpid", "supplier_mpid", "SUPB", "supa"),
    form("DQ24_supplier_effective_from", "supplier_effective_from", "2019-04-02", "01/04/2019"),
    form("DQ24_data_collector_mpid", "data_collector_mpid", "DCHH", "DCOL"),
    form("DQ24_meter_operator_mpid", "meter_operator_mpid", "MOPX", "MOPA"),
    form("DQ24_energisation_status", "energisation_status", "D", "E"),
    form("DQ24_measurement_class", "measurement_class", "B", "A"),
    Case("DQ24_meter_serial_number", {"meter_serial_number": "K17W003712"}, {"meter_serial_number": "K17W003712"},
         right_beside={"metering": None}),
]  # fmt: skip
CASES["bmu_mapping"] += [
    form("DQ11_effective_from_form", "effective_from", "2019-02-29", "2020-02-29"),
    form("DQ05_codes_form", "bm_unit_id", "2__ASUPA0000", "V__ASUPA000"),
    absent("DQ04_bm_unit_id", "bm_unit_id"),
    Case("DQ03_mpan_core", [{}, {}]),
    form("DQ11_effective_from", "effective_from", "2023-08-20", "2023-08-19"),
    Case("DQ24_registered", wrong_beside={"registration": None}),
    form("DQ28_gsp_group_id", "bm_unit_id", "2__BSUPA000", "V__BSUPA000"),
    form("DQ28_supplier_mpid", "bm_unit_id", "2__ASUPB000", "V__ASUPB000"),
]
CASES["annual_consumption"] += [
    form("DQ30_eac_form", "eac", "lots", "-12.5"),
    Case("DQ30_aa_form", {"aa": "lots"}, {"aa": "0"}),
    form("DQ11_effective_from_form", "effective_from", "yesterday", "2023-01-01"),
    form("DQ05_codes_form", "time_pattern_regime_id", "0000-1", "1"),
    absent("DQ04_time_pattern_regime_id", "time_pattern_regime_id"),
    Case("DQ04_volume", {"eac": None, "aa": None}, {"eac": None, "aa": "3000.5"}),
    Case("DQ03_eac", [{"aa": "2800.0"}, {}], [{}, {"eac": None, "aa": "3000.5"}]),
    Case("DQ03_aa", [{"aa": "2800.0"}, {"eac": None, "aa": "3000.5"}], [{}, {"eac": None, "aa": "3000.5"}]),
    Case("DQ24_registered", wrong_beside={"registration": None}),
    Case("DQ24_data_collector_mpid", wrong_beside={"registration": {"data_collector_mpid": "DCHH"}}),
    form("DQ24_time_pattern_regime_id", "time_pattern_regime_id", "00043", "00001"),
]
CASES["meter_reading"] += [
    *serial_rules("DQ24_register"),
    form("DQ11_reading_date_form", "reading_date", "2023-06-31", "20230630"),
    form("DQ30_reading_form", "reading", "12,345", "12345"),
    form("DQ05_codes_form", "reading_method", "P!", "p"),
    absent("DQ04_register_id", "register_id"),
    absent("DQ04_reading", "reading"),
    form("DQ05_reading_type", "reading_type", "B", "z"),
    form("DQ05_validation_status", "validation_status", "X", "U"),
    Case("DQ03_reading", [{}, {}], [{}, {"reading_date": "2023-07-02"}]),
    form("DQ11_reading_date", "reading_date", "2023-08-20", "2023-08-19"),
    form("DQ30_negative", "reading", "-0.1", "0.0"),
    form("DQ30_digits", "reading", "100000.0", "99999.9"),
    form("DQ24_register", "register_id", "2", "1"),
]
CASES["half_hourly"] += [
    form("DQ11_settlement_date_form", "settlement_date", "2023-08-32", "20230818", good=HH),
    form("DQ05_codes_form", "measurement_quantity", "A I", "ai", good=HH),
    form("DQ30_periods_form", "period_07", "many", "0", good=HH),
    form("DQ30_period_count", "settlement_date", "2023-03-26", "2023-03-19", good=HH),
    absent("DQ30_gap", "period_07", good=HH),
    form("DQ30_negative", "period_07", "-0.001", "0.000", good=HH),
    form("DQ30_flags", "period_flags", "A" * 47 + "Q", "A" * 47 + "E", good=HH),
    absent("DQ04_settlement_date", "settlement_date", good=HH),
    absent("DQ04_measurement_quantity", "measurement_quantity", good=HH),
    form("DQ05_measurement_quantity", "measurement_quantity", "AX", "RI", good=HH),
    Case("DQ03_day", [{}, {}], [{}, {"settlement_date": "2023-08-17"}], good=HH),
    form("DQ11_settlement_date", "settlement_date", "2023-08-20", "2023-08-19", good=HH),
    Case("DQ24_registered", wrong_beside={"registration": None}, good=HH),
    Case("DQ24_data_collector_mpid", wrong_beside={"registration": {"data_collector_mpid": "DCHH"}}, good=HH),
    Case("DQ24_half_hourly", wrong_beside={"registration": REGISTRATION}, good=HH),
    Case("DQ19_direction", {"measurement_quantity": "AE"}, [{}, {"measurement_quantity": "AE"}], good=HH),
]  # fmt: skip


# What cases refer to, without cases of its own: participant, extract, rows.
EXPORTING = {"line_loss_factor_class_id": "060", "profile_class": "08"}
BESIDE = [
    ("EELC", "registration", [
        {"mpan_core": IMPORT}, {"mpan_core": EXPORT, **EXPORTING},
        {"mpan_core": UNMETERED, "measurement_class": "B"},
        {"mpan_core": mpan(10, 905), "related_mpan": IMPORT},
        {"mpan_core": mpan(10, 906), "supplier_mpid": "SUPB"},
        {"mpan_core": mpan(24, 907), **INDEPENDENT},
        {"mpan_core": mpan(10, 908), **EXPORTING, "measurement_class": "B"},
        {"mpan_core": mpan(10, 909), **EXPORTING, "gsp_group_id": "_B"},
        {"mpan_core": mpan(10, 910), **EXPORTING, "domestic_premises_indicator": "F"},
        {"mpan_core": mpan(10, 911), "address_line_1": "2"},
    ]),
    ("YELG", "registration", [{"mpan_core": TWICE}]),
    ("MOPA", "metering", [
        {"mpan_core": mpan(10, 911), "meter_serial_number": "L04C90911"},
        {"mpan_core": mpan(10, 912), "meter_serial_number": "L04C90913", "meter_type": "S2A", "esme_id": ESME},
    ]),
]  # fmt: skip


class Cut:
    """All cases in one cut."""

    def __init__(self, mini: MiniCut) -> None:
        self.mini = mini
        self.rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {(p, e): list(rows) for p, e, rows in BESIDE}
        self.point: dict[tuple[str, str, bool], str] = {}
        self.number = 10_000
        for extract, cases in CASES.items():
            for case in cases:
                for wrong in (False, True):
                    self.point[extract, case.rule, wrong] = self.place(extract, case, wrong=wrong)
        self.untouched = {kind: self.household(self.another(10), {}, good) for kind, good in (("NHH", NHH), ("HH", HH))}
        for (participant, extract), rows in self.rows.items():
            good = {**NHH, "half_hourly": DAY}[extract]
            mini.add(participant, extract, rows, good=good)
        mini.judge()
        self.found = {e: self.mini.verdicts(p, e) for e, p in SENDERS.items()}

    def place(self, extract: str, case: Case, *, wrong: bool) -> str:
        """Give a case a metering point; return what its row is called by in the extract."""
        change, beside = (case.wrong, case.wrong_beside) if wrong else (case.right, case.right_beside)
        point = (wrong and case.wrong_point) or self.another((wrong and case.wrong_of) or case.of)
        return self.household(point, {**beside, extract: change}, case.good, asked=extract)

    def another(self, distributor: int) -> str:
        """Return a metering point that is new."""
        self.number += 1
        return mpan(distributor, self.number)

    def household(self, point: str, changes: Mapping[str, Change], good: Mapping[str, Any], asked: str = "") -> str:
        """Put a metering point with a row in every extract into the cut; return what the asked one calls it."""
        serial = f"L04C{int(point[7:12]):05d}"
        words = {"{mpan}": point, "{body}": point[2:12], "{serial}": serial, "{serial} ": f"{serial} ",
                 "{spaced}": f"{point[:2]} {point[2:6]} {point[6:10]} {point[10:]}"}  # fmt: skip
        named = point
        for extract, row in good.items():
            change = changes.get(extract, {})
            for more in change if isinstance(change, list) else [] if change is None else [change]:
                own = {"meter_serial_number": serial} if "meter_serial_number" in row else {}
                full = {**row, "mpan_core": point, **own, **{k: words.get(v, v) for k, v in more.items()}}
                self.rows.setdefault((SENDERS[extract], extract), []).append(full)
                if extract == asked:
                    named = full["mpan_core"].replace(" ", "")
        return named

    def broken(self, extract: str, raw: str) -> set[str]:
        """Return the rules that a metering point's rows break in an extract."""
        return self.found[extract][self.mini.name(raw)]


@pytest.fixture(scope="module")
def cut(tmp_path_factory, reference) -> Cut:
    return Cut(MiniCut(tmp_path_factory.mktemp("every"), reference=reference))


NAMES = [(extract, case) for extract, cases in CASES.items() for case in cases]


@pytest.mark.requirement("Q48")
@pytest.mark.parametrize(("extract", "case"), NAMES, ids=[f"{e} {c.rule}" for e, c in NAMES])
def test_one_change_breaks_one_rule(cut, extract, case):
    assert cut.broken(extract, cut.point[extract, case.rule, True]) == {case.rule, *case.also}


@pytest.mark.requirement("Q48")
@pytest.mark.parametrize(("extract", "case"), NAMES, ids=[f"{e} {c.rule}" for e, c in NAMES])
def test_its_neighbour_breaks_none(cut, extract, case):
    assert cut.broken(extract, cut.point[extract, case.rule, False]) == set()


@pytest.mark.requirement("Q48")
def test_a_sound_metering_point_breaks_nothing_anywhere(cut):
    for kind, good in (("NHH", NHH), ("HH", HH)):
        assert {extract: cut.broken(extract, cut.untouched[kind]) for extract in good} == {e: set() for e in good}


@pytest.mark.parametrize("extract", sorted(load_all()))
def test_no_rule_is_without_its_case(extract):
    assert {case.rule for case in CASES[extract]} == {rule.id for rule in load_all()[extract].rules}
