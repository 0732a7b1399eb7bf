"""What one step would free: for a demand that is short, each criterion dropped, and the best value beside the wanted.

Counted are units that are still free when the round is over and that would satisfy the demand then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contracts.ringfence.model import HAS_LINK, UnitKind
from transforms.ringfence.contested import Problem
from transforms.ringfence.encoding import Test, split_by_attribute
from transforms.ringfence.profiles import Profiles
from transforms.ringfence.signatures import Judge, Specification, Words, build_signatures, column

IMPORT_SIDE, EXPORT_SIDE = "criteria", "export_criteria"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Relaxation:
    """One step away from what a specification asks.

    Attributes:
        side: ``criteria`` or ``export_criteria``.
        attribute: the attribute whose test is dropped; ``said``: the test as a reader would write it.
        frees: units that would satisfy then.
        value: the value that frees most if it is accepted beside those wanted; ``value_frees``: how many.
    """

    side: str
    attribute: str
    said: str
    frees: int
    value: str = ""
    value_frees: int = 0


def relaxations(
    profiles: Profiles, problem: Problem, left: Ints, specifications: Sequence[int]
) -> dict[int, list[Relaxation]]:
    """Return for each of ``specifications`` the steps that free something, the best first.

    Args:
        profiles: member and unit profiles.
        problem: what is asked.
        left: free units of each unit profile after the round.
        specifications: numbers of those that are short.
    """
    asked = [
        (number, side, attribute, test, _without(problem.specifications[number], side, attribute))
        for number in specifications
        for side in (IMPORT_SIDE, EXPORT_SIDE)
        for attribute, test in split_by_attribute(getattr(problem.specifications[number], side)).items()
    ]
    if not asked:
        return {}
    wider = [each[-1] for each in asked]
    words = build_signatures(profiles, wider, single_on_pair=problem.single_on_pair)
    judge = Judge(profiles, wider)
    found: dict[int, list[Relaxation]] = {}
    for place, (number, side, attribute, test, _) in enumerate(asked):
        suits = np.flatnonzero(column(words, place) & (left > 0))
        if problem.specifications[number].phase:
            suits = suits[profiles.history[suits] == 0]
        frees = int(left[suits].sum())
        if frees:
            value, value_frees = _best_value(profiles, (judge, place, side, attribute), left, suits)
            said = " and ".join(str(criterion) for criterion in test)
            found.setdefault(number, []).append(Relaxation(side, attribute, said, frees, value, value_frees))
    for steps in found.values():
        steps.sort(key=lambda step: (-step.frees, step.side, step.attribute))
    return found


def _without(specification: Specification, side: str, attribute: str) -> Specification:
    kept: Test = tuple(each for each in getattr(specification, side) if each.attribute != attribute)
    return (
        replace(specification, criteria=kept) if side == IMPORT_SIDE else replace(specification, export_criteria=kept)
    )


def _best_value(profiles: Profiles, asked: tuple[Judge, int, str, str], left: Ints, suits: Ints) -> tuple[str, int]:
    """Return the value of the dropped attribute that most units have which satisfy everything else."""
    judge, place, side, attribute = asked
    coding = profiles.codings[attribute]
    if attribute == HAS_LINK or coding.size != len(coding.values):
        return "", 0
    owner, members = _members(profiles, suits)
    halves = judge.any_half if judge.specifications[place].kind is UnitKind.SINGLE else judge.import_half
    words: Words = (judge.export_half if side == EXPORT_SIDE else halves)(members)
    word, bit = divmod(place, 64)
    fits = (words[:, word] >> np.uint64(bit)) & np.uint64(1) != 0
    codes = profiles.member[attribute][members[fits]].astype(np.int64)
    pairs = np.unique(owner[fits].astype(np.int64) * (coding.size + 1) + codes)
    counts = np.bincount(pairs % (coding.size + 1), weights=left[suits][pairs // (coding.size + 1)])[: coding.size]
    if not counts.any():
        return "", 0
    best = int(np.argmax(counts))
    return coding.values_of(best)[0], int(counts[best])


def _members(profiles: Profiles, units: Ints) -> tuple[Ints, Ints]:
    """Return (place in ``units``, member profile) for every member of some unit profiles."""
    single = units < profiles.singles
    ends = np.append(profiles.starts[1:], len(profiles.members))
    groups = units[~single] - profiles.singles
    sizes = ends[groups] - profiles.starts[groups]
    at = (
        np.repeat(profiles.starts[groups], sizes)
        + np.arange(int(sizes.sum()))
        - np.repeat(np.cumsum(sizes) - sizes, sizes)
    )
    owner = np.concatenate([np.flatnonzero(single), np.repeat(np.flatnonzero(~single), sizes)])
    return owner, np.concatenate([units[single], profiles.members[at].astype(np.int64)])
