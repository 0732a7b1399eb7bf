"""Holds evidence against its published schema, and says in words what does not fit; quotes no content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import contracts

SCHEMA = Path(contracts.__file__).parent / "schema" / "evidence-1.json"
MOST = 20  # faults that one message may list


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_bytes()))


def schema_faults(evidence: Mapping[str, Any]) -> list[str]:
    """Name the places of the evidence that break ``contracts/schema/evidence-1.json``, at most twenty."""
    faults = []
    for error in _validator().iter_errors(evidence):
        pointer = "/" + "/".join(str(step) for step in error.absolute_path)
        faults.append(f"{pointer} {_words(error)}")
        if len(faults) == MOST:
            break
    return faults


def _words(error: Any) -> str:
    wanted = error.validator_value
    match error.validator:
        case "required":
            absent = sorted(set(wanted) - set(error.instance))
            return f"lacks {', '.join(absent)}"
        case "type":
            return f"is not of type {wanted}"
        case "enum" | "const":
            return f"is not {wanted if isinstance(wanted, str) else ' or '.join(map(str, wanted))}"
        case "pattern":
            return f"does not match {wanted}"
    return f"breaks {error.validator}"
