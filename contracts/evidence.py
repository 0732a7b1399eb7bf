"""EVIDENCE: what a pack says about how it was made, section by section; the one source of its published JSON schema.

A model accepts keys that it does not name, because sections may be added; a change of meaning is version 2. Stages
write their counts in these models, so what the evidence says is what was counted. ``make docs`` writes
``contracts/schema/evidence-1.json`` from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from contracts.evidence_attack import AttackEvidence
from contracts.evidence_half_hours import MixedSeriesEvidence
from contracts.evidence_inputs import (
    InputEvidence,
    LeftOut,
    QualificationEvidence,
    RegistersEvidence,
    SuccessionEvidence,
)
from contracts.evidence_results import (
    AssociationCountsEvidence,
    ColumnFigures,
    ItemCountsEvidence,
    LeakScan,
    RingFenceEvidence,
    Risk,
    SharedTextsEvidence,
    SmartShare,
)
from contracts.evidence_types import (
    Count,
    Date,
    Hex16,
    Hex32,
    Maybe,
    Name,
    Seconds,
    Section,
    Sha256,
    Share,
    Time,
    _maybe,
    _of,
)
from contracts.json_types import JsonObject
from contracts.vocabulary import Effect


class CutEvidence(Section):
    """The data cut that every participant took on one day."""

    id: Name
    date: Date
    trust_model: str = _of("SI-central, or shared key on premises: who holds the cut key.")
    expires: Maybe[Date] = _maybe("Last day on which the pack may be relied on.")
    sequence: Maybe[Count] = _maybe("Grows with each pack of the cut.")


class Tool(Section):
    """The product, and the library whose release decides the bytes of Parquet files."""

    name: Name
    version: Name
    polars: Maybe[str] = None
    python: Maybe[str] = None
    libraries: Maybe[dict[str, str]] = _maybe("Versions of the libraries that decide what is made.")
    source_sha256: Maybe[Sha256] = _maybe(
        "SHA-256 over the lines `sha256  path` of every file of contracts, transforms and flows, ordered by path: a "
        "stranger can compute it from the wheel."
    )
    commit: Maybe[str] = _maybe("Revision that it was installed from, where the installer noted one (PEP 610).")


class DeclaredSigner(BaseModel):
    """A key whose signature the envelope must carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    keyid: Hex16
    public_key: Sha256 = _of("The 32 raw bytes in hex.")
    role: Maybe[Literal["operator", "approver"]] = _maybe(
        "operator: made the pack; approver: released it after reading the report."
    )


class ColumnTreatment(Section):
    """What the policy does to a column."""

    treatment: str
    classification: Maybe[str] = None


class PolicyEvidence(Section):
    """The obfuscation policy in force."""

    half_hourly: Maybe[Literal["synthetic", "mixed", "real", "none"]] = _maybe(
        "Whether half-hourly readings are a keyed synthetic series, mixed among homes, real ones, or absent."
    )
    extracts: Maybe[dict[str, dict[str, str | ColumnTreatment]]] = _maybe(
        "Effective treatment: extract -> column -> treatment."
    )
    profile: Maybe[Literal["exact", "standard", "strict"]] = _maybe(
        "How precise dates and amounts of a release or return are; a submission pack is exact."
    )
    loosened: Maybe[tuple[str, ...]] = _maybe(
        "Columns, as extract.column, that the overlay lets through as they are though the profile treats them."
    )
    postcode: Maybe[Literal["outward", "area"]] = _maybe("What is kept of a postcode.")
    approval: Maybe[Literal["one signature", "two signatures"]] = _maybe(
        "Whether a second person must sign before the pack may be relied on."
    )


class ContractUsed(Section):
    """A contract that the cut was judged and treated by."""

    extract: Name
    version: Name
    sha256: Sha256


class ReferenceFileEvidence(Section):
    """A table that was used: rows and digest; of a published one its file, version and day of last change."""

    table: Name
    rows: Count
    sha256: Sha256
    file: Maybe[str] = _maybe("Name of the published file.")
    version: Maybe[str] = _maybe("Version in the file's name, or in its first line.")
    latest: Maybe[Date] = _maybe(
        "Latest day on which a row begins; of industry standing data the day of its last change."
    )


class Publication(Section):
    """Market domain data or industry standing data as a whole."""

    publication: Name
    place: str = _of("Name of the folder or archive.")
    files: Count
    version: Maybe[str] = None
    latest: Maybe[Date] = None
    absent: Maybe[tuple[Name, ...]] = _maybe("Tables that the publication lacks; their rules are not judged.")
    astray: Maybe[dict[str, Count]] = _maybe("Tables that lack a few keys which others refer to, and how many.")
    dip_ids: Maybe[Count] = None
    overruled: Maybe[Count] = _maybe("DIP ids for which a mapping table of the cut states another one, which was used.")
    unused: Maybe[dict[str, Count]] = _maybe("DIP roles without a use here, and how many rows have them.")
    unknown: Maybe[Count] = _maybe("Rows whose DIP role is not stated and not told by the market role.")


