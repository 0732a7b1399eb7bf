"""One fault of a contract, and the list that collects them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault.

    Attributes:
        file: name of the file.
        place: entry in it, as ``column postcode`` or ``rule DQ05_profile_class``; empty for the file as a whole.
        what: what is wrong, in words.
        rule: id of the house rule, as ``C12``.
    """

    file: str
    place: str
    what: str
    rule: str

    def line(self) -> str:
        """Return the finding as one line."""
        place = f"{self.place}: " if self.place else ""
        return f"{self.file}: {place}{self.what} [{self.rule}]"


class Findings:
    """Collects the findings of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Finding] = []

    def add(self, rule: str, place: str, what: str) -> None:
        """Note a fault."""
        self.found.append(Finding(self.file, place, what, rule))

    def word(self, rule: str, place: str, what: str, word: object, words: list[str]) -> bool:
        """Note a word that is not in its closed list; tell whether it is."""
        if word in words:
            return True
        self.add(rule, place, f"{what} {str(word)[:40]!r} is none of {', '.join(words)}")
        return False
