"""What the evidence says of augmentation, leak scan, disclosure risk and ring-fence."""

from __future__ import annotations

from pydantic import JsonValue

from contracts.evidence_types import (
    Count,
    Date,
    Maybe,
    Name,
    Section,
    Sha256,
    Share,
    _maybe,
    _null,
    _of,
)


class ItemCountsEvidence(Section):
    """Where the values of one augmented item come from: metering points by source and by rule."""

    item: Name
    stated: Count
    derived: Count
    manufactured: Count
    undecided: Count
    absent: Maybe[Count] = _maybe("Metering points that have no such item.")
    rules: Maybe[dict[str, Count]] = _maybe("Values by the rule that gave them.")


class SmartShare(Section):
    """How many metering points of one supplier in one GSP Group have a smart meter, of ten at least (Q93)."""

    supplier: Name
    gsp_group: Name
    metered: Count = _of("Released metering points with a meter.")
    smart: Count


class ValueCount(Section):
    """How often a code is in a released column; ten times at least."""

    value: str
    rows: Count


class ColumnFigures(Section):
    """What a released column of codes holds; nothing that fewer than ten rows have is named."""

    extract: Name
    column: Name
    rows: Count
    filled: Count
    values: tuple[ValueCount, ...]
    rest: Count = _of("Rows with a value that is not named: too few rows have it, or many others have more.")


class SharedTextsEvidence(Section):
    """A column of free text that is released where so many metering points share it; one word stands for the rest."""

    extract: Name
    column: Name
    least: Count = _of("Metering points that share a text that is released.")
    texts: Count = _of("Different texts of metering points that are not excluded.")
    released: Count = _of("Those of them that so many share.")
    metering_points: Count = _of("Metering points that have a text.")
    replaced: Count = _of("Metering points that have a text that fewer share.")


class AssociationOutcomeEvidence(Section):
    """How often one kind of evidence for an association led to one outcome."""

    rule: Name
    description: Maybe[str] = None
    grade: Maybe[str] = None
    outcome: Maybe[str] = None
    exports: Count


class AssociationCountsEvidence(Section):
    """Import and export metering points linked by evidence."""

    evidence: Maybe[tuple[AssociationOutcomeEvidence, ...]] = None
    constraints: Maybe[dict[str, Count]] = _maybe("Associations that break a constraint, by its code.")
    incoherent: Maybe[dict[str, Count]] = _maybe(
        "Metering points whose items contradict each other, by the code of the contradiction."
    )


class Searched(Section):
    """What was searched and found of one class of identifier."""

    candidates: Count
    confirmed: Count


class ChanceHits(Section):
    """Hits of short identifiers in one place that chance explains."""

    kind: Name
    written: str = _of("How it is written there: alone, in groups, as a number.")
    where: str
    candidates: Count
    hits: Count
    expected: float = _of("Hits that chance gives: raw identifiers of a sort over all values of that sort.")
    most: Count = _of("The upper end of the band: more would have ended the run.")


class RecallOfKind(Section):
    """How many leaks of one kind were planted, and found."""

    kind: str
    planted: Count
    found: Count


class RecallLimit(Section):
    """A kind of leak that the scan cannot find, and why."""

    kind: str
    reason: str


class Recall(Section):
    """What the scan was measured to find in a campaign of planted leaks, before this run."""

    date: Date
    version: str = _of("Version of the product that was measured.")
    metering_points: Count
    seed: Count
    kinds: tuple[RecallOfKind, ...]
    limits: tuple[RecallLimit, ...]


class LeakScan(Section):
    """The search of the whole pack for raw identifiers."""

    files: Count
    bytes: Count
    identifiers: Count
    confirmed: Count
    classes: Maybe[dict[str, Count | Searched]] = _maybe(
        "Class of identifier -> what was searched and found: a count, or an object of counts."
    )
    scope: Maybe[str] = _maybe("What was searched, where that is not this pack.")
    known: Maybe[dict[str, Count]] = _maybe(
        "Raw identifiers that were looked for, by kind, as keyed digests that intake took."
    )
    by_chance: Maybe[tuple[ChanceHits, ...]] = _maybe(
        "Every place in which short identifiers were hit no more often than chance hits them."
    )
    canaries: Maybe[dict[str, Count]] = _maybe(
        "Invented identifiers of the run that were written raw into a scratch file, and found there, by kind."
    )
    recall: Maybe[Recall] = None
    unknown: Maybe[tuple[Name, ...]] = _maybe(
        "Sources that came as submission packs: their raw identifiers are not known here, and were looked for by their "
        "sender."
    )


class ClassSize(Section):
    """Metering points in classes of one size."""

    size: str
    metering_points: Count


