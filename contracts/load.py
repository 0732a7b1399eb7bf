"""YAML bytes -> contract. The only reader of contract files; it says file and place of a fault, and judges nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.alignment import ComparedItem, Comparison, Tolerance
from contracts.codes import codes, is_list
from contracts.documents.alignment import AlignmentDocument, ComparisonEntry, ToleranceEntry
from contracts.documents.odcs import (
    ColumnDocument,
    ContractDocument,
    DerivedEntry,
    HalfHoursEntry,
    Property,
    RuleDocument,
    TreatmentEntry,
)
from contracts.dtc.resolve import resolve_layout
from contracts.errors import ContractError
from contracts.headings import headings
from contracts.model import Column, Contract, Derived, HalfHours, Rule, Treatment
from contracts.spelling import spelling
from contracts.strict import Found
from contracts.validation import Model, load_model, read_file
from contracts.vocabulary import RuleStage

HERE = Path(__file__).parent
EXTRACTS = HERE / "extracts"
RESULTS = HERE / "results"
ALIGNMENT = HERE / "alignment.yaml"


def custom(properties: Sequence[Property]) -> dict[str, Any]:
    """Return the entries of an ODCS ``customProperties`` list by name."""
    return {entry.property: entry.value for entry in properties}


def parse_contract(document: ContractDocument, *, where: str, digest: str = "") -> Contract:
    """Turn an ODCS v3 document into a :class:`Contract`.

    Raises:
        ContractError: a needed property is missing, or a flow has no place that a layout names.
    """
    (table,) = document.tables
    extras = custom(document.custom_properties)
    known = headings()
    try:
        return Contract(
            extract=table.name,
            version=document.version,
            title=document.name,
            row=table.description.strip(),
            role=extras["role"],
            columns=tuple(_column(entry) for entry in table.properties),
            rules=tuple(_rule(entry) for entry in table.quality),
            forbidden=(*extras.get("forbiddenColumns", ()), *known.personal),
            sounds_personal=known.sounds_personal,
            undecided=known.undecided,
            harmless=tuple(extras.get("harmlessColumns", ())),
            dtc_layouts=tuple(resolve_layout(entry) for entry in extras.get("dtcLayouts", ())),
            derived=tuple(_derived(entry) for entry in extras.get("derivedColumns", ())),
            digest=digest,
            spelling=spelling(),
            half_hours=_half_hours(extras["halfHours"]) if "halfHours" in extras else None,
        )
    except KeyError as fault:
        raise ContractError(
            f"entry {fault.args[0]!r} is missing", where=where, remedy="run datacut contracts check"
        ) from None
    except (TypeError, ValueError) as fault:
        raise ContractError(str(fault), where=where, remedy="run datacut contracts check") from None


def _column(entry: ColumnDocument) -> Column:
    extras = custom(entry.custom_properties)
    treatment: TreatmentEntry = extras["treatment"]
    return Column(
        name=entry.name,
        physical_names=(entry.physical_name or entry.name, *headings().aliases.get(entry.name, ())),
        form=extras["form"],
        classification=entry.classification,
        treatment=Treatment(treatment.method, treatment.field, treatment.rule),
        description=entry.description.strip(),
        required=entry.required,
        key=(entry.primary_key_position or 0) if entry.primary_key else 0,
        item=extras.get("item", ""),
        other_items=tuple(extras.get("otherItems", ())),
        options=MappingProxyType(extras.get("options", {})),
    )


def _rule(entry: RuleDocument) -> Rule:
    extras = custom(entry.custom_properties)
    kwargs = entry.implementation.kwargs
    return Rule(
        id=entry.id,
        reason=extras["reason"],
        effect=extras["effect"],
        stage=extras.get("stage", RuleStage.QUALITY),
        basis=tuple(extras["basis"]),
        dimension=entry.dimension,
        expectation=entry.implementation.type,
        kwargs=MappingProxyType(kwargs),
        description=entry.description.strip(),
        fault=extras["fault"],
        unless=tuple(extras.get("unless", ())),
        carried=extras.get("carried", ""),
        codes=tuple(codes(str(kwargs["code_list"]))) if is_list(kwargs.get("code_list")) else (),
    )


def _half_hours(entry: HalfHoursEntry) -> HalfHours:
    words = {name: tuple(getattr(entry, name)) for name in ("start", "end", "stamp", "day", "time", "period", "flag")}
    return HalfHours(
        **words,
        values=MappingProxyType({quantity: tuple(names) for quantity, names in entry.values.items()}),
        sensors=MappingProxyType(entry.sensors),
        quantity=entry.quantity,
    )


def _derived(entry: DerivedEntry) -> Derived:
    return Derived(
        name=entry.name,
        sql=entry.sql,
        table=entry.table,
        keys=MappingProxyType(entry.keys),
        value=entry.value,
        where=entry.where,
        spanning=entry.spanning,
    )


def read_document(
    path: Path,
    model: type[Model],
    check: Callable[[Model], Iterable[Found]] | None = None,
) -> tuple[Model, str]:
    """Read one YAML file; return it and the SHA-256 of its bytes.

    Raises:
        ContractError: the file is missing or wrong; every fault, with its line.
    """
    raw = read_file(path, ContractError, where=path.name)
    document, _ = load_model(raw, model, ContractError, where=path.name, check=check)
    return document, hashlib.sha256(raw).hexdigest()


def load_contract(path: Path) -> Contract:
    """Read one contract file.

    Raises:
        ContractError: the file is missing, is not YAML, or lacks an entry.
    """
    document, digest = read_document(path, ContractDocument)
    return parse_contract(document, where=path.name, digest=digest)


@cache
def load_all(folder: Path = EXTRACTS) -> Mapping[str, Contract]:
    """Read every contract of ``folder``, keyed by extract name.

    Raises:
        ContractError: a file is wrong, or two contracts describe one extract.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("*.odcs.yaml")):
        contract = load_contract(path)
        if contract.extract in contracts:
            raise ContractError(f"extract {contract.extract!r} has two contracts", where=path.name)
        contracts[contract.extract] = contract
    return MappingProxyType(contracts)


@cache
def comparisons(path: Path = ALIGNMENT) -> tuple[Comparison, ...]:
    """Read the comparisons, in the order of the file.

    Raises:
        ContractError: the file is missing or wrong.
    """
    document, _ = read_document(path, AlignmentDocument)
    return tuple(_comparison(entry, document.policy.beyond) for entry in document.comparisons)


def _comparison(entry: ComparisonEntry, usual: str) -> Comparison:
    items = {
        name: ComparedItem(item.column, _tolerance(item, usual), item.where_held) for name, item in entry.items.items()
    }
    return Comparison(
        right=entry.right,
        expected=entry.expected,
        scope=entry.scope,
        presence=_tolerance(entry.presence, usual),
        items=MappingProxyType(items),
        held=entry.held,
        reasons=entry.reasons,
    )


def _tolerance(entry: ToleranceEntry, usual: str) -> Tolerance:
    return Tolerance(entry.tolerance, entry.beyond or usual)
