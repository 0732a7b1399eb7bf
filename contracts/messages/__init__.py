"""DIP messages for CIT as data: interfaces, events, blocks, key spellings and versions; the JSON schema stands beside.

Source: domain 8 (envelope, interfaces, block compositions), Q34, Q106, Q107.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from contracts.documents.messages import MessagesDocument
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
        versions=dict(document["versions"]),
        environment=document["environment"],
        parties=dict(document["parties"]),
        spellings=tuple(document["spellings"]),
        common={name: _keys(nodes) for name, nodes in document["common"].items()},
        blocks={name: _keys(nodes) for name, nodes in document["blocks"].items()},
        lists={n: ListBlock(node["each"], _keys(node["keys"])) for n, node in document["lists"].items()},
        interfaces={name: _interface(name, node) for name, node in document["interfaces"].items()},
    )


def _keys(nodes: list[Mapping[str, Any]]) -> tuple[Key, ...]:
    return tuple(
        Key(
            key=n["key"],
            catalogue=n.get("catalogue", n["key"]),
            column=str(n["from"]).removeprefix("."),
            context=str(n["from"]).startswith("."),
            form=n.get("as", "as it is" if str(n["from"]).startswith(".") else "text"),
            nullable=bool(n.get("nullable", False)),
        )
        for n in nodes
    )


def _interface(name: str, node: Mapping[str, Any]) -> Interface:
    return Interface(
        name=name,
        title=node["title"],
        sender=node["sender"],
        to=node["to"],
        identity=node.get("identity", "M0"),
        events={event: tuple(blocks) for event, blocks in node["events"].items()},
        needs=tuple(node.get("needs") or ()),
        event_needs={event: tuple(c) for event, c in (node.get("event_needs") or {}).items()},
        refuses={c: dict(values) for c, values in (node.get("refuses") or {}).items()},
        optional=dict(node.get("optional") or {}),
    )
