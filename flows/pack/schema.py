"""Holds evidence against its model, and says in words what does not fit; quotes no content."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

import contracts
from contracts.evidence import Evidence

SCHEMA = Path(contracts.__file__).parent / "schema" / "evidence-1.json"
MOST = 20  # faults that one message may list

# The model's names of faults, and the keywords of JSON Schema that readers of the published schema know.
_TYPES = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "bool_type": "boolean",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "tuple_type": "array",
}
_KEYWORDS = {
    "string_too_short": "minLength",
    "string_too_long": "maxLength",
    "too_short": "minItems",
    "greater_than_equal": "minimum",
    "less_than_equal": "maximum",
    "extra_forbidden": "additionalProperties",
}
_UNIONS = {"str", "int", "bool", "ColumnTreatment", "Searched"}  # branches of a union, which are no step of a path


def parse_evidence(document: object) -> tuple[Evidence | None, list[str]]:
    """Return evidence as its model, or the places that break ``contracts/schema/evidence-1.json``, at most twenty."""
    try:
        return Evidence.model_validate_json(json.dumps(document), strict=True), []
    except ValidationError as error:
        return None, _faults(error.errors(include_url=False, include_input=False))[:MOST]


def schema_faults(document: object) -> list[str]:
    """Name the places of a document that break the schema of the evidence, at most twenty."""
    return parse_evidence(document)[1]


def _faults(errors: list[ErrorDetails]) -> list[str]:
    """Return one fault a place: what an object lacks together, and a union once."""
    absent: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for error in errors:
        steps = [str(step) for step in error["loc"]]
        if error["type"] == "missing" and not _is_branch(steps):
            absent.setdefault(_pointer(steps[:-1]), []).append(steps[-1])
        else:
            place = next((i for i, step in enumerate(steps) if step in _UNIONS and i == len(steps) - 1), None)
            found.setdefault(_pointer(steps[:place]), "breaks anyOf" if place is not None else _words(error))
    lacking = {place: f"lacks {', '.join(sorted(names))}" for place, names in absent.items()}
    return [f"{place} {words}" for place, words in [*lacking.items(), *found.items()]]


def _is_branch(steps: list[str]) -> bool:
    return bool(_UNIONS & set(steps))


def _pointer(steps: list[str]) -> str:
    return "/" + "/".join(steps)


def _words(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _TYPES:
        return f"is not of type {_TYPES[kind]}"
    if kind in ("literal_error", "enum"):
        wanted = str(context["expected"]).replace("'", "").replace(", ", " or ")
        return f"is not {wanted}"
    if kind == "string_pattern_mismatch":
        return f"does not match {context['pattern']}"
    return f"breaks {_KEYWORDS.get(kind, kind)}"
