"""Cells: metering points, then units, that no test can tell apart.

Ten million metering points make some hundred thousand cells, and every test is decided once for each cell. A unit of
one member has the cell of that member; a unit of several has a cell for its whole collection of members.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.ringfence.model import HAS_LINK
from transforms.ringfence.encoding import Coding, Test, code_attribute
from transforms.ringfence.population import Population
from transforms.ringfence.units import Bundles

Ints = NDArray[np.int64]
DIRECTION = "@direction"
STATUSES = 4


@dataclass(frozen=True)
class Cells:
    """Distinct members, distinct units, and how many units of each there are.

    Attributes:
        codings: one for each attribute, by name.
        member: for each attribute (and ``@direction``) the code of each member cell.
        member_cell: for each row its member cell; ``unit_cell`` for each root row its unit cell, -1 on other rows.
        singles: unit cells below this number are units of one member, with the member cell of the same number.
        starts, members: member cells of the other unit cells, one run after another.
        imports: number of import members of each unit cell.
        history: for each unit cell the history that limits it (0: none), see ``Bundles.limits``.
        counts: units by (unit cell, status).
    """

    codings: dict[str, Coding]
    member: dict[str, NDArray[np.unsignedinteger]]
    member_cell: NDArray[np.int32]
    unit_cell: NDArray[np.int32]
    singles: int
    starts: Ints
    members: NDArray[np.int32]
    imports: NDArray[np.int32]
    history: NDArray[np.int16]
    counts: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Return the number of unit cells."""
        return len(self.counts)

    @property
    def several(self) -> NDArray[np.bool_]:
        """Tell which unit cells have more than one member."""
        held = np.zeros(self.size, dtype=np.bool_)
        held[self.singles :] = np.diff(np.append(self.starts, len(self.members))) > 1
        return held


def build_cells(population: Population, bundles: Bundles, link_tests: tuple[Test, ...]) -> Cells:
    """Group rows into member cells and units into unit cells.

    Args:
        population: arrays in MPAN order.
        bundles: its units.
        link_tests: tests on ``has_link``; empty if no criterion asks for it.
    """
    codings = {coding.attribute: coding for coding in population.codings}
    columns: dict[str, NDArray[np.unsignedinteger]] = dict(population.codes)
    columns[DIRECTION] = population.direction
    if link_tests and HAS_LINK not in codings:
        linked = np.zeros(len(population.ids), dtype=np.uint8)
        linked[bundles.grouped] = 1
        codings[HAS_LINK] = _link_coding(link_tests)
        columns[HAS_LINK] = linked
    sizes = {name: codings[name].size + 1 if name in codings else 3 for name in columns}
    member_cell, first = _distinct_rows(columns, sizes, len(population.ids))
    member = {name: column[first] for name, column in columns.items()}
    return _unit_cells(bundles, codings, member, member_cell)


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
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    return cell.astype(np.int32), first


def _unit_cells(
    bundles: Bundles,
    codings: dict[str, Coding],
    member: dict[str, NDArray[np.unsignedinteger]],
    member_cell: NDArray[np.int32],
) -> Cells:
    singles = len(member[DIRECTION])
    unit_cell = np.where(bundles.is_root(), member_cell, -1).astype(np.int32)
    group_cell, starts, members, imports = _group_cells(bundles, member_cell)
    unit_cell[bundles.roots] = group_cell + singles
    single_imports = (member[DIRECTION] == 0).astype(np.int32)
    history = np.zeros(singles + len(starts), dtype=np.int16)
    counts = _counts(unit_cell, bundles.status, len(history))
    return Cells(
        codings, member, member_cell, unit_cell, singles, starts, members,
        np.concatenate([single_imports, imports]), history, counts,
    )  # fmt: skip


def _group_cells(
    bundles: Bundles, member_cell: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Ints, NDArray[np.int32], NDArray[np.int32]]:
    """Number the distinct collections of member cells, by refining one member at a time."""
    groups = len(bundles.roots)
    if not groups:
        none = np.zeros(0, dtype=np.int32)
        return none, np.zeros(0, dtype=np.int64), none, none
    sizes = np.diff(np.append(bundles.starts, len(bundles.grouped)))
    owner = np.repeat(np.arange(groups), sizes)
    cells = member_cell[bundles.grouped]
    cells = cells[np.lexsort((cells, owner))]
    key, active, place = sizes.astype(np.int64), np.arange(groups), 0
    while len(active):
        base = int(cells.max()) + 1
        dense = np.unique(key, return_inverse=True)[1]
        key = dense.astype(np.int64) * base
        key[active] += cells[bundles.starts[active] + place]
        place += 1
        active = active[sizes[active] > place]
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    length = sizes[first]
    starts = np.cumsum(length) - length
    at = np.arange(int(length.sum())) - np.repeat(starts, length) + np.repeat(bundles.starts[first], length)
    return cell.astype(np.int32), starts, cells[at], bundles.imports[first]


def _counts(unit_cell: NDArray[np.int32], status: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    units = unit_cell >= 0
    both = unit_cell[units].astype(np.int64) * STATUSES + status[units]
    return np.bincount(both, minlength=size * STATUSES).reshape(size, STATUSES)


def recount(cells: Cells, bundles: Bundles) -> Cells:
    """Return the cells with the counts, and the split by history, that ``bundles`` now has."""
    if not bundles.limits.any():
        return replace(cells, counts=_counts(cells.unit_cell, bundles.status, cells.size))
    return _split_by_history(cells, bundles)


def _split_by_history(cells: Cells, bundles: Bundles) -> Cells:
    """Give units with a history cells of their own, behind their like."""
    limited = np.flatnonzero((bundles.limits > 0) & (cells.unit_cell >= 0))
    pairs = np.stack([cells.unit_cell[limited].astype(np.int64), bundles.limits[limited].astype(np.int64)], axis=1)
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    unit_cell = cells.unit_cell.copy()
    unit_cell[limited] = cells.size + which.reshape(-1)
    runs = [_members_of(cells, int(cell)) for cell in distinct[:, 0]]
    sizes = np.array([len(run) for run in runs], dtype=np.int64)
    starts = np.concatenate([cells.starts, len(cells.members) + np.cumsum(sizes) - sizes])
    return replace(
        cells,
        unit_cell=unit_cell,
        starts=starts,
        members=np.concatenate([cells.members, *runs]),
        imports=np.concatenate([cells.imports, cells.imports[distinct[:, 0]]]),
        history=np.concatenate([cells.history, distinct[:, 1].astype(np.int16)]),
        counts=_counts(unit_cell, bundles.status, cells.size + len(distinct)),
    )


def _members_of(cells: Cells, cell: int) -> NDArray[np.int32]:
    if cell < cells.singles:
        return np.array([cell], dtype=np.int32)
    ends = np.append(cells.starts[1:], len(cells.members))
    at = cell - cells.singles
    return cells.members[cells.starts[at] : ends[at]]
