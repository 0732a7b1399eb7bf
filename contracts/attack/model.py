"""What an intruder is, as frozen values: facts, knowledge and its errors, where it looks, when it gives up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FactKind(StrEnum):
    """How two values of a fact are compared."""

    CODE = "code"
    DATE = "date"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Fact:
    """What can be known or released of a metering point.

    Attributes:
        id: its name.
        words: what it is, in words for a report.
        kind: how two values are compared.
        places: ``extract.column``; the first tells the truth, all are looked at in the release.
        take: how rows become one value: ``value``, ``outward``, ``first N``, ``year of serial`` (letter and
            two digits before the rest), ``sum``, ``latest``, ``count``, ``present``.
        minus: the two date facts that it is the difference of, in place of ``places``.
    """

    id: str
    words: str
    kind: FactKind
    places: tuple[str, ...] = ()
    take: str = "value"
    minus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How well an intruder knows a fact.

    Attributes:
        known: share of people of whom it knows it.
        wrong: share of those of whom it has it wrong.
        off: how far a value that is right may be off: days, or a share of an amount.
    """

    known: float = 1.0
    wrong: float = 0.0
    off: float = 0.0


@dataclass(frozen=True, slots=True)
class BlockingRule:
    """Where an intruder looks: records equal in some facts, and near in one.

    Attributes:
        same: facts that agree.
        near: a date or amount; empty for none.
        within: days, or a share of the amount.
    """

    same: tuple[str, ...] = ()
    near: str = ""
    within: float = 0.0


@dataclass(frozen=True, slots=True)
class Levels:
    """How near two values of a kind are: upper bounds, nearest first, and how likely each is for a true pair.

    ``agree`` has one entry more than ``steps`` (of codes: equal and different).
    """

    steps: tuple[float, ...]
    agree: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Intruder:
    """One intruder.

    Attributes:
        knows: fact -> how well.
        variants: name -> facts that are used; an empty one uses all.
        series: whether it searches half-hourly series, not metering points.
        from_other: whether what it knows is another release.
        wants: facts that it would learn.
        sure: how sure it must be to name a record.
    """

    id: str
    title: str
    story: str
    knows: Mapping[str, Knowledge]
    variants: Mapping[str, tuple[str, ...]]
    blocks: tuple[BlockingRule, ...]
    wants: tuple[str, ...]
    sure: float
    series: bool = False
    from_other: bool = False


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Which of a half-hourly series an app shows: days with most series, and periods of the first of them.

    Attributes:
        extract: where series are; ``quantity``, ``day``: its columns of the measurement quantity and the day.
        of: the measurement quantity that counts.
    """

    extract: str
    quantity: str
    of: str
    day: str
    periods: int
    days: int
    half_hours: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """How thoroughly every intruder searches.

    Attributes:
        targets: people searched for.
        largest_block: records of a block above which the intruder does not look at them one by one.
        kept: best candidates of a person that are weighed anew in each round.
        rounds: how often likelihoods are learned from the release (expectation maximisation).
        present: how likely the intruder thinks that a person is in the release.
    """

    targets: int
    largest_block: int
    kept: int
    rounds: int
    present: float


@dataclass(frozen=True, slots=True)
class InRun:
    """What is played as a part of every run.

    Attributes:
        targets: people searched for; ``among``: metering points of the part of the release that is searched.
        intruders: ids of those that play.
    """

    targets: int
    among: int
    intruders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """The whole of ``intruders.yaml``."""

    search: Search
    levels: Mapping[FactKind, Levels]
    facts: Mapping[str, Fact]
    series: SeriesFacts
    intruders: tuple[Intruder, ...]
    public: tuple[str, ...]
    released: tuple[str, ...]
    in_run: InRun

    def of_others(self) -> list[str]:
        """Return the facts that another release is read for."""
        knows = {fact for one in self.intruders if one.from_other for fact in one.knows}
        return sorted(knows | {*self.public, *self.released})
