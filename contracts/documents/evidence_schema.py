"""The published JSON schema of the evidence, from its models: ``python -m contracts.documents.evidence_schema``."""

from __future__ import annotations

import json
import sys

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from contracts.evidence import Evidence

HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://datacut.example/schema/evidence-1.json",
    "title": "Evidence of a data cut, version 1",
}


def evidence_schema() -> str:
    """Return ``contracts/schema/evidence-1.json``: draft 2020-12, two spaces, one line feed at the end."""
    found = Evidence.model_json_schema(schema_generator=GenerateJsonSchema, mode="validation")
    return json.dumps({**HEAD, **_plain(found), "title": HEAD["title"]}, indent=2, ensure_ascii=False) + "\n"


def _plain(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Drop what says nothing in JSON Schema: titles made from names, null defaults, leave to add keys."""
    out: JsonSchemaValue = {}
    for key, value in schema.items():
        if key == "type" and {"const", "enum"} & set(schema):
            continue  # the values say it
        if key in ("properties", "$defs"):
            out[key] = {name: _plain(inner) for name, inner in value.items()}
        elif (key, value) in (("default", None), ("additionalProperties", True)) or key == "title":
            continue
        elif isinstance(value, dict):
            out[key] = _plain(value)
        elif isinstance(value, list):
            out[key] = [_plain(inner) if isinstance(inner, dict) else inner for inner in value]
        elif key == "description":
            out[key] = " ".join(value.split())
        else:
            out[key] = value
    return out


if __name__ == "__main__":
    sys.stdout.write(evidence_schema())
