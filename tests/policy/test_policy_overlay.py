"""The policy of a cut: what the DPIA changes about treatments, by configuration alone (Q58)."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from contracts.errors import ConfigurationError
from contracts.load import load_all
from contracts.model import Treatment
from contracts.overlay import read_overlay, refusal
from contracts.vocabulary import Classification, Method
from flows.pipeline import run_plain
from flows.sample import SampleRequest, generate
from tests.privacy.raw import raw_identifiers

pytestmark = pytest.mark.requirement("Q58")

SPOILT = 20  # keys and inputs have hundreds of their own elsewhere
POLICY = """
reason: DPIA decision of 3 August 2023
treatments:
  registration:
    supplier_effective_from: {method: generalise, rule: month}
    data_aggregator_mpid: suppress
    meter_operator_mpid: token
    uprn: drop
    gsp_group_id: {method: generalise, rule: first 1}
  metering:
    make_and_model: drop
    esme_id: suppress
  annual_consumption:
    eac: {method: generalise, rule: round 100}
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "sample"
    generate(SampleRequest(500, 9, 0.02), folder)
    text = (folder / "cut.yaml").read_text()
    (folder / "cut.yaml").write_text(text[: text.index("ring_fence:")] + text[text.index("release:") :])
    return folder


@pytest.fixture(scope="module")
def packs(pristine, tmp_path_factory) -> tuple[Path, Path]:
    """Return the pack without and the pack with the overlay."""
    made = []
    for overlay in ("", POLICY):
        folder = tmp_path_factory.mktemp("packs") / "cut"
        shutil.copytree(pristine, folder)
        cut = folder / "cut.yaml"
        if overlay:
            (folder / "policy.yaml").write_text(overlay)
            cut.write_text(cut.read_text().replace("  scheme: 1", "  policy: {overlay: policy.yaml}\n  scheme: 1"))
        made.append(Path(run_plain(cut, kind="submission").pack))
    return made[0], made[1]