class Accounting(Section):
    """The rows of one extract of one participant."""

    participant: Name
    extract: Name
    rows_in: Count
    released: Count
    excluded: Count
    by_reason: dict[str, Count] = _of("Rows by the first cause's reason code; adds up to excluded.")


class RuleCountEvidence(Section):
    """One rule over one extract of one participant."""

    participant: Name
    extract: Name
    rule: Name
    reason: Name
    effect: Effect
    description: str
    fault: str = ""
    basis: tuple[str, ...]
    evaluated: Count
    failed: Count
    stated_by: Maybe[Name] = _maybe("Not judged here: the participant that sent a submission pack judged it.")
    crashed: bool = _of("The rule itself could not be judged; says nothing about the data.")


class AcceptedExcessEvidence(Section):
    """More than the limit is excluded, and accepted by name in cut.yaml."""

    participant: Name
    extract: Name
    rule: str
    column: Maybe[str] = None
    excluded: Count
    rows: Count
    cause: Maybe[str] = None
    remedy: Maybe[str] = None
    reason: str


class LimitsEvidence(Section):
    """How much may be excluded before a run ends with nothing published."""

    share: Share = _of("Share of the rows of an extract, or that one rule judges, beyond which a run ends.")
    rows: Count = _of("Up to this many rows no share is too much, unless it is every row.")
    accepted: tuple[AcceptedExcessEvidence, ...] = _of(
        "What is beyond the limit and was accepted by name in cut.yaml, and why."
    )


class Exclusions(Section):
    """Metering points kept out of every extract of every participant."""

    mpans: Count
    by_first_cause: dict[str, Count]


class AgreementEvidence(Section):
    """How far one extract of a participant agrees with the registration of another in one item."""

    left: Name
    right: Name
    extract_left: Name
    extract_right: Name
    item: Name
    expected: Maybe[Count] = None
    compared: Count
    disagree: Count
    missing_left: Count
    missing_right: Count
    outside: Maybe[Count] = _maybe("Metering points whose distributor sends no registration to the cut: not compared.")
    share: Maybe[float] = _maybe("Share of the compared metering points that disagree.")
    tolerance: Maybe[float] = None
    policy: Maybe[str] = None
    outcome: Maybe[str] = None


class ParticipantAgreement(Section):
    """How much of what a participant said others contradict or lack, with the trend against an earlier cut."""

    participant: Name
    compared: Count
    disagree: Count
    missing: Count
    beyond: Count = _of("How many of its comparisons are beyond their tolerance.")
    share: float | None = _of("Share of the compared that disagrees; null where nothing was compared.")
    before: float | None = _of("The share of the earlier cut.")
    change: float | None


class Coincident(Section):
    """Pseudonym MPANs that happen to be real ones of the cut, and the band of chance."""

    count: Count
    expected_low: float
    expected_high: float
    most: Maybe[Count] = _maybe("More would have ended the run: chance gives so many less than once in 100,000 runs.")


class PackReference(Section):
    """A pack that this one was made from."""

    pack: Name
    tagmanifest_sha256: Sha256


class StageSeconds(Section):
    """How long a stage took."""

    stage: Name
    seconds: Seconds


class Times(Section):
    """The only place of a pack where times stand."""

    started: Time
    finished: Time
    stages: Maybe[tuple[StageSeconds, ...]] = None


class ColumnSource(Section):
    """A column that values come from."""

    column: Name
    participants: Maybe[tuple[Name, ...]] = None


class Lineage(Section):
    """A released or dropped column: where its values come from and what was done to them."""

    extract: Name
    column: Name
    item: Maybe[str] = _maybe("DTC item or interface catalogue number.")
    description: Maybe[str] = None
    classification: str
    treatment: str
    released: bool
    sources: tuple[ColumnSource, ...]


class Obligation(Section):
    """What an obligation asks, and what shows it."""

    id: Name
    asks: str
    sections: Maybe[tuple[str, ...]] = _maybe("Sections of the report that show it.")
    rules: Maybe[tuple[Name, ...]] = _maybe("Rules that rest on it.")
    test_only: Maybe[bool] = _maybe("Shown by the product's tests, not by a run.")


class AnsweringFact(Section):
    """A place of the evidence, and what each row there says."""

    section: str = _of("Names of keys, with full stops between them; what is there is one row, or a list of rows.")
    words: str = _of("What a row says: each {key} stands for its value.")
    where: tuple[Name, ...] = _of("Keys that a row must have, and not empty, nought or false, to be said.")
    without: tuple[Name, ...] = _of("Keys that it must lack.")


class AuditQuestion(Section):
    """What an assurance provider asks, and the facts of the evidence that answer."""

    asked: str
    facts: tuple[AnsweringFact, ...]


class AssessedTreatment(Section):
    """Why a treatment is enough, and the risk that stays."""

    treatment: Name
    basis: str
    residual_risk: str


