"""``messages/messages.yaml``: the composition of DIP messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from contracts.strict import Found, Strict, none_of

Text = Annotated[str, Field(min_length=1)]


class KeyEntry(Strict):
    """One key of a block."""

    key: Text
    catalogue: str | None = None
    source: Text = Field(alias="from")
    form: Literal["text", "datetime", "boolean", "integer", "decimal", "as it is"] | None = Field(
        default=None, alias="as"
    )
    nullable: bool = False


class ListEntry(Strict):
    """A block of several entries."""

    each: Literal["linked", "related", "day"]
    keys: list[KeyEntry]


class InterfaceEntry(Strict):
    """One interface."""

    title: Text
    sender: Literal["SUP", "REGS", "MS", "DS"]
    to: Text
    identity: str = "M0"
    events: dict[str, list[Text]]
    needs: list[Text] | None = None
    event_needs: dict[str, list[Text]] | None = None
    refuses: dict[str, dict[str, str]] | None = None
    optional: dict[str, str] | None = None


class MessagesDocument(Strict):
    """The whole file."""

    versions: dict[str, str]
    environment: Text
    parties: dict[str, str]
    spellings: list[Text]
    common: dict[str, list[KeyEntry]]
    blocks: dict[str, list[KeyEntry]]
    lists: dict[str, ListEntry]
    interfaces: dict[str, InterfaceEntry]

    def faults(self) -> Iterator[Found]:
        """Yield interfaces that name a block that there is not."""
        if "default" not in self.versions:
            yield ("versions",), "has no 'default'"
        known = {*self.blocks, *self.lists}
        for name, interface in self.interfaces.items():
            if interface.identity not in self.common:
                yield ("interfaces", name, "identity"), none_of(interface.identity, [*self.common], "block")
            for event, blocks in interface.events.items():
                for place, block in enumerate(blocks):
                    if block not in known:
                        yield ("interfaces", name, "events", event, place), none_of(block, [*known], "block")
