"""Every error that leaves the product: what happened, where, what to do next, and the exit code that tells it apart.

A message never holds a raw identifier or key material: errors take file names, column names, rule ids, row
numbers and counts. The exit code is the privacy-safe channel: it tells a failure apart without a log.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.json_types import JsonObject


class DataCutError(Exception):
    """Base of every expected failure.

    Attributes:
        exit_code: process exit code of the class.
        what: what happened, in words without data.
        where: file, column, rule or stage it happened at; may be empty.
        remedy: what a reader can do next; may be empty.
        document: what a command had found by then, for ``--json``; may be nothing.
    """

    exit_code = 1
    document: JsonObject | None = None

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(self.line())

    @classmethod
    def defect(cls, fault: BaseException) -> DataCutError:
        """Return what is safe to say of an exception that nobody expected: its type and place, never its text."""
        place = traceback.extract_tb(fault.__traceback__)[-1]
        where = f"{PurePath(place.filename).name}:{place.lineno}"
        return DataCutError(f"defect in datacut: {type(fault).__name__} at {where}", remedy="please report it")

    def line(self) -> str:
        """Return the one line a person reads: where, what, what to do."""
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.what}{advice}"


class ConfigurationError(DataCutError):
    """The command or ``cut.yaml`` asks for something that cannot be."""

    exit_code = 2


class ContractError(DataCutError):
    """A contract, code list or table in ``contracts/`` is wrong."""

    exit_code = 10


class IntakeError(DataCutError):
    """A source cannot be read as what it is declared to be."""

    exit_code = 11


class RefusedError(DataCutError):
    """The data can be read and is refused at a gate."""

    exit_code = 12


class KeyMaterialError(DataCutError):
    """A key is missing, malformed, unprotected or the wrong one."""

    exit_code = 13


class ResidueError(DataCutError):
    """A raw identifier survived into an output, or a disclosure threshold is passed."""

    exit_code = 14


class QualityError(DataCutError):
    """The quality stage could not judge the data, or judged it unfit as a whole."""

    exit_code = 15


class AlignmentError(DataCutError):
    """Participants disagree beyond what the policy tolerates."""

    exit_code = 16


class RingFenceError(DataCutError):
    """An allocation is impossible, stale, or would touch an MPAN twice."""

    exit_code = 17


class EvidenceError(DataCutError):
    """A pack, signature, digest or ledger does not hold."""

    exit_code = 18


class PlaceError(DataCutError):
    """The machine, disk, database or installation is unfit."""

    exit_code = 19


class InsufficientDataError(DataCutError):
    """Too much is excluded, or nothing was read or is left: publishing it would be success with nothing."""

    exit_code = 20
