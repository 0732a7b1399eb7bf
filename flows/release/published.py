"""What a run has published: packs, their digests, the accounting of every extract, and what a person is told."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from contracts.evidence import Accounting
from contracts.evidence_types import Maybe
from contracts.json_types import JsonObject
from flows.cut.progress import StepOutcome


class _PublishedPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedReturn(_PublishedPart):
    """A participant's return pack."""

    participant: str
    pack: str
    tagmanifest_sha256: str


class SourceNote(_PublishedPart):
    """What a person is told of one source; the last four only by a participant's own job, to its sender.

    Attributes:
        missing: optional columns of the contract that the source does not carry.
        not_agreed: columns that were sent and not agreed.
        null_words, unread_dates, rounded: columns, each with how many values.
        files: of how many files the source is made.
        dropped_columns: how many headings no contract names; ``dropped``: which. passed_over: files that were not read.
        remarks: how the source was read otherwise than it is.
    """

    participant: str
    extract: str
    missing: tuple[str, ...]
    not_agreed: tuple[str, ...]
    null_words: tuple[str, ...]
    unread_dates: tuple[str, ...]
    rounded: tuple[str, ...]
    dropped_columns: int = 0
    files: Maybe[int] = None
    dropped: Maybe[tuple[str, ...]] = None
    passed_over: Maybe[tuple[str, ...]] = None
    remarks: Maybe[tuple[str, ...]] = None


class Published(StepOutcome):
    """The result of a run.

    Attributes:
        pack, report: folder of the pack, and its page.
        reasons: what the reason codes of the accounting mean.
        phases: seconds of each part of the release.
    """

    pack: str
    report: str
    tagmanifest_sha256: str
    accounting: tuple[Accounting, ...]
    reasons: dict[str, str]
    returns: tuple[PublishedReturn, ...]
    sources: tuple[SourceNote, ...]
    phases: dict[str, float]

    def document(self) -> JsonObject:
        """Return it as JSON."""
        return self.model_dump(mode="json")
