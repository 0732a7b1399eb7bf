"""The delivery board: of each input that a cut waits for, whether it is expected, arrived, accepted, refused, late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from contracts.json_types import JsonObject
from flows.cut.config import Job, Participant
from flows.cut.deliveries import input_state, read_note
from flows.report.formatting import listed, plural


class DeliveryState(StrEnum):
    """Where an input stands; the last three are to be chased."""

    LEFT_OUT = "left out"
    ACCEPTED = "accepted"
    READ = "read"  # by a run that published nothing
    CHECKED = "checked"
    DATABASE = "database"  # read when the run begins
    ARRIVED = "arrived"
    EXPECTED = "expected"
    LATE = "late"
    REFUSED = "refused"


CHASED = (DeliveryState.EXPECTED, DeliveryState.LATE, DeliveryState.REFUSED)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One input of a cut.

    Attributes:
        files, bytes: what is there. rows: how many a run read.
        detail: why it is refused or left out, and since when it is late.
    """

    participant: str
    role: str
    extract: str
    state: DeliveryState
    due: str
    files: int = 0
    bytes: int = 0
    rows: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """All inputs of a cut on a day."""

    cut: str
    day: str
    deliveries: tuple[Delivery, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many inputs are in each state, in the order of states."""
        found = Counter(delivery.state for delivery in self.deliveries)
        return {state.value: found[state] for state in DeliveryState if found[state]}

    @property
    def complete(self) -> bool:
        """Whether a run can begin: everything that is not left out is there, and none is refused."""
        return not self.chase

    @property
    def chase(self) -> list[Delivery]:
        """What to ask for, by participant."""
        return sorted((d for d in self.deliveries if d.state in CHASED), key=lambda d: (d.participant, d.extract))

    def document(self) -> JsonObject:
        """Return the board as JSON."""
        return {
            "cut": self.cut,
            "day": self.day,
            "complete": self.complete,
            "counts": {**self.counts},
            "deliveries": [{**asdict(delivery), "state": delivery.state.value} for delivery in self.deliveries],
        }

    def title(self) -> str:
        """Return in a few words whether a run can begin, and without whom."""
        if not self.complete:
            return f"{plural(len(self.chase), 'input')} to chase"
        absent = sorted({d.participant for d in self.deliveries if d.state is DeliveryState.LEFT_OUT})
        return f"everything is there but {listed(absent)}, left out by name" if absent else "everything is there"

    def headline(self) -> str:
        """Return the board in a line."""
        parts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        return f"{plural(len(self.deliveries), 'input')}: {parts}"


def board(job: Job, today: date) -> Board:
    """Return where each input of a cut stands; nothing is opened."""
    found = []
    for participant in job.everyone:
        for extract in dict.fromkeys(entry.contract for entry in participant.extracts):
            found.append(_delivery(job, participant, extract, today))
    return Board(job.model.cut.id, today.isoformat(), tuple(found))


def _delivery(job: Job, participant: Participant, extract: str, today: date) -> Delivery:
    due = participant.due.isoformat() if participant.due else ""
    facts: dict[str, Any] = {"participant": participant.mpid, "role": participant.role.upper(), "extract": extract}
    facts["due"] = due
    if participant.left_out is not None:
        return Delivery(**facts, state=DeliveryState.LEFT_OUT, detail=participant.left_out)
    note = read_note(job, participant.mpid, extract)
    state = input_state(job, participant, extract)
    if any(entry.source.url is not None for entry in job.entries(participant, extract)):
        outcome = DeliveryState(note.outcome) if note else DeliveryState.DATABASE
        return Delivery(**facts, state=outcome, rows=note.rows if note else 0, detail=note.line if note else "")
    if state is None:
        late = participant.due is not None and today > participant.due
        days = (today - participant.due).days if participant.due else 0
        detail = f"{plural(days, 'day')} late" if late else ""
        return Delivery(**facts, state=DeliveryState.LATE if late else DeliveryState.EXPECTED, detail=detail)
    facts |= {"files": state[0], "bytes": state[1]}
    if note is None or note.state != state:
        return Delivery(**facts, state=DeliveryState.ARRIVED)
    return Delivery(**facts, state=DeliveryState(note.outcome), rows=note.rows, detail=note.line)


def lines(deliveries: Sequence[Delivery]) -> list[tuple[str, ...]]:
    """Return deliveries as a terminal's table shows them."""
    return [
        (
            delivery.participant,
            delivery.extract,
            delivery.state.value,
            delivery.due,
            f"{delivery.rows:,}" if delivery.rows else "",
            delivery.detail,
        )
        for delivery in deliveries
    ]
