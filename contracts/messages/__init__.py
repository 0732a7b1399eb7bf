"""DIP messages for CIT as data: interfaces, events, blocks, key spellings and versions; the JSON schema stands beside.

Source: domain 8 (envelope, interfaces, block compositions), Q34, Q106, Q107.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ContractError
from contracts.messages.model import Interface, Key, ListBlock, Messages
from contracts.yaml_loader import safe_load

HERE = Path(__file__).parent
MESSAGES = HERE / "messages.yaml"
SCHEMA = HERE / "dip-messages-1.json"
FORMS = ("text", "datetime", "boolean", "integer", "decimal", "as it is")
SENDERS = ("SUP", "REGS", "MS", "DS")


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
