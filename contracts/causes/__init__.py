"""Likely causes of what is excluded, in the words of whoever exported it: patterns and sentences as data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from contracts.causes.model import Cause, Causes, RuleCause
from contracts.errors import ContractError
from contracts.vocabulary import Form
from contracts.yaml_loader import safe_load

__all__ = ["CAUSES", "Cause", "Causes", "RuleCause", "causes"]

CAUSES = Path(__file__).parent / "causes.yaml"


@cache
def causes(path: Path = CAUSES) -> Causes:
    """Read the causes.

    Raises:
        ContractError: the file is wrong.
    """
    try:
        document = safe_load(path.read_bytes())
        found = [
            Cause(
                id=str(node["id"]),
                pattern=str(node["pattern"]),
                forms=frozenset(Form(form) for form in node.get("forms", ())),
                looks=str(node["looks"]),
                because=str(node["because"]),
                remedy=str(node["remedy"]),
            )
            for node in document["causes"]
        ]
        rules = {str(k): RuleCause(str(v["because"]), str(v["remedy"])) for k, v in document["rules"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ContractError(f"cannot be understood ({type(fault).__name__})", where=path.name) from None
    return Causes(tuple(found), MappingProxyType(rules))
