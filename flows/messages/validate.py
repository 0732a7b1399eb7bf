"""Holds messages, and what they are to have in common, against the project's JSON schema; quotes no value."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from contracts.messages import SCHEMA
from transforms.release.dip_messages import Terms

MOST = 10  # faults that one message may list


# what a caller of the command chooses: option -> attribute of the terms, and where the schema says what it may be
CHOSEN = {
    "--environment": ("environment", "S1", "environmentTag"),
    "--schema-version": ("version", "S0", "schemaVersion"),
    "--connection-provider": ("connection_provider", "S1", "DIPConnectionProviderID"),
    "--scenario": ("scenario", "B070", "appointmentScenario"),
}


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_bytes()))


def term_faults(terms: Terms) -> list[str]:
    """Name the options whose value no message may carry; an empty one stands for the table's own."""
    faults = []
    for option, (attribute, block, key) in CHOSEN.items():
        value = getattr(terms, attribute)
        place = _validator().evolve(schema=_validator().schema["$defs"][block]["properties"][key])
        if (value or attribute == "scenario") and not place.is_valid(value):
            faults.append(option)
    return faults


def message_faults(message: dict[str, Any]) -> list[str]:
    """Name the places of a message that break the schema, at most ten."""
    faults = []
    for error in _validator().iter_errors([message]):
        place = "/".join(str(step) for step in list(error.absolute_path)[1:]) or "message"
        faults.append(f"{place} breaks {error.validator}")
        if len(faults) == MOST:
            break
    return faults
