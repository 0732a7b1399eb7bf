"""The data request: what each participant of a cut is asked for, made from contracts, policy and ``cut.yaml``.

Source: Q64 (only what was agreed with each participant), Q76, Q83 (items that must agree across the industry).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from contracts.load import comparisons
from contracts.model import Column, Contract, Treatment
from contracts.profiles import under_profile
from contracts.vocabulary import Method
from flows.cut.build import tool_version
from flows.cut.config import ExtractConfig, Job, Participant
from flows.cut.context import contracts_of
from transforms.release.attestation import canonical_bytes

# What happens to a column's values, as its sender reads it.
WORDS = {
    Method.KEEP: "kept",
    Method.PSEUDONYMISE: "replaced by a pseudonym",
    Method.TOKEN: "replaced by a token that says only whether two values are the same",
    Method.GENERALISE: "coarsened",
    Method.SUPPRESS: "emptied",
    Method.DROP: "dropped unread",
    Method.SYNTHETIC: "replaced by invented values of the same totals",
    Method.MOVE: "moved by up to {rule}; the metering point's dates keep their order",
    Method.VARY: "varied within its band",
    Method.COMMON: "kept where enough metering points share it ({rule}), otherwise replaced by one word",
    Method.MIX: "mixed with other homes of the group, whose sums stay",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestedColumn(_Part):
    """One column that is asked for: name, item references, whether it must be there, and what happens to it."""

    name: str
    items: tuple[str, ...]
    description: str
    required: bool
    happens: str


class MustAgree(_Part):
    """An item that must agree with another participant's extract, and the share that may differ."""

    item: str
    extract: str
    column: str
    with_whom: tuple[str, ...]
    may_differ: float


class RequestedExtract(_Part):
    """One extract that is asked for."""

    extract: str
    version: str
    title: str
    row: str
    flows: tuple[str, ...]
    columns: tuple[RequestedColumn, ...]
    not_agreed: tuple[str, ...]
    must_agree: tuple[MustAgree, ...]
    never: tuple[str, ...]


class TakenOver(_Part):
    """A participant whose appointments are another's on the day of the cut (Q99)."""

    mpid: str
    successor: str
    on: str


class DataRequest(_Part):
    """What one participant is asked to deliver for one cut.

    Attributes:
        due: the day by which it is expected, where one is set.
        succession: who is read as whom; a sender's own ``CUT.yaml`` states it too, or its rules refuse the old MPID.
        digest: SHA-256 of this document without it: two people can see that they hold the same request.
    """

    request: Annotated[str, Field(pattern="^request/1$")] = "request/1"
    cut: str
    date: str
    trust_model: str
    participant: str
    role: str
    due: str | None
    left_out: str | None
    extracts: tuple[RequestedExtract, ...]
    succession: tuple[TakenOver, ...]
    policy_reason: str | None
    tool: str
    digest: str = ""


def data_requests(job: Job) -> list[DataRequest]:
    """Return the request to each participant, in the order of ``cut.yaml``; those left out by name included.

    Raises:
        ConfigurationError, ContractError: the policy's overlay is wrong.
    """
    every, overlay = contracts_of(job)
    under = under_profile(every, job.model.cut.policy.profile, overlay)
    return [_request(job, one, under, overlay.reason or None) for one in job.everyone]


def _request(job: Job, participant: Participant, under: Mapping[str, Contract], reason: str | None) -> DataRequest:
    cut = job.model.cut
    entries = {extract.contract: extract for extract in participant.extracts}
    request = DataRequest(
        cut=cut.id,
        date=cut.date.isoformat(),
        trust_model=cut.trust_model,
        participant=participant.mpid,
        role=participant.role.upper(),
        due=participant.due.isoformat() if participant.due else None,
        left_out=participant.left_out,
        extracts=tuple(_extract(job, participant, entry, under[name]) for name, entry in entries.items()),
        succession=tuple(
            TakenOver(mpid=entry.mpid, successor=entry.successor, on=entry.on.isoformat())
            for entry in job.model.succession
            if entry.on <= cut.date
        ),
        policy_reason=reason,
        tool=f"datacut {tool_version()}",
    )
    digest = hashlib.sha256(canonical_bytes(request.model_dump(mode="json", exclude={"digest"}))).hexdigest()
    return request.model_copy(update={"digest": digest})


def _extract(job: Job, participant: Participant, entry: ExtractConfig, contract: Contract) -> RequestedExtract:
    asked = [c for c in contract.columns if entry.agreed is None or c.name in entry.agreed]
    return RequestedExtract(
        extract=contract.extract,
        version=contract.version,
        title=contract.title,
        row=contract.row,
        flows=tuple(sorted({layout.flow[:5] for layout in contract.dtc_layouts})),
        columns=tuple(_column(contract, column) for column in asked),
        not_agreed=tuple(c.name for c in contract.columns if c not in asked),
        must_agree=_must_agree(job, participant, contract.extract, {c.name for c in asked}),
        never=contract.forbidden,
    )


def _column(contract: Contract, column: Column) -> RequestedColumn:
    return RequestedColumn(
        name=column.name,
        items=tuple(filter(None, (column.item, *column.other_items))),
        description=column.description,
        required=column.required,
        happens=happens(contract.treatment(column)),
    )


def happens(treatment: Treatment) -> str:
    """Return what is done to a column in words for its sender."""
    words = WORDS[treatment.method]
    if "{rule}" in words:
        return words.format(rule=treatment.rule)
    return f"{words} ({treatment.rule})" if treatment.rule else words


def _must_agree(job: Job, participant: Participant, extract: str, columns: set[str]) -> tuple[MustAgree, ...]:
    """Return what of an extract is compared with others' in this cut: with whose, and how far it may differ."""
    found = []
    for comparison in comparisons():
        for left, item in comparison.items.items():
            sides = {"registration": left, comparison.right: item.column}
            if extract not in sides or sides[extract] not in {*columns, "participant"}:
                continue
            other = comparison.right if extract == "registration" else "registration"
            who = sorted(
                p.mpid for p in job.everyone if p is not participant and any(e.contract == other for e in p.extracts)
            )
            mine, theirs = (left, item.column) if extract == "registration" else (item.column, left)
            found.append(
                MustAgree(
                    item=mine if mine != "participant" else "your MPID",
                    extract=other,
                    column=theirs if theirs != "participant" else "MPID of the sender",
                    with_whom=tuple(who),
                    may_differ=item.tolerance.share,
                )
            )
    return tuple(found)


def json_of(request: DataRequest) -> bytes:
    """Return a request as canonical JSON."""
    return canonical_bytes(request.model_dump(mode="json"))


def names(participant: str) -> tuple[Path, Path, Path]:
    """Return the names of the three files of a request: page, Markdown, JSON."""
    return Path(f"{participant}.html"), Path(f"{participant}.md"), Path(f"{participant}.json")
