"""Profiles: metering points, then units, that no test can tell apart.

Ten million metering points make some hundred thousand profiles, and every test is decided once for each. A unit of
one member has the profile of that member; a unit of several has a profile for its whole collection of members.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.ringfence.model import HAS_LINK
from transforms.ringfence.encoding import Coding, Test, code_attribute
from transforms.ringfence.population import Population
from transforms.ringfence.units import Units

Ints = NDArray[np.int64]
DIRECTION = "@direction"
STATUSES = 4


@dataclass(frozen=True)
class Profiles:
    """Distinct members, distinct units, and how many units of each there are.

    Attributes:
        codings: one for each attribute, by name.
        member: for each attribute (and ``@direction``) the code of each member profile.
        member_profile: of each row; ``unit_profile`` of each root row's unit, -1 elsewhere.
        singles: unit profiles below this number are units of one member, with the member profile of the same number.
        starts, members: member profiles of the other unit profiles, one run after another.
        imports: number of import members of each unit profile.
        history: for each unit profile the history that limits it (0: none), see ``Units.limits``.
        counts: units by (unit profile, status).
    """

    codings: dict[str, Coding]
    member: dict[str, NDArray[np.unsignedinteger]]
    member_profile: NDArray[np.int32]
    unit_profile: NDArray[np.int32]
    singles: int
    starts: Ints
    members: NDArray[np.int32]
    imports: NDArray[np.int32]
    history: NDArray[np.int16]
    counts: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Return the number of unit profiles."""
        return len(self.counts)

    @property
    def several(self) -> NDArray[np.bool_]:
        """Tell which unit profiles have more than one member."""
        held = np.zeros(self.size, dtype=np.bool_)
        held[self.singles :] = np.diff(np.append(self.starts, len(self.members))) > 1
        return held


def build_profiles(population: Population, units: Units, link_tests: tuple[Test, ...]) -> Profiles:
    """Group rows into member profiles and units into unit profiles.

    Args:
        population: arrays in MPAN order.
        units: its units.
        link_tests: tests on ``has_link``; empty if no criterion asks for it.
    """
    codings = {coding.attribute: coding for coding in population.codings}
    columns: dict[str, NDArray[np.unsignedinteger]] = dict(population.codes)
    columns[DIRECTION] = population.direction
    if link_tests and HAS_LINK not in codings:
        linked = np.zeros(len(population.ids), dtype=np.uint8)
        linked[units.grouped] = 1
        codings[HAS_LINK] = _link_coding(link_tests)
        columns[HAS_LINK] = linked
    sizes = {name: codings[name].size + 1 if name in codings else 3 for name in columns}
    member_profile, first = _distinct_rows(columns, sizes, len(population.ids))
    member = {name: column[first] for name, column in columns.items()}
    return _unit_profiles(units, codings, member, member_profile)


def _link_coding(tests: tuple[Test, ...]) -> Coding:
    return code_attribute(HAS_LINK, pl.Series(["false", "true"]), tests)


def _distinct_rows(
    columns: dict[str, NDArray[np.unsignedinteger]], sizes: dict[str, int], rows: int
) -> tuple[NDArray[np.int32], Ints]:
    """Number the distinct rows of several coded columns; return the number of each row and the first row of each."""
    key, room = np.zeros(rows, dtype=np.int64), 1
    for name in sorted(columns):
        if room * sizes[name] >= 2**62:
            dense, key = np.unique(key, return_inverse=True)
            room = len(dense)
        key *= sizes[name]
        key += columns[name]
        room *= sizes[name]
    _, first, profile = np.unique(key, return_index=True, return_inverse=True)
    return profile.astype(np.int32), first


