"""Reference data that fits the sample, as Elexon publishes it: market domain data and industry standing data.

Market domain data is one CSV file a table, ids without leading zeros, dates dd/mm/yyyy; a heading of a date carries in
braces whose date it is. Industry standing data is one CSV file an entity, under a line that names it, dates ISO.

Besides what the sample uses there are rows that ended before the cut or begin after it, so that a reader who forgets
the dates accepts what is no longer valid.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from flows.sample import market
from flows.sample.market import PRODUCTS, choices, loss_code

Row = tuple[str, ...]
VERSION = 316
NO_DIP_ID = market.METER_OPERATORS[1]  # so that a DIP id is manufactured
NEW_SERVICE = "DSVX"  # a data service of the new market alone, so that there is another one to appoint
START, OLD = "01/04/1996", "01/04/2001"
DAY_BEFORE_CUT, DAY_AFTER_CUT = "18/08/2023", "20/08/2023"
_DISTRIBUTORS = {
    10: "EELC", 11: "EMEB", 12: "LOND", 13: "MANW", 14: "MIDE", 15: "NEEB", 16: "NORW", 17: "HYDE", 18: "SPOW",
    19: "SEEB", 20: "SOUT", 21: "SWAE", 22: "SWEB", 23: "YELG", 24: "IPNL", 25: "LENG", 26: "GUCL", 27: "ETCL",
    29: "HARL", 30: "PENL", 31: "UKPD", 32: "UDNL", 33: "GGEN", 34: "MPDL", 35: "FEAL", 36: "VATT", 37: "FORB",
    38: "INDI",
}  # fmt: skip
_GROUPS = {
    "_A": "Eastern", "_B": "East Midlands", "_C": "London", "_D": "Merseyside and North Wales", "_E": "Midlands",
    "_F": "Northern", "_G": "North Western", "_H": "Southern", "_J": "South Eastern", "_K": "South Wales",
    "_L": "South Western", "_M": "Yorkshire", "_N": "South of Scotland", "_P": "North of Scotland",
}  # fmt: skip
_PROFILES = (
    "Half Hourly", "Domestic Unrestricted", "Domestic Economy 7", "Non-Domestic Unrestricted", "Non-Domestic Economy 7",
    "Non-Domestic Maximum Demand 0-20% Load Factor", "Non-Domestic Maximum Demand 20-30% Load Factor",
    "Non-Domestic Maximum Demand 30-40% Load Factor", "Non-Domestic Maximum Demand >40% Load Factor",
)  # fmt: skip
_BY_KEY = {p.key: p for p in PRODUCTS}


def unpadded(text: str) -> str:
    """Return an id as Elexon publishes it: no leading zeros, codes with letters as they are."""
    return str(int(text)) if text.isdigit() else text


def _roles() -> Iterable[Row]:
    def row(mpid: str, role: str, begin: str = START, end: str = "", code: str = "") -> Row:
        return (mpid, role, begin, end, f"{mpid} Sample Company", *[""] * 8, "", code)

    for code, mpid in _DISTRIBUTORS.items():
        yield row(mpid, "R", code=str(code))
    yield row("EDFI", "R", OLD, "17/12/2014", "28")
    for mpid in market.SUPPLIERS:
        yield row(mpid, "X")
    yield row(market.CLOSED_SUPPLIER, "X", OLD, "30/06/2021")
    yield row("SUPN", "X", DAY_AFTER_CUT)
    for mpid in market.METER_OPERATORS:
        yield row(mpid, "M")
    for mpid, roles in ((market.COLLECTOR, "DC"), (market.AGGREGATOR, "BA")):
        for role in roles:
            yield row(mpid, role)
    yield row(market.METER_OPERATORS[0], "D", OLD, DAY_BEFORE_CUT)


def _loss_classes() -> Iterable[Row]:
    for distributor in market.DISTRIBUTORS:
        for item in market.LOSS_CLASSES:
            end = DAY_BEFORE_CUT if item.key == "closed" else ""
            code = unpadded(loss_code(distributor, item.key))
            yield (distributor, "R", START, code, OLD, item.description, item.indicator, end)


def _timeswitches() -> Iterable[Row]:
    for code, (text, common, related, half_hourly, registers) in market.TIMESWITCHES.items():
        flags = ("T" if common else "F", "T" if related else "F")
        communicates, kind = ("Y", "H") if half_hourly else ("N", "N")
        yield (unpadded(code), START, "", text, *flags, "UN", "CR", communicates, kind, str(registers))


def _combinations(*, ended: bool = False) -> list[tuple[str, str, str, str | None, str]]:
    """Return (timeswitch, distributor, loss class, rates, profile class) of every valid configuration.

    ``ended``: those that were valid until the day before the cut instead.
    """
    rows: list[tuple[str, str, str, str | None, str]] = []
    for distributor in market.DISTRIBUTORS:
        if ended:
            rows.append(("801", distributor, loss_code(distributor, "closed"), "0393", "01"))
            rows += [("801", distributor, loss_code(distributor, key), "0244", "01") for key in _BY_KEY["dom1"].losses]
            continue
        for product in PRODUCTS:
            rows += [(s, distributor, c, r, product.fields[0]) for s, c, r in choices(product, distributor)]
    return rows


def _valid(*columns: int, half_hourly: bool, further: Row = ()) -> Iterable[Row]:
    """Return a combination table: the distinct picks of some columns, each with the days of its keys, in order.

    Timeswitch and distributor come first; every further key is followed by the day from which the combination up to it
    is valid.
    """
    seen: dict[Row, str] = {}
    for ended in (False, True):
        for combination in _combinations(ended=ended):
            if combination[3] is None and not half_hourly:
                continue
            key = tuple(unpadded(str(combination[c])) for c in columns)
            seen.setdefault(key, DAY_BEFORE_CUT if ended else "")
    for (switch, distributor, *rest), end in sorted(seen.items()):
        keys = (cell for key in rest for cell in (key, OLD))
        yield (switch, START, distributor, OLD, *keys, end, *further)


def _local_timeswitches() -> Iterable[Row]:
    for distributor, code in sorted(market.LOCAL_TIMESWITCH.items()):
        yield (unpadded(code), START, distributor, OLD, "", "Two rate, local radio", "UN", "CR", "N", "N", "2")


def _rates() -> Iterable[Row]:
    for code, (text, kind, _) in market.CONFIGURATIONS_OF_RATES.items():
        yield (unpadded(code), START, "", text, kind)


def _measurements() -> Iterable[Row]:
    for code, (_, _, regimes) in market.CONFIGURATIONS_OF_RATES.items():
        for regime in regimes:
            yield (unpadded(code), unpadded(regime))


_MTC, _LLFC, _SSC, _PC = (
    "Meter Timeswitch Class Id", "Line Loss Factor Class Id", "Standard Settlement Configuration Id", "Profile Class Id"
)  # fmt: skip
_WHOSE = "Market Participant Id"
_FROM, _TO = "Effective From Settlement Date", "Effective To Settlement Date"
_MTC_FROM = f"{_FROM} {{MTC}}"
_AREA = [_MTC, _MTC_FROM, _WHOSE, f"{_FROM} {{MTCPA}}"]
_ATTRIBUTES = ["MTC Meter Type Id", "MTC Payment Type Id", "MTC Communication Indicator", "MTC Type Indicator",
               "MTC TPR Count"]  # fmt: skip


def _keys(*keys: tuple[str, str]) -> list[str]:
    """Return the headings of a combination: area, each further key with the qualifier of its day, the last day's end."""
    found = [*_AREA]
    for heading, qualifier in keys:
        found += [heading, f"{_FROM} {{{qualifier}}}"]
    return [*found, f"{_TO} {{{keys[-1][1]}}}"]


