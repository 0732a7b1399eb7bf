"""What a likely cause is, as frozen values. No YAML here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.vocabulary import Form


@dataclass(frozen=True, slots=True)
class Cause:
    """One likely cause of values that do not take their form.

    Attributes:
        id: its name.
        pattern: regular expression that such a value matches.
        forms: forms of columns that it is looked for in; empty for all.
        looks: what the values look like, as the predicate of a sentence.
        because: why, in the sender's words.
        remedy: what to do.
    """

    id: str
    pattern: str
    forms: frozenset[Form]
    looks: str
    because: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RuleCause:
    """What is likely where values have their form and break a rule of some kind."""

    because: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Causes:
    """The whole of ``causes.yaml``: causes in the order in which they are tried, and by expectation."""

    causes: tuple[Cause, ...]
    rules: Mapping[str, RuleCause]

    def of(self, form: Form) -> tuple[Cause, ...]:
        """Return the causes that are looked for in columns of a form."""
        return tuple(cause for cause in self.causes if not cause.forms or form in cause.forms)

    def named(self, name: str) -> Cause:
        """Return a cause by its id."""
        return next(cause for cause in self.causes if cause.id == name)
