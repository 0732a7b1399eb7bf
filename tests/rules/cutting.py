"""A cut small enough to be written by hand: market domain data, rows as text, verdicts by raw MPAN.

Rows go the whole way: contract, pseudonyms, partitions, look-ups, rules. Nothing is put in place of the product.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import polars as pl

from contracts.load import load_all
from contracts.scheme import scheme_lists
from contracts.vocabulary import Field
from flows.cut import partitions
from flows.cut.partitions import JUDGED, STAGED, ParticipantExtract, PartitionWriter
from flows.cut.records import SourceFacts
from flows.cut.workspace import Workspace
from flows.intake import SourceSpec
from flows.intake.market_domain_data import Reference, load_reference
from flows.pseudonymise.source import pseudonymise_batch
from flows.quality import exclusions
from flows.quality import verdicts as quality
from flows.quality.cross_partition import cross_partition_tables
from transforms.column_map import map_columns
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality import rules

CUT = date(2023, 8, 19)
OPEN, SINCE = "", "01/04/1998"
DAY_BEFORE, CUT_DAY, DAY_AFTER = "18/08/2023", "19/08/2023", "20/08/2023"
WEIGHTS = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
Row = Mapping[str, str | None]


def mpan(distributor: int, body: int) -> str:
    """Return a valid MPAN core (domain 2.2), by the book and not by the product."""
    twelve = f"{distributor:02d}{body:010d}"
    return twelve + str(sum(w * int(d) for w, d in zip(WEIGHTS, twelve, strict=True)) % 11 % 10)


REGISTRATION: Row = {
    "supplier_mpid": "SUPA", "supplier_effective_from": "2019-04-01", "gsp_group_id": "_A", "profile_class": "01",
    "meter_timeswitch_code": "801", "line_loss_factor_class_id": "001",
    "standard_settlement_configuration_id": "0393", "measurement_class": "A", "energisation_status": "E",
    "data_collector_mpid": "DCOL", "data_aggregator_mpid": "DAGG", "meter_operator_mpid": "MOPA",
    "domestic_premises_indicator": "T", "dcc_service_flag": "N", "address_line_1": "1", "address_line_5": "HIGH STREET",
    "postcode": "CO1 1AA",
}  # fmt: skip
HALF_HOURLY: Row = {
    **REGISTRATION, "profile_class": "00", "standard_settlement_configuration_id": None, "measurement_class": "C",
    "meter_timeswitch_code": "845", "line_loss_factor_class_id": "050", "domestic_premises_indicator": "F",
}  # fmt: skip
METERING: Row = {"meter_serial_number": "L04C15502", "meter_type": "N", "meter_install_date": "2004-06-15"}
REGISTER: Row = {
    "meter_serial_number": "L04C15502", "register_id": "1", "measurement_quantity": "AI", "multiplier": "1.00",
    "number_of_digits": "5",
}  # fmt: skip
PORTFOLIO: Row = {
    name: REGISTRATION[name]
    for name in (
        "supplier_mpid",
        "supplier_effective_from",
        "data_collector_mpid",
        "meter_operator_mpid",
        "measurement_class",
        "energisation_status",
    )
}
BMU: Row = {"bm_unit_id": "2__ASUPA000", "effective_from": "2019-04-01"}
VOLUME: Row = {"time_pattern_regime_id": "00001", "eac": "2900.0", "aa": None, "effective_from": "2023-01-01"}
READING: Row = {
    "meter_serial_number": "L04C15502", "register_id": "1", "reading_date": "2023-07-01", "reading": "12345.0",
    "reading_type": "R", "validation_status": "V", "reading_method": "N",
}  # fmt: skip
DAY: Row = {  # Friday, 48 half-hours
    "measurement_quantity": "AI", "settlement_date": "2023-08-18", "period_flags": "A" * 48,
    **{f"period_{n:02d}": f"{n % 7 / 10:.3f}" if n <= 48 else None for n in range(1, 51)},
}  # fmt: skip
GOOD: Mapping[str, Row] = {
    "registration": REGISTRATION,
    "metering": METERING,
    "register": REGISTER,
    "portfolio": PORTFOLIO,
    "bmu_mapping": BMU,
    "annual_consumption": VOLUME,
    "meter_reading": READING,
    "half_hourly": DAY,
}

_PADDING = [""] * 9
TABLES: Mapping[str, Sequence[Sequence[str]]] = {
    "Market_Participant_Role": [
        ["Market Participant Id", "Market Participant Role Code", "Effective From Date {MPR}",
         "Effective To Date {MPR}", *(f"Address {n}" for n in range(9)), "Distributor Short Code"],
        ["EELC", "R", SINCE, OPEN, *_PADDING, "10"],
        ["YELG", "R", SINCE, OPEN, *_PADDING, "23"],
        ["SOUT", "R", SINCE, OPEN, *_PADDING, "20"],
        ["IPNL", "R", SINCE, OPEN, *_PADDING, "24"],
        ["EDFI", "R", SINCE, "17/12/2014", *_PADDING, "28"],
        ["SUPA", "X", SINCE, OPEN, *_PADDING, ""],
        ["SUPB", "X", SINCE, CUT_DAY, *_PADDING, ""],
        ["SUPE", "X", SINCE, DAY_BEFORE, *_PADDING, ""],
        ["SUPN", "X", DAY_AFTER, OPEN, *_PADDING, ""],
        ["SUPT", "X", CUT_DAY, OPEN, *_PADDING, ""],
        ["DCOL", "D", SINCE, OPEN, *_PADDING, ""],
        ["DCHH", "C", SINCE, OPEN, *_PADDING, ""],
        ["DAGG", "B", SINCE, OPEN, *_PADDING, ""],
        ["MOPA", "M", SINCE, OPEN, *_PADDING, ""],
    ],
    "Line_Loss_Factor_Class": [
        ["Market Participant Id", "Market Participant Role Code", "Effective From Date {MPR}",
         "Line Loss Factor Class Id", "Effective From Settlement Date {LLFC}", "Line Loss Factor Class Description",
         "MS Specific LLF Class Indicator", "Effective To Settlement Date {LLFC}"],
        ["EELC", "R", SINCE, "1", SINCE, "LV Domestic", "A", OPEN],
        ["EELC", "R", SINCE, "2", SINCE, "LV Domestic closed the day before", "A", DAY_BEFORE],
        ["EELC", "R", SINCE, "3", SINCE, "LV Domestic closed on the day", "A", CUT_DAY],
        ["EELC", "R", SINCE, "4", DAY_AFTER, "LV Domestic of tomorrow", "A", OPEN],
        ["EELC", "R", SINCE, "50", SINCE, "LV CT Half Hourly", "A", OPEN],
        ["EELC", "R", SINCE, "60", SINCE, "LV Generation Half Hourly", "C", OPEN],
        ["YELG", "R", SINCE, "401", SINCE, "LV Domestic", "A", OPEN],
        ["IPNL", "R", SINCE, "N01", SINCE, "LV Domestic", "A", OPEN],
        ["SOUT", "R", SINCE, "701", SINCE, "LV Domestic", "A", OPEN],
    ],
    "Meter_Timeswitch_Class": [
        ["Meter Timeswitch Class Id", "Effective From Settlement Date {MTC}", "Effective To Settlement Date {MTC}"],
        *[[code, SINCE, OPEN] for code in ("801", "845", "23", "117", "510", "500")],
        ["802", SINCE, DAY_BEFORE],
    ],
    "MTC_in_PES_Area": [
        ["Meter Timeswitch Class Id", "Effective From Settlement Date {MTC}", "Market Participant Id",
         "Effective From Settlement Date {MTCPA}", "Effective To Settlement Date {MTCPA}"],
        ["23", SINCE, "EELC", SINCE, OPEN],
        ["117", SINCE, "YELG", SINCE, OPEN],
        ["510", SINCE, "EELC", SINCE, DAY_BEFORE],
    ],
    "Measurement_Requirement": [
        ["Standard Settlement Configuration Id", "Time Pattern Regime Id"], ["393", "1"], ["151", "43"], ["151", "210"],
    ],
}  # fmt: skip
_M, _F = "Meter Timeswitch Class Id", "Effective From Settlement Date {MTC}"
_P, _L, _S, _C = (
    "Market Participant Id",
    "Line Loss Factor Class Id",
    "Standard Settlement Configuration Id",
    "Profile Class Id",
)
_DATES = ["Effective From Settlement Date", "Effective To Settlement Date"]
# timeswitch, distributor, loss class, configuration, profile class, end
VALID = [
    *(["801", "EELC", loss, "393", "1", OPEN] for loss in ("1", "2", "3", "4")),
    ["801", "EELC", "1", "151", "2", DAY_BEFORE],
    ["23", "EELC", "1", "151", "2", OPEN],
    ["510", "EELC", "1", "393", "1", OPEN],
    ["117", "EELC", "1", "393", "1", OPEN],
    ["801", "YELG", "401", "393", "1", OPEN],
    ["801", "IPNL", "N01", "393", "1", OPEN],
    ["801", "SOUT", "701", "393", "1", OPEN],
    ["801", "EELC", "60", "393", "8", OPEN],
    ["801", "EELC", "1", "393", "3", OPEN],
]
HALF = [["845", "EELC", "50", OPEN], ["845", "EELC", "60", OPEN], ["845", "EELC", "2", OPEN]]


def _combination(heads: list[str], places: list[int], rows: list[list[str]]) -> list[list[str]]:
    picked = {(r[0], *(r[p] for p in places)): r[-1] for r in sorted(rows, key=lambda r: r[-1] or "z")}
    return [[_M, _F, *heads, *_DATES], *([key[0], SINCE, *key[1:], SINCE, end] for key, end in picked.items())]


def market_domain_data(folder: Path) -> Path:
    """Write the hand-made market domain data into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    loss = [[r[0], r[1], r[2], r[-1]] for r in VALID] + HALF
    combinations = {
        "Valid_MTC_LLFC_Combination": _combination([_P, _L], [1, 2], loss),
        "Valid_MTC_SSC_Combination": _combination([_P, _S], [1, 3], VALID),
        "Valid_MTC_LLFC_SSC_Combination": _combination([_P, _L, _S], [1, 2, 3], VALID),
        "Valid_MTC_LLFC_SSC_PC_Combination": _combination([_P, _L, _S, _C], [1, 2, 3, 4], VALID),
    }
    for name, table in {**TABLES, **combinations}.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="ascii") as stream:
            csv.writer(stream).writerows(table)
    return folder


