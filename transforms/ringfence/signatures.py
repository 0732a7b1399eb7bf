"""Signatures: for every unit profile one bit for each specification it satisfies, decided 64 at a time.

A *specification* is what a demand asks of a unit, without how many: demands that ask the same share one. Units with
the same signature are interchangeable, and the whole allocation problem is stated over signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.ringfence.model import Criterion, Demand, SingleOnPair, UnitKind
from transforms.ringfence.encoding import split_by_attribute
from transforms.ringfence.population import EXPORT, IMPORT
from transforms.ringfence.profiles import DIRECTION, Profiles

CHUNK = 65_536
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, order=True)
class Specification:
    """What is asked of one unit."""

    kind: UnitKind
    criteria: tuple[Criterion, ...]
    export_criteria: tuple[Criterion, ...] = ()
    phase: str = ""
    stage: str = ""


def specifications(demands: Sequence[Demand], *, with_history: bool) -> tuple[list[Specification], NDArray[np.int64]]:
    """Return the distinct specifications and, for each demand, the number of its own.

    Args:
        demands: sorted by key.
        with_history: units with a history exist, so phase and stage are part of what is asked.
    """
    asked = [
        Specification(
            demand.kind,
            tuple(sorted(demand.criteria, key=repr)),
            tuple(sorted(demand.export_criteria, key=repr)) if demand.kind is UnitKind.PAIR else (),
            demand.phase if with_history else "",
            demand.stage if with_history else "",
        )
        for demand in demands
    ]
    distinct = sorted(set(asked), key=repr)
    place = {specification: number for number, specification in enumerate(distinct)}
    return distinct, np.array([place[each] for each in asked], dtype=np.int64)


def to_words(bits: NDArray[np.bool_]) -> Words:
    """Pack the last axis of ``bits`` into 64-bit words, lowest bit first."""
    spare = -bits.shape[-1] % 64
    padded = np.concatenate([bits, np.zeros((*bits.shape[:-1], spare), dtype=np.bool_)], axis=-1)
    return np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little")).view(np.uint64)


def to_bits(words: Words, width: int) -> NDArray[np.bool_]:
    """Unpack the last axis of ``words`` into ``width`` bits."""
    flat = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(flat, axis=-1, bitorder="little", count=width).view(np.bool_)


def column(signatures: Words, specification: int) -> NDArray[np.bool_]:
    """Return which unit profiles satisfy one specification.

    Args:
        signatures: words by (word, unit profile).
        specification: its number.
    """
    word, bit = divmod(specification, 64)
    held: NDArray[np.bool_] = (signatures[word] >> np.uint64(bit)) & np.uint64(1) != 0
    return held


class Judge:
    """Decides specifications on member profiles, with the tests compiled to one table for each attribute.

    Args:
        profiles: the profiles to judge.
        specifications: what is asked, in the order of their bits.
    """

    def __init__(self, profiles: Profiles, specifications: Sequence[Specification]) -> None:
        self._profiles = profiles
        self.specifications = list(specifications)
        self.kinds = {kind: to_words(np.array([s.kind is kind for s in specifications])) for kind in UnitKind}
        self._criteria = self._tables([s.criteria for s in specifications])
        self._export_criteria = self._tables([s.export_criteria for s in specifications])

    def _tables(self, criteria: Sequence[tuple[Criterion, ...]]) -> dict[str, Words]:
        split = [split_by_attribute(each) for each in criteria]
        tables = {}
        for name in sorted({attribute for parts in split for attribute in parts}):
            coding = self._profiles.codings[name]
            row = {test: number for number, test in enumerate(coding.tests)}
            accepts = np.ones((coding.size + 1, len(split)), dtype=np.bool_)
            for number, parts in enumerate(split):
                if name in parts:
                    accepts[:, number] = coding.accepts[row[parts[name]]]
            tables[name] = to_words(accepts)
        return tables

    def _met(self, tables: dict[str, Words], members: NDArray[np.integer]) -> Words:
        words = np.full((len(members), len(self.kinds[UnitKind.SINGLE])), np.uint64(2**64 - 1))
        for name, table in tables.items():
            words &= table[self._profiles.member[name][members]]
        return words

    def any_half(self, members: NDArray[np.integer]) -> Words:
        """Return, by (member, word), which SINGLE specifications each member meets."""
        return self._met(self._criteria, members) & self.kinds[UnitKind.SINGLE]

    def import_half(self, members: NDArray[np.integer]) -> Words:
        """Return which PAIR and GROUP specifications each member meets as the import half."""
        words = self._met(self._criteria, members) & (self.kinds[UnitKind.PAIR] | self.kinds[UnitKind.GROUP])
        words[self._profiles.member[DIRECTION][members] != IMPORT] = 0
        return words

    def export_half(self, members: NDArray[np.integer]) -> Words:
        """Return which PAIR specifications each member meets as the export half."""
        words = self._met(self._export_criteria, members) & self.kinds[UnitKind.PAIR]
        words[self._profiles.member[DIRECTION][members] != EXPORT] = 0
        return words


def build_signatures(
    profiles: Profiles,
    specifications: Sequence[Specification],
    *,
    single_on_pair: SingleOnPair,
    histories: Sequence[tuple[str, frozenset[str]]] = (),
) -> Words:
    """Return the signature of every unit profile, as words by (word, unit profile).

    Args:
        profiles: member and unit profiles.
        specifications: what is asked, in the order of their bits.
        single_on_pair: ``forbid`` keeps SINGLE specifications off units of several members.
        histories: what units with a history have served; they may serve the same phase again, never the same stage.
    """
    judge = Judge(profiles, specifications)
    words = np.zeros((-(-len(specifications) // 64), profiles.size), dtype=np.uint64)
    for begin in range(0, profiles.singles, CHUNK):
        end = min(begin + CHUNK, profiles.singles)
        words[:, begin:end] = judge.any_half(np.arange(begin, end)).T
    groups = len(profiles.starts)
    for begin in range(0, groups, CHUNK):
        end = min(begin + CHUNK, groups)
        words[:, profiles.singles + begin : profiles.singles + end] = _group_words(
            judge, profiles, begin, end, single_on_pair
        ).T
    for number, (phase, stages) in enumerate(histories, start=1):
        free = np.array([s.phase == phase and s.stage not in stages for s in specifications], dtype=np.bool_)
        words[:, profiles.history == number] &= to_words(free)[:, None]
    return words


def _group_words(judge: Judge, profiles: Profiles, begin: int, end: int, single_on_pair: SingleOnPair) -> Words:
    """Return the signatures of one run of unit profiles that have several members (or a history)."""
    stop = profiles.starts[end] if end < len(profiles.starts) else len(profiles.members)
    members = profiles.members[profiles.starts[begin] : stop]
    starts = profiles.starts[begin:end] - profiles.starts[begin]
    single: Words = np.bitwise_or.reduceat(judge.any_half(members), starts, axis=0)
    if single_on_pair is SingleOnPair.FORBID:
        single[np.diff(np.append(starts, len(members))) > 1] = 0
    imported = np.bitwise_or.reduceat(judge.import_half(members), starts, axis=0)
    partner: Words = np.bitwise_or.reduceat(judge.export_half(members), starts, axis=0)
    related = profiles.imports[profiles.singles + begin : profiles.singles + end] >= 2
    partner |= np.where(related[:, None], judge.kinds[UnitKind.GROUP], np.uint64(0))
    answer: Words = single | (imported & partner)
    return answer
