"""The obfuscation policy of a cut: what the DPIA changes about a contract's treatments, as configuration (Q58).

An overlay file names extracts, columns and a treatment for each. It may make a treatment stricter at will. It may
never let an identifier pass: those are pseudonymised, tokenised, suppressed or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from contracts.documents.overlay import OverlayDocument, OverlayEntry
from contracts.errors import ConfigurationError
from contracts.model import Column, Contract, Treatment
from contracts.strict import Found, none_of
from contracts.validation import load_model, read_file
from contracts.vocabulary import Classification, Form, Method

HIDING = (Method.PSEUDONYMISE, Method.TOKEN, Method.SUPPRESS, Method.DROP)
GENERALISATIONS = {
    Form.DATE: r"year|month",
    Form.DECIMAL: r"round [1-9][0-9]{0,8}",
    Form.INTEGER: r"round [1-9][0-9]{0,8}",
    Form.TEXT: r"first [1-9][0-9]?",
    Form.CODE: r"first [1-9][0-9]?",
}


# What each method that keeps a value's kind and not its precision is for, the rule that it takes, and that in words.
PRECISION = {
    Method.MOVE: (Form.DATE, r"[1-9][0-9]{1,3} days", "moves dates, by a rule of 10 to 9999 days"),
    Method.MIX: (Form.DECIMAL, r"[1-9][0-9]{1,3} homes", "mixes half-hours, by a rule of 10 to 9999 homes"),
    Method.COMMON: (
        Form.TEXT,
        r"(?:first [1-9][0-9]?, )?[1-9][0-9]{1,3} metering points",
        "keeps texts that many share, by a rule of 10 to 9999 metering points; 'first 3, ' before it cuts them first",
    ),
    Method.VARY: (Form.DECIMAL, r"[1-9][0-9]? %", "varies decimal numbers, by a rule of 1 to 99 %"),
}


@dataclass(frozen=True, slots=True)
class Overlay:
    """Treatments that replace those of the contracts: extract -> column -> treatment; and why."""

    treatments: Mapping[str, Mapping[str, Treatment]]
    reason: str = ""


NONE = Overlay(MappingProxyType({}))


def read_overlay(path: Path, contracts: Mapping[str, Contract]) -> Overlay:
    """Read and check an overlay file.

    The file has ``reason`` (a text for the evidence) and ``treatments``: extract -> column -> a method's name, or
    ``{method: generalise, rule: year}``.

    Raises:
        ConfigurationError: the file cannot be read, or an entry is wrong; all faults at once.
    """
    raw = read_file(path, ConfigurationError)

    def check(document: OverlayDocument) -> Iterator[Found]:
        for extract, columns in document.treatments.items():
            if extract not in contracts:
                yield ("treatments", extract), none_of(extract, sorted(contracts), "extract")
                continue
            for name, entry in columns.items():
                if fault := _fault(contracts[extract], name, entry):
                    yield ("treatments", extract, name), fault

    document, _ = load_model(raw, OverlayDocument, ConfigurationError, where=str(path), check=check)
    found = {
        extract: {name: _treatment(contracts[extract], name, entry) for name, entry in columns.items()}
        for extract, columns in document.treatments.items()
    }
    return Overlay(MappingProxyType(found), document.reason)


def _fault(contract: Contract, name: str, entry: OverlayEntry) -> str:
    known = [column.name for column in contract.columns]
    if name not in known:
        return none_of(name, known, "column")
    return refusal(contract.column(name), _treatment(contract, name, entry))


def _treatment(contract: Contract, name: str, entry: OverlayEntry) -> Treatment:
    field = contract.column(name).treatment.field if entry.method is Method.PSEUDONYMISE else None
    return Treatment(entry.method, field, entry.rule)


def refusal(column: Column, treatment: Treatment) -> str:
    """Return why a column may not have a treatment, or nothing."""
    method = treatment.method
    if column.classification is Classification.IDENTIFIER and method not in HIDING:
        return "an identifier is pseudonymised, tokenised, suppressed or dropped; it never passes"
    if column.key and method not in (column.treatment.method, Method.PSEUDONYMISE):
        return "is part of the key and keeps its treatment"
    if method in (Method.SYNTHETIC, Method.MIX) and column.treatment.method is not Method.SYNTHETIC:
        return f"has no series; {method.value} is for half-hourly periods"
    if method is Method.PSEUDONYMISE and treatment.field is None:
        return "the pseudonym scheme has no field for it; use token"
    if method in PRECISION:
        form, rule, words = PRECISION[method]
        if column.form is not form or not re.fullmatch(rule, str(treatment.rule)):
            return words
    pattern = GENERALISATIONS.get(column.form)
    if method is Method.GENERALISE and (pattern is None or not re.fullmatch(pattern, str(treatment.rule))):
        return f"generalises by {pattern.replace('|', ' or ')}" if pattern else "cannot be generalised; use suppress"
    return ""


def apply(contracts: Mapping[str, Contract], overlay: Overlay) -> Mapping[str, Contract]:
    """Return the contracts under an overlay; columns without an entry keep their own treatment."""
    changed = {
        name: replace(contract, overlay=MappingProxyType(dict(overlay.treatments.get(name, {}))))
        for name, contract in contracts.items()
    }
    return MappingProxyType(changed)
