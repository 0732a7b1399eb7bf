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
            id=entry.id,
            pattern=entry.pattern,
            forms=frozenset(Form(form) for form in entry.forms),
            looks=entry.looks,
            because=entry.because,
            remedy=entry.remedy,
        )
        for entry in document.causes
    ]
    rules = {kind: RuleCause(entry.because, entry.remedy) for kind, entry in document.rules.items()}
    return Causes(tuple(found), MappingProxyType(rules))
