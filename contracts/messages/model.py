"""What messages are made of, as frozen values. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FormKind(StrEnum):
    """How JSON holds a value."""

    TEXT = "text"
    DATE_TIME = "date and time"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    NUMBER = "number"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How a value is written.

    Attributes:
        words: as the table says it.
        pattern: regular expression of the whole text; empty for none. Of a list: of each entry.
        codes: the values there are; empty for any.
        least, most: bounds of a number, both inclusive; ``whole`` for integers.
        nullable: whether null may stand in its place.
    """

    words: str
    kind: FormKind
    pattern: str = ""
    codes: tuple[str, ...] = ()
    least: float = float("-inf")
    most: float = float("inf")
    whole: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A key of a block: a value, an object, or a list of objects.

    Attributes:
        name: the key in this version; ``known_as`` in the values that fill it.
        path: block and keys down to it, joined by dots.
        form: of a value; None where ``parts`` has what is in it.
        repeats: it is a list of at least one entry; ``most`` of at most so many, 0 for any number.
        optional: it may be left out.
    """

    name: str
    known_as: str
    path: str
    form: MessageForm | None = None
    item: str = ""
    parts: tuple[Part, ...] = ()
    repeats: bool = False
    most: int = 0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MessageBlock:
    """A block. ``open`` ones do not forbid further keys; ``most`` is the greatest number of entries by interface."""

    name: str
    parts: tuple[Part, ...]
    repeats: bool = False
    open: bool = False
    most: Mapping[str, int] | None = None

    def leaves(self) -> list[Part]:
        """Return every value in it."""
        return [leaf for part in self.parts for leaf in _leaves(part)]


def _leaves(part: Part) -> list[Part]:
    return [leaf for inner in part.parts for leaf in _leaves(inner)] if part.form is None else [part]


@dataclass(frozen=True, slots=True)
class BlockUse:
    """A block in an event: the key under which it stands, the block, and whether it may be left out."""

    key: str
    block: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Event:
    """An event of an interface.

    Attributes:
        senders: roles that may send it; empty where the publication does not say.
        common, custom: its blocks; without custom ones there is no ``CustomBlock``.
    """

    interface: str
    code: str
    title: str
    senders: tuple[str, ...]
    version: str
    common: tuple[BlockUse, ...]
    custom: tuple[BlockUse, ...]

    @property
    def publication(self) -> str:
        """What a receiver gets: PUB and the number of the interface."""
        return self.interface.replace("IF-", "PUB-")


@dataclass(frozen=True, slots=True)
class MessageTables:
    """Blocks and events of one version.

    Attributes:
        events: (interface, event code) -> event.
        unknown: what is not known of the version, in words; empty for nothing.
    """

    version: str
    title: str
    blocks: Mapping[str, MessageBlock]
    events: Mapping[tuple[str, str], Event]
    unknown: str = ""

    def interfaces(self) -> list[str]:
        """Return the names of the interfaces in their order."""
        return list(dict.fromkeys(interface for interface, _ in self.events))


@dataclass(frozen=True, slots=True)
class MessageValues:
    """Where the values of keys come from.

    Attributes:
        environment: environment tag of a batch unless another is asked for.
        context: columns worked out once for each metering point, in this order: name -> SQL.
        keys: key -> SQL; ``paths``: the same for one path alone, which wins.
        lists: path of a list -> what its entries are (see ``values.yaml``).
        event_lists: event code -> path of a list -> the same, for that event alone.
        invented: keys whose value no record holds, and which are invented.
    """

    environment: str
    context: Mapping[str, str]
    keys: Mapping[str, str]
    paths: Mapping[str, str]
    lists: Mapping[str, str]
    event_lists: Mapping[str, Mapping[str, str]]
    invented: tuple[str, ...]

    def source(self, part: Part) -> str | None:
        """Return the SQL that gives a value; None where nothing does."""
        return self.paths.get(part.path, self.keys.get(part.known_as))
