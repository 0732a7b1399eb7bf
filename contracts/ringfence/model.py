"""What a ring-fence plan may ask for: phases, stages, test cases, criteria, units, policy.

A *demand* is one line of the demand book: so many units for one test case, participant and role. A *unit* is one
connected group of metering points (a bundle), because an import MPAN, its exports and its related MPANs stand or fall
together: a test that changes one changes the others.

Source: MHHS Programme open day answers Q53 and Q84 (one cut, apportioned per stage by participant), Q57 (CIT and SIT
use different MPANs, ring-fenced for specific test cases), Q23 and Q29 (supplier hub), Q48 (non-conforming MPANs out).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

HAS_LINK = "has_link"
"""Derived attribute of every metering point: ``true`` where its unit has more than one member."""


class State(StrEnum):
    """What a reservation has come to.

    A *planned* metering point is proposed, not held. From *committed* on it is held: nobody else can have it.
    *released* and *quarantined* ones stay out of use, unless the release gives them back to the pool.
    """

    PLANNED = "planned"
    COMMITTED = "committed"
    ISSUED = "issued"
    CONSUMED = "consumed"
    RELEASED = "released"
    QUARANTINED = "quarantined"


NEXT_STATES = {
    State.COMMITTED: (State.ISSUED, State.RELEASED, State.QUARANTINED),
    State.ISSUED: (State.CONSUMED, State.RELEASED, State.QUARANTINED),
    State.CONSUMED: (State.RELEASED, State.QUARANTINED),
    State.QUARANTINED: (State.RELEASED,),
    State.RELEASED: (State.QUARANTINED,),
}
"""Which state may follow which; anything else is refused."""

SERVING = (State.COMMITTED, State.ISSUED, State.CONSUMED)
"""States in which a metering point counts for its test case."""


class UnitKind(StrEnum):
    """What one unit of a demand is made of."""

    SINGLE = "SINGLE"
    PAIR = "PAIR"
    GROUP = "GROUP"


class Role(StrEnum):
    """What an allocated metering point is to its test case."""

    BASE = "BASE"
    SPARE = "SPARE"
    COMPANION = "COMPANION"


class SingleOnPair(StrEnum):
    """May a test case that wants single metering points use one half of a linked group?"""

    FORBID = "forbid"
    PENALISE = "penalise"
    ALLOW = "allow"


class Pick(StrEnum):
    """Order in which equally eligible units are taken."""

    KEYED = "keyed"
    STRATIFIED = "stratified"


@dataclass(frozen=True, slots=True, order=True)
class Criterion:
    """One test on one attribute; the tests of a demand are joined by AND.

    Attributes:
        attribute: column of the population, or ``has_link``.
        values: accepted values, compared as text; any of them will do. Empty: no such test.
        at_least: smallest accepted value, inclusive; numbers compare as numbers, text (dates) as text.
        at_most: largest accepted value, inclusive.
        present: ``True`` wants a value, ``False`` wants none, ``None`` does not care.
    """

    attribute: str
    values: tuple[str, ...] = ()
    at_least: str | None = None
    at_most: str | None = None
    present: bool | None = None

    def __str__(self) -> str:
        """Say the criterion as a reader would write it."""
        if self.values:
            body = self.values[0] if len(self.values) == 1 else "{" + ", ".join(self.values) + "}"
            return f"{self.attribute}={body}"
        if self.present is not None:
            return f"{self.attribute} {'present' if self.present else 'absent'}"
        low, high = self.at_least, self.at_most
        return f"{self.attribute} from {low or 'any'} to {high or 'any'}"


@dataclass(frozen=True, slots=True)
class Demand:
    """So many units for one test case, participant and role.

    Attributes:
        round: order of issue; a later round is solved on what earlier ones left.
        priority: 1 is served first.
        base: units wanted; ``minimum``: fewest with which the test can run; ``spare``: units beyond base.
        criteria: what a member (for PAIR and GROUP: an import member) must meet.
        export_criteria: PAIR only, what an export member must meet.
        mutates: the test changes its metering points, so they are spent by it.
        reuse: after a test that does not mutate, another stage of the same phase may take the unit.
        processes: market processes that the test case runs, by name; empty for all that apply.
        where: file and line the demand was read from, for messages.
    """

    test_case: str
    base: int
    phase: str = "SIT"
    stage: str = ""
    participant: str = ""
    role: str = ""
    round: int = 1
    priority: int = 1
    spare: int = 0
    minimum: int = 0
    kind: UnitKind = UnitKind.SINGLE
    criteria: tuple[Criterion, ...] = ()
    export_criteria: tuple[Criterion, ...] = ()
    mutates: bool = True
    reuse: bool = False
    processes: tuple[str, ...] = field(default=(), compare=False)
    where: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[int, str, str, str, str, str]:
        """Identity of the demand, and the order in which demands are always considered."""
        return (self.round, self.test_case, self.phase, self.stage, self.participant, self.role)

    def label(self) -> str:
        """Name the demand in a message: the test case, with participant and role where stated."""
        who = "/".join(part for part in (self.participant, self.role) if part)
        return f"{self.test_case} ({who})" if who else self.test_case


@dataclass(frozen=True, slots=True)
class AllocationPolicy:
    """Choices that change which units are taken, never how the optimum is defined.

    Attributes:
        single_on_pair: use of linked groups by SINGLE test cases.
        whole_test_cases: a test case below its minimum gets nothing (all or nothing).
        pick: keyed random order, or keyed order interleaved by ``strata``.
        strata: attributes to interleave by.
        keep_together: columns whose equal values join metering points into one unit (meter, premises); None: not
            said, so whoever knows the population decides.
        absent_partner: ``refuse`` a unit whose linked metering point is not in the population, or ``allow`` it.
    """

    single_on_pair: SingleOnPair = SingleOnPair.PENALISE
    whole_test_cases: bool = False
    pick: Pick = Pick.KEYED
    strata: tuple[str, ...] = ()
    keep_together: tuple[str, ...] | None = None
    absent_partner: str = "refuse"
