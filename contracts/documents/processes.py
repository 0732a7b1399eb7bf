"""``processes/*.yaml``: chains of messages, and who takes part in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from contracts.strict import Found, Strict, none_of

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,60}$")]
PartyName = Annotated[str, Field(pattern="^[A-Z][A-Z_]{1,20}$")]
Changes = dict[Name, Text]


class PartyEntry(Strict):
    """Somebody who sends or receives."""

    title: Text
    mpid: Name
    dip_id: Name
    role: Text


class PartiesDocument(Strict):
    """``parties.yaml``."""

    parties: dict[PartyName, PartyEntry]


class HoldingEntry(Strict):
    """Items of the record that parties hold after a step."""

    by: Annotated[list[PartyName], Field(min_length=1)]
    items: Annotated[list[Name], Field(min_length=1)]


class RefusalEntry(Strict):
    """Metering points that a process is not for."""

    when: Text
    why: Text


class StepEntry(Strict):
    """One message, or the steps of another process."""

    include: Name | None = None
    sender: Annotated[PartyName | None, Field(alias="from")] = None
    send: Annotated[str, Field(pattern=r"^IF-\d{3}$")] | None = None
    event: Text | None = None
    to: list[PartyName] = Field(default_factory=list)
    assumed: bool = False
    set: Changes = Field(default_factory=dict)
    without: list[Text] = Field(default_factory=list)
    unless: RefusalEntry | None = None
    holds: HoldingEntry | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> StepEntry:
        message = (self.sender, self.send, self.event)
        if self.include is not None and (any(message) or self.to or self.holds or self.without or self.unless):
            raise ValueError("a step that includes a process has 'include' and 'set' alone")
        if self.include is None and not (all(message) and self.to):
            raise ValueError("a step has 'from', 'send', 'event' and 'to', or 'include'")
        return self


class ProcessEntry(Strict):
    """A chain of messages."""

    id: Name
    title: Text
    basis: list[Text]
    refuses: list[RefusalEntry] = Field(default_factory=list)
    needs: list[Name] = Field(default_factory=list)
    independent: bool = False
    set: Changes = Field(default_factory=dict)
    steps: Annotated[list[StepEntry], Field(min_length=1)]


class ProcessesDocument(Strict):
    """One file of processes."""

    processes: Annotated[list[ProcessEntry], Field(min_length=1)]

    def faults(self) -> Iterator[Found]:
        """Yield processes of one name."""
        seen: set[str] = set()
        for place, process in enumerate(self.processes):
            if process.id in seen:
                yield ("processes", place, "id"), none_of(process.id, [], "second process")
            seen.add(process.id)
