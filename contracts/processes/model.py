"""What a process is made of, as frozen values. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who sends or receives: columns of the record that say who it is, and SQL for its role."""

    name: str
    title: str
    mpid: str
    dip_id: str
    role: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Items of the record that parties hold after a step."""

    by: tuple[str, ...]
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessRefusal:
    """Metering points that a process is not for: SQL, and why."""

    when: str
    why: str


@dataclass(frozen=True, slots=True)
class ProcessStep:
    """One message of a process.

    Attributes:
        number: from 1.
        sender, receivers: names of parties.
        assumed: whether the receivers are ours, where the interface catalogue says "many".
        changes: what happens to the record before the message is made: one round of column -> SQL after another.
        without: optional blocks that are left out.
        unless: metering points for which this step is passed over; the chain goes on.
        holds: who holds what afterwards; None where nothing changes hands.
    """

    number: int
    sender: str
    interface: str
    event: str
    receivers: tuple[str, ...]
    assumed: bool
    changes: tuple[Mapping[str, str], ...]
    without: tuple[str, ...]
    unless: ProcessRefusal | None
    holds: Holding | None


@dataclass(frozen=True, slots=True)
class Process:
    """A chain of messages.

    Attributes:
        independent: whether a step goes ahead where an earlier one could not.
        needs: columns without which the process is not made.
    """

    id: str
    title: str
    basis: tuple[str, ...]
    refuses: tuple[ProcessRefusal, ...]
    needs: tuple[str, ...]
    independent: bool
    steps: tuple[ProcessStep, ...]


@dataclass(frozen=True, slots=True)
class Processes:
    """All processes, and the parties that they name."""

    parties: Mapping[str, Party]
    processes: Mapping[str, Process]
    digest: str

    def events(self) -> list[tuple[str, str]]:
        """Return every interface and event that some step names, each once, in order."""
        return sorted({(s.interface, s.event) for p in self.processes.values() for s in p.steps})
