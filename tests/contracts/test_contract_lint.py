"""``contracts check``: every kind of broken contract is found, with file, place and house rule, all of them at once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft201909Validator

import contracts
from contracts.errors import ContractError
from contracts.lint import check_contracts
from contracts.lint.document import odcs_schema
from tests.command import datacut

HOME = Path(contracts.__file__).parent
FILES = sorted([*HOME.rglob("*.odcs.yaml")])


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Return a copy of the contracts of the product."""
    folder = tmp_path_factory.mktemp("sound")
    for part in ("extracts", "results", "codes"):
        shutil.copytree(HOME / part, folder / part, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in ("alignment.yaml", "market_domain_data.odcs.yaml"):
        shutil.copy(HOME / name, folder / name)
    return folder


@pytest.fixture
def spoilt(sound, tmp_path):
    """Return a function that spoils a copy of the contracts and says what is found."""

    def spoil(name: str, old: str, new: str, *, times: int = 1) -> list[str]:
        folder = tmp_path / "contracts"
        if not folder.exists():
            shutil.copytree(sound, folder)
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, "the case is out of date"
        path.write_text(text.replace(old, new, times), encoding="utf-8")
        return [finding.line() for finding in check_contracts(folder)]

    return spoil


@pytest.mark.requirement("Q58")
def test_the_products_own_contracts_have_no_fault():
    assert check_contracts() == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_contracts_are_valid_odcs(path):
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["apiVersion"] == "v3.1.0"
    assert [e.message for e in Draft201909Validator(odcs_schema()).iter_errors(document)] == []


REG, MET, DCN = (
    "extracts/registration.odcs.yaml",
    "extracts/metering.odcs.yaml",
    "extracts/annual_consumption.odcs.yaml",
)
BROKEN = {
    "no YAML": (REG, "apiVersion: v3.1.0", "apiVersion: [v3.1.0", "C01", "not valid YAML"),
    "an entry twice": (REG, "kind: DataContract", "kind: DataContract\nkind: Another", "C01", "appears twice"),
    "a date that is none": (REG, "status: active", "status: 2023-02-30", "C01", "no such day"),
    "an entry named by a list": (REG, "status: active", "status: active\n? [a]\n: b", "C01", "not valid YAML"),
    "nested without end": (REG, "status: active", f"status: {'[' * 5_000}", "C01", "not valid YAML"),
    "not ODCS: a status that is missing": (REG, "status: active\n", "", "C02", "'status' is a required property"),
    "not ODCS: a word for a number": (REG, "primaryKeyPosition: 1", "primaryKeyPosition: first", "C02", "mpan_core"),
    "a word that the other contracts refuse": (REG, '"sim", ', "", "C16", "lacks 'sim', which another contract has"),
    "an unknown role": (REG, "value: LDSO", "value: DNO", "C03", "role 'DNO'"),
    "an unknown class": (REG, "classification: identifier", "classification: secret", "C04", "column mpan_core"),
    "an unknown form": (REG, "value: mpan}", "value: mpam}", "C05", "form 'mpam'"),
    "an unknown treatment": (REG, '{"method": "keep"}', '{"method": "hide"}', "C06", "treatment 'hide'"),
    "an unknown field": (REG, '"field": "mpan"', '"field": "mpn"', "C06", "field of the pseudonym scheme 'mpn'"),
    "an unknown dimension": (REG, "dimension: timeliness", "dimension: punctuality", "C08", "punctuality"),
    "an unknown effect": (REG, "value: warn}", "value: worry}", "C09", "effect 'worry'"),
    "severity and effect apart": (REG, "severity: error", "severity: warning", "C09", "goes with severity error"),
    "an unknown stage": (REG, "{property: stage, value: intake}", "{property: stage, value: dawn}", "C10", "dawn"),
    "an unknown expectation": (REG, "type: expect_rows_in_reference", "type: expect_luck", "C11", "expect_luck"),
    "a reason that is none": (REG, "value: DQ22}", "value: DQ99}", "C12", "is not DQ01 to DQ32"),
    "an id without its reason": (REG, "- id: DQ20_disconnected", "- id: disconnected", "C12", "begins with its reason"),
    "no basis": (REG, 'basis, value: ["R1"]', "basis, value: []", "C13", "names no basis"),
    "a basis of one's own": (REG, 'basis, value: ["R1"]', 'basis, value: ["trust me"]', "C13", "'trust me'"),
    "two names that mean two columns": (
        REG, 'physicalName: "METER_TIMESWITCH_CODE"', 'physicalName: "LLFC"', "C20", "'llfc' means column",
    ),
    "an identifier that passes": (
        MET, 'treatment, value: {"method": "pseudonymise", "field": "esme-id"}',
        'treatment, value: {"method": "keep"}', "C24", "an identifier cannot pass unchanged",
    ),
    "the wrong field": (
        MET, 'treatment, value: {"method": "pseudonymise", "field": "esme-id"}',
        'treatment, value: {"method": "pseudonymise", "field": "mpan"}', "C24", "is pseudonymised as esme-id",
    ),
    "an identifier in disguise": (REG, "value: uprn}", "value: code}", "C22", "column uprn"),
    "a value that would vanish": (
        MET, '"meter_type", "meter_asset_provider_mpid", ', '"meter_type", ', "C25", "column meter_asset_provider_mpid",
    ),
    "an option without meaning": (
        REG, 'options, value: {"width": 2}', 'options, value: {"widht": 2}', "C26", "option 'widht'"),
    "a pattern of another dialect": (
        REG, r"(?i)\\b(?:mr|mrs", r"(?<=x)(?i)\\b(?:mr|mrs", "C27", "not a regular expression of the Rust dialect"),
    "a code that could carry an MPAN": (REG, "^[A-Z0-9]{4}$", "^[A-Z0-9]{4,20}$", "C28", "could carry an MPAN"),
    "one name, two meanings": (
        MET, "classification: attribute\n        description: \"Standard settlement configuration that",
        "classification: quasi\n        description: \"Standard settlement configuration that",
        "C29", "differs in form, classification or field",
    ),
    "a condition on no column": (REG, "related_mpan <> mpan_core", "related_mpan <> mpan_cor", "C31", "reads mpan_cor"),
    "a condition that is no SQL": (
        REG, "related_mpan <> mpan_core", "related_mpan <>> mpan_core", "C31", "not an SQL expression"),
    "a condition over other rows": (
        REG, "supplier_effective_from <= cut_date", "supplier_effective_from <= max(cut_date)", "C31", "other rows"),
    "a condition that asks the clock": (
        REG, "supplier_effective_from <= cut_date", "supplier_effective_from <= current_date", "C31", "clock"),
    "a condition that is none": (REG, '"related_mpan <> mpan_core"', '"length(related_mpan)"', "C31", "true or false"),
    "types that do not fit": (
        REG, "supplier_effective_from <= cut_date", "supplier_effective_from <= 'soon'", "C31", "not fit the types"),
    "a table that nobody makes": (REG, "table: \"distributors\"", "table: \"distributers\"", "C32", "'distributers'"),
    "a key that the table lacks": (
        REG, 'keys: {"mpid": "supplier_mpid"', 'keys: {"mpd": "supplier_mpid"', "C33", "no column 'mpd'"),
    "a rule twice": (REG, "- id: DQ04_profile_class", "- id: DQ04_gsp_group_id", "C34", "is there twice"),
    "unless a later rule": (
        REG, 'unless, value: ["DQ05_gsp_group_id"]', 'unless, value: ["DQ28_bm_unit"]', "C35", "no such rule before it",
    ),
    "carried by no column": (
        REG, "carried, value: data_collector_mpid", "carried, value: supplier_mpid", "C36", "no such optional column"),
    "an argument missing": (REG, '            code_list: "gsp_group"\n', "", "C37", "needs 'code_list'"),
    "an argument too many": (
        REG, 'code_list: "gsp_group"', 'code_list: "gsp_group"\n            mostly: 0.9', "C37", "not know 'mostly'",
    ),
    "a form judged too late": (
        MET, "          - {property: basis, value: [\"DI-085\"]}\n          - {property: stage, value: intake}",
        "          - {property: basis, value: [\"DI-085\"]}", "C38", "needs stage intake"),
    "a column that is not there": (
        REG, 'column: "dcc_service_flag"', 'column: "dcc_flag"', "C39", "no column 'dcc_flag'"),
    "a code list that is not there": (REG, 'code_list: "gsp_group"', 'code_list: "gsp"', "C40", "no code list 'gsp'"),
    "a layout with a column too many": (DCN, 'eac: "EAD.J0081"', 'eca: "EAD.J0081"', "C42", "no column 'eca'"),
    "a layout without a required column": (
        MET, '          meter_type: "290.J0483"\n', "", "C42", "required meter_type"),
    "a password taken": (
        MET, 'make_and_model: "290.J0410"', 'make_and_model: "290.J0464"', "C43", "password or a number to call"),
    "an item that the flow lacks": (
        MET, 'make_and_model: "03A.J0410"', 'make_and_model: "03A.J0483"', "C41", "03A of D0268002 has no item J0483"),
    "a group that the flow lacks": (MET, '"290.J0410"', '"300.J0410"', "C41", "D0150002 has no group 300"),
    "a position for an item": (MET, '"290.J0410"', '"290.6"', "C41", "name group and item reference"),
    "a flow that is not shipped": (MET, "flow: D0268", "flow: D0269", "C41", "no layout of the flow D0269 is known"),
    "an item of another column": (
        MET, 'make_and_model: "290.J0410"', 'make_and_model: "290.J0501"', "C48", "J0501 is Meter Current Rating"),
    "a field below the rows": (MET, 'meter_type: "290.J0483"', 'meter_type: "293.J0474"', "C44", "under latest"),
    "rows of no group": (DCN, 'rowGroup: "AAD"', 'rowGroup: "AAX"', "C44", "no group AAX for its rows"),
    "a code list with a ragged row": ("codes/gsp_group.csv", "_A,Eastern", "_A,Eastern,England", "C45", "line 2"),
    "a code twice": ("codes/gsp_group.csv", "_B,East", "_A,East", "C45", "a code is there twice"),
    "alignment of an item that is not there": (
        "alignment.yaml", "measurement_class: {column: measurement_class", "measurement_class: {column: mc", "C46",
        "is not in both extracts"),
    "a tolerance above all": (
        "alignment.yaml", "presence: {tolerance: 0.01}", "presence: {tolerance: 2}", "C46", "must be at most 1"),
    "a policy of one's own": ("alignment.yaml", "beyond: report", "beyond: shrug", "C46", "must be report or fail"),
    "an alignment that reads no column": (
        "alignment.yaml", 'held: "distributor_mpid is', 'held: "distributor is', "C31", "held: reads distributor"),
    "an alignment of no rule": ("alignment.yaml", "reasons: [DQ24]", "reasons: [DQ42]", "C46", "no rule of either"),
    "market data without its column": (
        "market_domain_data.odcs.yaml", "present, value: distributor_id", "present, value: short_code", "C47",
        "no column 'short_code'"),
    "a rule that says no fault": (
        REG, '{property: fault, value: "the metering point is disconnected"}',
        '{property: fault, value: "The metering point is not disconnected."}', "C07", "says no fault"),
    "two contracts for one extract": (MET, "  - name: metering\n", "  - name: registration\n", "C14", "described by"),
    "a rule over results that reads nothing": (
        "results/augmented.odcs.yaml", "market_segment = partner_market_segment", "segment = partner_segment", "C31",
        "reads partner_segment, segment"),
}  # fmt: skip


@pytest.mark.requirement("Q58")
@pytest.mark.parametrize("kind", BROKEN)
def test_every_kind_of_broken_contract_is_found(spoilt, kind):
    name, old, new, rule, words = BROKEN[kind]
    lines = spoilt(name, old, new)
    hits = [line for line in lines if line.endswith(f"[{rule}]") and words in line]
    assert hits, lines
    assert all(line.startswith(Path(name).name) or rule in ("C14", "C29") for line in hits)
    assert all("\n" not in line for line in lines)


def test_a_forbidden_name(spoilt):
    lines = spoilt(REG, 'physicalName: "MEASUREMENT_CLASS"', 'physicalName: "PHONE"')
    assert [line for line in lines if "'PHONE' is among the forbidden columns [C21]" in line]


def test_a_rule_for_the_mpan_is_required(spoilt):
    text = (HOME / DCN).read_text(encoding="utf-8")
    block = re.search(r"      - id: DQ01_mpan_core.*?(?=      - id: )", text, re.DOTALL)
    lines = spoilt(DCN, block[0], "")
    assert [line for line in lines if "(DQ01) [C15]" in line]


@pytest.mark.requirement("Q58")
def test_all_faults_are_told_at_once(spoilt):
    spoilt(REG, 'code_list: "gsp_group"', 'code_list: "gsp"')
    spoilt(MET, 'make_and_model: "03A.J0410"', 'make_and_model: "03A.J0501"')
    lines = spoilt(DCN, "severity: error", "severity: warning")
    assert {line.split(":")[0] for line in lines} == {Path(n).name for n in (REG, MET, DCN)}
    assert len(lines) == 3


def test_a_fault_hides_no_fault_of_another_file(spoilt):
    spoilt(REG, "apiVersion: v3.1.0", "apiVersion: [v3.1.0")
    lines = spoilt(DCN, "severity: error", "severity: warning")
    assert any(line.startswith("annual_consumption") and "C09" in line for line in lines)
    assert any(line.startswith("registration") and "C01" in line for line in lines)


def test_a_folder_of_contracts_alone_is_checked(sound, tmp_path):
    for path in (sound / "extracts").iterdir():
        shutil.copy(path, tmp_path / path.name)
    assert check_contracts(tmp_path) == []


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(ContractError, match="holds no contract"):
        check_contracts(tmp_path)


@pytest.mark.requirement("Q58")
def test_the_command_says_what_is_wrong_and_exits_10(spoilt, tmp_path):
    spoilt(REG, 'code_list: "gsp_group"', 'code_list: "gsp"')
    done = datacut("contracts", "check", str(tmp_path / "contracts"))
    assert done.code == 10
    assert "registration.odcs.yaml: rule DQ05_gsp_group_id: there is no code list 'gsp' [C40]" in done.out
    assert done.err.startswith("datacut: ")
    assert "1 fault" in done.err
    told = datacut("contracts", "check", str(tmp_path / "contracts"), "--json")
    assert told.code == 10
    assert [f["rule"] for f in json.loads(told.out)["findings"]] == ["C40"]


def test_the_command_is_silent_about_sound_contracts(sound):
    done = datacut("contracts", "check", str(sound))
    assert (done.code, done.out, done.err) == (0, "The contracts are in order.\n", "")
