"""Headings of published tables, told by their words: ``Effective From Settlement Date {MTC}`` or ``(MTC)`` or neither.

A heading is its words and, for a date, a qualifier that says whose date it is. The same words with the qualifier of
another table are a key of that table. Source: the published headings of market domain data and industry standing data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from contracts.errors import IntakeError
from contracts.model import plain

_BRACKETS = re.compile(r"[{(\[]([^{}()\[\]]*)[})\]]")
_AS_PUBLISHED = "take the table with its published headings"


@dataclass(frozen=True, slots=True)
class Heading:
    """What a heading says: its words without case, spaces and punctuation, and its qualifier, empty without one."""

    words: str
    qualifier: str = ""

    @classmethod
    def of(cls, text: str) -> Heading:
        """Read a heading; of several brackets the last is the qualifier."""
        found = _BRACKETS.findall(text)
        return cls(plain(_BRACKETS.sub(" ", text)), plain(found[-1]) if found else "")


class PublishedHeadings:
    """The headings of one table, in which columns are looked up by their words.

    Args:
        names: headings as they stand in the file.
        where: what errors call the file.
        own_after: heading of the key that the table's own dates follow; empty for none.
        foreign: qualifiers of other tables.
    """

    def __init__(self, names: Sequence[str], *, where: str, own_after: str = "", foreign: Collection[str] = ()) -> None:
        self._found = [Heading.of(name) for name in names]
        self._names, self._where = names, where
        self._after = Heading.of(own_after).words
        self._foreign = {plain(qualifier) for qualifier in foreign}

    def column(self, wanted: str, others: Iterable[str] = ()) -> int | None:
        """Return the place of a column that is no date, by its heading or the first of others; None where it is absent.

        Raises:
            IntakeError: two columns have the heading.
        """
        for text in (wanted, *others):
            heading = Heading.of(text)
            places = self._places({heading.words})
            exact = [n for n in places if self._found[n].qualifier == heading.qualifier]
            if places:
                return self._one(exact or places, text)
        return None

    def own_date(self, wanted: str, partner: str) -> int | None:
        """Return the place of one of the table's own dates; None where no heading has its words.

        Args:
            wanted: heading with the table's own qualifier.
            partner: heading of the date at the other end, which may tell the qualifier that this publication uses.

        Raises:
            IntakeError: more than one heading may be meant.
        """
        heading = Heading.of(wanted)
        places = self._dates(heading.words)
        for qualifier in (heading.qualifier, self._own_qualifier(Heading.of(partner).words), ""):
            mine = [n for n in places if self._found[n].qualifier == qualifier] if qualifier is not None else []
            if len(mine) > 1 and not qualifier:
                mine = [n for n in mine if n and self._found[n - 1].words == self._after] or mine
            if mine:
                return self._one(mine, wanted)
        return None

    def _own_qualifier(self, partner: str) -> str | None:
        """Return the one qualifier of the partner's words that is no other table's; None where none is to be told."""
        qualifiers = {self._found[n].qualifier for n in self._dates(partner)} - self._foreign - {""}
        return qualifiers.pop() if len(qualifiers) == 1 else None

    def _dates(self, words: str) -> list[int]:
        return self._places({words}) or self._places({words.replace("settlement", "")})

    def _places(self, words: Collection[str]) -> list[int]:
        return [n for n, heading in enumerate(self._found) if heading.words in words]

    def _one(self, places: Sequence[int], wanted: str) -> int:
        if len(places) > 1:
            raise IntakeError(
                f"has {len(places)} columns that may be {wanted!r}", where=self._where, remedy=_AS_PUBLISHED
            )
        return places[0]


def lacks(wanted: str, where: str) -> IntakeError:
    """Return the error that a column is not there."""
    return IntakeError(f"lacks the column {wanted!r}", where=where, remedy=_AS_PUBLISHED)