def tables() -> dict[str, tuple[list[str], list[Row]]]:
    """Return every table: name -> (headers, rows)."""
    role = [_WHOSE, "Market Participant Role Code", "Effective From Date {MPR}"]
    rest = [*(f"Address Line {n}" for n in range(2, 10)), "Post Code", "Distributor Short Code"]
    roles = [*role, "Effective To Date {MPR}", "Address Line 1", *rest]
    loss = [*role, _LLFC, f"{_FROM} {{LLFC}}", "Line Loss Factor Class Description",
            "MS Specific LLF Class Indicator", f"{_TO} {{LLFC}}"]  # fmt: skip
    switch = [_MTC, _MTC_FROM, f"{_TO} {{MTC}}", "Meter Timeswitch Class Description", "MTC Common Code Indicator",
              "MTC Related Metering System Indicator", *_ATTRIBUTES]  # fmt: skip
    rates = [_SSC, f"{_FROM} {{SSC}}", f"{_TO} {{SSC}}", "Standard Settlement Configuration Desc",
             "Standard Settlement Configuration Type"]  # fmt: skip
    profiles: list[Row] = [(str(n), START, text, "F", "") for n, text in enumerate(_PROFILES)]
    regimes: list[Row] = [(unpadded(str(t)), "C", "Y") for t in market.TPR.texts[1:]]
    area = [*_AREA, f"{_TO} {{MTCPA}}", "MTC in PES Area Description", *_ATTRIBUTES]
    by_rates, by_loss = (_SSC, "VMTCSC"), (_LLFC, "VMTCLSC")
    profiled = [*_keys(by_rates, by_loss, (_PC, "VMTCLSPC")), "Preserved Tariff Indicator"]
    return {
        "Market_Participant_Role": (roles, sorted(_roles())),
        "GSP_Group": (["GSP Group Id", "GSP Group Name"], list(_GROUPS.items())),
        "Profile_Class": ([_PC, f"{_FROM} {{PCLA}}", "Profile Class Description", "Switched Load Profile Class Ind",
                           f"{_TO} {{PCLA}}"], profiles),
        "Line_Loss_Factor_Class": (loss, list(_loss_classes())),
        "Meter_Timeswitch_Class": (switch, list(_timeswitches())),
        "MTC_in_PES_Area": (area, list(_local_timeswitches())),
        "Standard_Settlement_Configuration": (rates, list(_rates())),
        "Time_Pattern_Regime": (["Time Pattern Regime Id", "Tele-switch/Clock Indicator", "GMT Indicator"], regimes),
        "Measurement_Requirement": ([_SSC, "Time Pattern Regime Id"], list(_measurements())),
        "Valid_MTC_LLFC_Combination": (_keys((_LLFC, "VMTCLC")), list(_valid(0, 1, 2, half_hourly=True))),
        "Valid_MTC_SSC_Combination": (_keys(by_rates), list(_valid(0, 1, 3, half_hourly=False))),
        "Valid_MTC_LLFC_SSC_Combination": (_keys(by_rates, by_loss), list(_valid(0, 1, 3, 2, half_hourly=False))),
        "Valid_MTC_LLFC_SSC_PC_Combination": (
            profiled, list(_valid(0, 1, 3, 2, 4, half_hourly=False, further=("F",)))),
    }  # fmt: skip


