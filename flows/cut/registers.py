"""REGISTERS: who answers for what in a cut, as ``cut.yaml`` states it: words of people, beside what was counted.

Source: Q55, Q60, Q92 (controllers and sharing agreements), Q44 to Q46 and Q69 (placing reliance, who acts for whom),
Q20 and Q31 (MPIDs by segment), R1 to R3 (custody of keys).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import Field

from contracts.strict import PlacedError, Strict, matching
from transforms.succession import latest

Mpid = Annotated[str, matching(r"[A-Z0-9]{4}", "must be an MPID: four capital letters or digits")]
Words = Annotated[str, Field(min_length=1, max_length=300)]
Status = Literal["signed", "agreed", "in preparation", "none"]
Demand = Literal["agreement", "controller", "retention", "standard", "custody", "operator"]
Segment = Literal["SMART", "ADVANCED", "UNMETERED"]


class SharingAgreement(Strict):
    """Under what a participant shares its data."""

    status: Status
    date: datetime.date | None = None
    reference: Words | None = None


class Duties(Strict):
    """What a participant answers for.

    ``acts_for`` names those on whose behalf it sends data, or places reliance; ``segments`` the MPID by market segment
    of a participant that has several.
    """

    controller: Words | None = None
    agreement: SharingAgreement | None = None
    acts_for: tuple[Words, ...] = ()
    segments: dict[Segment, Words] = Field(default_factory=dict)


class Succession(Strict):
    """A participant whose appointments another has taken over on a day (Q99)."""

    mpid: Mpid
    successor: Mpid
    on: datetime.date


def successors(entries: Iterable[Succession], day: datetime.date) -> dict[str, str]:
    """Return MPID -> who has its appointments on a day.

    Raises:
        PlacedError: an MPID has two successors, or successors go round in a circle.
    """
    steps: dict[str, str] = {}
    for number, entry in enumerate(entries):
        if entry.mpid in steps or entry.mpid == entry.successor:
            raise PlacedError(f"names no one successor of {entry.mpid}", "succession", number)
        if entry.on <= day:
            steps[entry.mpid] = entry.successor
    try:
        return latest(steps)
    except ValueError as fault:
        raise PlacedError(str(fault), "succession") from None


class Standard(Strict):
    """The standard that the data is held against, and who approved it."""

    name: Words
    version: Words
    approved_by: Words
    approved_on: datetime.date


class Custody(Strict):
    """Who did what with a key, or holds it: a ceremony, a share, a copy."""

    what: Words
    who: Words
    on: datetime.date
    custody: Words


class Registers(Strict):
    """Registers of the cut as a whole; ``required`` names what has to be there before anything is run."""

    operator: Words | None = None
    retention: Words | None = None
    standard: Standard | None = None
    custody: tuple[Custody, ...] = ()
    required: tuple[Demand, ...] = ()

    def lacking(self, duties: Iterable[tuple[str, Duties]]) -> list[str]:
        """Name what is required and not stated, of a participant by its MPID."""
        missing, duties = [], list(duties)
        for demand in get_args(Demand):
            if demand not in self.required:
                continue
            if demand in ("agreement", "controller"):
                missing += [f"{demand} of {mpid}" for mpid, duty in duties if not _stated(demand, duty)]
            elif not getattr(self, demand):
                missing.append(demand)
        return missing


def _stated(demand: str, duty: Duties) -> bool:
    if demand == "controller":
        return duty.controller is not None
    return duty.agreement is not None and duty.agreement.status == "signed"
