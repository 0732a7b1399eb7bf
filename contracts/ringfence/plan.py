"""The language of ring-fence plans: what a YAML plan may say, and what it means as demands.

A plan says: version, the cut, policy, then phases, their stages, and the test cases of each stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from contracts.ringfence.model import AllocationPolicy, Criterion, Demand, Pick, SingleOnPair, UnitKind
from contracts.strict import Strict

HUB = {
    "supplier": "supplier_mpid",
    "metering_service": "meter_operator_mpid",
    "data_service": "data_collector_mpid",
}
"""The trio that moves through testing together (Q23, Q40), and the columns in which it stands."""

SEGMENT = "market_segment"
STAGES = {
    "CIT": re.compile(r"cit|interval-[1-9][0-9]?"),
    "SIT": re.compile(r"functional|migration|non-functional|operational"),
}
"""Names of the stages of each phase (Q8, Q10, Q25, Q53)."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_blank(values: list[str]) -> list[str]:
    if not values or any(not value for value in values):
        raise ValueError("names no value")
    return values


Words = Annotated[list[str], BeforeValidator(_as_list), AfterValidator(_not_blank)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_. /()#:+-]{0,119}$")]


class Range(Strict):
    """An inclusive range; one end may be left open."""

    at_least: Annotated[str | None, Field(alias="from")] = None
    at_most: Annotated[str | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Range:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a range has 'from', 'to' or both")
        return self


class Presence(Strict):
    """Whether the attribute has a value at all."""

    present: bool


class Hub(Strict):
    """Service trio: every part given must hold."""

    supplier: Words | None = None
    metering_service: Words | None = None
    data_service: Words | None = None


Criteria = dict[str, Words | Range | Presence]


def criteria_of(criteria: Criteria) -> tuple[Criterion, ...]:
    """Return criteria as the allocator takes them, in a fixed order."""
    return tuple(sorted((_criterion(name, wanted) for name, wanted in criteria.items()), key=repr))


def _criterion(name: str, wanted: list[str] | Range | Presence) -> Criterion:
    if isinstance(wanted, Range):
        return Criterion(name, at_least=wanted.at_least, at_most=wanted.at_most)
    if isinstance(wanted, Presence):
        return Criterion(name, present=wanted.present)
    return Criterion(name, values=tuple(sorted(set(wanted))))


class TestCase(Strict):
    """One test case of the plan, for one participant and role."""

    __test__ = False

    id: Name
    title: str = ""
    participant: Name
    role: Name
    quantity: Annotated[int, Field(ge=1, le=10_000_000)]
    minimum: Annotated[int, Field(ge=0)] = 0
    spares: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    unit: UnitKind = UnitKind.SINGLE
    priority: Annotated[int, Field(ge=1, le=99)] = 1
    mutates: bool = True
    reuse: bool = False
    processes: list[Name] = Field(default_factory=list)
    hub: Hub = Hub()
    criteria: Criteria = Field(default_factory=dict)
    export_criteria: Criteria = Field(default_factory=dict)

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
        if self.export_criteria and self.unit is not UnitKind.PAIR:
            raise ValueError("export_criteria belong to unit 'pair' only")
        if self.reuse and self.mutates:
            raise ValueError("a test case that mutates its MPANs cannot allow their reuse")
        return self


class PlannedStage(Strict):
    """A stage of a phase; ``round`` orders its issue among the stages."""

    stage: str
    round: Annotated[int, Field(ge=1, le=999)] = 1
    test_cases: Annotated[list[TestCase], Field(min_length=1)]


class Phase(Strict):
    """CIT or SIT: no metering point, meter or premises is ever in both (Q57)."""

    phase: Literal["CIT", "SIT"]
    stages: Annotated[list[PlannedStage], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_its_own_stages(self) -> Phase:
        for stage in self.stages:
            if not STAGES[self.phase].fullmatch(stage.stage):
                raise ValueError(f"stages of {self.phase} are {STAGES[self.phase].pattern.replace('|', ', ')}")
        return self


class PlanPolicy(Strict):
    """The ``policy`` section of a plan; see AllocationPolicy."""

    single_on_pair: SingleOnPair = SingleOnPair.PENALISE
    whole_test_cases: bool = False
    pick: Pick = Pick.KEYED
    strata: list[Name] = Field(default_factory=list)
    keep_together: list[Name] | None = None
    absent_partner: Literal["refuse", "allow"] = "refuse"
    hub: dict[str, Name] = HUB
    segments: dict[Name, Annotated[list[Literal["S", "A", "U"]], Field(min_length=1)]] = Field(default_factory=dict)

    @field_validator("hub")
    @classmethod
    def _known_hub_parts(cls, value: dict[str, str]) -> dict[str, str]:
        if set(value) - set(HUB):
            raise ValueError("hub maps supplier, metering_service and data_service to columns")
        return HUB | value

    @model_validator(mode="after")
    def _strata_go_with_stratified(self) -> PlanPolicy:
        if bool(self.strata) != (self.pick is Pick.STRATIFIED):
            raise ValueError("strata and pick 'stratified' go together")
        return self

    def allocation_policy(self) -> AllocationPolicy:
        """Return the part that the allocator reads."""
        return AllocationPolicy(
            single_on_pair=self.single_on_pair,
            whole_test_cases=self.whole_test_cases,
            pick=self.pick,
            strata=tuple(self.strata),
            keep_together=None if self.keep_together is None else tuple(self.keep_together),
            absent_partner=self.absent_partner,
        )


class RingFencePlan(Strict):
    """A whole plan: version of the language, policy, phases."""

    plan: Annotated[int, Field(ge=1, le=1)]
    cut: str = ""
    policy: PlanPolicy = PlanPolicy()
    phases: Annotated[list[Phase], Field(min_length=1)]

    def demands(self) -> Iterator[tuple[tuple[str | int, ...], Demand]]:
        """Yield the place in the document, and the demand, of every test case that applies to its participant."""
        out = {id(case) for case, _ in self.not_applicable()}
        for at, phase in enumerate(self.phases):
            for within, stage in enumerate(phase.stages):
                for number, case in enumerate(stage.test_cases):
                    if id(case) in out:
                        continue
                    place = ("phases", at, "stages", within, "test_cases", number)
                    yield place, self._demand(phase, stage, case)

    def not_applicable(self) -> Iterator[tuple[TestCase, str]]:
        """Yield the test cases that are not their participant's to run, and why (Q19, Q20, Q31)."""
        for phase in self.phases:
            for case in (case for stage in phase.stages for case in stage.test_cases):
                allowed, asked = self.policy.segments.get(case.participant), case.criteria.get(SEGMENT)
                if allowed is not None and isinstance(asked, list) and not set(asked) & set(allowed):
                    words = f"segment {', '.join(sorted(asked))} is not among those of {case.participant}"
                    yield case, f"{case.id} does not apply: {words} ({', '.join(allowed)})."

    def _segments(self, case: TestCase) -> Criteria:
        """Return the criteria of a test case, kept to the segments that its participant is confirmed for (Q20, Q31)."""
        allowed, asked = self.policy.segments.get(case.participant), case.criteria.get(SEGMENT)
        if allowed is None or (asked is not None and not isinstance(asked, list)):
            return case.criteria
        kept: list[str] = [s for s in allowed if asked is None or s in asked]
        return {**case.criteria, SEGMENT: kept}

    def _demand(self, phase: Phase, stage: PlannedStage, case: TestCase) -> Demand:
        hub = {name: getattr(case.hub, name) for name in HUB}
        trio = [
            Criterion(self.policy.hub[name], values=tuple(sorted(set(words)))) for name, words in hub.items() if words
        ]
        return Demand(
            test_case=case.id,
            base=case.quantity,
            phase=phase.phase,
            stage=stage.stage,
            participant=case.participant,
            role=case.role,
            round=stage.round,
            priority=case.priority,
            spare=case.spares,
            minimum=case.minimum,
            kind=case.unit,
            criteria=tuple(sorted([*criteria_of(self._segments(case)), *trio], key=repr)),
            export_criteria=criteria_of(case.export_criteria),
            mutates=case.mutates,
            reuse=case.reuse,
            processes=tuple(case.processes),
        )
