"""What the evidence says of sources, of participants left out, and of who answers for what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contracts.evidence_types import (
    Count,
    Date,
    Heading,
    Hex32,
    Maybe,
    Name,
    Section,
    Sha256,
    _empty,
    _maybe,
    _of,
)


class FilledItem(Section):
    """What a flow has in place of a value that no row has."""

    item: Name
    name: str
    written: str
    records: Count


class LackingItem(Section):
    """A mandatory item of a flow that rows lack, so that the flow cannot express them."""

    item: Heading = _of("Group and item, as 290.J0410; empty where a value would break its record.")
    name: str
    rows: Count


class EmptyItem(Section):
    """An item of a written group that has no value in any record."""

    item: Name = _of("Group and item, as 290.J0004.")
    name: str


class UnwrittenGroup(Section):
    """A group of a flow of which no record is written."""

    group: Name
    below: str
    cardinality: str


class ReturnedFlow(Section):
    """What became of the rows of an extract that went back as a DTC flow."""

    file: str
    not_expressible: Count = _of("Rows that the flow cannot express; a CSV file of their own has them.")
    lacking: tuple[LackingItem, ...]
    filled: tuple[FilledItem, ...]
    not_carried: dict[str, Count] = _of("Columns that the flow does not have -> rows that have a value there.")
    left_empty: tuple[EmptyItem, ...] = _empty((), "Items of the flow that no column carries.")
    left_out: tuple[UnwrittenGroup, ...] = _empty((), "Groups of the flow that no column carries.")


class SourceFormEvidence(Section):
    """How a source is written; what goes back has this form."""

    delimiter: Maybe[str] = None
    encoding: Maybe[str] = None
    flow: Maybe[str] = _maybe("DTC flow and version, as D0150002; empty for other forms.")
    order: Maybe[tuple[str, ...]] = _maybe("Columns of the contract in the order of the source.")
    dates: Maybe[dict[str, str]] = _maybe("Contract column -> how its dates are written.")
    quote: Maybe[str] = _maybe("How cells that hold a delimiter are protected: double, none or backslash.")
    returned: Maybe[ReturnedFlow] = _maybe("Of a return that went back as a flow: what became of its rows.")


class SourceFile(Section):
    """One of several files of a source."""

    name: Annotated[str, Field(max_length=1000)]
    bytes: Count
    rows: Count
    hmac_sha256: str


class AgreementStated(Section):
    """Under what a participant shares its data."""

    status: Literal["signed", "agreed", "in preparation", "none"]
    date: Maybe[Date] = None
    reference: Maybe[str] = None


class DutiesEvidence(Section):
    """What a participant answers for, as the cut file states it."""

    participant: Name
    controller: Maybe[str] = None
    agreement: Maybe[AgreementStated] = None
    acts_for: Maybe[tuple[str, ...]] = None
    segments: Maybe[dict[str, str]] = None


class StandardEvidence(Section):
    """The standard that the data is held against."""

    name: str
    version: str
    approved_by: str
    approved_on: Date


class CustodyEvidence(Section):
    """Who did what with a key, or holds it."""

    what: str
    who: str
    on: Date
    custody: str


class SuccessionEvidence(Section):
    """A participant whose appointments are read as those of its successor, since a day (Q99)."""

    mpid: Name
    successor: Name
    on: Date


class RegistersEvidence(Section):
    """Who answers for what: words of the cut file, not counted and not checked."""

    operator: Maybe[str] = None
    retention: Maybe[str] = None
    standard: Maybe[StandardEvidence] = None
    custody: Maybe[tuple[CustodyEvidence, ...]] = None
    participants: Maybe[tuple[DutiesEvidence, ...]] = None
    required: Maybe[tuple[str, ...]] = _maybe("What had to be stated before anything was run.")


class QualificationEvidence(Section):
    """A later cut for participants outside SIT: which cut it is apart from, who is in which tranche (Q47, Q65)."""

    after: Name = _of("Id of the cut for SIT.")
    after_date: Date
    after_fingerprint: Hex32 = _of("Fingerprint of its key, which is another one.")
    tranches: dict[Name, Count]
    known: tuple[str, ...] = _of("What the programme has answered, by question.")
    assumed: tuple[str, ...] = _of("What is assumed where it has not.")


class LeftOut(Section):
    """A participant that the cut waited for and went on without, by name."""

    participant: Name
    role: str
    extracts: tuple[Name, ...]
    reason: Annotated[str, Field(max_length=1000)]


class InputEvidence(Section):
    """One source: who sent it, its form, counts and a keyed digest."""

    participant: Name
    role: str
    extract: Name
    file: str = _of("File name or table, without its folder.")
    form: str
    bytes: Count
    rows: Count
    hmac_sha256: Sha256 = _of(
        "HMAC-SHA-256 of the bytes under a field key: a plain digest of raw data could be guessed."
    )
    cut_date: Date | None = _of(
        "Cut date that the source, or the cut file for it, stated; null where neither stated one."
    )
    dropped_columns: Count = _of("Columns of the source that no contract names.")
    columns: dict[str, Heading] = _empty(
        {}, "Contract column -> the name that it had in the source; only columns that the contract names."
    )
    files: tuple[SourceFile, ...] = _empty(
        (),
        "Each of several files, for the participant that sent them; digits of a name hidden where they may identify "
        "somebody.",
    )
    passed_over: tuple[str, ...] = _empty(
        (), "Files that lie beside the backup, and flows that are no part of the extract: not read."
    )
    dropped: tuple[str, ...] = _empty((), "Headings that no contract names, for the participant that sent them.")
    missing: tuple[str, ...] = _empty((), "Optional columns of the contract that the source does not carry.")
    agreed: Maybe[tuple[str, ...]] = _maybe(
        "Columns that were agreed with its sender (Q64): those in `columns` were taken, those in `missing` were not "
        "sent. Absent where all of the contract was agreed."
    )
    not_agreed: tuple[str, ...] = _empty(
        (), "Columns of the contract that were sent and not agreed: dropped before anything was done with them."
    )
    aliases: dict[str, Heading] = _empty(
        {}, "Contract column -> the name of the product's own list that its heading matched."
    )
    remarks: tuple[str, ...] = _empty((), "What else the participant that sent it is told of how the source was read.")
    null_words: dict[str, Count] = _empty({}, "Contract column -> words that were taken as null.")
    rounded: dict[str, Count] = _empty(
        {}, "Contract column -> numbers with more decimals than the contract has: rounded."
    )
    unread_dates: dict[str, dict[str, Count]] = _empty({}, "Contract column -> what is wrong with dates -> how many.")
    source_form: Maybe[SourceFormEvidence] = None