class MiniCut:
    """Extracts of participants, a handful of rows each, judged as a real cut is."""

    def __init__(self, folder: Path, *, partitions: int = 1, reference: Reference | None = None) -> None:
        self.reference = reference or load_reference(market_domain_data(folder / "mdd"), CUT)
        self.workspace = Workspace(folder / "work", partitions, load_all())
        self.pseudonymiser = Pseudonymiser(FieldKeys(bytes(range(32)), "MINI"), lists=scheme_lists())
        self.extracts: list[ParticipantExtract] = []

    def add(self, participant: str, extract: str, rows: Sequence[Row], *, good: Row | None = None) -> MiniCut:
        """Stage rows of one extract; what a row does not say is taken from a good row."""
        contract = load_all()[extract]
        base = GOOD[extract] if good is None else good
        columns = {c.name: pl.String for c in contract.columns if c.required or any(c.name in r for r in [base, *rows])}
        frame = pl.DataFrame([{**base, **row} for row in rows], schema=columns, orient="row")
        spec = SourceSpec(f"{participant}/{extract}", Path("memory"))
        names = map_columns(contract, frame.columns, where=spec.name)
        writer = PartitionWriter(self.workspace, STAGED, participant, extract)
        writer.add(pseudonymise_batch(frame, contract, names, self.pseudonymiser, spec))
        writer.close()
        carried = {name: name for name in frame.columns if frame[name].null_count() < frame.height}
        facts = SourceFacts(
            participant=participant, role="", extract=extract, file="", form="csv", bytes=0, rows=0, hmac_sha256="",
            cut_date=None, dropped_columns=0, columns=dict(carried),
        )  # fmt: skip
        self.workspace.record(facts, participant, extract)
        self.extracts.append(ParticipantExtract(participant, extract))
        return self

    def judge(self) -> MiniCut:
        """Take all rows through the row verdicts and the cascade of the quality stage."""
        shared = dict(self.reference.tables)
        shared |= cross_partition_tables(self.workspace, self.extracts, self.reference.tables, CUT)
        for number in range(self.workspace.partitions):
            quality.judge_partition(self.workspace, self.extracts, number, shared, CUT)
        exclusions.cascade(self.workspace, exclusions.stated_links(self.workspace, self.extracts))
        return self

    def pseudonym(self, raw: str) -> str:
        """Return the pseudonym of an MPAN."""
        return str(self.pseudonymiser.values(Field.MPAN, pl.Series([raw]))[0])

    def rows(self, participant: str, extract: str) -> pl.DataFrame:
        """Return the judged rows of an extract."""
        scans = [self.workspace.scan(JUDGED, participant, extract, n) for n in range(self.workspace.partitions)]
        return pl.concat([scan.collect() for scan in scans if scan is not None])

    def broken(self, participant: str, extract: str, raw: str) -> set[str]:
        """Return the rules that rows of a metering point break in an extract."""
        contract = load_all()[extract]
        named = self.pseudonymiser.values(Field.MPAN, pl.Series([raw]))[0]
        frame = self.rows(participant, extract)
        if named is None:
            token = self.pseudonymiser.tokens(pl.Series([raw]), "mpan_core")[0]
            mine = frame.filter(pl.col("_token") == token)
        else:
            mine = frame.filter(pl.col("mpan_core") == named)
        assert mine.height, "no such row"
        verdicts = mine.select(rules.broken(contract, rule.id).any().alias(rule.id) for rule in contract.rules)
        return {name for name, hit in verdicts.row(0, named=True).items() if hit}

    def verdicts(self, participant: str, extract: str) -> dict[str, set[str]]:
        """Return the broken rules of every metering point of an extract, by pseudonym, or token where it has none."""
        contract = load_all()[extract]
        found: dict[str, set[str]] = {}
        frame = self.rows(participant, extract)
        names = frame.select(pl.coalesce("mpan_core", "_token")).to_series()
        verdicts = frame.select(rules.broken(contract, rule.id).alias(rule.id) for rule in contract.rules)
        for name, row in zip(names, verdicts.iter_rows(named=True), strict=True):
            found.setdefault(name, set()).update(rule for rule, hit in row.items() if hit)
        return found

    def name(self, raw: str) -> str:
        """Return what rows of a raw MPAN are known by: its pseudonym, or its token where it has none."""
        named = self.pseudonymiser.values(Field.MPAN, pl.Series([raw]))[0]
        return str(named or self.pseudonymiser.tokens(pl.Series([raw]), "mpan_core")[0])

    def excluded(self) -> dict[str, str]:
        """Return the excluded metering points, pseudonym -> first cause."""
        frames = [partitions.read_exclusions(self.workspace, n) for n in range(self.workspace.partitions)]
        return dict(pl.concat(frames).select("mpan_core", "first_cause").iter_rows())
