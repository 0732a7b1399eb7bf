"""RECORDS: what a stage writes down of its work, for the stages after it and for the evidence; all names in one place.

A record is a small JSON file of the work folder, written whole or not at all; its being there says that the work is
done, so a run that was killed goes on after it. It holds counts, names of columns and digests, never a value of a row.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from contracts.evidence import (
    Accounting,
    AgreementEvidence,
    Coincident,
    LimitsEvidence,
    Publication,
    ReferenceFileEvidence,
    RuleCountEvidence,
)
from contracts.evidence_attack import AttackEvidence
from contracts.evidence_half_hours import MixedSeriesEvidence
from contracts.evidence_inputs import InputEvidence, ReturnedFlow
from contracts.evidence_results import (
    AssociationCountsEvidence,
    ItemCountsEvidence,
    RingFenceEvidence,
    Risk,
    SharedTextsEvidence,
)


class Record(BaseModel):
    """A record; ``NAME`` is its file without ending, and a folder of files where there is one for each of several.

    What the evidence says in the same words, a record holds as the evidence's own model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    NAME: ClassVar[str]

    @classmethod
    def file_name(cls, *key: str) -> str:
        """Return the file's name below the work folder; ``key`` tells several records of a kind apart."""
        return f"{cls.NAME}/{'-'.join(key)}.json" if key else f"{cls.NAME}.json"


class Begun(Record):
    """A run has begun: when, the digest of all that decides what it makes, and under which key.

    Attributes:
        salt: random, of this run; the key of the leak scan's digests is derived from the cut key with it.
    """

    NAME: ClassVar[str] = "begun"
    at: str
    digest: str
    fingerprint: str
    salt: str


class WrittenPieces(Record):
    """Files of a layer of the work folder that are written: a reader who finds one gone ends the run.

    Keyed by layer and partition, by layer, participant and extract, or by the layer alone.

    Attributes:
        pieces: their names below the layer.
    """

    NAME: ClassVar[str] = "pieces"
    pieces: tuple[str, ...]


class SourceFacts(Record, InputEvidence):
    """What became of one source, as the evidence has it; keyed by participant, extract."""

    NAME: ClassVar[str] = "sources"
    hmac_sha256: str  # empty of a source that is only looked at

    @classmethod
    def of(cls, inputs: InputEvidence, *, rows: int) -> SourceFacts:
        """Return the facts of a source that a submission pack tells of, with the rows that were read here."""
        return cls.model_validate({**inputs.model_dump(), "rows": rows})


class TreatedColumns(Record):
    """What a submission pack leaves to its sender's word; keyed as sources are.

    Attributes:
        columns: whose values its sender's policy hid or changed.
        stated: rules of intake that need raw values: not judged here.
    """

    NAME: ClassVar[str] = "treated"
    columns: tuple[str, ...]
    stated: tuple[str, ...] = ()


class CrossPartitionNames(Record):
    """Names of the tables that span partitions, in the order of their files."""

    NAME: ClassVar[str] = "tables"
    names: tuple[str, ...]


class CoincidentCount(Record, Coincident):
    """How many pseudonyms are real MPANs of the cut, and the band of chance."""

    NAME: ClassVar[str] = "coincident"


class RuleCounts(Record):
    """Every rule's count, and each checkpoint's result of Great Expectations as JSON text."""

    NAME: ClassVar[str] = "rules"
    entries: tuple[RuleCountEvidence, ...]
    documents: dict[str, str]


class SourceCounts(RuleCounts):
    """The same of one source; keyed by participant, extract."""

    NAME: ClassVar[str] = "counted"


class CountsAfterAugmentation(RuleCounts):
    """The same of the rules over augmented metering points."""

    NAME: ClassVar[str] = "after_augmentation"


class SignCounts(Record):
    """What values look like that did not take their form: column -> sign -> how many; keyed as sources are."""

    NAME: ClassVar[str] = "signs"
    counts: dict[str, dict[str, int]]


class AppliedLimits(Record, LimitsEvidence):
    """The limits of what a run may exclude, and what of it was accepted by name."""

    NAME: ClassVar[str] = "limits"


class MixedSeries(Record, MixedSeriesEvidence):
    """How the half-hourly series of a participant were mixed."""

    NAME: ClassVar[str] = "mixed_series"


class SharedTexts(Record):
    """The columns of free text that are released where many share them."""

    NAME: ClassVar[str] = "shared_texts"
    columns: tuple[SharedTextsEvidence, ...]


class AlignmentCounts(Record):
    """Agreement of all pairs of participants."""

    NAME: ClassVar[str] = "alignment"
    pairs: tuple[AgreementEvidence, ...]


class AugmentationCounts(Record):
    """What augmentation made of the cut."""

    NAME: ClassVar[str] = "augmentation"
    items: tuple[ItemCountsEvidence, ...]
    associations: AssociationCountsEvidence
    reference: tuple[ReferenceFileEvidence, ...]
    publications: tuple[Publication, ...] = ()


class AugmentedPartition(Record):
    """A partition is augmented; keyed by its number.

    Attributes:
        tally: item and rule -> how many metering points.
        incoherent: code of a condition -> how many metering points it is not true of.
        related: whether some are in an association or relation, whose rows lie beside.
    """

    NAME: ClassVar[str] = "augmented_parts"
    tally: tuple[tuple[str, str, int], ...]
    incoherent: dict[str, int]
    related: bool


class Payload(Record):
    """Files of packs that are written in the work folder; keyed by what they are.

    Attributes:
        files: their paths in a pack and their sizes in bytes.
        accounting: of an extract, what became of its rows.
    """

    NAME: ClassVar[str] = "payload"
    files: dict[str, int]
    accounting: Accounting | None = None


class OwnItemCounts(Record):
    """Augmented values of one participant's own metering points: item -> source -> how many; keyed by participant."""

    NAME: ClassVar[str] = "augmented"
    counts: dict[str, dict[str, int]]


class RingFenceResult(Record):
    """What was allocated and committed, and the processes that the plan names by test case."""

    NAME: ClassVar[str] = "ring_fence"
    allocated: int
    evidence: RingFenceEvidence
    processes: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class LookedUp(BaseModel):
    """Look-ups of one kind of raw identifier in one place: what :class:`flows.leak_scan.findings.Tally` holds.

    Attributes:
        values: keyed digests of what was hit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    form: str
    where: str
    candidates: int
    values: tuple[int, ...]
    expected: float
    first: str


class SearchedFiles(Record):
    """Files of packs that the leak scan has searched, and what it found; keyed by pack and part.

    Attributes:
        digests: their paths in a pack and the SHA-256 of the bytes that were searched.
        looked: look-ups that hit nothing, by kind.
    """

    NAME: ClassVar[str] = "searched"
    digests: dict[str, str]
    files: int
    bytes: int
    cells: int
    tallies: tuple[LookedUp, ...]
    looked: dict[str, int]


class ReturnForms(Record):
    """What became of a participant's extracts in the flow that they go back in; keyed by participant."""

    NAME: ClassVar[str] = "return_forms"
    flows: dict[str, ReturnedFlow]


class MeasuredRisk(Record):
    """The disclosure risk of the release; none without registrations."""

    NAME: ClassVar[str] = "risk"
    found: Risk | None


class PlayedIntruders(Record):
    """How far intruders come in the release; none without metering points."""

    NAME: ClassVar[str] = "intruders"
    found: AttackEvidence | None
