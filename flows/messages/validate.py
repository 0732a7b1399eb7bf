"""Holds messages against the project's JSON schema, and says in words what does not fit; quotes no value."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from contracts.messages import SCHEMA

MOST = 10  # faults that one message may list


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_bytes()))


def message_faults(message: dict[str, Any]) -> list[str]:
    """Name the places of a message that break the schema, at most ten."""
    faults = []
    for error in _validator().iter_errors([message]):
        place = "/".join(str(step) for step in list(error.absolute_path)[1:]) or "message"
        faults.append(f"{place} breaks {error.validator}")
        if len(faults) == MOST:
            break
    return faults
