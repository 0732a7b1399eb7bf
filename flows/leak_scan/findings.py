"""What a leak scan found, by file, column, kind and way of writing, and whether chance explains it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from transforms.leak_scan.digests import Kind
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
        parts: how often one value may be counted: once in each part of a file that was searched by itself. Postcodes
            are many homes', and chance hits all of them or none.
    """

    candidates: int = 0
    hits: int = 0
    expected: float = 0.0
    first: str = ""
    parts: int = 1

    @property
    def leak(self) -> bool:
        """Whether there are more hits than chance explains."""
        return beyond_chance(-(-self.hits // self.parts), self.expected / self.parts)

    @property
    def most(self) -> int:
        """The largest number of hits that chance still explains."""
        return self.parts * most_by_chance(self.expected / self.parts)


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
        tally = self.tallies.setdefault(key, Tally(parts=0))
        tally.parts += hits.kind is Kind.POSTCODE or not tally.parts
        tally.candidates += hits.digests.size
        tally.hits += hits.count
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
            tally = self.tallies.setdefault(key, Tally(parts=0))
            tally.parts += more.parts if key[0] == Kind.POSTCODE.word or not tally.parts else 0
            tally.candidates += more.candidates
            tally.hits += more.hits
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
