"""READINESS: what must be there before a run begins: registers, every input, and a cut that has not expired."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

from contracts.errors import ConfigurationError, IntakeError, PlaceError
from flows.cut.config import Job
from flows.cut.deliveries import input_state


def require_registers(job: Job) -> None:
    """See that what has to be stated is stated.

    Raises:
        ConfigurationError: the registers lack something that they require.
    """
    duties = [(participant.mpid, participant.duties) for participant in job.model.participants]
    if lacking := job.model.registers.lacking(duties):
        raise ConfigurationError(
            f"requires and does not state: {', '.join(lacking)}",
            where=f"{job.file.name}, registers.required",
            remedy="an agreement counts once it is signed; see docs/for-si-engineers.md",
        )


def require_there(job: Job) -> None:
    """Name every input that is not there, before the others are read.

    Raises:
        IntakeError: one is missing and there are others; of an only input, intake says what is wrong with its path.
    """
    wanted = [
        (participant, contract)
        for participant in job.model.participants
        for contract in dict.fromkeys(entry.contract for entry in participant.extracts)
    ]
    missing = [
        f"{participant.mpid}/{contract}"
        for participant, contract in wanted
        if all(entry.source.url is None for entry in job.entries(participant, contract))
        and input_state(job, participant, contract) is None
    ]
    if missing and len(wanted) > 1:
        are = "input is" if len(missing) == 1 else "inputs are"
        raise IntakeError(
            f"{len(missing)} {are} not there: {', '.join(missing)}",
            where=job.file.name,
            remedy="see datacut status; a participant may be left out by name, with left_out and the reason",
        )


def require_unexpired(expires: date | None) -> None:
    """Refuse a cut whose packs nobody may rely on any more: before the work, not by ``verify`` after it."""
    if expires is not None and expires < datetime.now(UTC).date():
        raise ConfigurationError(
            f"the cut expired on {expires}: no pack of it would verify",
            where="cut.expires",
            remedy="name a later day, if the cut may still be used",
        )


def require_writable(folder: Path) -> None:
    """See that a folder can be made or written to.

    Raises:
        PlaceError: it cannot.
    """
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(standing, os.W_OK):
        raise PlaceError("cannot be written", where=folder.name, remedy="choose another release.folder")