def write_market_data(folder: Path) -> None:
    """Write every table into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (headers, rows) in tables().items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([headers, *rows])
        (folder / f"{name}_{VERSION}.csv").write_bytes(text.getvalue().encode("ascii"))


# market role -> the DIP roles of its participants
_DIP_ROLES = {"X": ("SUP",), "R": ("LDSO", "REGS", "UMSO"), "M": ("MSS", "MSA"), "D": ("SDS", "UMSDS"), "C": ("ADS",)}
_BEGINS = "2025-03-03"


def _dip_id(mpid: str, role: str) -> str:
    return hashlib.sha256(f"{mpid} {role}".encode()).hexdigest()[:10].upper()


def entities() -> dict[str, tuple[list[str], list[str], list[Row]]]:
    """Return every entity of industry standing data: id -> (first line, headings, rows)."""
    distributors = [(mpid, "R") for mpid in market.DISTRIBUTORS]
    others = [(mpid, "X") for mpid in market.SUPPLIERS] + [(mpid, "M") for mpid in market.METER_OPERATORS]
    collectors = [(mpid, role) for mpid in (market.COLLECTOR, NEW_SERVICE) for role in "CD"]
    held = sorted([*distributors, *others, *collectors])
    ids: list[Row] = [
        (mpid, role, _dip_id(mpid, dip_role), dip_role, _BEGINS, "", _BEGINS)
        for mpid, role in held if mpid != NO_DIP_ID for dip_role in _DIP_ROLES[role]
    ]  # fmt: skip
    roles: list[Row] = [(dip, f"{dip} role", role, _BEGINS, "") for role, dips in _DIP_ROLES.items() for dip in dips]
    days = ["Effective From Date {MP2DPM}", "Effective To Date {MP2DPM}"]
    return {
        "M16": (
            ["M16", "Market Participant to DIP Participant", "4", "2025-06-02T09:00:00Z"],
            [f"{_WHOSE[:-2]}ID", "Market Participant Role Code", "DIP Participant ID", "DIP Role Code", *days, "Changed"],
            ids,
        ),
        "M18": (
            ["M18", "DIP Market Role", "2", "2025-03-03T09:00:00Z"],
            ["DIP Market Role", "DIP Market Role Description", "Market Participant Role Code",
             "Effective From Date {DIPRole}", "Effective To Date {DIPRole}"],
            roles,
        ),
    }  # fmt: skip


def write_standing_data(folder: Path) -> None:
    """Write every entity into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (first, headings, rows) in entities().items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([first, headings, *rows])
        (folder / f"{name}.csv").write_bytes(text.getvalue().encode("ascii"))
