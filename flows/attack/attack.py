"""The attack itself: every intruder of the contract against one release, and what each achieved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from contracts.attack import intruders
from contracts.attack.model import Attack
from contracts.errors import IntakeError
from contracts.json_types import JsonObject
from flows.attack.released import AT_ONCE, ReleasedPack
from flows.attack.truth import Points, Truth
from transforms.attack.facts import Values, known_cells
from transforms.attack.intervals import wilson
from transforms.attack.joins import Join, combinations
from transforms.attack.memory import remember, sample
from transforms.attack.outcome import AttackOutcome, conclude, rounded
from transforms.attack.search import ReleasedPart, Searcher, Sought, uses


@dataclass(frozen=True, slots=True)
class OtherCut:
    """Another cut of the same people: its release, and the truth that says who is who in it."""

    pack: ReleasedPack
    truth: Truth


@dataclass(frozen=True, slots=True)
class PlayedIntruder:
    """One intruder in one variant: how many records it could choose from, and what it achieved."""

    intruder: str
    title: str
    variant: str
    records: int
    outcome: AttackOutcome

    def document(self) -> JsonObject:
        """Return it as JSON, the outcome among its own facts."""
        own: JsonObject = {name: getattr(self, name) for name in ("intruder", "title", "variant", "records")}
        return own | asdict(self.outcome)


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """People who are found by equal values of some columns in another cut, uniquely and rightly."""

    columns: tuple[str, ...]
    people: int
    linked: int
    wrong: int
    success: float
    success_interval: tuple[float, float]


@dataclass(slots=True)
class Attacked:
    """What was achieved.

    Attributes:
        points: metering points that are released; ``people``: how many of them were searched for.
        rows: an entry per intruder and variant; ``joins``: per plain join with another cut.
        not_played: intruder -> why it was not played.
        unreleased: facts that intruders know and the release does not tell.
    """

    points: int
    people: int
    rows: list[PlayedIntruder] = field(default_factory=list)
    joins: list[JoinOutcome] = field(default_factory=list)
    not_played: dict[str, str] = field(default_factory=dict)
    unreleased: list[str] = field(default_factory=list)

    def document(self) -> JsonObject:
        """Return the result as plain values: counts and rates, no identifier."""
        return {
            "metering_points": self.points,
            "people": self.people,
            "intruders": [row.document() for row in self.rows],
            "joins": [asdict(join) for join in self.joins],
            "not_played": {**self.not_played},
            "unreleased": [*self.unreleased],
        }

    def best(self) -> PlayedIntruder | None:
        """Return the entry of the intruder with the largest difference from its control."""
        return max(self.rows, key=lambda row: row.outcome.difference, default=None)


def attack(release: Path, truth: Truth, other: OtherCut | None = None, targets: int | None = None) -> Attacked:
    """Play every intruder against a release.

    Args:
        targets: how many people are searched for; as the contract says where it is not given.

    Raises:
        IntakeError: the pack holds no metering points, or the truth holds none of them.
    """
    plan = intruders()
    if targets:
        plan = replace(plan, search=replace(plan.search, targets=targets))
    pack = ReleasedPack(release)
    points = pack.points()
    people = sample(points, plan.search.targets, truth.seed)
    real = truth.facts(plan, people)
    if not np.isin(people, real.points).any():
        raise IntakeError(
            "the truth holds no metering point of the release", where=release.name, remedy="name its own cut.yaml"
        )
    found = Attacked(int(points.size), int(people.size))
    searchers = _searchers(plan, truth, people, real, other, found)
    joins = _joins(plan, truth, people, other)
    facts = sorted(
        {fact for one in searchers for fact in (*one.facts, *one.intruder.wants)} | {*plan.public, *plan.released}
    )
    _play(pack, plan, facts, searchers, joins, points.size)
    found.rows = [_row(one, name) for one, name in zip(searchers, _names(searchers, plan), strict=True)]
    found.rows += _series(pack, plan, truth, found)
    found.rows.sort(key=lambda row: [one.id for one in plan.intruders].index(row.intruder))
    found.joins = [_join(one) for one in joins]
    told = {name.partition("@")[0] for one in searchers for name in one.names}
    found.unreleased = sorted({fact for one in searchers for fact in one.facts} - told)
    return found


def _searchers(
    plan: Attack, truth: Truth, people: Points, real: ReleasedPart, other: OtherCut | None, found: Attacked
) -> list[Searcher]:
    made, values = [], real.of(people)
    for intruder in plan.intruders:
        if intruder.series:
            continue
        if intruder.from_other and other is None:
            found.not_played[intruder.id] = "no other release was given (--other)"
            continue
        source = _theirs(plan, truth, people, other) if intruder.from_other and other else values
        known = remember(source, intruder.knows, people, truth.seed)
        for _, facts in uses(intruder, plan.facts):
            made.append(Searcher(plan, intruder, facts, Sought(people, known, values)))
    return made


def _theirs(plan: Attack, truth: Truth, people: Points, other: OtherCut) -> Values:
    """Return what another cut's release says of the same people."""
    named = truth.others(other.truth, people)
    facts = sorted(
        {fact for one in plan.intruders if one.from_other for fact in one.knows} | {*plan.public, *plan.released}
    )
    whole: Values = {}
    for chunk in other.pack.chunks(plan, facts, other.pack.points().size):
        for name, column in chunk.of(named).items():
            whole[name] = np.where(known_cells(column), column, whole.get(name, column))
    return whole


