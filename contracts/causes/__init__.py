"""Likely causes of what is excluded, in the words of whoever exported it: patterns and sentences as data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import MappingProxyType

from contracts.causes.model import Cause, Causes, RuleCause
from contracts.documents.causes import CausesDocument
from contracts.load import read_document
from contracts.vocabulary import Form

__all__ = ["CAUSES", "Cause", "Causes", "RuleCause", "causes"]

CAUSES = Path(__file__).parent / "causes.yaml"


@cache
def causes(path: Path = CAUSES) -> Causes:
    """Read the causes.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(path, CausesDocument)
    found = [
        Cause(
            id=str(node["id"]),
            pattern=str(node["pattern"]),
            forms=frozenset(Form(form) for form in node.get("forms") or ()),
            looks=str(node["looks"]),
            because=str(node["because"]),
            remedy=str(node["remedy"]),
        )
        for node in document["causes"]
    ]
    rules = {str(k): RuleCause(str(v["because"]), str(v["remedy"])) for k, v in document["rules"].items()}
    return Causes(tuple(found), MappingProxyType(rules))
