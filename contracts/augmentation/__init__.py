"""MHHS-only items as ordered decision tables, and import/export associations as ranked evidence: all of it data.

An item, a decision row, a kind of evidence or a DIP role is added in YAML alone. What a table means is defined here;
``augment.decision_tables`` interprets it and ``augment.decision_lint`` finds what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from contracts.augmentation.model import (
    TABLES,
    AssociationEvidence,
    Associations,
    Condition,
    Decision,
    Input,
    Item,
    Lookup,
    Outcome,
    Services,
    Statement,
    Tables,
    ValueSource,
    stated_column,
)
from contracts.documents.augmentation import AssociationsDocument, ItemsDocument, ServicesDocument
from contracts.load import read_document

__all__ = [
    "TABLES",
    "Associations",
    "Condition",
    "Decision",
    "Evidence",
    "Input",
    "Item",
    "Lookup",
    "Outcome",
    "Services",
    "Statement",
    "Tables",
    "ValueSource",
    "associations",
    "items",
    "services",
    "stated_column",
    "tables",
]

HERE = Path(__file__).parent
ITEMS, ASSOCIATIONS, SERVICES = (HERE / f"{name}.yaml" for name in ("items", "associations", "services"))
REASON = "DQ31"  # coherence after augmentation: an undecided item is never guessed
PARTIAL = "DQ27"  # a related group that is not complete, or contradicts itself


@cache
def tables(path: Path = ITEMS) -> Tables:
    """Read the items in their order.

    Raises:
        ContractError: the file is wrong.
    """
    document, digest = read_document(path, ItemsDocument, ItemsDocument.faults)
    meters = document["meters"]
    return Tables(
        inputs=tuple(_input(name, node or {}) for name, node in document["inputs"].items()),
        impossible=_conditions(document.get("impossible") or (), "never"),
        minor_meters=tuple(meters["minor"]),
        segments={str(kind): segment for segment, kinds in meters["segments"].items() for kind in kinds},
        items=tuple(
            _item(node, document.get("defaults") or {}, document.get("senders") or {}) for node in document["items"]
        ),
        coherence=_conditions(document.get("coherence") or (), "holds"),
        digest=digest,
    )


def items(path: Path = ITEMS) -> tuple[Item, ...]:
    """Return the items alone, in their order.

    Raises:
        ContractError: the file is wrong.
    """
    return tables(path).items


@cache
def associations(path: Path = ASSOCIATIONS) -> Associations:
    """Read the ranked evidence for associations.

    Raises:
        ContractError: the file is wrong.
    """
    document, digest = read_document(path, AssociationsDocument, AssociationsDocument.faults)
    evidence = tuple(
        AssociationEvidence(n["rule"], tuple(n["match"]), n["grade"], n["description"]) for n in document["evidence"]
    )
    return Associations(
        grades=tuple(document["grades"]),
        site=tuple(document["site"]),
        same=tuple(document["same"]),
        evidence=evidence,
        carried=tuple(document["carried"]),
        primary=_conditions(document["primary"], "when"),
        constraints=_conditions(document["constraints"], "holds"),
        digest=digest,
    )


@cache
def services(path: Path = SERVICES) -> Services:
    """Read the roles and their DIP id prefixes.

    Raises:
        ContractError: the file is wrong, or two roles share a prefix.
    """
    document, digest = read_document(path, ServicesDocument, ServicesDocument.faults)
    prefixes = {str(role): str(prefix) for role, prefix in document["dip_id_prefixes"].items()}
    return Services(prefixes, digest)


def _conditions(nodes: Sequence[Mapping[str, Any]], key: str) -> tuple[Condition, ...]:
    return tuple(Condition(str(n["code"]), str(n[key]), str(n["description"])) for n in nodes)


def _input(name: str, node: Mapping[str, Any]) -> Input:
    return Input(name, tuple(node.get("values") or ()), str(node.get("codes", "")), bool(node.get("nullable", False)))


def _item(node: Mapping[str, Any], defaults: Mapping[str, Any], senders: Mapping[str, str]) -> Item:
    known = {**defaults, **node}
    return Item(
        item=known["item"],
        catalogue=str(known.get("catalogue", "")),
        key=str(known.get("key", "")),
        description=known["description"],
        basis=tuple(str(b) for b in known["basis"]),
        values=tuple(str(v) for v in known.get("values") or ()),
        effective_from=known["effective_from"],
        excludes=known["undecided"] == "exclude",
        held_by=tuple(known["held_by"]),
        decimal=bool(known.get("decimal", False)),
        treated_as=str(known.get("treated_as", "")),
        stated=tuple(_statement(s, senders) for s in known.get("stated") or ()),
        rows=tuple(_decision(r) for r in known["rows"]),
    )


def _statement(node: str | Mapping[str, Any], senders: Mapping[str, str]) -> Statement:
    full: Mapping[str, Any] = {"column": node} if isinstance(node, str) else node
    extract, _, column = str(full["column"]).partition(".")
    whose = str(senders.get(extract, extract))
    return Statement(extract, column, str(full.get("effective_from", "")), str(full.get("when", "")), whose)


def _decision(node: Mapping[str, Any]) -> Decision:
    kind = next(kind for kind in Outcome if kind.value in node)
    given = node[kind.value]
    fallback = ValueSource.MANUFACTURED if kind is Outcome.MANUFACTURE else ValueSource.DERIVED
    return Decision(
        rule=str(node["rule"]),
        when="true" if node.get("otherwise") else str(node.get("when", "true")),
        outcome=kind,
        argument="" if isinstance(given, Mapping) else str(given),
        source=ValueSource(node.get("source", fallback)),
        lookup=Lookup(given["table"], dict(given["keys"]), given["value"]) if kind is Outcome.LOOKUP else None,
        scheme=dict(given) if kind is Outcome.MANUFACTURE else None,
        yields_to=tuple(node.get("yields_to") or ()),
        otherwise=bool(node.get("otherwise", False)),
        decided_by=str(node.get("decided_by", "")),
        decided_as=str(node.get("decided_as", "")),
    )
