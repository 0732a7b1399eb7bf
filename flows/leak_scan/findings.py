"""What a leak scan found, by file, column, kind and way of writing, and whether chance explains it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from transforms.leak_scan.known import Hits, beyond_chance, most_by_chance

SHOWN_PLACES = 5
Place = tuple[str, str, str]  # kind, form, where


@dataclass(slots=True)
class Tally:
    """Look-ups of one kind in one place.

    Attributes:
        candidates: what could be one.
        hits: what is one.
        expected: hits that chance gives.
        first: words for the place of the first hit.
    """

    candidates: int = 0
    hits: int = 0
    expected: float = 0.0
    first: str = ""

    @property
    def leak(self) -> bool:
        """Whether there are more hits than chance explains."""
        return beyond_chance(self.hits, self.expected)


@dataclass(slots=True)
class LeakFindings:
    """What was searched and found.

    Attributes:
        files, bytes, cells: how much was read; a cell is a value of a table.
        tallies: look-ups by kind, form and place; packs that are searched side by side add to them while others read.
    """

    files: int = 0
    bytes: int = 0
    cells: int = 0
    tallies: dict[Place, Tally] = field(default_factory=dict)
    _columns: dict[Place, Place] = field(default_factory=dict)
    _in_hit_blocks: dict[Place, float] = field(default_factory=dict)

    def hit_blocks(self, hits: Hits, where: str) -> None:
        """Add a block of a text table in which something was hit, as a whole; its hits are noted by column."""
        key = (hits.kind.word, hits.form, where)
        tally = self.tallies.setdefault(key, Tally())
        tally.candidates += hits.digests.size
        tally.expected += hits.expected
        self._in_hit_blocks[key] = self._in_hit_blocks.get(key, 0.0) + hits.expected

    def settle(self) -> None:
        """Give each column of a text table its share of what chance gives in the whole file.

        Columns are told apart only in blocks where something was hit; in the others they have the same shares.
        """
        for key, table in self._columns.items():
            seen = self._in_hit_blocks.get(table, 0.0)
            if seen > 0.0:
                self.tallies[key].expected *= max(1.0, self.tallies[table].expected / seen)
        self._columns, self._in_hit_blocks = {}, {}

    def note(self, hits: Hits, where: str, first: str, *, form: str = "", column_of: str = "") -> None:
        """Add look-ups of windows that stand in one place.

        Args:
            column_of: of a column of a text table, the file, which has counted its candidates.
        """
        key = (hits.kind.word, form or hits.form, where)
        if column_of:
            self._columns[key] = (hits.kind.word, hits.form, column_of)
        tally = self.tallies.setdefault(key, Tally())
        tally.candidates += hits.digests.size
        tally.hits += hits.count
        tally.expected += hits.expected
        tally.first = tally.first or (first if hits.count else "")

    def add(self, other: LeakFindings) -> None:
        """Add what was found elsewhere."""
        self.files, self.bytes, self.cells = (
            self.files + other.files, self.bytes + other.bytes, self.cells + other.cells
        )  # fmt: skip
        for key, more in other.tallies.items():
            tally = self.tallies.setdefault(key, Tally())
            tally.candidates += more.candidates
            tally.hits += more.hits
            tally.expected += more.expected
            tally.first = tally.first or more.first

    @property
    def leaks(self) -> dict[Place, Tally]:
        """The places with more hits than chance explains."""
        return {key: tally for key, tally in tuple(self.tallies.items()) if tally.leak}

    @property
    def by_chance(self) -> dict[Place, Tally]:
        """The places whose hits chance explains."""
        return {key: tally for key, tally in tuple(self.tallies.items()) if tally.hits and not tally.leak}

    @property
    def confirmed(self) -> Counter[str]:
        """Raw identifiers found, by kind."""
        found: Counter[str] = Counter()
        for (kind, _, _), tally in self.leaks.items():
            found[kind] += tally.hits
        return found

    @property
    def searched(self) -> Counter[str]:
        """Candidates looked up, by kind."""
        found: Counter[str] = Counter()
        for (kind, _, _), tally in tuple(self.tallies.items()):
            found[kind] += tally.candidates
        return found

    @property
    def places(self) -> list[str]:
        """Where the first leaks stand, in words without a value."""
        leaks = sorted(self.leaks.items(), key=lambda found: not found[1].first)  # the most exact ones first
        return [_place(key, tally) for key, tally in leaks][:SHOWN_PLACES]


def _place(key: Place, tally: Tally) -> str:
    kind, form, where = key
    place = f"{kind} ({form}) in {where}{tally.first}"
    if tally.expected:
        place += f", {tally.hits} where chance gives at most {most_by_chance(tally.expected)}"
    return place
