"""``--validate-with``: a schema that the user brings, in the forms in which one may come, judges what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from contracts.errors import ConfigurationError
from flows.messages.published_schema import PublishedSchema
from tests.command import datacut
from tests.messages import oracle

STAMP = {"type": "string", "minLength": 25, "maxLength": 25}


def payload(code: str, block: str, content: dict) -> dict:
    """An event in the words of OpenAPI 3.0, as Elexon publishes them."""
    s0 = {"type": "object", "properties": {"eventCode": {"type": "string", "enum": [f"[{code}]"]}}}
    return {
        "type": "object", "additionalProperties": False, "required": ["CommonBlock", "CustomBlock"],
        "properties": {
            "CommonBlock": {"type": "object", "required": ["S0", "S1", "M0"], "properties": {"S0": s0}},
            "CustomBlock": {"type": "object", "required": [block], "properties": {block: content}},
        },
    }  # fmt: skip


def api(folder: Path, *, second_file: bool, most: int = 50) -> Path:
    """An API of one event, in one JSON file, or in two YAML files of which one refers to the other by its address."""
    block = {
        "type": "object", "additionalProperties": False,
        "required": ["proposedMeteringServiceDIPID", "contractReferenceMeteringService"],
        "properties": {
            "proposedMeteringServiceDIPID": {"type": "string", "minLength": 10, "maxLength": 10},
            "proposedMeteringServiceMPID": {"type": "string", "pattern": "^[A-Z]{4}$"},
            "proposedMeteringServiceDIPEffectiveFromDate": STAMP,
            "contractReferenceMeteringService": {"type": "string", "nullable": True, "maxLength": most},
            "appointmentScenario": {"type": "string", "enum": ["COS", "CSP", "USP", "SEG", "MCA", "MCS", "ALG"]},
        },
    }  # fmt: skip
    address = "https://schemas.example/main/Blocks.yaml" if second_file else ""
    event = payload("MSApp", "B070", {"$ref": f"{address}#/components/schemas/B070"})
    if second_file:
        (folder / "Blocks.yaml").write_text(yaml.safe_dump({"components": {"schemas": {"B070": block}}}))
        path = folder / "Interfaces.yaml"
        path.write_text(yaml.safe_dump({"openapi": "3.0.0", "components": {"schemas": {"IF-031-MSApp": event}}}))
        return path
    path = folder / "api.json"
    path.write_text(json.dumps({"openapi": "3.0.0", "components": {"schemas": {"IF-031-MSApp": event, "B070": block}}}))
    return path


ASKED = ("--process", "metering_service_rejected", "--interface", "IF-031")


@pytest.mark.requirement("Q94")
@pytest.mark.parametrize("second_file", [False, True])
def test_what_was_written_is_as_the_users_schema_says(release, tmp_path, second_file):
    schema = api(tmp_path, second_file=second_file)
    done = datacut("messages", release, "--out", tmp_path / "out", *ASKED, "--validate-with", schema, "--json")
    assert done.code == 0, done.err
    verdict = json.loads(done.out)["validated"]
    (event,) = verdict["events"]
    assert event["event"] == "IF-031 [MSApp]"
    assert event["messages"] == json.loads(done.out)["messages"] > 5
    assert (verdict["broken"], verdict["faults"]) == (0, [])


@pytest.mark.parametrize("second_file", [False, True])
def test_messages_that_break_it_are_counted_and_named_and_no_value_is_quoted(release, tmp_path, second_file):
    schema = api(tmp_path, second_file=second_file, most=5)
    done = datacut("messages", release, "--out", tmp_path / "out", *ASKED, "--validate-with", schema, "--json")
    assert (done.code, len(done.told)) == (18, 1)
    assert "contractReferenceMeteringService breaks" in done.told[0]
    assert "TEST-" not in done.err
    document = json.loads(done.out)
    assert document["validated"]["broken"] == document["messages"]
    assert (tmp_path / "out" / "manifest.csv").is_file()  # what was judged is there to be looked at


def test_a_plain_schema_of_the_body_or_of_a_message(release, written, tmp_path):
    message = oracle.read(next(iter(sorted(written.glob("*/*/*-IF-031-MSApp.json")))))[0]
    one = {"type": "object", "required": ["payload"], "properties": {"payload": {"required": ["CommonBlock"]}}}
    for name, whole in (("one.json", one), ("body.json", {"type": "array", "minItems": 1, "items": one})):
        (tmp_path / name).write_text(json.dumps(whole))
        schema = PublishedSchema(tmp_path / name)
        assert schema.faults("IF-031", "MSApp", message) == []
        assert schema.faults("IF-031", "MSApp", {"payload": {}}) != []


def test_what_is_no_schema_is_refused_before_anything_is_written(release, tmp_path):
    missing = api(tmp_path, second_file=True)
    (tmp_path / "Blocks.yaml").unlink()
    cases = {"empty.json": "{}", "list.json": "[]", "text.yaml": "just words", "broken.json": '{"a": '}
    for name, text in cases.items():
        (tmp_path / name).write_text(text)
    for name, words in (*((name, name) for name in cases), (missing.name, "put it beside the first")):
        done = datacut("messages", release, "--out", tmp_path / "out", "--validate-with", tmp_path / name)
        assert (done.code, len(done.told)) == (2, 1), name
        assert words in done.told[0]
        assert not (tmp_path / "out").exists()
    schema = PublishedSchema(api(tmp_path, second_file=False))
    with pytest.raises(ConfigurationError, match=r"says nothing of IF-040 \[AnnualConsumption\]"):
        schema.faults("IF-040", "AnnualConsumption", {"payload": {}})
