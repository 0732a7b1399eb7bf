"""From units to metering points: which member of a unit serves its test case, and which only comes along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contracts.ringfence.model import UnitKind
from transforms.ringfence.population import IMPORT
from transforms.ringfence.profiles import DIRECTION, Profiles
from transforms.ringfence.signatures import Judge, Specification, Words
from transforms.ringfence.units import Units

CHUNK = 65_536

Ints = NDArray[np.int64]


def expand(
    profiles: Profiles, units: Units, specifications: list[Specification], roots: NDArray[np.int32], asks: Ints
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return (place in ``roots``, member row, does it serve) for every member of the given units.

    SINGLE is served by one member, an import before an export and the lowest MPAN first; PAIR by one import and one
    export; GROUP by all. Members that do not serve are companions.

    Args:
        profiles: member profiles.
        units: the units.
        specifications: what is asked, in the order of their bits.
        roots, asks: for each unit its root row and its specification.
    """
    owner, rows = units.members(roots)
    serves = np.ones(len(owner), dtype=np.bool_)
    sizes = np.bincount(owner, minlength=len(roots))
    several = np.flatnonzero(sizes[owner] > 1)
    if not len(several):
        return owner, rows, serves
    judge = Judge(profiles, specifications)
    kinds = np.array([specification.kind.value for specification in specifications])[asks[owner[several]]]
    members = profiles.member_profile[rows[several]]
    wanted = asks[owner[several]]
    single = (kinds == UnitKind.SINGLE.value) & _bit(judge.any_half, members, wanted)
    imported = (kinds == UnitKind.PAIR.value) & _bit(judge.import_half, members, wanted)
    exported = (kinds == UnitKind.PAIR.value) & _bit(judge.export_half, members, wanted)
    late = profiles.member[DIRECTION][members] != IMPORT
    serves[several] = kinds == UnitKind.GROUP.value
    for fit, second in ((single, late), (imported, False), (exported, False)):
        serves[several[_first_of_each(owner[several], fit, np.broadcast_to(second, fit.shape))]] = True
    return owner, rows, serves


def _first_of_each(owner: Ints, fit: NDArray[np.bool_], late: NDArray[np.bool_]) -> Ints:
    """Return for each owner the place of its first fitting member, those not ``late`` before the others."""
    at = np.flatnonzero(fit)
    at = at[np.lexsort((at, late[at], owner[at]))]
    first: Ints = at[np.diff(owner[at], prepend=-1) != 0]
    return first


def _bit(judge: Callable[[NDArray[np.int32]], Words], members: NDArray[np.int32], wanted: Ints) -> NDArray[np.bool_]:
    """Ask ``judge`` (a method of Judge) about each member and the one specification that matters to it."""
    held = np.zeros(len(members), dtype=np.bool_)
    for begin in range(0, len(members), CHUNK):
        part = slice(begin, begin + CHUNK)
        words = judge(members[part])
        word, bit = np.divmod(wanted[part], 64)
        held[part] = (words[np.arange(len(word)), word] >> bit.astype(np.uint64)) & np.uint64(1) != 0
    return held
