"""RECORDS: what a stage writes down of its work, for the stages after it and for the evidence; all names in one place.

A record is a small JSON file of the work folder, written whole or not at all; its being there says that the work is
done, so a run that was killed goes on after it. It holds counts, names of columns and digests, never a value of a row.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Model):
    """A record; ``NAME`` is its file without ending, and a folder of files where there is one for each of several."""

    NAME: ClassVar[str]

    @classmethod
    def file_name(cls, *key: str) -> str:
        """Return the file's name below the work folder; ``key`` tells several records of a kind apart."""
        return f"{cls.NAME}/{'-'.join(key)}.json" if key else f"{cls.NAME}.json"


class Begun(Record):
    """A run has begun: when, and the digest of all that decides what it makes."""

    NAME: ClassVar[str] = "begun"
    at: str
    digest: str


class WrittenPieces(Record):
    """Files of a layer of the work folder that are written: a reader who finds one gone ends the run.

    Keyed by layer and partition, by layer, participant and extract, or by the layer alone.

    Attributes:
        pieces: their names below the layer.
    """

    NAME: ClassVar[str] = "pieces"
    pieces: tuple[str, ...]


class SourceFacts(Record):
    """What became of one source: counts and a keyed digest, safe to keep and to show; keyed by participant, extract.

    Attributes:
        cut_date: what the source, or cut.yaml of it, stated; None where nothing did.
        columns: contract column -> what the source calls it.
        source_form: so that what goes back has its form.
        files: of several files: name, bytes, rows and keyed digest of each.
        passed_over: names of files beside the backup, and of flows that are none of this extract.
        dropped: headings that no contract names.
        missing: optional columns of the contract that the source does not carry.
        agreed: columns that its sender agreed to send; None for all of the contract.
        not_agreed: columns of the contract that it sent all the same: dropped.
        aliases: contract column -> the name of our list that matched.
        remarks: what else its sender is told of how the source was read: half-hours as days.
        null_words: contract column -> words that were taken as null.
        rounded: contract column -> numbers that were rounded to the decimals of the contract.
        unread_dates: contract column -> what is wrong with dates -> how many.
    """

    NAME: ClassVar[str] = "sources"
    participant: str
    role: str
    extract: str
    file: str
    form: str
    bytes: int
    rows: int
    hmac_sha256: str
    cut_date: str | None
    dropped_columns: int
    columns: dict[str, str]
    source_form: dict[str, JsonValue]
    files: tuple[dict[str, JsonValue], ...] = ()
    passed_over: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    agreed: tuple[str, ...] | None = None
    not_agreed: tuple[str, ...] = ()
    aliases: dict[str, str] = {}
    remarks: tuple[str, ...] = ()
    null_words: dict[str, int] = {}
    rounded: dict[str, int] = {}
    unread_dates: dict[str, dict[str, int]] = {}


class TreatedColumns(Record):
    """Columns of a submission pack whose values its sender's policy hid or changed; keyed as sources are."""

    NAME: ClassVar[str] = "treated"
    columns: tuple[str, ...]


class CrossPartitionNames(Record):
    """Names of the tables that span partitions, in the order of their files."""

    NAME: ClassVar[str] = "tables"
    names: tuple[str, ...]


class CoincidentCount(Record):
    """How many pseudonyms are real MPANs of the cut, and the band of chance."""

    NAME: ClassVar[str] = "coincident"
    count: int
    expected_low: float
    expected_high: float


class RuleCount(_Model):
    """One rule over one extract of one participant."""

    participant: str
    extract: str
    rule: str
    reason: str
    effect: str
    description: str
    fault: str
    basis: tuple[str, ...]
    evaluated: int
    failed: int
    crashed: bool


class RuleCounts(Record):
    """Every rule's count, and each checkpoint's result of Great Expectations as JSON text."""

    NAME: ClassVar[str] = "rules"
    entries: tuple[RuleCount, ...]
    documents: dict[str, str]


class CountsAfterAugmentation(RuleCounts):
    """The same of the rules over augmented metering points."""

    NAME: ClassVar[str] = "after_augmentation"


class SignCounts(Record):
    """What values look like that did not take their form: column -> sign -> how many; keyed as sources are."""

    NAME: ClassVar[str] = "signs"
    counts: dict[str, dict[str, int]]


class AcceptedExcess(_Model):
    """More than the limit is excluded, and accepted by name; see :class:`flows.quality.limits.Excess`."""

    participant: str
    extract: str
    rule: str
    column: str
    excluded: int
    rows: int
    cause: str
    remedy: str
    reason: str


class LimitsHeld(Record):
    """The limits of what a run may exclude, and what of it was accepted by name."""

    NAME: ClassVar[str] = "limits"
    share: float
    rows: int
    accepted: tuple[AcceptedExcess, ...]


class Agreement(_Model):
    """How far one extract of a participant agrees with the registration of another in one item."""

    extract_left: str
    left: str
    extract_right: str
    right: str
    item: str
    expected: int
    compared: int
    disagree: int
    missing_left: int
    missing_right: int
    share: float
    tolerance: float
    policy: str
    outcome: str


class AlignmentCounts(Record):
    """Agreement of all pairs of participants."""

    NAME: ClassVar[str] = "alignment"
    pairs: tuple[Agreement, ...]


class ItemCounts(_Model):
    """Where the values of one augmented item come from: metering points by source and by rule."""

    item: str
    stated: int
    derived: int
    manufactured: int
    absent: int
    undecided: int
    rules: dict[str, int]


class AssociationOutcome(_Model):
    """How often one kind of evidence for an association led to one outcome."""

    rule: str
    outcome: str
    exports: int
    grade: str
    description: str


class AssociationCounts(_Model):
    """Outcomes by kind of evidence, constraints with the relationships that were held against them, contradictions."""

    evidence: tuple[AssociationOutcome, ...]
    constraints: dict[str, int]
    incoherent: dict[str, int]


class ReferenceFile(_Model):
    """A table that was used: rows and digest; of a published one its file, version and day of last change."""

    table: str
    rows: int
    sha256: str
    file: str | None = None
    version: str | None = None
    latest: str | None = None


class PublicationFacts(_Model):
    """Industry standing data as a whole; what is nought is left out."""

    publication: str
    place: str
    files: int
    dip_ids: int
    version: str | None = None
    latest: str | None = None
    overruled: int | None = None
    unused: dict[str, int] | None = None
    unknown: int | None = None


class AugmentationCounts(Record):
    """What augmentation made of the cut."""

    NAME: ClassVar[str] = "augmentation"
    items: tuple[ItemCounts, ...]
    associations: AssociationCounts
    reference: tuple[ReferenceFile, ...]
    publications: tuple[PublicationFacts, ...] = ()


class OwnItemCounts(Record):
    """Augmented values of one participant's own metering points: item -> source -> how many; keyed by participant."""

    NAME: ClassVar[str] = "augmented"
    counts: dict[str, dict[str, int]]


class RingFenceSection(_Model):
    """The ring-fence as the evidence has it."""

    plan: str
    plan_sha256: str
    undecided: int
    separation: dict[str, int]
    phases: tuple[str, ...]
    test_cases: tuple[dict[str, JsonValue], ...]
    shortages: tuple[dict[str, JsonValue], ...]
    coverage: tuple[dict[str, JsonValue], ...]
    ledger_head: str


class RingFenceResult(Record):
    """What was allocated and committed."""

    NAME: ClassVar[str] = "ring_fence"
    allocated: int
    evidence: RingFenceSection
