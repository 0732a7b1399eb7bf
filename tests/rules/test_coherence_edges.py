"""What must hold after augmentation (DQ31), each condition at its edges, and the rules over both ends of a link."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from contracts.augmentation import tables
from contracts.load import RESULTS, load_all
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, JUDGED, ORDER, ParticipantExtract
from flows.cut.workspace import Workspace
from flows.quality.after_augmentation import CHECKED, NAME, judge_after_augmentation
from tests.rules.cutting import mpan
from transforms.augment.decision_tables import incoherent
from transforms.pseudonymise.mpan import order_key
from transforms.quality import rules

# A traditional domestic metering point with all its items.
SOUND = {
    "market_segment": "S", "connection_type": "W", "metered_indicator": "true", "meter_type": "N",
    "consent_granularity": "N", "metering_service_role": "MSS", "data_service_role": "SDS", "measurement_class": "A",
    "standard_settlement_configuration_id": "0393", "profile_class": "01", "esme_id": None,
    "llfc_voltage": "W", "mtc_meter_type": "NU", "meter_segments": 1,
}  # fmt: skip
UNMETERED = {
    **SOUND, "market_segment": "U", "connection_type": "U", "metered_indicator": "false", "meter_type": None,
    "metering_service_role": "UMSO", "data_service_role": "UMSDS", "measurement_class": "B",
    "llfc_voltage": "U", "mtc_meter_type": "UM", "meter_segments": None,
}  # fmt: skip
ADVANCED = {
    **SOUND, "market_segment": "A", "connection_type": "L", "meter_type": "H", "metering_service_role": "MSA",
    "data_service_role": "ADS", "measurement_class": "C", "standard_settlement_configuration_id": None,
    "profile_class": "00",
}  # fmt: skip
SMART = {**SOUND, "meter_type": "S2AD", "esme_id": "02-1C-5E-01-23-45-67-89", "consent_granularity": "H"}
POINTS = {
    "traditional": (SOUND, set()),
    "unmetered": (UNMETERED, set()),
    "advanced, CT": (ADVANCED, set()),
    "advanced, whole current AMR": ({**ADVANCED, "connection_type": "W", "meter_type": "RCAMR"}, set()),
    "smart": (SMART, set()),
    "SMETS1": ({**SMART, "meter_type": "S1"}, set()),
    "smart of an APC type": ({**SMART, "meter_type": "2BDEF"}, set()),
    "unmetered by segment alone": (
        {**SOUND, "market_segment": "U"}, {"DQ31-U", "REG1030", "REG1031"}),
    "unmetered by connection alone": ({**SOUND, "connection_type": "U"}, {"DQ31-U", "DQ31-M", "DQ31-S"}),
    "unmetered and yet metered": ({**UNMETERED, "metered_indicator": "true"}, {"DQ31-M"}),
    "smart behind a CT": ({**SMART, "connection_type": "L"}, {"DQ31-S"}),
    "an advanced meter in the smart segment": ({**SOUND, "meter_type": "NCAMR"}, {"DQ31-T"}),
    "a half-hourly meter in the smart segment": ({**SOUND, "meter_type": "H"}, {"DQ31-T"}),
    "a traditional meter in the advanced segment": (
        {**ADVANCED, "connection_type": "W", "measurement_class": "A", "meter_type": "N"},
        {"DQ31-A", "REG1042"}),
    "a smart meter in the advanced segment": (
        {**ADVANCED, "connection_type": "W", "measurement_class": "F", "meter_type": "S2C"}, {"DQ31-A"}),
    "a smart meter of an APC type in the advanced segment": (
        {**ADVANCED, "connection_type": "W", "measurement_class": "G", "meter_type": "2CF"}, {"DQ31-A"}),
    "a smart meter behind a CT is advanced": (
        {**ADVANCED, "measurement_class": "G", "meter_type": "S2C"}, set()),
    "half-hourly by its class, whole current": ({**ADVANCED, "connection_type": "W", "meter_type": "N"}, set()),
    "a type that does not tell the segment": (
        {**ADVANCED, "connection_type": "W", "measurement_class": "G", "meter_type": "NSS"}, set()),
    "advanced, nothing known of the meter": (
        {**ADVANCED, "connection_type": "W", "measurement_class": "F", "meter_type": None}, set()),
    "consent of an unmetered supply": ({**UNMETERED, "consent_granularity": "H"}, {"REG1022"}),
    "an unmetered supply without the item": ({**UNMETERED, "consent_granularity": None}, set()),
    "a meter operator of an unmetered supply": ({**UNMETERED, "metering_service_role": "MSS"}, {"REG1030"}),
    "an advanced data service of a smart meter": ({**SMART, "data_service_role": "ADS"}, {"REG1031"}),
    "a smart data service of an advanced meter": ({**ADVANCED, "data_service_role": "SDS"}, {"REG1031"}),
    "a traditional meter without its SSC": ({**SOUND, "standard_settlement_configuration_id": None}, {"REG1042"}),
    "a prepayment meter without its profile class": (
        {**SOUND, "meter_type": "K", "profile_class": None}, {"REG1042"}),
    "a smart meter needs no SSC": ({**SMART, "standard_settlement_configuration_id": None}, set()),
    "an ESME id on a traditional meter": ({**SOUND, "esme_id": SMART["esme_id"]}, {"REG1046"}),
    "nothing known of the meter": ({**SOUND, "meter_type": None}, set()),
    "metered on an unmetered loss class": ({**SOUND, "llfc_voltage": "U"}, {"DQ31-L"}),
    "metered on an unmetered timeswitch code": ({**SOUND, "mtc_meter_type": "UM"}, {"DQ31-V"}),
    "metered on a code of a pseudo meter": ({**SOUND, "mtc_meter_type": "PH"}, {"DQ31-V"}),
    "nothing known of loss class and timeswitch code": (
        {**SOUND, "llfc_voltage": None, "mtc_meter_type": None, "meter_segments": None}, set()),
    "meters of two segments": ({**SOUND, "market_segment": None, "meter_segments": 2}, {"DQ31-N"}),
    "meters of two segments, settled by another source": ({**SOUND, "meter_segments": 2}, set()),
}  # fmt: skip


@pytest.mark.requirement("DQ31")
@pytest.mark.parametrize(("point", "breaks"), POINTS.values(), ids=POINTS)
def test_conditions_of_a_metering_point(point, breaks):
    frame = pl.DataFrame([point], schema={**dict.fromkeys(SOUND, pl.String), "meter_segments": pl.UInt32})
    found = {c.code for c in tables().coherence if frame.select(incoherent([c])).item()}
    assert found == breaks


def test_every_condition_has_its_break():
    assert {code for _, breaks in POINTS.values() for code in breaks} == {c.code for c in tables().coherence}


IMPORT = {"energy_direction": "I", "connection_type": "W", "market_segment": "S", "gsp_group_id": "_A",
          "domestic_premises_indicator": "T"}  # fmt: skip
LINKS = {
    "import and export": ({}, set(), set()),
    "two imports": ({"energy_direction": "I"}, {"DQ26_directions"}, {"DQ26_directions"}),
    "an export of another indicator": ({"domestic_premises_indicator": "F"}, set(), {"DQ17_export_domestic"}),
    "in another GSP Group": ({"gsp_group_id": "_B"}, {"DQ26_same_supply"}, {"DQ26_same_supply"}),
    "of another connection": ({"connection_type": "L"}, {"DQ26_same_supply"}, {"DQ26_same_supply"}),
    "of another segment": ({"market_segment": "A"}, {"DQ31_one_segment"}, {"DQ31_one_segment"}),
    "not there": (None, {"DQ26_present"}, set()),
}


@pytest.mark.requirement("DQ26", "DQ31", "DQ17", "R15", "Q5")
@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize(("other", "of_import", "of_export"), LINKS.values(), ids=LINKS)
def test_both_ends_of_a_link(tmp_path, other, of_import, of_export, partitions):
    one, two = mpan(10, 5), mpan(10, 9_876_543_210)  # in other partitions, where there are several
    rows = [{"mpan_core": one, "linked_mpan": two, **IMPORT}]
    if other is not None:
        rows.append({"mpan_core": two, "linked_mpan": one, **IMPORT, "energy_direction": "E", **other})
    workspace = written(tmp_path, rows, partitions)
    found = judge_after_augmentation(
        workspace, [ParticipantExtract("EELC", EXTRACT)], date(2023, 8, 19), load_all(RESULTS)[NAME]
    )
    assert broken(workspace) == {one: of_import} | ({two: of_export} if other is not None else {})
    counts = {entry.rule: entry.failed for entry in found.entries}
    assert {rule for rule, count in counts.items() if count} == of_import | of_export


def test_every_rule_over_links_has_its_break():
    shown = set().union(*(one | two for _, one, two in LINKS.values()))
    assert shown == {rule.id for rule in load_all(RESULTS)[NAME].rules}


def written(folder: Path, rows: list[dict[str, str]], partitions: int) -> Workspace:
    """Write metering points as augmentation does, and as their sender registers them."""
    workspace = Workspace(folder / "work", partitions, load_all())
    frame = pl.DataFrame(rows).with_columns(order_key().alias(ORDER)).with_columns(workspace.partition_number())
    for (number,), part in frame.partition_by("_part", as_dict=True, include_key=False).items():
        workspace.write(part, AUGMENTED, ALL, EXTRACT, int(number))
        workspace.write(part.select(ORDER), JUDGED, "EELC", EXTRACT, int(number))
    return workspace


def broken(workspace: Workspace) -> dict[str, set[str]]:
    """Return the rules that each metering point breaks."""
    contract = load_all(RESULTS)[NAME]
    scans = (workspace.scan(CHECKED, "EELC", NAME, n) for n in range(workspace.partitions))
    frame = pl.concat(scan.collect() for scan in scans if scan is not None)
    verdicts = frame.select("mpan_core", *(rules.broken(contract, rule.id).alias(rule.id) for rule in contract.rules))
    return {row.pop("mpan_core"): {rule for rule, hit in row.items() if hit} for row in verdicts.iter_rows(named=True)}
