"""The demand book of a sample: test cases of CIT and the SIT stages, sized to the population.

Quantities are given per 10,000 metering points, up to 100,000 of them: a test wants no more in a larger country. Most
can be met; three ask for more than the sample holds, so that a shortage is there to be explained.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = (
    "round", "test_case", "stage", "participant", "priority", "base", "spare", "kind", "criteria", "export_criteria",
    "mutates",
)  # fmt: skip
LARGEST = 100_000  # metering points beyond which a plan does not grow
_ROUND = {"CIT": 1, "SIT-FUNCTIONAL": 2, "SIT-MIGRATION": 3, "SIT-NON-FUNCTIONAL": 4, "SIT-OPERATIONAL": 5}
_SHORT = {
    "CIT": "CIT",
    "SIT-FUNCTIONAL": "FUN",
    "SIT-MIGRATION": "MIG",
    "SIT-NON-FUNCTIONAL": "NFT",
    "SIT-OPERATIONAL": "OPS",
}
_SMART = ["S1", "S2A", "S2AD", "S2B", "S2C"]
_IMPORT, _EXPORT, _METERED = {"energy_direction": ["I"]}, {"energy_direction": ["E"]}, {"metered_indicator": [True]}
_E, _Y, _I = {"distributor_id": ["10"]}, {"distributor_id": ["23"]}, {"distributor_id": ["24"]}
_LIVE = {"energisation_status": ["E"]}
_S, _A, _U = ({"market_segment": [letter]} for letter in "SAU")
_DOMESTIC, _BUSINESS = {"domestic_premises_indicator": ["T"]}, {"domestic_premises_indicator": ["F"]}

Case = tuple[str, str, int, float, float, Mapping[str, Any], Mapping[str, Any] | None, bool]


def _sup(letter: str) -> dict[str, list[str]]:
    return {"supplier_mpid": [f"SUP{letter}"]}


# stage, participant, priority, base and spare per 10,000, criteria, export criteria (a pair), whether it mutates
CASES: tuple[Case, ...] = (
    ("CIT", "SUPA", 1, 10, 2, _sup("A") | _S | _LIVE | {"meter_type": _SMART}, None, True),
    ("CIT", "SUPA", 2, 4, 1, _sup("A") | _A | _LIVE, None, True),
    ("CIT", "SUPA", 1, 4, 1, _sup("A") | _S | _LIVE, _sup("A") | _EXPORT, True),
    ("CIT", "SUPB", 1, 10, 2, _sup("B") | _S | _LIVE | {"meter_type": _SMART}, None, True),
    ("CIT", "SUPB", 2, 6, 1, _sup("B") | _S | {"meter_type": ["N", "K", "T"]}, None, True),
    ("CIT", "SUPC", 1, 8, 2, _sup("C") | _DOMESTIC | _LIVE, None, True),
    ("CIT", "EELC", 1, 12, 3, _E | {"gsp_group_id": ["_A"]} | _LIVE, None, True),
    ("CIT", "EELC", 3, 20, 0, _E | {"connection_type": ["E"]}, _EXPORT, True),  # short: hardly any such pair
    ("CIT", "YELG", 1, 12, 3, _Y | {"profile_class": ["01", "02"]}, None, True),
    ("CIT", "YELG", 2, 3, 1, _Y | _U | {"metered_indicator": [False]}, None, False),
    ("CIT", "IPNL", 1, 6, 1, _I | _METERED | _LIVE, None, True),
    ("CIT", "MOPA", 2, 6, 1, {"meter_type": ["RCAMR", "NCAMR"]} | _LIVE, None, True),
    ("CIT", "MOPB", 2, 6, 1, {"meter_type": ["S2A", "S2AD"], "dcc_service_flag": ["A"]}, None, True),
    ("CIT", "DCOL", 2, 8, 2, {"measurement_class": ["A"], "profile_class": ["03", "04"]}, None, False),
    ("SIT-FUNCTIONAL", "SUPA", 1, 20, 4, _sup("A") | _E | _S | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPA", 1, 10, 2, _sup("A") | _Y | _DOMESTIC | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPA", 2, 5, 1, _sup("A") | _A | {"connection_type": ["L", "W"]}, None, True),
    ("SIT-FUNCTIONAL", "SUPB", 1, 20, 4, _sup("B") | _Y | _S | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "SUPB", 2, 4, 1, _sup("B") | _LIVE, _EXPORT | _LIVE, True),
    ("SIT-FUNCTIONAL", "SUPB", 3, 4, 1, _sup("B") | {"energisation_status": ["D"]}, None, True),
    ("SIT-FUNCTIONAL", "SUPC", 1, 10, 2, _sup("C") | _BUSINESS | _METERED, None, True),
    ("SIT-FUNCTIONAL", "SUPC", 2, 30, 0, _sup("C") | {"gsp_group_id": ["_L"], "meter_type": ["K"]}, None, True),  # short
    ("SIT-FUNCTIONAL", "EELC", 1, 5, 1, _E | _IMPORT | {"has_link": [True]}, _EXPORT, True),
    ("SIT-FUNCTIONAL", "YELG", 2, 4, 1, _Y | {"measurement_class": ["C", "E"]}, None, True),
    ("SIT-FUNCTIONAL", "YELG", 2, 3, 1, _Y | {"measurement_class": ["F", "G"]}, None, True),
    ("SIT-FUNCTIONAL", "IPNL", 2, 10, 0, _I | {"measurement_class": ["D"]}, None, True),  # short: half-hourly unmetered
    ("SIT-FUNCTIONAL", "IPNL", 1, 6, 1, _I | {"gsp_group_id": ["_B", "_L"]} | _LIVE, None, True),
    ("SIT-FUNCTIONAL", "MOPB", 2, 8, 2, {"meter_type": _SMART, "dcc_service_flag": ["A", "I"]}, None, True),
    ("SIT-FUNCTIONAL", "DCOL", 2, 5, 1, _U, None, False),
    ("SIT-MIGRATION", "SUPA", 1, 60, 10, _sup("A") | _S | _METERED, None, True),
    ("SIT-MIGRATION", "SUPB", 1, 40, 8, _sup("B") | _S | _METERED, None, True),
    ("SIT-MIGRATION", "SUPC", 1, 20, 4, _sup("C") | _METERED, None, True),
    ("SIT-MIGRATION", "EELC", 2, 30, 5, _E | {"profile_class": ["01", "02", "03", "04"]}, None, True),
    ("SIT-MIGRATION", "YELG", 2, 6, 1, _Y | {"has_link": [True]}, _EXPORT, True),
    ("SIT-NON-FUNCTIONAL", "EELC", 4, 800, 0, _E | _LIVE, None, False),
    ("SIT-NON-FUNCTIONAL", "YELG", 4, 600, 0, _Y | _LIVE, None, False),
    ("SIT-NON-FUNCTIONAL", "SUPA", 5, 500, 0, _sup("A") | _S, None, False),
    ("SIT-OPERATIONAL", "SUPA", 1, 10, 2, _sup("A") | _DOMESTIC | {"meter_type": _SMART}, None, True),
    ("SIT-OPERATIONAL", "SUPB", 1, 10, 2, _sup("B") | _BUSINESS, None, True),
    ("SIT-OPERATIONAL", "IPNL", 2, 4, 1, _I | _DOMESTIC, None, True),
)  # fmt: skip


def _rows(mpans: int) -> Iterable[list[object]]:
    numbers: dict[str, int] = {}
    for stage, participant, priority, base, spare, criteria, export, mutates in CASES:
        numbers[stage] = numbers.get(stage, 0) + 1
        name = f"{_SHORT[stage]}-{numbers[stage]:03d}"
        scale = min(mpans, LARGEST) / 10_000
        sizes = max(1, round(scale * base)), round(scale * spare)
        kind = "PAIR" if export else "SINGLE"
        texts = json.dumps(dict(criteria)), json.dumps(dict(export)) if export else ""
        yield [_ROUND[stage], name, stage, participant, priority, *sizes, kind, *texts, "true" if mutates else "false"]


def demand_book(mpans: int) -> str:
    """Return the demand book of a population as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *_rows(mpans)])
    return text.getvalue()
