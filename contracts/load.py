"""YAML bytes -> contract. The only reader of contract files; it says file and place of a fault, and judges nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from contracts.alignment import ComparedItem, Comparison, Tolerance
from contracts.codes import codes, is_list
from contracts.documents.alignment import AlignmentDocument
from contracts.documents.odcs import ContractDocument
from contracts.dtc.resolve import resolve_layout
from contracts.errors import ContractError
from contracts.headings import headings
from contracts.model import Column, Contract, Derived, HalfHours, Rule, Treatment
from contracts.spelling import spelling
from contracts.strict import Found
from contracts.validation import Model, load_model, read_file
from contracts.vocabulary import Classification, Dimension, Effect, Field, Form, Method, RuleStage

HERE = Path(__file__).parent
EXTRACTS = HERE / "extracts"
RESULTS = HERE / "results"
ALIGNMENT = HERE / "alignment.yaml"


def custom(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ODCS ``customProperties`` list as a mapping of property to value."""
    return {p["property"]: p["value"] for p in node.get("customProperties") or ()}


def parse_contract(document: Mapping[str, Any], *, where: str, digest: str = "") -> Contract:
    """Turn a parsed ODCS v3 document into a :class:`Contract`.

    Raises:
        ContractError: a needed entry is missing or a word is not in the closed vocabulary.
    """
    try:
        table = document["schema"][0]
        extras = custom(document)
        return Contract(
            extract=table["name"],
            version=document["version"],
            title=document["name"],
            row=str(table["description"]).strip(),
            role=extras["role"],
            columns=tuple(_column(node) for node in table["properties"]),
            rules=tuple(_rule(node) for node in table.get("quality") or ()),
            forbidden=(*(extras.get("forbiddenColumns") or ()), *headings().personal),
            sounds_personal=headings().sounds_personal,
            undecided=headings().undecided,
            harmless=tuple(extras.get("harmlessColumns") or ()),
            dtc_layouts=tuple(resolve_layout(node) for node in extras.get("dtcLayouts") or ()),
            derived=tuple(_derived(node) for node in extras.get("derivedColumns") or ()),
            digest=digest,
            spelling=spelling(),
            half_hours=_half_hours(extras["halfHours"]) if "halfHours" in extras else None,
        )
    except KeyError as fault:
        raise ContractError(
            f"entry {fault.args[0]!r} is missing", where=where, remedy="run datacut contracts check"
        ) from None
    except (TypeError, ValueError, IndexError) as fault:
        raise ContractError(str(fault), where=where, remedy="run datacut contracts check") from None


def _column(node: Mapping[str, Any]) -> Column:
    extras = custom(node)
    treatment = extras["treatment"]
    names = [node.get("physicalName", node["name"]), *headings().aliases.get(node["name"], ())]
    return Column(
        name=node["name"],
        physical_names=tuple(names),
        form=Form(extras["form"]),
        classification=Classification(node["classification"]),
        treatment=Treatment(
            method=Method(treatment["method"]),
            field=Field(treatment["field"]) if "field" in treatment else None,
            rule=treatment.get("rule"),
        ),
        description=str(node["description"]).strip(),
        required=bool(node.get("required", False)),
        key=int(node.get("primaryKeyPosition", 0)) if node.get("primaryKey") else 0,
        item=str(extras.get("item", "")),
        other_items=tuple(map(str, extras.get("otherItems") or ())),
        options=MappingProxyType(dict(extras.get("options", {}))),
    )


def _rule(node: Mapping[str, Any]) -> Rule:
    extras = custom(node)
    implementation = node["implementation"]
    kwargs = dict(implementation.get("kwargs") or {})
    return Rule(
        id=node["id"],
        reason=extras["reason"],
        effect=Effect(extras["effect"]),
        stage=RuleStage(extras.get("stage", "quality")),
        basis=tuple(str(b) for b in extras["basis"]),
        dimension=Dimension(node["dimension"]),
        expectation=implementation["type"],
        kwargs=MappingProxyType(kwargs),
        description=str(node["description"]).strip(),
        fault=str(extras["fault"]),
        unless=tuple(extras.get("unless") or ()),
        carried=str(extras.get("carried", "")),
        codes=tuple(codes(str(kwargs["code_list"]))) if is_list(kwargs.get("code_list")) else (),
    )


def _half_hours(node: Mapping[str, Any]) -> HalfHours:
    words = {name: tuple(node[name]) for name in ("start", "end", "stamp", "day", "time", "period", "flag")}
    return HalfHours(
        **words,
        values=MappingProxyType({quantity: tuple(names) for quantity, names in node["values"].items()}),
        sensors=MappingProxyType(dict(node["sensors"])),
        quantity=str(node["quantity"]),
    )


def _derived(node: Mapping[str, Any]) -> Derived:
    return Derived(
        name=node["name"],
        sql=node.get("sql", ""),
        table=node.get("table", ""),
        keys=MappingProxyType(dict(node.get("keys", {}))),
        value=node.get("value", ""),
        where=node.get("where", ""),
        spanning=bool(node.get("spanning", False)),
    )


def read_document(
    path: Path,
    model: type[Model],
    check: Callable[[Model], Iterable[Found]] | None = None,
) -> tuple[Mapping[str, Any], str]:
    """Read one YAML file; return it and the SHA-256 of its bytes.

    Raises:
        ContractError: the file is missing or wrong; every fault, with its line.
    """
    raw = read_file(path, ContractError, where=path.name)
    _, document = load_model(raw, model, ContractError, where=path.name, check=check)
    return document.value, hashlib.sha256(raw).hexdigest()


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
    usual = document["policy"]["beyond"]
    return tuple(_comparison(node, usual) for node in document["comparisons"])


def _comparison(node: Mapping[str, Any], usual: str) -> Comparison:
    items = {
        name: ComparedItem(spec["column"], _tolerance(spec, usual), bool(spec.get("where_held", False)))
        for name, spec in node["items"].items()
    }
    return Comparison(
        right=node["right"],
        expected=node["expected"],
        scope=node["scope"],
        presence=_tolerance(node["presence"], usual),
        items=MappingProxyType(items),
    )


def _tolerance(node: Mapping[str, Any], usual: str) -> Tolerance:
    return Tolerance(float(node["tolerance"]), str(node.get("beyond", usual)))