class AssessmentEvidence(Section):
    """Words of the data protection impact assessment that the policy chose; the annex is made from them."""

    purpose: Maybe[str] = None
    controller: Maybe[str] = None
    lawful_basis: Maybe[str] = None
    retention: Maybe[str] = None
    recipients: Maybe[str] = None
    treatments: Maybe[tuple[AssessedTreatment, ...]] = None
    measures: Maybe[tuple[str, ...]] = None


class RuleTotals(Section):
    """One rule over one extract, all participants together."""

    extract: Name
    rule: Name
    evaluated: Count
    failed: Count


class RowTotals(Section):
    """The rows of one extract, all participants together."""

    extract: Name
    rows_in: Count
    released: Count
    excluded: Count


class Baseline(PackReference):
    """Aggregates of the pack of an earlier cut, to show trends against."""

    cut: Name
    date: Date
    rules: tuple[RuleTotals, ...]
    rows: tuple[RowTotals, ...]


EVIDENCE_SCHEMA: Literal["evidence/1"] = "evidence/1"


class Evidence(Section):
    """What a submission, release or return pack says about how it was made.

    It holds counts, digests and names of parties, columns and rules; never a raw identifier, and never an unkeyed
    digest of raw data. Sections may be added; a change of meaning is version 2.
    """

    schema_: Literal["evidence/1"] = Field(alias="schema")
    kind: Literal["submission", "release", "return"] = _of(
        "submission: a participant's pseudonymised backup; release: the whole job's result; return: one participant's "
        "share of a release."
    )
    cut: CutEvidence
    tool: Tool
    scheme: Annotated[str, Field(pattern="^[0-9]+$")] = _of("Version of the pseudonym scheme.")
    key_fingerprint: Hex32 = _of(
        "First 16 bytes, in hex, of HKDF-SHA-256 of the cut key under the field name fingerprint; tells keys apart and "
        "reveals nothing."
    )
    signers: Maybe[Annotated[tuple[DeclaredSigner, ...], Field(min_length=1)]] = _maybe(
        "Keys whose signatures the envelope must carry; a pack that its approver has not signed yet does not verify. "
        "They prove that no signature was altered or removed; whom to trust, a reader decides."
    )
    policy: Maybe[PolicyEvidence] = None
    contracts: Maybe[tuple[ContractUsed, ...]] = None
    reference: Maybe[tuple[ReferenceFileEvidence, ...]] = None
    publications: Maybe[tuple[Publication, ...]] = _maybe("Market domain data and industry standing data as a whole.")
    inputs: tuple[InputEvidence, ...]
    left_out: Maybe[tuple[LeftOut, ...]] = _maybe(
        "Participants that were expected and left out by name: what depends on them is missing."
    )
    registers: Maybe[RegistersEvidence] = None
    qualification: Maybe[QualificationEvidence] = _maybe("Of a later cut for Qualification alone.")
    succession: Maybe[tuple[SuccessionEvidence, ...]] = _maybe("Whose appointments are read as a successor's.")
    accounting: tuple[Accounting, ...] = _of("rows_in = released + excluded, for each extract.")
    rules: tuple[RuleCountEvidence, ...]
    limits: Maybe[LimitsEvidence] = None
    exclusions: Maybe[Exclusions] = None
    alignment: Maybe[tuple[AgreementEvidence, ...]] = None
    agreement: Maybe[tuple[ParticipantAgreement, ...]] = None
    augmentation: Maybe[tuple[ItemCountsEvidence, ...]] = None
    associations: Maybe[AssociationCountsEvidence] = None
    smart: Maybe[tuple[SmartShare, ...]] = _maybe("Smart meters by supplier and GSP Group.")
    column_values: Maybe[tuple[ColumnFigures, ...]] = _maybe("What released columns of codes hold.")
    coincident: Maybe[Coincident] = None
    leak_scan: Maybe[LeakScan] = None
    risk: Maybe[Risk] = None
    attack: Maybe[AttackEvidence] = None
    mixed_series: Maybe[tuple[MixedSeriesEvidence, ...]] = None
    shared_texts: Maybe[tuple[SharedTextsEvidence, ...]] = _maybe("Free texts that are released where many share them.")
    ring_fence: Maybe[RingFenceEvidence] = None
    previous: Maybe[tuple[PackReference, ...]] = _maybe("Packs that this one was made from.")
    baseline: Maybe[Baseline] = None
    times: Times
    self_test: Maybe[dict[str, JsonValue]] = _maybe("Vectors and golden rows reproduced before any input was read.")
    lineage: Maybe[tuple[Lineage, ...]] = _maybe(
        "Every released or dropped column: where its values come from and what was done to them."
    )
    requirements: Maybe[tuple[Obligation, ...]] = _maybe(
        "Obligations that the cut answers: what each asks, and what shows it."
    )
    questions: Maybe[tuple[AuditQuestion, ...]] = _maybe(
        "Twelve questions of an assurance provider, and where this evidence answers them."
    )
    dpia: Maybe[AssessmentEvidence] = None

    def document(self) -> JsonObject:
        """Return it as JSON: what ``evidence.json`` holds."""
        return self.model_dump(mode="json", by_alias=True)
