"""The attack itself: every intruder of the contract against one release, and what each achieved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from contracts.attack import INTRUDERS, intruders
from contracts.attack.model import Attack
from contracts.errors import IntakeError
from contracts.json_types import JsonObject
from flows.attack.released import AT_ONCE, SPREAD, ReleasedPack
from flows.attack.truth import Points, Truth
from transforms.attack.facts import Values, known_cells
from transforms.attack.intervals import wilson
from transforms.attack.joins import Join, combinations
from transforms.attack.memory import remember, sample
from transforms.attack.outcome import AttackOutcome, conclude, rounded
from transforms.attack.search import ReleasedPart, Searcher, Sought, uses


class TruthSource(Protocol):
    """What is really so of the people of a release, and the number that draws them."""

    @property
    def seed(self) -> int:
        """Return the number that decides who is searched for and what is misremembered."""

    def facts(self, attack: Attack, points: Points) -> ReleasedPart:
        """Return the real values of some metering points."""

    def series(self, attack: Attack, points: Points, days: Sequence[date]) -> ReleasedPart:
        """Return the real totals of days and half-hours of some metering points."""


WORDS = ("intruder", "title", "variant", "records", "overlooked")
TheirValues = Callable[[Attack, Points], Values]  # what another cut's release says of the same people


@dataclass(frozen=True, slots=True)
class OtherCut:
    """Another cut of the same people: its release, and the truths that say who is who in both."""

    pack: ReleasedPack
    truth: Truth
    here: Truth

    def __call__(self, plan: Attack, people: Points) -> Values:
        """Return what the other cut's release says of the same people."""
        named = self.here.others(self.truth, people)
        whole: Values = {}
        for chunk in self.pack.chunks(plan, plan.of_others(), self.pack.rows()):
            for name, column in chunk.of(named).items():
                whole[name] = np.where(known_cells(column), column, whole.get(name, column))
        return whole


