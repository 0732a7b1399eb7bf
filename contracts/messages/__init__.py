"""DIP messages as data: blocks, events, versions, and where the value of each key comes from.

``blocks.yaml`` and ``events.yaml`` restate the published API, ``versions.yaml`` says what older versions are known to
have had otherwise, ``values.yaml`` what fills a key. The writer interprets them: a new event is a row, not code.

Source: Elexon's published DIP API as tabled facts; Q34, Q104, Q106, Q107.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from contracts.documents.messages import (
    BlocksDocument,
    EventEntry,
    EventsDocument,
    InterfaceEntry,
    ValuesDocument,
    VersionsDocument,
)
from contracts.errors import ContractError
from contracts.load import read_document
from contracts.messages.forms import read_form
from contracts.messages.model import BlockUse, Event, MessageBlock, MessageForm, MessageTables, MessageValues, Part
from contracts.strict import none_of

HERE = Path(__file__).parent
_NESTED = re.compile(r"(?P<name>\w+)(?P<list>\[(?P<most>\d*)\])?(?P<optional>\?)?")
_USE = re.compile(r"(?P<key>\w+)(=(?P<block>\w+))?(?P<optional>\?)?")


def versions(folder: Path = HERE) -> tuple[str, ...]:
    """Return the versions of which there is a table, the default first.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(folder / "versions.yaml", VersionsDocument, VersionsDocument.faults)
    return tuple(sorted(document.versions, key=lambda name: (name != document.default, name)))


@cache
def message_tables(version: str = "", folder: Path = HERE) -> MessageTables:
    """Read blocks and events of a version; of the default one where none is named.

    Raises:
        ContractError: a file is wrong, there is no such version, or an event names a block that there is not.
    """
    known, _ = read_document(folder / "versions.yaml", VersionsDocument, VersionsDocument.faults)
    version = version or known.default
    if version not in known.versions:
        raise ContractError(none_of(version, versions(folder), "schema version"), where="versions.yaml")
    own = known.versions[version]
    blocks, _ = read_document(folder / "blocks.yaml", BlocksDocument, BlocksDocument.faults)
    events, _ = read_document(folder / "events.yaml", EventsDocument)
    codes = {**blocks.codes, **own.codes}
    forms = {name: read_form(key.form, codes, where=name) for name, key in blocks.keys.items()}
    reader = _BlockReader(forms, {name: key.item for name, key in blocks.keys.items()}, own.keys)
    shapes = {
        name: MessageBlock(
            name, reader.parts(parts, name), name.endswith("List"), name in blocks.open,
            blocks.most.get(name),
        )
        for name, parts in blocks.blocks.items()
    }  # fmt: skip
    found: dict[tuple[str, str], Event] = {}
    for name, entry in events.interfaces.items():
        if name not in own.without:
            found |= {(name, code): _event(name, code, entry, row, version) for code, row in entry.events.items()}
    for event in found.values():
        for use in (*event.common, *event.custom):
            if use.block not in shapes:
                where = f"events.yaml, {event.interface} [{event.code}]"
                raise ContractError(none_of(use.block, [*shapes], "block"), where=where)
    return MessageTables(version, own.title, shapes, found, own.unknown)


class _BlockReader:
    """Reads the keys of blocks under the names of one version."""

    def __init__(self, forms: Mapping[str, MessageForm], items: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._forms, self._items, self._names = forms, items, names

    def parts(self, nodes: Sequence[Any], path: str) -> tuple[Part, ...]:
        """Return the parts of a block, or of a part of one."""
        return tuple(self._part(node, path) for node in nodes)

    def _part(self, node: Any, path: str) -> Part:
        if isinstance(node, str):
            if node not in self._forms:
                raise ContractError(none_of(node, [*self._forms], "key"), where=f"blocks.yaml, {path}")
            name = self._names.get(node, node)
            return Part(name, node, f"{path}.{node}", self._forms[node], self._items[node])
        if not isinstance(node, Mapping) or len(node) != 1:
            raise ContractError("an entry is a key, or a map of one key to what is in it", where=f"blocks.yaml, {path}")
        ((written, inner),) = node.items()
        match = _NESTED.fullmatch(str(written))
        if match is None:
            raise ContractError("a nested key is written name, name[], name[48], with ? behind it", where=path)
        name = match["name"]
        return Part(
            name, name, f"{path}.{name}", None, "", self.parts(inner, f"{path}.{name}"),
            match["list"] is not None, int(match["most"] or 0), match["optional"] is not None,
        )  # fmt: skip


def _event(interface: str, code: str, entry: InterfaceEntry, row: list[str] | EventEntry, version: str) -> Event:
    own = row if isinstance(row, EventEntry) else EventEntry(common=entry.common, blocks=row)
    return Event(
        interface=interface,
        code=code,
        title=entry.title,
        senders=tuple(entry.senders),
        version=entry.version or version,
        common=tuple(map(_use, own.common)),
        custom=tuple(map(_use, own.blocks)),
    )


def _use(text: str) -> BlockUse:
    match = _USE.fullmatch(text)
    if match is None:
        raise ContractError("a block is written B030, B030? or B906=B906a", where="events.yaml")
    return BlockUse(match["key"], match["block"] or match["key"], match["optional"] is not None)


@cache
def message_values(folder: Path = HERE) -> MessageValues:
    """Read where values come from.

    Raises:
        ContractError: the file is wrong.
    """
    document, _ = read_document(folder / "values.yaml", ValuesDocument, ValuesDocument.faults)
    return MessageValues(
        environment=document.environment,
        context=document.context,
        keys=document.keys,
        paths=document.paths,
        lists=document.lists,
        event_lists=document.event_lists,
        invented=tuple(document.invented),
    )
