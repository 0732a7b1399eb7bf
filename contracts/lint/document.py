"""A contract file as a document: YAML without entries that stand twice, the published ODCS schema, closed words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from jsonschema import Draft201909Validator
from jsonschema.exceptions import ValidationError

from contracts.json_types import JsonObject
from contracts.vocabulary import (
    REASON_CODE,
    Classification,
    Dimension,
    Effect,
    Expectation,
    Field,
    Form,
    Method,
    RuleStage,
    SenderRole,
)
from contracts.yaml_loader import Document, YamlError, read_yaml


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault.

    Attributes:
        file: name of the file.
        place: entry in it, as ``column postcode`` or ``rule DQ05_profile_class``; empty for the file as a whole.
        what: what is wrong, in words.
        rule: id of the house rule, as ``C12``.
    """

    file: str
    place: str
    what: str
    rule: str

    def line(self) -> str:
        """Return the finding as one line."""
        place = f"{self.place}: " if self.place else ""
        return f"{self.file}: {place}{self.what} [{self.rule}]"


class LintFindings:
    """Collects the findings of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Finding] = []

    def add(self, rule: str, place: str, what: str) -> None:
        """Note a fault."""
        self.found.append(Finding(self.file, place, what, rule))

    def word(self, rule: str, place: str, what: str, word: object, words: list[str]) -> bool:
        """Note a word that is not in its closed list; tell whether it is."""
        if word in words:
            return True
        self.add(rule, place, f"{what} {str(word)[:40]!r} is not one of {', '.join(words)}")
        return False


RawMap: TypeAlias = Mapping[str, Any]
"""A map of a contract file that nothing has been held against yet."""

_BASIS = re.compile(r"Q\d{1,3}|R\d{1,2}|DQ\d{2}|J\d{4}|DI-\d{3}|REG\d{4}|domain \d+(\.\d+)?|[A-Z]{2,5}\d{1,5}")
_SEVERITY = {"exclude": "error", "reject": "error", "warn": "warning"}


@cache
def odcs_schema() -> JsonObject:
    """Return the published JSON schema of the Open Data Contract Standard, v3.1.0."""
    schema: JsonObject = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    return schema


def read(raw: bytes, findings: LintFindings) -> Document | None:
    """Read YAML; note what makes that impossible."""
    try:
        document = read_yaml(raw)
    except YamlError as fault:
        findings.add("C01", f"line {fault.line}" if fault.line else "", fault.what)
        return None
    for wrong in document.faults:
        findings.add("C01", f"line {wrong.line}", wrong.what)
    if document.faults:
        return None
    if not isinstance(document.value, dict):
        findings.add("C01", "", "holds no contract")
        return None
    return document


@cache
def _validator() -> Draft201909Validator:
    return Draft201909Validator(odcs_schema())


def check_schema(document: RawMap, findings: LintFindings) -> None:
    """Hold a document against the ODCS schema."""
    for fault in sorted(_validator().iter_errors(document), key=lambda f: list(map(str, f.path))):
        deepest = _deepest(fault)
        findings.add("C02", _path(document, deepest.absolute_path), f"breaks the ODCS schema: {_told(deepest)}")


def _deepest(fault: ValidationError) -> ValidationError:
    """Return the part of a fault that says most: of alternatives, the one that fits best."""
    while fault.context:
        fault = max(fault.context, key=lambda f: len(f.absolute_path))
    return fault


def _told(fault: ValidationError) -> str:
    match fault.validator:
        case "required":
            return fault.message
        case "enum":
            return f"is not one of {str(fault.validator_value)[:120]}"
        case "additionalProperties" | "unevaluatedProperties":
            return fault.message.split("(")[-1].rstrip(")")[:120]
        case _:
            return f"does not fit {fault.validator!r}"


def _path(document: Any, path: Sequence[Any]) -> str:
    """Return a place in words: names of columns and rules instead of numbers."""
    parts: list[str] = []
    for step in path:
        document = document[step]
        name = document.get("name") or document.get("id") if isinstance(document, dict) else None
        parts.append(str(name or step))
    return "/".join(parts)


def _custom(node: RawMap) -> dict[str, Any]:
    """Return ODCS ``customProperties`` by name."""
    return {entry["property"]: entry["value"] for entry in node.get("customProperties") or ()}


def check_words(document: RawMap, findings: LintFindings) -> bool:
    """Check every closed word of a contract; tell whether the contract can be read further."""
    before = len(findings.found)
    try:
        extras = _custom(document)
        findings.word("C03", "", "role", extras.get("role"), list(SenderRole))
        tables = document["schema"]
        if len(tables) != 1:
            findings.add("C03", "schema", "a contract describes one extract")
        for node in tables[0]["properties"]:
            _column_words(node, findings)
        for node in tables[0].get("quality") or ():
            _rule_words(node, findings)
    except (KeyError, TypeError, AttributeError, IndexError) as fault:
        findings.add("C03", "", f"an entry is missing or of the wrong kind ({fault})")
    return len(findings.found) == before


def _column_words(node: RawMap, findings: LintFindings) -> None:
    place, extras = f"column {node['name']}", _custom(node)
    findings.word("C04", place, "classification", node.get("classification"), list(Classification))
    findings.word("C05", place, "form", extras.get("form"), list(Form))
    treatment = extras.get("treatment")
    if not isinstance(treatment, dict):
        findings.add("C06", place, "has no treatment")
    elif findings.word("C06", place, "treatment", treatment.get("method"), list(Method)) and (
        treatment["method"] == Method.PSEUDONYMISE or "field" in treatment
    ):
        findings.word("C06", place, "field of the pseudonym scheme", treatment.get("field"), list(Field))
    if not str(node.get("description", "")).strip():
        findings.add("C07", place, "has no description")


def _rule_words(node: RawMap, findings: LintFindings) -> None:
    place, extras = f"rule {node['id']}", _custom(node)
    findings.word("C08", place, "dimension", node.get("dimension"), list(Dimension))
    if findings.word("C09", place, "effect", extras.get("effect"), list(Effect)):
        wanted = _SEVERITY[extras["effect"]]
        if node.get("severity") != wanted:
            findings.add("C09", place, f"effect {extras['effect']} goes with severity {wanted}")
    findings.word("C10", place, "stage", extras.get("stage", "quality"), list(RuleStage))
    findings.word("C11", place, "expectation", node.get("implementation", {}).get("type"), list(Expectation))
    reason = str(extras.get("reason", ""))
    if not re.fullmatch(REASON_CODE, reason):
        findings.add("C12", place, f"reason {reason[:20]!r} is not DQ01 to DQ32")
    elif not str(node["id"]).startswith(f"{reason}_"):
        findings.add("C12", place, f"the id of a rule begins with its reason, {reason}_")
    for fault in _basis_faults(extras.get("basis")):
        findings.add("C13", place, fault)
    if not str(node.get("description", "")).strip().endswith("."):
        findings.add("C07", place, "has no description that is a sentence")
    if not re.fullmatch(r"\S.*[^\s.]", str(extras.get("fault", ""))):
        findings.add(
            "C07", place, "says no fault: what is wrong with a row that breaks it, as in 'the date is missing'"
        )


def _basis_faults(basis: Any) -> Iterator[str]:
    if not isinstance(basis, list) or not basis:
        yield "names no basis (Q, R, J, DI, REG number or section)"
        return
    for word in basis:
        if not _BASIS.fullmatch(str(word)):
            yield f"basis {str(word)[:30]!r} is not a Q, R, J, DI or REG number or a section"
