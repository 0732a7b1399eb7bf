"""Units: connected groups of metering points, and which of them may be allocated.

A unit is one metering point, or everything joined to it by import/export links, related MPANs, and, where the policy
says so, the same meter or the same premises. Its identity is its lowest MPAN. A unit is never split, and one bad
member makes all of it unusable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.connected_components import smallest_connected
from transforms.ringfence.population import IMPORT, Population

FREE, NON_CONFORMING, PARTNER_ABSENT, TAKEN = 0, 1, 2, 3
STATUS_WORDS = {NON_CONFORMING: "non-conforming", PARTNER_ABSENT: "partner not in the population", TAKEN: "taken"}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """Units over the rows of a population.

    Attributes:
        root: for each row the row of its unit's lowest MPAN.
        status: for each root row FREE, NON_CONFORMING, PARTNER_ABSENT or TAKEN; meaningless on other rows.
        grouped: rows of units with two or more members, ordered by root and then by row.
        starts: where each such unit begins in ``grouped``; ``roots`` is its root row.
        limits: for each root row 0, or the number of a history that limits who may take the unit (see ``limit``).
        histories: for each such number the (phase, stages) the unit has already served.
    """

    root: NDArray[np.int32]
    status: NDArray[np.uint8]
    grouped: NDArray[np.int32]
    starts: Ints
    roots: NDArray[np.int32]
    imports: NDArray[np.int32]
    limits: NDArray[np.int16]
    histories: tuple[tuple[str, frozenset[str]], ...] = ()

    def is_root(self) -> NDArray[np.bool_]:
        """Tell for each row whether it stands for a unit."""
        roots: NDArray[np.bool_] = self.root == np.arange(len(self.root), dtype=np.int32)
        return roots

    def members(self, roots: NDArray[np.int32]) -> tuple[Ints, Ints]:
        """Return (position in ``roots``, member row) for every member of the given units."""
        grouped_at = np.searchsorted(self.roots, roots)
        inside = np.minimum(grouped_at, max(len(self.roots) - 1, 0))
        grouped = (self.roots[inside] == roots) if len(self.roots) else np.zeros(len(roots), dtype=np.bool_)
        ends = np.append(self.starts[1:], len(self.grouped))
        sizes = np.ones(len(roots), dtype=np.int64)
        sizes[grouped] = (ends - self.starts)[inside[grouped]]
        owner = np.repeat(np.arange(len(roots)), sizes)
        first = np.zeros(len(roots), dtype=np.int64)
        first[grouped] = self.starts[inside[grouped]]
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = roots[owner].astype(np.int64)
        many = grouped[owner]
        rows[many] = self.grouped[(first[owner] + offset)[many]]
        return owner, rows


def build_units(population: Population, *, absent_partner: str = "refuse") -> Units:
    """Join metering points into units and mark those with a bad member.

    Args:
        population: arrays in MPAN order.
        absent_partner: ``refuse`` makes a unit whose link points outside the population unusable: the other half
            was excluded, or never sent, and a test on this half would change it. ``allow`` lets it pass.
    """
    rows = len(population.ids)
    left, right, absent = _edges(population)
    touched, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    label = smallest_connected(len(touched), ends[: len(left)], ends[len(left) :])
    present = touched < rows
    root = np.arange(rows, dtype=np.int32)
    root[touched[present]] = touched[label[present]]
    member_status = np.where(population.conforming, FREE, NON_CONFORMING).astype(np.uint8)
    if absent_partner == "refuse":
        member_status[absent] = np.maximum(member_status[absent], PARTNER_ABSENT)
    in_group = touched[present]
    grouped = in_group[np.lexsort((in_group, root[in_group]))].astype(np.int32)
    roots, starts, sizes = np.unique(root[grouped], return_index=True, return_counts=True)
    many = np.repeat(sizes > 1, sizes)
    grouped, roots, sizes = grouped[many], roots[sizes > 1], sizes[sizes > 1]
    starts = np.cumsum(sizes) - sizes
    status, imports = member_status.copy(), np.zeros(0, dtype=np.int32)
    if len(starts):
        status[roots] = np.maximum.reduceat(member_status[grouped], starts)
        imports = np.add.reduceat(population.direction[grouped] == IMPORT, starts, dtype=np.int32)
    return Units(root, status, grouped, starts, roots, imports, np.zeros(rows, dtype=np.int16))


def _edges(population: Population) -> tuple[Ints, Ints, Ints]:
    """Return the edges (row or, past the last row, an absent MPAN) and the rows that point outside."""
    ids, rows = population.ids, len(population.ids)
    targets = np.concatenate([target for _, target in population.links] or [np.zeros(0, dtype=np.int64)])
    sources = np.concatenate([row for row, _ in population.links] or [np.zeros(0, dtype=np.int64)])
    at = np.minimum(np.searchsorted(ids, targets), max(rows - 1, 0))
    found = ids[at] == targets if rows else np.zeros(len(targets), dtype=np.bool_)
    outside, place = np.unique(targets[~found], return_inverse=True)
    ends = at.astype(np.int64)
    ends[~found] = rows + place
    del outside
    left = np.concatenate([sources, *[row for row, _ in population.linked]])
    right = np.concatenate([ends, *[first for _, first in population.linked]])
    return left, right, sources[~found]


def take(units: Units, population: Population, mpans: pl.Series) -> Units:
    """Return the units with those of ``mpans`` marked TAKEN; an MPAN outside the population takes nothing."""
    ids = population.names.ids(mpans.cast(pl.String))
    at = np.minimum(np.searchsorted(population.ids, ids), max(len(population.ids) - 1, 0))
    held = at[population.ids[at] == ids] if len(population.ids) else at[:0]
    return take_units(units, units.root[held])


def take_units(units: Units, roots: NDArray[np.int32]) -> Units:
    """Return the units with those of ``roots`` marked TAKEN."""
    status = units.status.copy()
    status[roots] = TAKEN
    return replace(units, status=status)


def limit(units: Units, population: Population, histories: pl.DataFrame) -> Units:
    """Return the units with the history of those that a test gave back for reuse.

    Args:
        histories: columns mpan, phase, stage; one row for each service an MPAN has done. A unit whose members did
            not serve together is taken out: what it went through cannot be told.
    """
    if histories.is_empty():
        return units
    per_mpan = (
        histories.group_by("mpan", "phase").agg(pl.col("stage").unique().sort().str.join("|")).sort("mpan", "phase")
    )
    kinds = per_mpan.select("phase", "stage").unique().sort("phase", "stage").with_row_index("kind", offset=1)
    coded = per_mpan.join(kinds, on=["phase", "stage"], how="left")
    ids = population.names.ids(coded["mpan"])
    at = np.minimum(np.searchsorted(population.ids, ids), len(population.ids) - 1)
    here = population.ids[at] == ids
    roots, kind = units.root[at[here]], coded["kind"].to_numpy()[here].astype(np.int16)
    limits, status = units.limits.copy(), units.status.copy()
    limits[roots] = kind
    status[roots[limits[roots] != kind]] = TAKEN
    said = tuple((row["phase"], frozenset(row["stage"].split("|"))) for row in kinds.iter_rows(named=True))
    return replace(units, status=status, limits=limits, histories=said)
