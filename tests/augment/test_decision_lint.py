"""The lint: the shipped tables have no finding, and each kind of mistake has its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from contracts.augmentation import ITEMS, tables
from contracts.errors import ContractError
from contracts.load import load_all
from flows.augment.stage import check, lint

HEAD = "meters: {minor: [], segments: {}}\ninputs: {}\n"


@pytest.fixture
def changed(tmp_path):
    """Return a function that changes a copy of the tables and returns the findings."""

    def make(change) -> list[str]:
        document = yaml.safe_load(ITEMS.read_text())
        items = {item["item"]: item for item in document["items"]}
        change(document, items)
        path = tmp_path / f"items-{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return lint(tables(path), load_all())

    return make


def test_the_shipped_tables_have_no_finding():
    assert lint(tables(), load_all()) == []


def _row(item: str, rule: str, **values):
    """Return a change of one row; ``None`` takes an entry away."""

    def change(document: dict, items: dict) -> None:
        (row,) = [row for row in items[item]["rows"] if row["rule"] == rule]
        for name, value in values.items():
            if value is None:
                row.pop(name)
            elif isinstance(value, dict):
                row[name] = {**row[name], **value}
            else:
                row[name] = value

    return change


def _less(item: str, place: int):
    return lambda document, items: items[item]["rows"].pop(place)


def _more(item: str, **row):
    return lambda document, items: items[item]["rows"].append(row)


CONSENT, SEGMENT, CONNECTION = "consent_granularity", "market_segment", "connection_type"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (_less(SEGMENT, -1), "market_segment: no row decides"),
        (_less(CONNECTION, -1), "connection_type: no row decides"),
        (_row(SEGMENT, "MS4", yields_to=None), "market_segment: MS1 and MS4 both decide"),
        (_row(CONNECTION, "CT4", when="measurement_class = 'B'"), "CT4 can never decide"),
        (_row(SEGMENT, "MS5", when="no_such = 1"), "reads no_such, which is neither an input"),
        (_row(SEGMENT, "MS5", when="meter_type in ("), "is not an SQL expression"),
        (_row("rmp_status", "RS1", value="Q"), "RS1 gives a value that is none of the item's"),
        (_row(CONSENT, "CG5", manufacture={"weights": {"H": 0}}), "no positive whole numbers"),
        (_row(CONSENT, "CG5", manufacture={"weights": {"X": 1}}), "may choose X"),
        (_row("css_registration_id", "CS1", manufacture={"scheme": "uuid"}), "manufactures by uuid"),
        (_row("data_service_mpid", "DS2", lookup={"table": "agents"}), "looks up agents"),
        (
            lambda d, i: i[SEGMENT].update(stated=["registration.segment"]),
            "registration.segment, which no contract has",
        ),
        (lambda d, i: d["items"].append(dict(i["mp_status"])), "rule PS1 is there twice"),
        (_more("mp_status", rule="PS2", when="true", value="N"), "PS2 comes after"),
        (_row(SEGMENT, "MS1", yields_to=["MS2"]), "yields to MS2, which is not an earlier row"),
        (lambda d, i: d["coherence"].append({"code": "X1", "holds": "no = 1", "description": ""}), "X1: reads no"),
    ],
)
def test_each_mistake_is_found(changed, change, finding):
    assert any(finding in found for found in changed(change)), changed(change)


def test_a_run_refuses_tables_with_a_finding(tmp_path):
    document = yaml.safe_load(ITEMS.read_text())
    document["items"][6]["rows"].pop()
    path = tmp_path / "items.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(ContractError, match="no row decides") as fault:
        check(tables(path), load_all())
    assert fault.value.exit_code == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("items: [", "line [12]: is not valid YAML"),
        (HEAD, "line 1: items: is missing"),
        (
            f"{HEAD}items: [{{item: x, description: x, basis: [], undecided: maybe}}]\n",
            "undecided: must be exclude or leave; line 3: item x, rows: is missing",
        ),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path: Path, text, words):
    path = tmp_path / "items.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=words):
        tables(path)
