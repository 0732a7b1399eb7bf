"""The published schema of the evidence follows from its models, and both refuse the same documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.documents.evidence_schema import evidence_schema
from contracts.evidence import Evidence
from flows.pack.schema import SCHEMA, schema_faults
from tests.evidence.specimen import specimen
from transforms.release.attestation import canonical_bytes, ordered

WRONG: tuple[Any, ...] = (None, "", -1, 1.5, True, [], {})
ABSENT = object()


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == evidence_schema(), "run make docs"


def short(node: Any) -> Any:
    """Return a document with one entry of each list, and two columns of each extract's policy."""
    if isinstance(node, dict):
        return {key: short(value) for key, value in node.items()}
    return [short(entry) for entry in node[:1]] if isinstance(node, list) else node


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield from places(value, (*path, key))


def changed(whole: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(whole))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if value is ABSENT:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return document


def test_models_and_schema_refuse_the_same_documents() -> None:
    whole = short(specimen(8, 1))
    whole["policy"]["extracts"] = {"registration": {"postcode": {"treatment": "keep"}, "mpan_core": "pseudonymise"}}
    whole["signers"] = [{"keyid": "0" * 16, "public_key": "0" * 64, "role": "operator"}]
    schema = json.loads(SCHEMA.read_bytes())
    assert schema_faults(whole) == []
    assert Draft202012Validator(schema).is_valid(whole)
    differ = []
    for section in whole:  # a document is wrong in one section: the others need not be held against the schema again
        alone = Draft202012Validator({**schema, "properties": {section: schema["properties"][section]}})
        for path in places({section: whole[section]}):
            for value in (*WRONG, ABSENT):
                document = changed(whole, path, value)
                if bool(schema_faults(document)) == alone.is_valid(document):
                    differ.append((path, value))
    assert differ == []


def test_the_bytes_of_evidence_are_those_of_its_sections() -> None:
    for whole in (specimen(), specimen(1, 0, kind="submission")):
        assert canonical_bytes(ordered(Evidence.model_validate(whole)).document()) == canonical_bytes(whole)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("kind",), "x", "/kind is not submission or release or return"),
        (("schema",), "evidence/2", "/schema is not evidence/1"),
        (("scheme",), "one", "/scheme does not match ^[0-9]+$"),
        (("inputs", 0, "rows"), "7", "/inputs/0/rows is not of type integer"),
        (("inputs", 0, "rows"), -7, "/inputs/0/rows breaks minimum"),
        (("rules", 0, "crashed"), 0, "/rules/0/crashed is not of type boolean"),
        (("cut",), [], "/cut is not of type object"),
        (("rules",), {}, "/rules is not of type array"),
        (("cut", "id"), "", "/cut/id breaks minLength"),
        (("cut", "expires"), None, "/cut/expires is not of type string"),
        (("signers",), [], "/signers breaks minItems"),
        (
            ("policy",),
            {"extracts": {"registration": {"postcode": 1}}},
            "/policy/extracts/registration/postcode breaks anyOf",
        ),
    ],
)
def test_the_words_of_a_fault(path: tuple[Any, ...], value: Any, words: str) -> None:
    assert schema_faults(changed(short(specimen(1, 0, kind="submission")), path, value)) == [words]


def test_what_an_object_lacks_is_said_together() -> None:
    assert schema_faults({"schema": "evidence/1", "cut": {"id": "1", "date": "2023-08-19"}})[:2] == [
        "/ lacks accounting, inputs, key_fingerprint, kind, rules, scheme, times, tool",
        "/cut lacks trust_model",
    ]
