"""The row accounting as a flow picture: where each source's rows went. Geometry alone, no markup, no wording.

Rows run from left to right, to one scale: sources, then released or excluded. What was excluded is a sliver at that
scale, so it opens into its reasons through a wedge, enlarged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.evidence import Accounting

WIDTH = 1000.0
LEFT, MIDDLE, RIGHT, BAR = 268.0, 570.0, 800.0, 11.0  # x of the three columns of bars, and their width
SLOT = 19.0  # a label's height: two neighbours never touch
GAP = 5.0
TALL = 300.0  # least height of all rows at scale; a source adds SCALE to what many need
SCALE = 12.0
FAN = 400.0  # height of the enlarged reasons, if their labels need no more
MOST_SOURCES = 44  # more sources than these are drawn by extract
MOST_REASONS = 11
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows on the left: of one extract of one participant, or of all."""

    participant: str
    extract: str
    rows_in: int
    released: int
    excluded: int


@dataclass(frozen=True, slots=True)
class SankeyBar:
    """A bar with its label: ``kind`` is the class that colours it."""

    x: float
    y: float
    height: float
    kind: str
    label: str
    count: int
    middle: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ribbon:
    """A band from one bar to another: an SVG path, its colour class, and what it stands for."""

    path: str
    kind: str
    source: str
    target: str
    count: int


@dataclass(slots=True)
class Sankey:
    """The whole picture: its height, bars by column, ribbons, and how much the reasons are enlarged."""

    height: float = 0.0
    sources: list[SankeyBar] = field(default_factory=list)
    ends: list[SankeyBar] = field(default_factory=list)
    reasons: list[SankeyBar] = field(default_factory=list)
    ribbons: list[Ribbon] = field(default_factory=list)
    wedge: str = ""
    enlarged: float = 1.0


def flow(accounting: Sequence[Accounting]) -> Sankey:
    """Lay out the accounting; an empty one gives a picture of no height."""
    sources = _sources(accounting)
    total = sum(source.rows_in for source in sources)
    picture = Sankey()
    if not total:
        return picture
    scale = max(TALL, SCALE * len(sources)) / total
    released = sum(source.released for source in sources)
    excluded = sum(source.excluded for source in sources)
    y = 0.0
    for source in sources:
        tall = max(source.rows_in * scale, 1.0)
        slot = max(tall, SLOT)
        top = y + (slot - tall) / 2
        picture.sources.append(
            SankeyBar(LEFT, top, tall, "f0", source.participant, source.rows_in, y + slot / 2, source.extract)
        )
        y += slot + GAP
    left = y - GAP
    parts = _reasons(accounting)
    needed = len(parts) * (SLOT + GAP)
    right = max(left, released * scale + 60, needed + 40, 150.0)
    picture.height = right
    _ends(picture, sources, scale, released, excluded)
    if excluded:
        _open(picture, parts, excluded, scale)
    return picture


def _sources(accounting: Sequence[Accounting]) -> list[RowSource]:
    rows = [RowSource(r.participant, r.extract, r.rows_in, r.released, r.excluded) for r in accounting if r.rows_in]
    if len(rows) <= MOST_SOURCES:
        return sorted(rows, key=lambda row: (row.extract, row.participant))
    sums: dict[str, Counter[str]] = {}
    who: Counter[str] = Counter()
    for row in rows:
        counts = {"rows_in": row.rows_in, "released": row.released, "excluded": row.excluded}
        sums.setdefault(row.extract, Counter()).update(counts)
        who[row.extract] += 1
    return [RowSource(f"{who[e]} participants", e, **sums[e]) for e in sorted(sums)]


def _reasons(accounting: Sequence[Accounting]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for row in accounting:
        counts.update({reason: count for reason, count in row.by_reason.items() if count})
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(ordered) <= MOST_REASONS:
        return ordered
    kept = ordered[: MOST_REASONS - 1]
    rest = ordered[MOST_REASONS - 1 :]
    return [*kept, (f"{len(rest)} {OTHERS}", sum(count for _, count in rest))]


def _ends(picture: Sankey, sources: list[RowSource], scale: float, released: int, excluded: int) -> None:
    """Draw the released and the excluded bar, and a ribbon from every source to each."""
    tall = max(released * scale, 1.0)
    thin = max(excluded * scale, 2.5) if excluded else 0.0
    top = max(0.0, (picture.height - tall - thin - 46) / 2)
    below = top + tall + 46
    picture.ends.append(SankeyBar(MIDDLE, top, tall, "f0", "Released", released, top + tall / 2))
    if excluded:
        picture.ends.append(SankeyBar(MIDDLE, below, thin, "f1", "Excluded", excluded, below + thin / 2))
    at = [top, below]
    for bar, source in zip(picture.sources, sources, strict=True):
        y = bar.y
        lanes = (("released", "flow0", source.released), ("excluded", "flow1", source.excluded))
        for lane, (name, kind, rows) in enumerate(lanes):
            if not rows:
                continue
            begin = bar.height * rows / source.rows_in
            end = (tall if lane == 0 else thin) * rows / (released if lane == 0 else excluded)
            path = _band(LEFT + BAR, y, begin, MIDDLE, at[lane], end)
            label = f"{bar.label} {bar.note}".strip()
            picture.ribbons.append(Ribbon(path, kind, label, name, rows))
            y += begin
            at[lane] += end


def _open(picture: Sankey, parts: list[tuple[str, int]], excluded: int, scale: float) -> None:
    """Enlarge what was excluded into its reasons."""
    gaps = (len(parts) - 1) * GAP
    tall = min(picture.height, max(FAN, len(parts) * SLOT + gaps))
    spare = tall - gaps - len(parts) * SLOT
    top = y = min(max(picture.ends[-1].middle - tall / 2, 0.0), picture.height - tall)
    for reason, count in parts:
        slot = SLOT + spare * count / excluded
        picture.reasons.append(SankeyBar(RIGHT, y + 2, max(slot - 4, 2.0), "f1", reason, count, y + slot / 2))
        y += slot + GAP
    bar = picture.ends[-1]
    picture.wedge = _band(MIDDLE + BAR, bar.y, bar.height, RIGHT, top, tall)
    picture.enlarged = tall / max(excluded * scale, 0.001)


def _band(x0: float, y0: float, t0: float, x1: float, y1: float, t1: float) -> str:
    """Return the path of a band from (x0, y0) of thickness t0 to (x1, y1) of thickness t1; never invisibly thin."""
    t0, t1, bend = max(t0, 0.8), max(t1, 0.8), (x0 + x1) / 2
    upper = f"M{x0:.0f} {y0:.1f}C{bend:.0f} {y0:.1f} {bend:.0f} {y1:.1f} {x1:.0f} {y1:.1f}"
    return f"{upper}V{y1 + t1:.1f}C{bend:.0f} {y1 + t1:.1f} {bend:.0f} {y0 + t0:.1f} {x0:.0f} {y0 + t0:.1f}Z"
