"""What messages are made of, as frozen values. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
