"""``messages/*.yaml``: blocks, events, versions and values of DIP messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.strict import Found, Strict, none_of

Text = Annotated[str, Field(min_length=1)]
EachOf = Literal["itself", "linked", "related", "period", "reactive_period"]


class KeyEntry(Strict):
    """How the value of a key is written, and its number in the interface catalogue."""

    form: Text
    item: str = ""


class BlocksDocument(Strict):
    """``blocks.yaml``. Entries of a block are keys, or maps of one key to what is in it."""

    version: Text
    codes: dict[str, list[Text]]
    open: list[Text] = Field(default_factory=list)
    most: dict[str, dict[str, int]] = Field(default_factory=dict)
    keys: dict[str, KeyEntry]
    blocks: dict[str, list[Any]]

    def faults(self) -> Iterator[Found]:
        """Yield lists of codes and blocks that there are not."""
        for name, key in self.keys.items():
            words = key.form.removesuffix(", or null").split()
            if words[0] == "code" and words[-1] not in self.codes:
                yield ("keys", name, "form"), none_of(words[-1], [*self.codes], "list of codes")
        for place, block in enumerate(self.open):
            if block not in self.blocks:
                yield ("open", place), none_of(block, [*self.blocks], "block")
        for block in self.most:
            if block not in self.blocks:
                yield ("most", block), none_of(block, [*self.blocks], "block")


class EventEntry(Strict):
    """An event with common blocks of its own."""

    common: list[Text]
    blocks: list[Text]


class InterfaceEntry(Strict):
    """One interface."""

    title: Text
    senders: list[Text]
    version: str = ""
    common: list[Text]
    events: dict[str, list[Text] | EventEntry]


class EventsDocument(Strict):
    """``events.yaml``."""

    version: Text
    interfaces: dict[Annotated[str, Field(pattern=r"^IF-\d{3}$")], InterfaceEntry]


class VersionEntry(Strict):
    """What is known to differ in one version."""

    title: Text
    keys: dict[str, str] = Field(default_factory=dict)
    codes: dict[str, list[Text]] = Field(default_factory=dict)
    without: list[Text] = Field(default_factory=list)
    unknown: str = ""


class VersionsDocument(Strict):
    """``versions.yaml``."""

    default: Text
    versions: dict[str, VersionEntry]

    def faults(self) -> Iterator[Found]:
        """Yield a default that is no version."""
        if self.default not in self.versions:
            yield ("default",), none_of(self.default, [*self.versions], "version")


class ValuesDocument(Strict):
    """``values.yaml``."""

    environment: Text
    context: dict[str, Text]
    keys: dict[str, Text]
    paths: dict[str, Text] = Field(default_factory=dict)
    lists: dict[str, EachOf] = Field(default_factory=dict)
    event_lists: dict[str, dict[str, EachOf]] = Field(default_factory=dict)
    invented: list[Text] = Field(default_factory=list)

    def faults(self) -> Iterator[Found]:
        """Yield invented keys that have no value."""
        for place, name in enumerate(self.invented):
            if name not in self.keys:
                yield ("invented", place), none_of(name, [*self.keys], "key")
