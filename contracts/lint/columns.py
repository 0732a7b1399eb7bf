"""House rules of columns: identifiers hidden, names unmistakable, options that fit, values that cannot vanish."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from contracts.lint.document import LintFindings
from contracts.model import Column, Contract, Rule, plain
from contracts.overlay import HIDING, refusal
from contracts.vocabulary import Classification, Expectation, Field, Form, Method, RuleStage

# Forms of identifiers, and the field of the pseudonym scheme that each has.
FIELDS = {
    Form.MPAN: Field.MPAN,
    Form.METER_SERIAL: Field.METER_SERIAL,
    Form.ESME_ID: Field.ESME_ID,
    Form.UPRN: Field.UPRN,
    Form.ADDRESS_LINE: Field.ADDRESS,
    Form.POSTCODE: Field.ADDRESS,
}
IDENTIFIER_NAMES = re.compile(r"mpan|meter_serial|esme|uprn|address_line|postcode")
NOT_IDENTIFIERS = re.compile(r"mpid|_effective_from$|_direction$|_confidence$|_role$")
OPTIONS: Mapping[Form, tuple[str, ...]] = {
    Form.CODE: ("width", "pattern"),
    Form.TEXT: ("pattern",),
    Form.DECIMAL: ("scale", "most"),
    Form.INTEGER: ("least", "most"),
}
# Forms whose values can fail to take them; identifiers of premises are judged by warnings, which suffice.
FALLIBLE = (Form.CODE, Form.TEXT, Form.DATE, Form.DECIMAL, Form.INTEGER, Form.FLAG, Form.MPAN, Form.METER_SERIAL,
            Form.ESME_ID, Form.UPRN, Form.POSTCODE)  # fmt: skip
MPAN_LIKE = "1" * 13


def check_columns(contract: Contract, findings: LintFindings) -> None:
    """Check the columns of one contract."""
    _check_names(contract, findings)
    _check_key(contract, findings)
    for column in contract.columns:
        _check_treatment(column, findings)
        _check_options(column, findings)
    judged = _columns_with_a_verdict(contract.rules)
    for column in contract.columns:
        if column.form in FALLIBLE and column.name not in judged:
            findings.add(
                "C25", f"column {column.name}", "a value that does not take its form would vanish: no rule judges it"
            )


def _check_names(contract: Contract, findings: LintFindings) -> None:
    claimed: dict[str, str] = {}
    forbidden = {plain(phrase): phrase for phrase in contract.forbidden}
    for column in contract.columns:
        place = f"column {column.name}"
        for name in {plain(n): n for n in (column.name, *column.physical_names)}.values():
            owner = claimed.setdefault(plain(name), column.name)
            if owner != column.name:
                findings.add("C20", place, f"name {name!r} means column {owner} too")
            if plain(name) in forbidden:
                findings.add("C21", place, f"name {name!r} is among the forbidden columns")
    for column in contract.columns:
        likely = IDENTIFIER_NAMES.search(column.name) and not NOT_IDENTIFIERS.search(column.name)
        if likely and (column.form not in FIELDS or column.classification is not Classification.IDENTIFIER):
            findings.add("C22", f"column {column.name}", "is named like an identifier and must be treated as one")


def _check_key(contract: Contract, findings: LintFindings) -> None:
    positions = sorted(column.key for column in contract.columns if column.key)
    if positions != list(range(1, len(positions) + 1)):
        findings.add("C23", "primary key", "positions are not 1, 2, 3 and so on")
    if not positions or contract.key[0] != "mpan_core":
        findings.add("C23", "primary key", "does not begin with mpan_core")


def _check_treatment(column: Column, findings: LintFindings) -> None:
    place, treatment = f"column {column.name}", column.treatment
    field = FIELDS.get(column.form)
    if field is not None and column.classification is not Classification.IDENTIFIER:
        findings.add("C22", place, f"form {column.form} is that of an identifier; its classification is not")
    if treatment.method is Method.PSEUDONYMISE and treatment.field is not field:
        findings.add(
            "C24", place, f"form {column.form} is pseudonymised as {field or 'nothing'}, not {treatment.field}"
        )
    if column.classification is Classification.IDENTIFIER and treatment.method not in HIDING:
        findings.add("C24", place, f"an identifier cannot pass unchanged: {', '.join(HIDING)}")
    elif fault := refusal(column, treatment):
        findings.add("C24", place, fault)


def _check_options(column: Column, findings: LintFindings) -> None:
    place = f"column {column.name}"
    for name in column.options:
        if name not in OPTIONS.get(column.form, ()):
            findings.add("C26", place, f"option {name!r} means nothing for form {column.form}")
    pattern = column.options.get("pattern")
    if pattern is None:
        return
    fault = pattern_fault(str(pattern))
    if fault:
        findings.add("C27", place, fault)
    elif column.form is Form.CODE and re.fullmatch(str(pattern), MPAN_LIKE):
        findings.add("C28", place, "the pattern of a code lets thirteen digits pass: it could carry an MPAN")


def pattern_fault(pattern: str) -> str:
    """Return why a pattern is no regular expression of the Rust dialect, or nothing."""
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError:
        return "the pattern is not a regular expression of the Rust dialect (no look-around, no back-reference)"
    return ""


def _columns_with_a_verdict(rules: Sequence[Rule]) -> set[str]:
    """Return the columns whose malformed values some rule makes known."""
    judged: set[str] = set()
    for rule in rules:
        if rule.stage is RuleStage.INTAKE and rule.expectation == Expectation.CONFORM:
            judged.add(str(rule.kwargs.get("column")))
        elif rule.stage is RuleStage.INTAKE and rule.expectation == Expectation.COLUMNS_CONFORM:
            judged |= set(rule.kwargs.get("column_list", ()))
    return judged


def check_common(contracts: Mapping[str, Contract], findings: Mapping[str, LintFindings]) -> None:
    """Check that one name means one thing in every contract, and that what one extract refuses every extract does."""
    refused = {plain(phrase): phrase for contract in contracts.values() for phrase in contract.forbidden}
    for file, contract in contracts.items():
        own = {plain(phrase) for phrase in contract.forbidden}
        if missing := [repr(phrase) for name, phrase in refused.items() if name not in own]:
            findings[file].add("C16", "forbiddenColumns", f"lacks {', '.join(missing)}, which another contract has")
    first: dict[str, tuple[str, Column]] = {}
    for file, contract in contracts.items():
        for column in contract.columns:
            where, other = first.setdefault(column.name, (file, column))
            same = (column.form, column.classification, column.treatment.field)
            if same != (other.form, other.classification, other.treatment.field):
                findings[file].add(
                    "C29", f"column {column.name}", f"differs in form, classification or field from that of {where}"
                )
