"""DIP messages for CIT as data: interfaces, events, blocks, key spellings and versions; the JSON schema stands beside.

Source: domain 8 (envelope, interfaces, block compositions), Q34, Q106, Q107.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from contracts.documents.messages import InterfaceEntry, KeyEntry, MessagesDocument
from contracts.load import read_document
from contracts.messages.model import Interface, Key, ListBlock, Messages

HERE = Path(__file__).parent
MESSAGES = HERE / "messages.yaml"
SCHEMA = HERE / "dip-messages-1.json"


@cache
def messages(path: Path = MESSAGES) -> Messages:
    """Read the composition of messages.

    Raises:
        ContractError: the file is wrong, or an interface names a block that is not there.
    """
    document, _ = read_document(path, MessagesDocument, MessagesDocument.faults)
    return Messages(
        versions=document.versions,
        environment=document.environment,
        parties=document.parties,
        spellings=tuple(document.spellings),
        common={name: _keys(entries) for name, entries in document.common.items()},
        blocks={name: _keys(entries) for name, entries in document.blocks.items()},
        lists={name: ListBlock(entry.each, _keys(entry.keys)) for name, entry in document.lists.items()},
        interfaces={name: _interface(name, entry) for name, entry in document.interfaces.items()},
    )


def _keys(entries: Sequence[KeyEntry]) -> tuple[Key, ...]:
    return tuple(
        Key(
            key=entry.key,
            catalogue=entry.catalogue or entry.key,
            column=entry.source.removeprefix("."),
            context=entry.source.startswith("."),
            form=entry.form or ("as it is" if entry.source.startswith(".") else "text"),
            nullable=entry.nullable,
        )
        for entry in entries
    )


def _interface(name: str, entry: InterfaceEntry) -> Interface:
    return Interface(
        name=name,
        title=entry.title,
        sender=entry.sender,
        to=entry.to,
        identity=entry.identity,
        events={event: tuple(blocks) for event, blocks in entry.events.items()},
        needs=tuple(entry.needs or ()),
        event_needs={event: tuple(columns) for event, columns in (entry.event_needs or {}).items()},
        refuses=entry.refuses or {},
        optional=entry.optional or {},
    )
