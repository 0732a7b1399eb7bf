"""Every error that leaves the product: what happened, where, what to do next, and the exit code that tells it apart.

A message never holds a raw identifier or key material: errors take file names, column names, rule ids, row
numbers and counts. The exit code is the privacy-safe channel: it tells a failure apart without a log.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from contracts.json_types import JsonObject


class DataCutError(Exception):
    """Base of every expected failure.

    Attributes:
        exit_code: process exit code of the class. means: what it means, in a few words. runbook: what to do.
        what: what happened, in words without data.
        where: file, column, rule or stage it happened at; may be empty.
        remedy: what a reader can do next; may be empty.
        document: what a command had found by then, for ``--json``; may be nothing.
    """

    exit_code = 1
    means: ClassVar[str] = "a defect in datacut"
    runbook: ClassVar[str] = (
        "Not your fault and nothing to correct. Nothing was published. Report the line, which names type and "
        "place and no data; run again with `--log FILE` if it happens again."
    )
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
    means: ClassVar[str] = "wrong usage or configuration"
    runbook: ClassVar[str] = (
        "The line names option, or file and line of `CUT.yaml`, and often what was meant. Nothing was read."
    )


class ContractError(DataCutError):
    """A contract, code list or table in ``contracts/`` is wrong."""

    exit_code = 10
    means: ClassVar[str] = "a contract is wrong"
    runbook: ClassVar[str] = "Run `datacut contracts check`. Only who changed `contracts/`, or an overlay, meets it."


class IntakeError(DataCutError):
    """A source cannot be read as what it is declared to be."""

    exit_code = 11
    means: ClassVar[str] = "a source cannot be read"
    runbook: ClassVar[str] = (
        "The line names source and place. Try `datacut check CUT.yaml`; correct form, encoding or path, or have "
        "the file sent again. The work folder is cleared."
    )


class RefusedError(DataCutError):
    """The data can be read and is refused at a gate."""

    exit_code = 12
    means: ClassVar[str] = "the data is refused"
    runbook: ClassVar[str] = (
        "The data can be read and must not pass: a heading of a person, another cut date, two columns of one "
        "meaning, a bomb. Send it without. The work folder is cleared."
    )


class KeyMaterialError(DataCutError):
    """A key is missing, malformed, unprotected or the wrong one."""

    exit_code = 13
    means: ClassVar[str] = "a key is missing, wrong or unprotected"
    runbook: ClassVar[str] = (
        "Compare `datacut key fingerprint` with what the programme announced; `chmod 600`; give the passphrase or "
        "identity. Never send the key file to whoever helps."
    )


class ResidueError(DataCutError):
    """A raw identifier survived into an output, or a disclosure threshold is passed."""

    exit_code = 14
    means: ClassVar[str] = "a raw identifier survived, or too few records look alike"
    runbook: ClassVar[str] = (
        "Nothing was published. The line names file, column and row, or the threshold. Tell the data protection "
        "officer; report it as a weakness if no column of yours explains it (SECURITY.md)."
    )


class QualityError(DataCutError):
    """The quality stage could not judge the data, or judged it unfit as a whole."""

    exit_code = 15
    means: ClassVar[str] = "data quality"
    runbook: ClassVar[str] = (
        "The rules could not be judged, or the two counts of them differ. Nothing was published. Report it."
    )


class AlignmentError(DataCutError):
    """Participants disagree beyond what the policy tolerates."""

    exit_code = 16
    means: ClassVar[str] = "participants disagree"
    runbook: ClassVar[str] = (
        "The line names the pair and the item. Look at the report of the last run, ask both; "
        "`contracts/alignment.yaml` says what is borne."
    )


class RingFenceError(DataCutError):
    """An allocation is impossible, stale, or would touch an MPAN twice."""

    exit_code = 17
    means: ClassVar[str] = "ring-fence"
    runbook: ClassVar[str] = (
        "Gone, other or older ledger: `datacut ringfence restore`. Stale plan: plan again. Nothing was reserved."
    )


class EvidenceError(DataCutError):
    """A pack, signature, digest or ledger does not hold."""

    exit_code = 18
    means: ClassVar[str] = "a pack, signature or ledger does not hold"
    runbook: ClassVar[str] = (
        "Do not use the pack. Have it sent again, and compare the key by another channel; a ledger that was "
        "changed: restore it from a backup."
    )


class PlaceError(DataCutError):
    """The machine, disk, database or installation is unfit."""

    exit_code = 19
    means: ClassVar[str] = "the machine or installation is unfit"
    runbook: ClassVar[str] = (
        "Disk, memory, permissions, a server that is away, a run that is under way, a part that is not installed: "
        "the line says which. Put it right and run the same command again; it goes on where it was."
    )


class InsufficientDataError(DataCutError):
    """Too much is excluded, or nothing was read or is left: publishing it would be success with nothing."""

    exit_code = 20
    means: ClassVar[str] = "too much is excluded, or nothing is left"
    runbook: ClassVar[str] = (
        "The line says which rule in which column took how many, and the likely cause in the sender's words. "
        "Correct the export, or accept it by name in `cut.policy.excluded_at_most.allow`."
    )
