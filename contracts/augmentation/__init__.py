"""MHHS-only items as ordered decision tables, and import/export associations as ranked evidence: all of it data.

An item, a decision row, a kind of evidence or a DIP role is added in YAML alone. What a table means is defined here;
``augment.decision_tables`` interprets it and ``augment.decision_lint`` finds what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

from contracts.augmentation.model import (
    TABLES,
    AssociationEvidence,
    Associations,
    CentralParty,
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
from contracts.documents.augmentation import (
    AssociationsDocument,
    DecidedEntry,
    Defaults,
    InputEntry,
    ItemsDocument,
    RowEntry,
    ServicesDocument,
    StatementEntry,
)
from contracts.errors import ContractError
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

T = TypeVar("T")
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
    usual, senders = document.defaults or Defaults(), document.senders or {}
    return Tables(
        inputs=tuple(_input(name, entry or InputEntry()) for name, entry in document.inputs.items()),
        impossible=tuple(Condition(e.code, e.never, e.description) for e in document.impossible or ()),
        minor_meters=tuple(document.meters.minor),
        segments={kind: segment for segment, kinds in document.meters.segments.items() for kind in kinds},
        items=tuple(_item(entry, usual, senders) for entry in document.items),
        coherence=tuple(Condition(e.code, e.holds, e.description) for e in document.coherence or ()),
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
        AssociationEvidence(entry.rule, tuple(entry.match), entry.grade, entry.description)
        for entry in document.evidence
    )
    return Associations(
        grades=tuple(document.grades),
        site=tuple(document.site),
        same=tuple(document.same),
        evidence=evidence,
        carried=tuple(document.carried),
        primary=tuple(Condition(e.code, e.when, e.description) for e in document.primary),
        constraints=tuple(Condition(e.code, e.holds, e.description) for e in document.constraints),
        digest=digest,
    )


@cache
def services(path: Path = SERVICES) -> Services:
    """Read the roles and their DIP id prefixes.

    Raises:
        ContractError: the file is wrong, or two roles share a prefix.
    """
    document, digest = read_document(path, ServicesDocument, ServicesDocument.faults)
    central = {role: CentralParty(entry.mpid, entry.dip_id) for role, entry in document.central.items()}
    return Services(document.dip_id_prefixes, digest, central)


def _input(name: str, entry: InputEntry) -> Input:
    return Input(name, tuple(entry.values), entry.codes, entry.nullable)


def _item(entry: DecidedEntry, usual: Defaults, senders: Mapping[str, str]) -> Item:
    return Item(
        item=entry.item,
        catalogue=entry.catalogue,
        key=entry.key,
        description=entry.description,
        basis=tuple(entry.basis),
        values=tuple(entry.values or ()),
        effective_from=_either(entry.effective_from, usual.effective_from),
        excludes=_either(entry.undecided, usual.undecided) == "exclude",
        held_by=tuple(_either(entry.held_by, usual.held_by)),
        decimal=entry.decimal,
        treated_as=entry.treated_as,
        criterion=entry.criterion,
        stated=tuple(_statement(statement, senders) for statement in entry.stated or ()),
        rows=tuple(_decision(row) for row in entry.rows),
    )


def _either(own: T | None, usual: T | None) -> T:
    """Return an item's own word, else the usual one; the document was refused where neither is there."""
    found = usual if own is None else own
    if found is None:
        raise ContractError("an item lacks what has no default", where=ITEMS.name)
    return found


def _statement(entry: StatementEntry, senders: Mapping[str, str]) -> Statement:
    extract, _, column = entry.column.partition(".")
    return Statement(extract, column, entry.effective_from, entry.when, senders.get(extract, extract))


def _decision(entry: RowEntry) -> Decision:
    kind = next(kind for kind in Outcome if kind.value in entry.model_fields_set)
    fallback = ValueSource.MANUFACTURED if kind is Outcome.MANUFACTURE else ValueSource.DERIVED
    lookup = entry.lookup if kind is Outcome.LOOKUP else None
    return Decision(
        rule=entry.rule,
        when="true" if entry.otherwise else entry.when,
        outcome=kind,
        argument="" if kind in (Outcome.LOOKUP, Outcome.MANUFACTURE) else str(getattr(entry, kind.value)),
        source=entry.source or fallback,
        lookup=Lookup(lookup.table, lookup.keys, lookup.value) if lookup else None,
        scheme=entry.manufacture if kind is Outcome.MANUFACTURE else None,
        yields_to=tuple(entry.yields_to or ()),
        otherwise=entry.otherwise,
        decided_by=entry.decided_by,
        decided_as=entry.decided_as,
    )
