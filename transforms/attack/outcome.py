"""What an intruder achieved: claims against the truth, with and without the people's own records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.attack.intervals import paired_difference, wilson
from transforms.attack.linkage import NOBODY, Claims, claim, learn, weigh, without
from transforms.attack.search import Searcher

Flags = NDArray[np.bool_]
DIGITS = 6


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """What one intruder achieved: counts, and rates over the people with their 95 % intervals (see ``Achieved``).

    Attributes:
        difference: of ``success`` and ``control``; ``inference``: of ``learned`` and ``guessed``.
    """

    people: int
    right: int
    wrong: int
    success: float
    success_interval: tuple[float, float]
    control: float
    misled: float
    difference: float
    difference_interval: tuple[float, float]
    learned: float
    guessed: float
    inference: float
    inference_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Achieved:
    """Yes or no for each person.

    Attributes:
        right, wrong: the intruder named the person's own record, or somebody else's.
        lucky: with the own record gone it named another that tells what it wanted, as it really is.
        misled: with the own record gone it named one all the same.
        learned, guessed: what it wanted, with the own record and without.
    """

    right: Flags
    wrong: Flags
    lucky: Flags
    misled: Flags
    learned: Flags
    guessed: Flags

    @classmethod
    def of(cls, own: NDArray[np.uint64], inside: Claims, outside: Claims) -> Achieved:
        """Judge the claims of one intruder."""
        right = inside.records == own
        named = inside.records != NOBODY
        misled = outside.records != NOBODY
        return cls(right, named & ~right, outside.learned, misled, inside.learned, outside.learned)

    def outcome(self) -> AttackOutcome:
        """Return counts, rates and intervals."""
        n = int(self.right.size)
        difference, difference_interval = _difference(self.right, self.lucky)
        inference, inference_interval = _difference(self.learned, self.guessed)
        return AttackOutcome(
            people=n,
            right=int(self.right.sum()),
            wrong=int(self.wrong.sum()),
            success=_rate(self.right),
            success_interval=rounded(wilson(int(self.right.sum()), n)),
            control=_rate(self.lucky),
            misled=_rate(self.misled),
            difference=difference,
            difference_interval=difference_interval,
            learned=_rate(self.learned),
            guessed=_rate(self.guessed),
            inference=inference,
            inference_interval=inference_interval,
        )


def conclude(searcher: Searcher) -> Achieved:
    """Let an intruder learn, weigh and claim, and judge it."""
    pairs, weighing = searcher.pairs(), searcher.weighing()
    search, sure = searcher.attack.search, searcher.intruder.sure
    own = searcher.sought.points
    if not weighing.names:
        nobody = Claims(np.full(own.size, NOBODY), np.zeros(own.size, np.bool_))
        return Achieved.of(own, nobody, nobody)
    weights = weigh(weighing, learn(weighing, pairs, search), pairs)
    inside = claim(pairs, weights, weighing.records, search, sure)
    outside = claim(pairs, without(pairs, own, weights), weighing.records, search, sure)
    return Achieved.of(own, inside, outside)


def _rate(flags: Flags) -> float:
    return round(float(flags.mean()), DIGITS) if flags.size else 0.0


def rounded(interval: tuple[float, float]) -> tuple[float, float]:
    """Return an interval as results have it."""
    return round(interval[0], DIGITS), round(interval[1], DIGITS)


def _difference(first: Flags, second: Flags) -> tuple[float, tuple[float, float]]:
    both = int((first & second).sum())
    one, other = int(first.sum()) - both, int(second.sum()) - both
    apart, low, high = paired_difference(both, one, other, int(first.size) - both - one - other)
    return round(apart, DIGITS), rounded((low, high))
