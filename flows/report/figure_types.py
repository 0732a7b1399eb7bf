"""The rows of the report's sections, as the templates show them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.evidence import AssessedTreatment
from contracts.evidence_results import AssociationOutcomeEvidence, CaseCounts, Coverage, SmartShare


def share(part: int, whole: int) -> float | None:
    """Return a share; None of nothing."""
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class RuleTotal:
    """One rule over one extract, all participants together.

    Attributes:
        crashed: at how many participants. failing: those at whom it failed. stated_by: those whose word it is.
    """

    extract: str
    rule: str
    reason: str
    effect: str
    description: str
    basis: tuple[str, ...]
    evaluated: int
    failed: int
    crashed: int
    failing: tuple[str, ...]
    stated_by: tuple[str, ...]

    @property
    def now(self) -> float | None:
        """Share of rows that failed."""
        return share(self.failed, self.evaluated)

    @property
    def noticed(self) -> bool:
        """Whether a row broke it, or it crashed."""
        return bool(self.failed or self.crashed)


@dataclass(frozen=True, slots=True)
class RuleTrend(RuleTotal):
    """The same with the share of an earlier cut.

    ``way`` is ``up``, ``down``, ``same``, or ``new`` for a rule that the earlier cut did not judge; None, as
    ``before`` and ``change`` are, without an earlier cut.
    """

    before: float | None
    change: float | None
    way: str | None


@dataclass(frozen=True, slots=True)
class SmartLine:
    """One supplier's metering points with a meter: a cell a GSP Group, None where too few are there."""

    supplier: str
    cells: tuple[SmartShare | None, ...]

    @property
    def metered(self) -> int:
        """Metering points in all cells."""
        return sum(cell.metered for cell in self.cells if cell)

    @property
    def smart(self) -> int:
        """Those with a smart meter."""
        return sum(cell.smart for cell in self.cells if cell)


@dataclass(frozen=True, slots=True)
class SmartFigures:
    """Smart meters by supplier and GSP Group."""

    across: tuple[str, ...]
    lines: tuple[SmartLine, ...]

    @property
    def metered(self) -> int:
        """Metering points of all suppliers."""
        return sum(line.metered for line in self.lines)

    @property
    def smart(self) -> int:
        """Those with a smart meter."""
        return sum(line.smart for line in self.lines)


@dataclass(frozen=True, slots=True)
class Volume:
    """Rows of one extract of one cut."""

    rows_in: int = 0
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class VolumeTrend:
    """Rows of one extract, before and now."""

    extract: str
    before: Volume
    now: Volume


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Rows over all extracts, and the largest share excluded of any extract."""

    rows_in: int
    released: int
    excluded: int
    worst_share: float


@dataclass(frozen=True, slots=True)
class ExclusionCause:
    """One reason code: rows, metering points (None where it is no first cause), the faults found, what is asked."""

    reason: str
    rows: int
    mpans: int | None
    faults: tuple[str, ...]
    asks: str


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """How far two participants agree, all items together; ``heat``: the step on the scale."""

    compared: int
    disagree: int
    heat: int


@dataclass(frozen=True, slots=True)
class MatrixLine:
    """One participant against those across; None where they were not compared."""

    left: str
    cells: tuple[MatrixCell | None, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Disagreement between participants."""

    across: tuple[str, ...]
    lines: tuple[MatrixLine, ...]


@dataclass(frozen=True, slots=True)
class AugmentedItem:
    """Where the values of one item come from; ``absent``: metering points that have no such item."""

    item: str
    stated: int
    derived: int
    manufactured: int
    undecided: int
    absent: int

    @property
    def total(self) -> int:
        """Metering points that have the item."""
        return self.stated + self.derived + self.manufactured + self.undecided


@dataclass(frozen=True, slots=True)
class BrokenCheck:
    """A check of the augmented fields that found something, and how often."""

    code: str
    count: int


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """How import and export metering points were linked, how many checks there were, which found anything."""

    evidence: tuple[AssociationOutcomeEvidence, ...]
    checks: int
    broken: tuple[BrokenCheck, ...]


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """Fulfilment of one phase: test cases, how many in full, units and spares."""

    phase: str
    name: str
    members: tuple[CaseCounts, ...]

    @property
    def cases(self) -> int:
        return len(self.members)

    @property
    def full(self) -> int:
        return sum(not case.short for case in self.members)

    @property
    def wanted(self) -> int:
        return sum(case.wanted for case in self.members)

    @property
    def allocated(self) -> int:
        return sum(case.allocated for case in self.members)

    @property
    def short(self) -> int:
        return sum(case.short for case in self.members)

    @property
    def spares_wanted(self) -> int:
        return sum(case.spares_wanted or 0 for case in self.members)

    @property
    def spares(self) -> int:
        return sum(case.spares or 0 for case in self.members)


@dataclass(frozen=True, slots=True)
class DistanceCell:
    """How far one set is from the population in one attribute, and values that it lacks."""

    distance: float
    absent: tuple[str, ...]
    heat: int


@dataclass(frozen=True, slots=True)
class DistanceLine:
    """One attribute over all sets."""

    attribute: str
    cells: tuple[DistanceCell | None, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the released population each ring-fenced set is: attributes down, sets across."""

    across: tuple[str, ...]
    whole: tuple[Coverage | None, ...]
    lines: tuple[DistanceLine, ...]


@dataclass(frozen=True, slots=True)
class LeakClass:
    """One class of raw identifiers that was searched for: how many are known (None: not said), how many stood raw."""

    name: str
    known: int | None
    confirmed: int


@dataclass(frozen=True, slots=True)
class TreatedGroup:
    """Columns of one extract that share a treatment; runs of numbered ones as one."""

    extract: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TreatmentUse:
    """One treatment: the columns that have it, and the words of the impact assessment."""

    treatment: str
    extracts: tuple[TreatedGroup, ...]
    words: AssessedTreatment | None


@dataclass(frozen=True, slots=True)
class NamedSource:
    """What a column is called in a source, and by whom."""

    column: str
    who: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnLineage:
    """One column, with what it was called in the sources: nothing where no source had it."""

    extract: str
    column: str
    item: str
    description: str
    classification: str
    treatment: str
    released: bool
    names: tuple[NamedSource, ...]


@dataclass(frozen=True, slots=True)
class ObligationFigures:
    """One obligation with the rules that rest on it: how many were judged, and rows at fault."""

    id: str
    asks: str
    sections: tuple[str, ...]
    rules: tuple[str, ...]
    test_only: bool
    judged: int
    failed: int


@dataclass(frozen=True, slots=True)
class ChainStep:
    """What this pack was made from, or the pack itself; ``who``: of how many participants."""

    kind: str
    count: int
    who: int
