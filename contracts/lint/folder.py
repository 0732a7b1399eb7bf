"""Walks the contracts of a folder and collects what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from contracts.documents.alignment import AlignmentDocument
from contracts.documents.odcs import ContractDocument
from contracts.errors import ContractError
from contracts.lint.columns import check_columns, check_common
from contracts.lint.document import Finding, LintFindings, check_schema, check_words, read
from contracts.lint.rules import RulePlace, check_derived, check_rules
from contracts.lint.sources import check_alignment, check_code_list, check_layouts, check_places
from contracts.load import parse_contract
from contracts.messages import message_tables, message_values
from contracts.model import Contract
from contracts.processes import market_processes, process_faults
from contracts.reference import definitions, table_columns
from contracts.validation import Model, examine
from contracts.yaml_loader import Document

HOME = Path(__file__).parent.parent
PATTERN = "*.odcs.yaml"
MARKET_DATA = "market_domain_data.odcs.yaml"
RESULTS = "results"


def check_contracts(folder: Path = HOME) -> list[Finding]:
    """Check every contract of a folder, its code lists, market domain data, alignment, messages and processes.

    Args:
        folder: a folder like the product's ``contracts/``, or one that holds contracts alone; what it lacks is taken
            from the product.

    Returns:
        All findings, file by file; empty where nothing is wrong.

    Raises:
        ContractError: there is no contract in the folder.
    """
    room = folder / "extracts" if (folder / "extracts").is_dir() else folder
    files = [p for p in sorted(room.glob(PATTERN)) if p.name != MARKET_DATA]
    if not files:
        raise ContractError(f"holds no contract ({PATTERN})", where=str(folder), remedy="name a folder with contracts")
    collected = {path.name: LintFindings(path.name) for path in files}
    contracts = _parsed(files, collected)
    _check_extracts(contracts, collected)
    extra = [*_results(folder, contracts), _market_data(folder), *_code_lists(folder), _processes(folder)]
    if len(contracts) == len(files):  # what names an extract is judged when all can be read
        extra.append(_alignment(folder, contracts))
    return [finding for some in [*collected.values(), *extra] for finding in some.found]


def _parsed(files: Sequence[Path], collected: Mapping[str, LintFindings]) -> dict[str, Contract]:
    """Return the contracts that can be read, by file name; note what is wrong with the others."""
    found: dict[str, Contract] = {}
    extracts: dict[str, str] = {}
    for path in files:
        findings = collected[path.name]
        contract = _parse(path, findings)
        if contract is None:
            continue
        if contract.extract in extracts:
            findings.add("C14", "", f"extract {contract.extract!r} is described by {extracts[contract.extract]} too")
        extracts.setdefault(contract.extract, path.name)
        found[path.name] = contract
    return found


def _parse(path: Path, findings: LintFindings) -> Contract | None:
    """Return the contract of a file, None where it cannot be read; note what is wrong with it."""
    try:
        raw = path.read_bytes()
    except OSError as fault:
        findings.add("C01", "", f"cannot be read ({type(fault).__name__})")
        return None
    contract, found = _examined(raw, path.name)
    findings.found.extend(found)
    return contract


@lru_cache(maxsize=64)
def _examined(raw: bytes, name: str) -> tuple[Contract | None, tuple[Finding, ...]]:
    """Examine the text of a contract by itself; the same text once only."""
    findings = LintFindings(name)
    document = read(raw, findings)
    contract = None
    if document is not None:
        check_schema(document.value, findings)
        typed = _typed(document, ContractDocument, "C03", findings) if check_words(document.value, findings) else None
        if typed is not None and check_places(typed, findings):
            try:
                contract = parse_contract(typed, where=name)
            except ContractError as fault:
                findings.add("C03", "", fault.what)
    return contract, tuple(findings.found)


def _typed(document: Document, model: type[Model], rule: str, findings: LintFindings) -> Model | None:
    """Return a document as its model; note what does not fit."""
    found, faults = examine(document, model)
    for fault in faults:
        findings.add(rule, "", fault)
    return found


def _check_extracts(contracts: Mapping[str, Contract], collected: Mapping[str, LintFindings]) -> None:
    by_extract = {contract.extract: contract for contract in contracts.values()}
    unread = len(contracts) < len(collected)
    reference = table_columns()
    for file, contract in contracts.items():
        findings = collected[file]
        check_columns(contract, findings)
        place = RulePlace(contract, by_extract, reference, unread=unread)
        check_derived(place, findings)
        check_rules(place, findings)
        check_layouts(contract, findings)
        if not any(rule.reason == "DQ01" for rule in contract.rules):
            findings.add("C15", "", "no rule judges the MPAN core (DQ01)")
    check_common(contracts, collected)


def _results(folder: Path, contracts: Mapping[str, Contract]) -> list[LintFindings]:
    """Check the contracts of what the product makes itself: rules over results, judged after augmentation."""
    by_extract = {contract.extract: contract for contract in contracts.values()}
    checked = []
    for path in sorted((folder / RESULTS).glob(PATTERN)):
        findings = LintFindings(path.name)
        checked.append(findings)
        contract = _parse(path, findings)
        if contract is not None:
            place = RulePlace(contract, {**by_extract, contract.extract: contract}, table_columns())
            check_derived(place, findings)
            check_rules(place, findings)
    return checked


def _market_data(folder: Path) -> LintFindings:
    findings, path = LintFindings(MARKET_DATA), folder / MARKET_DATA
    if not path.is_file():
        return findings
    document = read(path.read_bytes(), findings)
    if document is None:
        return findings
    check_schema(document.value, findings)
    try:
        tables = definitions(path)
    except ContractError as fault:
        findings.add("C47", "", fault.what)
        return findings
    for table in tables.values():
        place = f"table {table.name}"
        if bool(table.effective_from) != bool(table.effective_to):
            findings.add("C47", place, "has one of effectiveFrom and effectiveTo")
        for made in table.derived:
            if made.column not in table.columns:
                findings.add("C47", place, f"there is no column {made.column!r}")
        if table.present and table.present not in table.columns:
            findings.add("C47", place, f"there is no column {table.present!r}")
    return findings


def _code_lists(folder: Path) -> list[LintFindings]:
    checked = []
    for path in sorted((folder / "codes").glob("*.csv")):
        findings = LintFindings(path.name)
        check_code_list(path, findings)
        checked.append(findings)
    return checked


def _processes(folder: Path) -> LintFindings:
    """Hold processes against the events and values of messages: the folder's own, else the product's."""
    findings = LintFindings("processes")
    tables, own = folder / "messages", folder / "processes"
    if not tables.is_dir() and not own.is_dir():
        return findings
    messages = {"folder": tables} if tables.is_dir() else {}
    try:
        found = process_faults(
            market_processes(own) if own.is_dir() else market_processes(),
            message_tables(**messages),
            message_values(**messages),
        )
    except ContractError as error:
        found = [error.line()]
    for fault in found:
        findings.add("C49", "", fault)
    return findings


def _alignment(folder: Path, contracts: Mapping[str, Contract]) -> LintFindings:
    findings, path = LintFindings("alignment.yaml"), folder / "alignment.yaml"
    document = read(path.read_bytes(), findings) if path.is_file() else None
    typed = _typed(document, AlignmentDocument, "C46", findings) if document is not None else None
    if typed is not None:
        check_alignment(typed, {c.extract: c for c in contracts.values()}, findings)
    return findings
