"""What a ring-fence plan may ask for: phases, stages, test cases, criteria, units, policy.

A *demand* is one line of the demand book: so many units for one test case, participant and role. A *unit* is one
connected group of metering points (a bundle), because an import MPAN, its exports and its related MPANs stand or fall
together: a test that changes one changes the others.

Source: MHHS Programme open day answers Q53 and Q84 (one cut, apportioned per stage by participant), Q57 (CIT and SIT
use different MPANs, ring-fenced for specific test cases), Q23 and Q29 (supplier hub), Q48 (non-conforming MPANs out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

HAS_LINK = "has_link"
"""Derived attribute of every metering point: ``true`` where its unit has more than one member."""

HUB = ("supplier", "metering_service", "data_service")
"""The trio that moves through testing together (Q23, Q40), in the order it is written."""

CIT_STAGE = re.compile(r"cit|interval-[1-9][0-9]*")
SIT_STAGES = ("functional", "migration", "non-functional", "operational")


class Kind(StrEnum):
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
    kind: Kind = Kind.SINGLE
    criteria: tuple[Criterion, ...] = ()
    export_criteria: tuple[Criterion, ...] = ()
    mutates: bool = True
    reuse: bool = False
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
        keep_together: columns whose equal values join metering points into one unit (meter, premises).
        absent_partner: ``refuse`` a unit whose linked metering point is not in the population, or ``allow`` it.
    """

    single_on_pair: SingleOnPair = SingleOnPair.PENALISE
    whole_test_cases: bool = False
    pick: Pick = Pick.KEYED
    strata: tuple[str, ...] = ()
    keep_together: tuple[str, ...] = ()
    absent_partner: str = "refuse"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_blank(values: list[str]) -> list[str]:
    if not values or any(not value for value in values):
        raise ValueError("names no value")
    return values


Words = Annotated[list[str], BeforeValidator(_as_list), AfterValidator(_not_blank)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_. /()#:+-]{0,119}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Strict):
    """An inclusive range; one end may be left open."""

    at_least: Annotated[str | None, Field(alias="from")] = None
    at_most: Annotated[str | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Range:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a range has 'from', 'to' or both")
        return self


class Presence(_Strict):
    """Whether the attribute has a value at all."""

    present: bool


class Hub(_Strict):
    """Service trio: every part given must hold."""

    supplier: Words | None = None
    metering_service: Words | None = None
    data_service: Words | None = None


Criteria = dict[str, Words | Range | Presence]


class TestCase(_Strict):
    """One test case of the plan, for one participant and role."""

    __test__ = False

    id: Name
    title: str = ""
    participant: Name
    role: Name
    quantity: Annotated[int, Field(ge=1, le=10_000_000)]
    minimum: Annotated[int, Field(ge=0)] = 0
    spares: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    unit: Kind = Kind.SINGLE
    priority: Annotated[int, Field(ge=1, le=99)] = 1
    mutates: bool = True
    reuse: bool = False
    hub: Hub = Hub()
    criteria: Criteria = {}
    export_criteria: Criteria = {}

    @field_validator("unit", mode="before")
    @classmethod
    def _unit_in_any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("reuse", mode="before")
    @classmethod
    def _reuse_in_words(cls, value: object) -> object:
        words = {"never": False, "same-phase": True}
        if isinstance(value, str) and value not in words:
            raise ValueError("reuse is 'never' or 'same-phase'")
        return words[value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> TestCase:
        if self.minimum > self.quantity:
            raise ValueError("minimum is greater than quantity")
        if self.export_criteria and self.unit is not Kind.PAIR:
            raise ValueError("export_criteria belong to unit 'pair' only")
        if self.reuse and self.mutates:
            raise ValueError("a test case that mutates its MPANs cannot allow their reuse")
        return self


class Stage(_Strict):
    """A stage of a phase; ``round`` orders its issue among the stages."""

    stage: str
    round: Annotated[int, Field(ge=1, le=999)] = 1
    test_cases: Annotated[list[TestCase], Field(min_length=1)]


class Phase(_Strict):
    """CIT or SIT: no metering point, meter or premises is ever in both (Q57)."""

    phase: Annotated[str, Field(pattern="^(CIT|SIT)$")]
    stages: Annotated[list[Stage], Field(min_length=1)]


class PlanPolicy(_Strict):
    """The ``policy`` section of a plan; see AllocationPolicy."""

    single_on_pair: SingleOnPair = SingleOnPair.PENALISE
    whole_test_cases: bool = False
    pick: Pick = Pick.KEYED
    strata: list[Name] = []
    keep_together: list[Name] = []
    absent_partner: Annotated[str, Field(pattern="^(refuse|allow)$")] = "refuse"
    hub: dict[str, Name] = {name: f"{name}_mpid" for name in HUB}

    @field_validator("hub")
    @classmethod
    def _known_hub_parts(cls, value: dict[str, str]) -> dict[str, str]:
        if set(value) - set(HUB):
            raise ValueError("hub maps supplier, metering_service and data_service to columns")
        return {name: value.get(name, f"{name}_mpid") for name in HUB}

    def allocation_policy(self) -> AllocationPolicy:
        """Return the part that the allocator reads."""
        return AllocationPolicy(
            single_on_pair=self.single_on_pair,
            whole_test_cases=self.whole_test_cases,
            pick=self.pick,
            strata=tuple(self.strata),
            keep_together=tuple(self.keep_together),
            absent_partner=self.absent_partner,
        )


class RingFencePlan(_Strict):
    """A whole plan: version of the language, policy, phases."""

    plan: Annotated[int, Field(ge=1, le=1)]
    cut: str = ""
    policy: PlanPolicy = PlanPolicy()
    phases: Annotated[list[Phase], Field(min_length=1)]
