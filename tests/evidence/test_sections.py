"""Sections that follow from contracts: no column without lineage, no treatment without words, no rule without basis."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.augmentation import items
from contracts.errors import ContractError
from contracts.evidence_inputs import InputEvidence
from contracts.load import load_all
from contracts.requirements import assessment, requirements
from flows.quality.rule_counts import entry
from flows.release.evidence import dpia_section, joined_section, lineage_section, requirements_section
from flows.report.render import SECTIONS
from tests.evidence.specimen import dumped
from transforms.augment.decision_tables import reads

CONTRACTS = list(load_all().values())
RULES = [entry("EELC", r, {"rows": 1, r.id: 0}, evaluated=True, extract=c.extract) for c in CONTRACTS for r in c.rules]
NAMES = {
    "EELC": {"mpan_core": "MPAN", "postcode": "POST CODE"},
    "YELG": {"mpan_core": "mpan core"},
    "IPNL": {"mpan_core": "MPAN"},
}
INPUTS = [
    InputEvidence(
        participant=mpid, role="LDSO", extract="registration", file="r.csv", form="csv", bytes=1, rows=1,
        hmac_sha256="0" * 64, cut_date=None, dropped_columns=0, columns=names,
    )
    for mpid, names in NAMES.items()
]  # fmt: skip


@pytest.mark.requirement("Q58", "Q64")
class TestLineage:
    def test_every_column_of_every_contract_has_one_entry(self) -> None:
        found = [(row["extract"], row["column"]) for row in dumped(lineage_section(CONTRACTS, INPUTS))]
        assert sorted(found) == sorted((c.extract, column.name) for c in CONTRACTS for column in c.columns)
        released = {(r["extract"], r["column"]) for r in dumped(lineage_section(CONTRACTS, INPUTS)) if r["released"]}
        assert released == {(c.extract, column.name) for c in CONTRACTS for column in c.released}

    def test_source_names_come_from_the_sources(self) -> None:
        rows = {(r["extract"], r["column"]): r for r in dumped(lineage_section(CONTRACTS, INPUTS))}
        assert rows["registration", "mpan_core"]["sources"] == [
            {"column": "MPAN", "participants": ["EELC", "IPNL"]},
            {"column": "mpan core", "participants": ["YELG"]},
        ]
        assert rows["registration", "uprn"]["sources"] == []
        assert rows["metering", "mpan_core"]["sources"] == []

    @pytest.mark.requirement("Q59", "Q63")
    def test_an_augmented_item_names_what_its_decisions_read(self) -> None:
        rows = {r["column"]: r for r in dumped(lineage_section(CONTRACTS, [], items())) if r["extract"] == "augmented"}
        held = [item for item in items() if item.held_by]  # the others are steps on the way
        assert set(rows) == {item.item for item in held} | {"linked_mpan", "undecided"}
        constant = {item.item for item in held if not item.stated and not reads(item) - {"cut_date"}}
        assert {name for name, row in rows.items() if not row["sources"]} == constant
        named = {s["column"] for s in rows["market_segment"]["sources"]}
        assert {"metering.meter_type", "registration.measurement_class", "augmented.connection_type"} <= named
        known = {f"{c.extract}.{column.name}" for c in CONTRACTS for column in c.columns}
        for row in rows.values():
            for source in row["sources"]:
                extract = source["column"].partition(".")[0]
                assert source["column"] in known or extract in ("market domain data", "augmented"), source

    def test_a_file_put_together_from_others_names_where_each_column_stands(self) -> None:
        rows = lineage_section(CONTRACTS, INPUTS, items())
        columns = ["mpan_core", "gsp_group_id", "market_segment", "market_segment_from", "make_and_model", "unit"]
        found = {row["column"]: row for row in dumped(joined_section("expected", columns, rows))}
        assert list(found) == ["mpan_core", "gsp_group_id", "market_segment", "make_and_model", "unit"]
        origins = {name: [s["column"] for s in row["sources"]] for name, row in found.items()}
        assert origins["mpan_core"] == ["registration.mpan_core"]
        assert origins["market_segment"] == ["augmented.market_segment"]
        assert origins["make_and_model"] == ["metering.make_and_model"]
        assert (origins["unit"], found["unit"]["treatment"]) == ([], "derive")
        assert found["mpan_core"]["classification"] == "identifier"


class TestRequirements:
    def test_every_rule_rests_on_a_known_obligation(self) -> None:
        known = {entry.id for entry in requirements()}
        for rule in RULES:
            assert rule.reason in known, rule.rule

    def test_rules_and_items_are_traced(self) -> None:
        rows = {row["id"]: row for row in dumped(requirements_section(RULES, items()))}
        assert any(name.startswith("DQ01") for name in rows["DQ01"]["rules"])
        assert "augmented.market_segment" in rows["Q95"]["rules"]
        assert rows["Q57"]["sections"] == ["fence"]

    def test_every_obligation_names_a_part_of_the_report_or_a_test(self) -> None:
        for obligation in requirements():
            assert obligation.sections or obligation.test_only
            assert set(obligation.sections) <= set(SECTIONS)

    @pytest.mark.parametrize("text", ["requirements: 1", "requirements: [{id: Q1}]", "a: [", "- x"])
    def test_a_broken_file_is_told(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ContractError):
            requirements(tmp_path / "r.yaml")
        with pytest.raises(ContractError):
            assessment(tmp_path / "r.yaml")

    def test_an_id_twice(self, tmp_path: Path) -> None:
        (tmp_path / "r.yaml").write_text("requirements: [{id: Q1, asks: a}, {id: Q1, asks: b}]")
        with pytest.raises(ContractError, match="twice"):
            requirements(tmp_path / "r.yaml")


@pytest.mark.requirement("Q55")
def test_every_treatment_in_use_has_a_basis_and_a_residual_risk() -> None:
    section = dpia_section(CONTRACTS).model_dump(mode="json")
    used = {contract.treatment(column).describe() for contract in CONTRACTS for column in contract.columns}
    assert {row["treatment"] for row in section["treatments"]} == used
    assert not [
        row for row in section["treatments"] if "Not " in row["basis"][:4] or row["residual_risk"] == "Not assessed."
    ]
