"""DIP messages for CIT as data: interfaces, events, blocks, key spellings and versions; the JSON schema stands beside.

Source: domain 8 (envelope, interfaces, block compositions), Q34, Q106, Q107.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ContractError
from contracts.yaml_loader import safe_load

HERE = Path(__file__).parent
MESSAGES = HERE / "messages.yaml"
SCHEMA = HERE / "dip-messages-1.json"
FORMS = ("text", "datetime", "boolean", "integer", "decimal", "as it is")
SENDERS = ("SUP", "REGS", "MS", "DS")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a block.

    Attributes:
        key: its spelling in the schema; ``catalogue`` in the interface catalogue.
        column: column of the record, or an entry of the message's context where ``context`` is set.
        form: how the value is written.
        nullable: whether it may be null.
    """

    key: str
    catalogue: str
    column: str
    context: bool
    form: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class ListBlock:
    """A block of several entries: one for each ``linked`` or ``related`` metering point, or one for the ``day``."""

    each: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface.

    Attributes:
        events: event code -> its custom blocks.
        sender: the role that sends.
        to: column of the record with the primary recipient's DIP id; with a dot before it, one of ``parties``.
        identity: ``M0``, or ``M1`` for relationship messages.
        needs: columns that must be filled; ``event_needs`` for one event alone.
        refuses: column -> value -> why no message is made.
        optional: block -> column without which it is left out.
    """

    name: str
    title: str
    sender: str
    to: str
    identity: str
    events: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    event_needs: Mapping[str, tuple[str, ...]]
    refuses: Mapping[str, Mapping[str, str]]
    optional: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Messages:
    """The whole of ``messages.yaml``."""

    versions: Mapping[str, str]
    environment: str
    parties: Mapping[str, str]
    spellings: tuple[str, ...]
    common: Mapping[str, tuple[Key, ...]]
    blocks: Mapping[str, tuple[Key, ...]]
    lists: Mapping[str, ListBlock]
    interfaces: Mapping[str, Interface]

    def version(self, interface: str) -> str:
        """Return the schema version of an interface."""
        return self.versions.get(interface, self.versions["default"])


@cache
def messages(path: Path = MESSAGES) -> Messages:
    """Read the composition of messages.

    Raises:
        ContractError: the file is wrong, or an interface names a block that is not there.
    """
    try:
        document = safe_load(path.read_text(encoding="utf-8"))
        found = Messages(
            versions={str(k): str(v) for k, v in document["versions"].items()},
            environment=document["environment"],
            parties={str(k): str(v) for k, v in document["parties"].items()},
            spellings=tuple(document["spellings"]),
            common={name: _keys(nodes) for name, nodes in document["common"].items()},
            blocks={name: _keys(nodes) for name, nodes in document["blocks"].items()},
            lists={n: ListBlock(node["each"], _keys(node["keys"])) for n, node in document["lists"].items()},
            interfaces={name: _interface(name, node) for name, node in document["interfaces"].items()},
        )
    except OSError as fault:
        raise ContractError("cannot be read", where=path.name, remedy=fault.strerror or "") from None
    except KeyError as fault:
        raise ContractError(f"entry {fault.args[0]!r} is missing", where=path.name) from None
    except (yaml.YAMLError, TypeError, ValueError, AttributeError) as fault:
        raise ContractError(f"cannot be understood ({type(fault).__name__})", where=path.name) from None
    _check(found, path)
    return found


def _check(found: Messages, path: Path) -> None:
    faults = []
    for interface in found.interfaces.values():
        for blocks in interface.events.values():
            faults += [
                f"{interface.name}: there is no block {b}" for b in blocks if b not in {*found.blocks, *found.lists}
            ]
        if interface.sender not in SENDERS or interface.identity not in found.common:
            faults.append(f"{interface.name}: sender or identity is unknown")
    keys = [k for ks in (*found.common.values(), *found.blocks.values()) for k in ks]
    faults += [f"{k.key}: there is no form {k.form}" for k in keys if k.form not in FORMS]
    if faults:
        raise ContractError("; ".join(faults), where=path.name)


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