def _unit_profiles(
    units: Units,
    codings: dict[str, Coding],
    member: dict[str, NDArray[np.unsignedinteger]],
    member_profile: NDArray[np.int32],
) -> Profiles:
    singles = len(member[DIRECTION])
    unit_profile = np.where(units.is_root(), member_profile, -1).astype(np.int32)
    group_profile, starts, members, imports = _group_profiles(units, member_profile)
    unit_profile[units.roots] = group_profile + singles
    single_imports = (member[DIRECTION] == 0).astype(np.int32)
    history = np.zeros(singles + len(starts), dtype=np.int16)
    counts = _counts(unit_profile, units.status, len(history))
    return Profiles(
        codings, member, member_profile, unit_profile, singles, starts, members,
        np.concatenate([single_imports, imports]), history, counts,
    )  # fmt: skip


def _group_profiles(
    units: Units, member_profile: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Ints, NDArray[np.int32], NDArray[np.int32]]:
    """Number the distinct collections of member profiles, by refining one member at a time."""
    groups = len(units.roots)
    if not groups:
        none = np.zeros(0, dtype=np.int32)
        return none, np.zeros(0, dtype=np.int64), none, none
    sizes = np.diff(np.append(units.starts, len(units.grouped)))
    owner = np.repeat(np.arange(groups), sizes)
    profiles = member_profile[units.grouped]
    profiles = profiles[np.lexsort((profiles, owner))]
    key, active, place = sizes.astype(np.int64), np.arange(groups), 0
    while len(active):
        base = int(profiles.max()) + 1
        dense = np.unique(key, return_inverse=True)[1]
        key = dense.astype(np.int64) * base
        key[active] += profiles[units.starts[active] + place]
        place += 1
        active = active[sizes[active] > place]
    _, first, profile = np.unique(key, return_index=True, return_inverse=True)
    length = sizes[first]
    starts = np.cumsum(length) - length
    at = np.arange(int(length.sum())) - np.repeat(starts, length) + np.repeat(units.starts[first], length)
    return profile.astype(np.int32), starts, profiles[at], units.imports[first]


def _counts(unit_profile: NDArray[np.int32], status: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    units = unit_profile >= 0
    both = unit_profile[units].astype(np.int64) * STATUSES + status[units]
    return np.bincount(both, minlength=size * STATUSES).reshape(size, STATUSES)


def recount(profiles: Profiles, units: Units) -> Profiles:
    """Return the profiles with the counts, and the split by history, that ``units`` now has."""
    if not units.limits.any():
        return replace(profiles, counts=_counts(profiles.unit_profile, units.status, profiles.size))
    return _split_by_history(profiles, units)


def _split_by_history(profiles: Profiles, units: Units) -> Profiles:
    """Give units with a history profiles of their own, behind their like."""
    limited = np.flatnonzero((units.limits > 0) & (profiles.unit_profile >= 0))
    pairs = np.stack([profiles.unit_profile[limited].astype(np.int64), units.limits[limited].astype(np.int64)], axis=1)
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    unit_profile = profiles.unit_profile.copy()
    unit_profile[limited] = profiles.size + which.reshape(-1)
    runs = [_members_of(profiles, int(profile)) for profile in distinct[:, 0]]
    sizes = np.array([len(run) for run in runs], dtype=np.int64)
    starts = np.concatenate([profiles.starts, len(profiles.members) + np.cumsum(sizes) - sizes])
    return replace(
        profiles,
        unit_profile=unit_profile,
        starts=starts,
        members=np.concatenate([profiles.members, *runs]),
        imports=np.concatenate([profiles.imports, profiles.imports[distinct[:, 0]]]),
        history=np.concatenate([profiles.history, distinct[:, 1].astype(np.int16)]),
        counts=_counts(unit_profile, units.status, profiles.size + len(distinct)),
    )


def _members_of(profiles: Profiles, profile: int) -> NDArray[np.int32]:
    if profile < profiles.singles:
        return np.array([profile], dtype=np.int32)
    ends = np.append(profiles.starts[1:], len(profiles.members))
    at = profile - profiles.singles
    return profiles.members[profiles.starts[at] : ends[at]]