def _joins(plan: Attack, truth: Truth, people: Points, other: OtherCut | None) -> list[Join]:
    if other is None:
        return []
    known = _theirs(plan, truth, people, other)
    return [Join(columns, people, known) for columns in combinations(plan.public, plan.released)]


def _play(
    pack: ReleasedPack, plan: Attack, facts: Sequence[str], searchers: list[Searcher], joins: list[Join], points: int
) -> None:
    """Let every intruder see the release twice: what is common in it, and who is who."""
    kept = list(pack.chunks(plan, facts, points)) if points <= AT_ONCE else None
    for chunk in kept or pack.chunks(plan, facts, points):
        for searcher in searchers:
            searcher.count(chunk)
        for join in joins:
            join.add(chunk)
    for chunk in kept or pack.chunks(plan, facts, points):
        for searcher in searchers:
            searcher.search(chunk)


def _series(pack: ReleasedPack, plan: Attack, truth: Truth, found: Attacked) -> list[PlayedIntruder]:
    """Play the intruders that search half-hourly series, among the homes that have some."""
    rows = []
    for intruder in plan.intruders:
        if not intruder.series:
            continue
        days = pack.days(plan.series)
        chunk = pack.series(plan, days)
        if not chunk.points.size:
            found.not_played[intruder.id] = "no half-hourly series are released"
            continue
        people = sample(chunk.points, plan.search.targets, truth.seed)
        real = truth.series(plan, people, days).of(people)
        known = remember(real, intruder.knows, people, truth.seed)
        for name, facts in uses(intruder, plan.facts):
            searcher = Searcher(plan, intruder, facts, Sought(people, known, real))
            searcher.count(chunk)
            searcher.search(chunk)
            rows.append(_row(searcher, name))
    return rows


def _names(searchers: Sequence[Searcher], plan: Attack) -> list[str]:
    """Return the variant of each searcher."""
    by_intruder: dict[str, list[str]] = {one.id: [name for name, _ in uses(one, plan.facts)] for one in plan.intruders}
    return [by_intruder[searcher.intruder.id].pop(0) for searcher in searchers]


def _row(searcher: Searcher, variant: str) -> PlayedIntruder:
    intruder = searcher.intruder
    return PlayedIntruder(intruder.id, intruder.title, variant, searcher.records, conclude(searcher).outcome())


def _join(join: Join) -> JoinOutcome:
    n, linked = int(join.points.size), int(join.linked.sum())
    return JoinOutcome(
        columns=join.columns,
        people=n,
        linked=linked,
        wrong=int(join.wrong.sum()),
        success=round(linked / n, 6) if n else 0.0,
        success_interval=rounded(wilson(linked, n)),
    )
