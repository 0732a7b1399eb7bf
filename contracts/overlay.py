"""The obfuscation policy of a cut: what the DPIA changes about a contract's treatments, as configuration (Q58).

An overlay file names extracts, columns and a treatment for each. It may make a treatment stricter at will. It may
never let an identifier pass: those are pseudonymised, tokenised, suppressed or dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from contracts.errors import ConfigurationError
from contracts.model import Column, Contract, Treatment
from contracts.vocabulary import Classification, Form, Method
from contracts.yaml_loader import safe_load

HIDING = (Method.PSEUDONYMISE, Method.TOKEN, Method.SUPPRESS, Method.DROP)
GENERALISATIONS = {
    Form.DATE: r"year|month",
    Form.DECIMAL: r"round [1-9][0-9]{0,8}",
    Form.INTEGER: r"round [1-9][0-9]{0,8}",
    Form.TEXT: r"first [1-9][0-9]?",
    Form.CODE: r"first [1-9][0-9]?",
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
    try:
        document = safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise ConfigurationError(f"cannot be read ({type(fault).__name__})", where=str(path)) from None
    if not isinstance(document, dict) or not isinstance(document.get("treatments"), dict):
        raise ConfigurationError("has no entry 'treatments'", where=str(path))
    faults: list[str] = [f"entry {name!r} is not known" for name in document if name not in ("reason", "treatments")]
    found: dict[str, dict[str, Treatment]] = {}
    for extract, columns in document["treatments"].items():
        if extract not in contracts or not isinstance(columns, dict):
            faults.append(f"there is no extract {extract!r}")
            continue
        for name, node in columns.items():
            treatment = _treatment(contracts[extract], str(name), node, faults)
            if treatment is not None:
                found.setdefault(extract, {})[str(name)] = treatment
    if faults:
        raise ConfigurationError("; ".join(faults), where=str(path))
    return Overlay(MappingProxyType(found), str(document.get("reason", "")))


def _treatment(contract: Contract, name: str, node: object, faults: list[str]) -> Treatment | None:
    where = f"{contract.extract}.{name}"
    if all(column.name != name for column in contract.columns):
        faults.append(f"{where} is no column of the contract")
        return None
    said: dict[str, Any] = {"method": node} if isinstance(node, str) else node if isinstance(node, dict) else {}
    try:
        method = Method(said["method"])
    except (KeyError, ValueError):
        faults.append(f"{where}: a treatment is one of {', '.join(Method)}")
        return None
    column = contract.column(name)
    treatment = Treatment(method, column.treatment.field if method is Method.PSEUDONYMISE else None, said.get("rule"))
    fault = refusal(column, treatment)
    if fault:
        faults.append(f"{where}: {fault}")
        return None
    return treatment


def refusal(column: Column, treatment: Treatment) -> str:
    """Return why a column may not have a treatment, or nothing."""
    method = treatment.method
    if column.classification is Classification.IDENTIFIER and method not in HIDING:
        return "an identifier is pseudonymised, tokenised, suppressed or dropped; it never passes"
    if column.key and method not in (column.treatment.method, Method.PSEUDONYMISE):
        return "is part of the key and keeps its treatment"
    if method is Method.SYNTHETIC and column.treatment.method is not Method.SYNTHETIC:
        return "has no invented series; synthetic is for half-hourly periods"
    if method is Method.PSEUDONYMISE and treatment.field is None:
        return "the pseudonym scheme has no field for it; use token"
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