def table(pack: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(pack / "data" / f"{name}.parquet")


def test_each_method_does_what_it_says(packs):
    plain, strict = (table(pack, "EELC/registration") for pack in packs)
    assert plain.height == strict.height
    assert (strict["mpan_core"] == plain["mpan_core"]).all()
    assert (strict["supplier_effective_from"] == plain["supplier_effective_from"].dt.month_start()).all()
    assert strict["data_aggregator_mpid"].null_count() == strict.height
    assert strict["gsp_group_id"].unique().to_list() == ["_"]
    assert "uprn" not in strict.columns
    tokens = strict.select("meter_operator_mpid").with_columns(plain["meter_operator_mpid"].alias("was")).unique()
    assert tokens.height == plain["meter_operator_mpid"].n_unique()
    assert tokens["meter_operator_mpid"].drop_nulls().str.len_bytes().unique().to_list() == [32]
    metering = table(packs[1], "MOPB/metering")
    assert "make_and_model" not in metering.columns
    assert metering["esme_id"].null_count() == metering.height
    rounded = table(packs[1], "DCOL/annual_consumption")["eac"].drop_nulls().cast(pl.Float64)
    assert (rounded % 100 == 0).all()
    assert rounded.len() > 100


def test_rules_judge_the_same_whatever_leaves(packs):
    """A rule reads what came in: a stricter policy neither excludes nor lets through one row more."""
    by_pack = [json.loads((pack / "evidence" / "evidence.json").read_text()) for pack in packs]
    assert by_pack[0]["accounting"] == by_pack[1]["accounting"]
    assert [(r["rule"], r["failed"]) for r in by_pack[0]["rules"]] == [
        (r["rule"], r["failed"]) for r in by_pack[1]["rules"]
    ]


def test_the_effective_policy_stands_in_the_evidence(packs):
    evidence = json.loads((packs[1] / "evidence" / "evidence.json").read_text())
    registration = evidence["policy"]["extracts"]["registration"]
    assert registration["supplier_effective_from"]["treatment"] == "generalise (month)"
    assert registration["uprn"]["treatment"] == "drop"
    assert registration["mpan_core"]["treatment"] == "pseudonymise (mpan)"
    lineage = {(row["extract"], row["column"]): row for row in evidence["lineage"]}
    assert not lineage["registration", "uprn"]["released"]


@pytest.mark.requirement("Q68")
def test_no_overlay_lets_an_identifier_pass():
    for contract in load_all().values():
        for column in contract.columns:
            if column.classification is Classification.IDENTIFIER:
                for method in (Method.KEEP, Method.GENERALISE):
                    assert refusal(column, Treatment(method, rule="first 3")), (contract.extract, column.name)


WRONG = {
    "no treatments": "reason: x\n",
    "not YAML": "treatments: [unclosed\n",
    "an unknown extract": "treatments: {registrations: {uprn: drop}}\n",
    "an unknown column": "treatments: {registration: {uprm: drop}}\n",
    "an unknown method": "treatments: {registration: {uprn: shred}}\n",
    "an identifier kept": "treatments: {registration: {uprn: keep}}\n",
    "the key dropped": "treatments: {registration: {mpan_core: drop}}\n",
    "a date by a foreign rule": "treatments: {registration: {disconnection_date: {method: generalise, rule: week}}}\n",
    "a field that the scheme lacks": "treatments: {registration: {profile_class: pseudonymise}}\n",
    "a misspelt entry": "treatments: {}\nreasons: x\n",
    "a number for a method": "treatments: {registration: {uprn: 7}}\n",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_overlay_is_refused_in_words(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_overlay(tmp_path / "policy.yaml", load_all())
    assert "policy.yaml" in caught.value.line()
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(tmp_path):
    (tmp_path / "policy.yaml").write_text("treatments: {registration: {uprn: keep, uprm: drop}, meters: {}}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_overlay(tmp_path / "policy.yaml", load_all())
    assert caught.value.line().count(";") == 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_mutated_policies_and_configurations_leak_nothing(pristine, tmp_path, capsys):
    """Spoilt ``cut.yaml`` and policy files: a documented exit code, no raw value, no key byte."""
    from flows.cli.main import main

    raw = {v.decode() for v in raw_identifiers(pristine).values()}
    key = (pristine / "keys" / "cut.key").read_text().strip()
    chance, folder = random.Random(4), tmp_path / "cut"
    shutil.copytree(pristine, folder)
    original = yaml.safe_load((pristine / "cut.yaml").read_text())
    codes = []
    for number in range(SPOILT):
        text = _spoilt(original, POLICY, chance, folder)
        (folder / "spoilt.yaml").write_text(text)
        code = _command(main, ["datacut", "anonymise", str(folder / "spoilt.yaml"), "--plain"])
        said = "".join(capsys.readouterr())
        codes.append(code)
        assert code in (0, 2, 10, 11, 12, 13, 14, 19), (number, said)
        assert "Traceback" not in said
        assert key not in said
        assert not [value for value in raw if value in said]
    assert len(set(codes)) >= 3


def _spoilt(original: dict, policy: str, chance: random.Random, folder: Path) -> str:
    document = json.loads(json.dumps(original, default=str))
    document["participants"] = document["participants"][2:3]  # one small source is enough
    document["cut"]["policy"] = {"overlay": "policy.yaml"}
    text = policy
    match chance.randrange(6):
        case 0:
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice("{}[]:-\t\0é%") + text[at + chance.randrange(3) :]
        case 1:
            section = chance.choice(["cut", "release", "participants", "reference"])
            document[section] = chance.choice([None, 7, "text", [], {"a": 1}])
        case 2:
            document["cut"][chance.choice(list(document["cut"]))] = chance.choice([None, -1, "../..", "x" * 300, {}])
        case 3:
            document["cut"]["key"] = chance.choice(["keys/signing.pem", "cut.yaml", "keys", "/dev/null", "nowhere"])
        case 4:
            document["participants"][0]["extracts"][0]["source"] = chance.choice(
                [{"path": "keys/cut.key"}, {"path": "defects.csv"}, {"path": "."}, {"url": "postgresql://x"}, {}]
            )
        case _:
            lines = text.splitlines()
            del lines[chance.randrange(len(lines))]
            text = "\n".join(lines)
    (folder / "policy.yaml").write_text(text)
    return yaml.safe_dump(document)


def _command(main, arguments: list[str]) -> int:
    import sys

    before, sys.argv = sys.argv, arguments
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0