class Risk(Section):
    """How far the released columns single out a metering point once its identifiers are gone."""

    quasi_identifiers: Maybe[tuple[Name, ...]] = _maybe("Columns that an intruder is taken to know.")
    metering_points: Maybe[Count] = None
    classes: Maybe[Count] = _maybe("Distinct combinations of the quasi-identifiers.")
    class_sizes: Maybe[tuple[ClassSize, ...]] = _maybe("Metering points by the size of their class.")
    prosecutor_max: Maybe[Share] = None
    prosecutor_mean: Maybe[Share] = None
    journalist_max: Maybe[Share] = None
    marketer: Maybe[Share] = None
    alone: Maybe[Share] = _maybe(
        "Share of metering points that no other is like in the quasi-identifiers, annual consumption and start of "
        "supply, as precisely as they are released."
    )
    alone_promised: Maybe[Share] = _maybe("Most of it that the profile promises.")
    thresholds: Maybe[dict[str, float]] = _maybe("Figure -> the largest value that the policy tolerates.")


class CaseCounts(Section):
    """What a test case wanted and was given."""

    test_case: Name
    phase: Name
    stage: Maybe[str] = None
    participant: Maybe[str] = None
    wanted: Count
    spares_wanted: Maybe[Count] = None
    allocated: Count
    spares: Maybe[Count] = None
    short: Count
    round: Maybe[int] = None
    participant_role: Maybe[str] = None
    priority: Maybe[int] = None
    kind: Maybe[str] = _maybe("single or related, as the plan asks.")
    minimum: int | None = None
    eligible: int | None = _null("Units that satisfy what it asks; null where it was not solved anew.")
    can_run: Maybe[bool] = None


class MissingUnits(Section):
    """Units that one test case lacks."""

    test_case: Name
    priority: Maybe[int] = None
    short: Count


class RelaxationEvidence(Section):
    """A criterion that could be given up, and how many units that would free."""

    test_case: Name
    side: str = _of("criteria or export_criteria")
    attribute: str
    drop: str = _of("The criterion as a reader would write it.")
    frees: Count
    also_accept: str = _of("The value that frees most if it is accepted too; empty where none does.")
    also_accept_frees: Count


class Shortage(Section):
    """One cause of missing units, and what would help."""

    text: str = _of("The shortage in words.")
    kind: Maybe[str] = _maybe("alone, together, given up, spares, left out, lost, since or not applicable.")
    round: Maybe[int] = None
    test_cases: Maybe[tuple[str, ...]] = _maybe("All that compete.")
    short: Maybe[Count] = None
    falls_on: Maybe[tuple[MissingUnits, ...]] = None
    wanted: Maybe[Count] = None
    eligible: Maybe[Count] = _maybe("Free units that satisfy any of them.")
    minimal: Maybe[bool] = None
    withheld: Maybe[dict[str, Count]] = _maybe("Units that would satisfy but may not be used, by reason.")
    relaxations: Maybe[tuple[RelaxationEvidence, ...]] = None


class Coverage(Section):
    """How like the released population one set is in one attribute."""

    scope: Maybe[str] = None
    name: Name
    round: Maybe[int] = None
    attribute: str
    metering_points: Count
    distance: float | None = None
    pairwise: float | None = None
    absent: Maybe[tuple[JsonValue, ...]] = None


class RingFenceEvidence(Section):
    """What was allocated to test cases."""

    plan: Maybe[str] = None
    plan_sha256: Maybe[Sha256] = _maybe("Digest of the plan, which is in the pack as evidence/plan.yaml or plan.csv.")
    undecided: Maybe[Count] = _maybe(
        "Groups of test cases decided without proof that no better choice exists; with 0 the allocation is proven to "
        "be the maximum at every level."
    )
    separation: Maybe[dict[str, Count]] = _maybe(
        "Counted from allocations and population alone: metering points, those in two places or phases (never), links, "
        "premises and meters, and those split between places."
    )
    phases: Maybe[tuple[JsonValue, ...]] = None
    test_cases: tuple[CaseCounts, ...]
    shortages: Maybe[tuple[Shortage, ...]] = None
    ledger_id: Maybe[str] = _maybe("Which ledger remembers it.")
    ledger_head: Maybe[str] = _maybe(
        "Digest of the ledger's last batch; it covers the moment of the commit, so it varies as the times do."
    )
    coverage: Maybe[tuple[Coverage, ...]] = _maybe(
        "How like the released population each set is, by attribute: distance 0 alike to 1 apart, values that it "
        "lacks; with an empty attribute, of all pairs of values the share that it has (pairwise)."
    )