@dataclass(frozen=True, slots=True)
class PlayedIntruder:
    """One intruder in one variant: how many records it could choose from, and what it achieved.

    Attributes:
        overlooked: people of whom there was a block of records too large to be looked through.
    """

    intruder: str
    title: str
    variant: str
    records: int
    overlooked: int
    outcome: AttackOutcome

    def document(self) -> JsonObject:
        """Return it as JSON, the outcome among its own facts."""
        own: JsonObject = {name: getattr(self, name) for name in WORDS}
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
        points: metering points that are released; ``people``: how many of them were searched for, ``among`` how
            many, where that is a part of the release.
        rows: an entry per intruder and variant; ``joins``: per plain join with another cut.
        not_played: intruder -> why it was not played.
        unreleased: facts that intruders know and the release does not tell.
    """

    points: int
    among: int
    people: int
    rows: list[PlayedIntruder] = field(default_factory=list)
    joins: list[JoinOutcome] = field(default_factory=list)
    not_played: dict[str, str] = field(default_factory=dict)
    unreleased: list[str] = field(default_factory=list)

    def document(self) -> JsonObject:
        """Return the result as plain values: counts and rates, no identifier."""
        return {
            "metering_points": self.points,
            "searched_among": self.among,
            "people": self.people,
            "intruders": [row.document() for row in self.rows],
            "joins": [asdict(join) for join in self.joins],
            "not_played": {**self.not_played},
            "unreleased": [*self.unreleased],
        }

    def best(self) -> PlayedIntruder | None:
        """Return the entry of the intruder with the largest difference from its control."""
        return max(self.rows, key=lambda row: row.outcome.difference, default=None)


@dataclass(frozen=True, slots=True)
class Game:
    """What is played.

    Attributes:
        intruders: whose turn it is; all of the contract where none is named.
        targets: how many people are searched for; as the contract says where it is not given.
        among: search in a part of so many metering points at most: it is a sample of the market, since pseudonyms
            are, and more is found in it than in the whole.
        contract: file of the intruders.
    """

    intruders: tuple[str, ...] = ()
    targets: int | None = None
    among: int | None = None
    contract: Path = INTRUDERS

    def plan(self) -> Attack:
        """Return the contract of the intruders as it is played."""
        plan = intruders(self.contract)
        search = replace(plan.search, targets=self.targets or plan.search.targets)
        turn = tuple(one for one in plan.intruders if not self.intruders or one.id in self.intruders)
        return replace(plan, search=search, intruders=turn)


def attack(release: Path, truth: TruthSource, other: TheirValues | None = None, game: Game | None = None) -> Attacked:
    """Play intruders against a release.

    Raises:
        IntakeError: the pack holds no metering points, or the truth holds none of them.
    """
    game = game or Game()
    plan, pack = game.plan(), ReleasedPack(release)
    rows = pack.rows()
    within = (0, SPREAD if game.among is None or rows <= game.among else SPREAD * game.among // rows)
    points = pack.points(within)
    people = sample(points, plan.search.targets, truth.seed)
    real = truth.facts(plan, people)
    if not np.isin(people, real.points).any():
        raise IntakeError(
            "the truth holds no metering point of the release", where=release.name, remedy="name its own cut.yaml"
        )
    found = Attacked(int(points.size) if within[1] == SPREAD else rows, int(points.size), int(people.size))
    theirs = other(plan, people) if other else None
    searchers = _searchers(plan, truth, people, real, theirs, found)
    joins = [Join(columns, people, theirs) for columns in combinations(plan.public, plan.released)] if theirs else []
    facts = sorted(
        {fact for one in searchers for fact in (*one.facts, *one.intruder.wants)} | {*plan.public, *plan.released}
    )
    chunks = partial(pack.chunks, plan, facts, int(points.size), within)
    _play(chunks, searchers, joins, int(points.size))
    found.rows = [_row(one, name) for one, name in zip(searchers, _names(searchers, plan), strict=True)]
    found.rows += _series(pack, plan, truth, within, found)
    found.rows.sort(key=lambda row: [one.id for one in plan.intruders].index(row.intruder))
    found.joins = [_join(one) for one in joins]
    told = {name.partition("@")[0] for one in searchers for name in one.names}
    found.unreleased = sorted({fact for one in searchers for fact in one.facts} - told)
    return found


def _searchers(
    plan: Attack, truth: TruthSource, people: Points, real: ReleasedPart, theirs: Values | None, found: Attacked
) -> list[Searcher]:
    made, values = [], real.of(people)
    for intruder in plan.intruders:
        if intruder.series:
            continue
        if intruder.from_other and theirs is None:
            found.not_played[intruder.id] = "no other release was given (--other)"
            continue
        source = theirs if intruder.from_other and theirs is not None else values
        known = remember(source, intruder.knows, people, truth.seed)
        for _, facts in uses(intruder, plan.facts):
            made.append(Searcher(plan, intruder, facts, Sought(people, known, values)))
    return made


def _play(
    chunks: Callable[[], Iterator[ReleasedPart]], searchers: list[Searcher], joins: list[Join], points: int
) -> None:
    """Let every intruder see the release twice: what is common in it, and who is who."""
    kept = list(chunks()) if points <= AT_ONCE else None
    seen = 0
    for chunk in kept or chunks():
        seen += int(chunk.points.size)
        for searcher in searchers:
            searcher.count(chunk)
        for join in joins:
            join.add(chunk)
    if seen < points:
        raise IntakeError("the release is not in the order in which datacut writes it", where=f"{points - seen} missed")
    for chunk in kept or chunks():
        for searcher in searchers:
            searcher.search(chunk)


def _series(
    pack: ReleasedPack, plan: Attack, truth: TruthSource, within: tuple[int, int], found: Attacked
) -> list[PlayedIntruder]:
    """Play the intruders that search half-hourly series, among the homes that have some."""
    rows = []
    for intruder in plan.intruders:
        if not intruder.series:
            continue
        days = pack.days(plan.series, within)
        chunk = pack.series(plan, days, within)
        if not chunk.points.size:
            found.not_played[intruder.id] = "no half-hourly series are released"
            continue
        people = sample(chunk.points, plan.search.targets, truth.seed)
        whole = truth.series(plan, people, days)
        if not whole.points.size:
            found.not_played[intruder.id] = "real half-hourly readings are not known here"
            continue
        real = whole.of(people)
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
    overlooked = int(searcher.overlooked.sum())
    outcome = conclude(searcher).outcome()
    return PlayedIntruder(intruder.id, intruder.title, variant, searcher.records, overlooked, outcome)


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
