"""The lineage as a picture: columns by extract, what is done to them, what is released; ribbons as wide as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.report.figure_types import ColumnLineage

NODE, GAP, LABEL = 11.0, 7.0, 17.0
TALL, MOST = 430.0, 3.4  # of all columns together, and of one
PLACES = (230.0, 540.0, 830.0)  # of the three columns of nodes
NOT_SENT, OUT, IN, EMPTY = "in no source", "not released", "released", "released empty"


@dataclass(frozen=True, slots=True)
class LineageNode:
    """A bar of the picture, and what is written beside it."""

    label: str
    count: int
    x: float
    y: float
    height: float
    side: int


@dataclass(frozen=True, slots=True)
class LineageRibbon:
    """Columns that go from one bar to another."""

    path: str
    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class LineagePicture:
    """Bars and ribbons in a box that is 1,000 wide and ``height`` tall."""

    nodes: tuple[LineageNode, ...]
    ribbons: tuple[LineageRibbon, ...]
    height: float


def lineage_picture(rows: Sequence[ColumnLineage]) -> LineagePicture:
    """Return the picture of the columns of all extracts; those of one file made here count as its own extract."""
    first = Counter((row.extract, _treatment(row)) for row in rows)
    second = Counter((_treatment(row), _end(row)) for row in rows)
    sides = [
        Counter(row.extract for row in rows),
        Counter(_treatment(row) for row in rows),
        Counter(_end(row) for row in rows),
    ]
    scale = min(MOST, TALL / max(1, len(rows)))
    nodes = [_column(side, counts, scale) for side, counts in enumerate(sides)]
    height = max((max((n.y + n.height for n in column.values()), default=0.0) for column in nodes), default=0.0)
    ribbons = [*_ribbons(first, nodes[0], nodes[1]), *_ribbons(second, nodes[1], nodes[2])]
    return LineagePicture(tuple(n for column in nodes for n in column.values()), tuple(ribbons), height + GAP)


def _treatment(row: ColumnLineage) -> str:
    if not row.names and row.treatment != "derive":
        return NOT_SENT
    return row.treatment.partition(" ")[0].rstrip(",")


def _end(row: ColumnLineage) -> str:
    if not row.released:
        return OUT
    return EMPTY if _treatment(row) == NOT_SENT else IN


def _column(side: int, counts: Counter[str], scale: float) -> dict[str, LineageNode]:
    found, y = {}, 0.0
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        height = max(count * scale, 2.0)
        found[label] = LineageNode(label, count, PLACES[side], y, height, side)
        y += max(height, LABEL) + GAP
    return found


def _ribbons(
    counts: Counter[tuple[str, str]], left: Mapping[str, LineageNode], right: Mapping[str, LineageNode]
) -> list[LineageRibbon]:
    depth: dict[tuple[int, str], float] = {}
    found = []
    order = sorted(counts, key=lambda pair: (left[pair[0]].y, right[pair[1]].y))
    for pair in order:
        begin, end, count = left[pair[0]], right[pair[1]], counts[pair]
        a = begin.y + depth.get((0, begin.label), 0.0)
        b = end.y + depth.get((1, end.label), 0.0)
        wide, wide_end = count * begin.height / begin.count, count * end.height / end.count
        depth[0, begin.label] = a - begin.y + wide
        depth[1, end.label] = b - end.y + wide_end
        x, far = begin.x + NODE, end.x
        mid = (x + far) / 2
        path = (
            f"M{x:.1f} {a:.1f}C{mid:.1f} {a:.1f} {mid:.1f} {b:.1f} {far:.1f} {b:.1f}"
            f"V{b + wide_end:.1f}C{mid:.1f} {b + wide_end:.1f} {mid:.1f} {a + wide:.1f} {x:.1f} {a + wide:.1f}Z"
        )
        tone = "flow1" if OUT in pair or NOT_SENT in pair else "flow0"
        found.append(LineageRibbon(path, f"{pair[0]}: {count} {pair[1]}", tone))
    return found
