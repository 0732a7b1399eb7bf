"""What a leak scan found, by file, column, kind and way of writing, and whether chance explains it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from transforms.leak_scan.digests import Digests, Kind
from transforms.leak_scan.known import Hits, beyond_chance, most_by_chance

SHOWN_PLACES = 5
Place = tuple[str, str, str]  # kind, form, where


@dataclass(slots=True)
class Tally:
    """Look-ups of one kind in one place.

    Attributes:
        candidates: what could be one.
        values: digests of what is one, each once: a value that stands in every part of a file is one event to chance.
        expected: hits that chance gives, reckoned part by part and so never too few.
        first: words for the place of the first hit.
    """

    candidates: int = 0
    values: Digests = field(default_factory=lambda: np.zeros(0, np.uint64))
    expected: float = 0.0
    first: str = ""

    @property
    def hits(self) -> int:
        """How many different values are one."""
        return int(self.values.size)

    @property
    def leak(self) -> bool:
        """Whether there are more hits than chance explains."""
        return beyond_chance(self.hits, self.expected)

    @property
    def most(self) -> int:
        """The largest number of hits that chance still explains."""
        return most_by_chance(self.expected)


@dataclass(slots=True)
class LeakFindings:
    """What was searched and found.

    Attributes:
        files, bytes, cells: how much was read; a cell is a value of a table.
        tallies: look-ups by kind, form and place; packs that are searched side by side add to them while others read.
        looked: look-ups that hit nothing, by kind.
        exact: every cell is searched, and chance reckoned with all of them; else a text that stood elsewhere is left
            out, and chance reckoned where something is hit. That is too low a number, never too high a one: what it
            calls a leak is searched again.
    """

    files: int = 0
    bytes: int = 0
    cells: int = 0
    tallies: dict[Place, Tally] = field(default_factory=dict)
    looked: Counter[str] = field(default_factory=Counter)
    exact: bool = False

    def note(self, hits: Hits, where: str, first: str, *, form: str = "") -> None:
        """Add look-ups of windows that stand in one place."""
        key = (hits.kind.word, form or hits.form, where)
        tally = self.tallies.setdefault(key, Tally())
        tally.candidates += hits.digests.size
        if hits.count:
            tally.values = np.union1d(tally.values, hits.digests[hits.hit])
        tally.expected += hits.expected
        tally.first = tally.first or (first if hits.count else "")

    def searched_for(self, kind: Kind, count: int) -> None:
        """Add look-ups that hit nothing."""
        self.looked[kind.word] += count

    def add(self, other: LeakFindings) -> None:
        """Add what was found elsewhere."""
        self.files, self.bytes, self.cells = (
            self.files + other.files, self.bytes + other.bytes, self.cells + other.cells
        )  # fmt: skip
        for key, more in other.tallies.items():
            tally = self.tallies.setdefault(key, Tally())
            tally.candidates += more.candidates
            if more.hits:
                tally.values = np.union1d(tally.values, more.values)
            tally.expected += more.expected
            tally.first = tally.first or more.first
        self.looked.update(other.looked)

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
        """Candidates looked up, by kind; a text that stood elsewhere counts where it was searched first."""
        found = Counter(self.looked)
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
        place += f", {tally.hits} where chance gives at most {tally.most}"
    return place
