"""What a decision table and its neighbours are, as frozen values. No YAML and no frames here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import Field, StrictInt

from contracts.strict import Strict

TABLES = ("services", "dip_ids")  # mapping tables that a row may look up


class ValueSource(StrEnum):
    """Where a value comes from (Q59, Q63)."""

    STATED = "stated"
    DERIVED = "derived"
    MANUFACTURED = "manufactured"


class Outcome(StrEnum):
    """What a decision row gives."""

    VALUE = "value"  # a constant
    COLUMN = "column"  # what another column holds
    SQL = "sql"  # an expression over the row
    LOOKUP = "lookup"  # what a mapping table says; the row holds only where the table has an entry
    MANUFACTURE = "manufacture"  # a keyed value
    NONE = "none"  # decided: the metering point has no such item
    UNDECIDED = "undecided"  # cannot be decided, and is not guessed


@dataclass(frozen=True, slots=True)
class Lookup:
    """A mapping table, its key columns as SQL over the row, and the column to take."""

    table: str
    keys: Mapping[str, str]
    value: str


class Manufacture(Strict):
    """How a value is manufactured; which parameters a scheme has is for the lint to say.

    Attributes:
        scheme: as ``augment.manufacture.SCHEMES``.
        weights: a value -> how often it is chosen.
        of: columns that the value is made of.
        mpid, role: SQL over the row: whose value, in which role.
    """

    scheme: str
    weights: dict[str, StrictInt] = Field(default_factory=dict)
    of: tuple[str, ...] = ()
    mpid: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of a decision table. The first row that holds decides.

    Attributes:
        rule: id of the row, unique among all items.
        when: SQL condition; ``true`` for a row that always holds.
        outcome: what it gives; ``argument`` is the constant, column or expression, or why nothing can be decided.
        scheme: how a value is manufactured.
        yields_to: earlier rows of another outcome that may hold too and win.
        otherwise: a last row for everything that no earlier row decides.
        decided_by: the source that the row goes by, in words; empty where it is not told.
        decided_as: the item whose source the row goes by; empty for none.
    """

    rule: str
    when: str
    outcome: Outcome
    argument: str
    source: ValueSource
    lookup: Lookup | None = None
    scheme: Manufacture | None = None
    yields_to: tuple[str, ...] = ()
    otherwise: bool = False
    decided_by: str = ""
    decided_as: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A column in which a participant states the item; a stated value wins over every decision.

    Attributes:
        extract, column: where it is stated.
        date: column of the same extract with its effective-from date; empty where there is none.
        when: SQL condition under which the statement is taken.
        decided_by: whose word it is.
    """

    extract: str
    column: str
    date: str = ""
    when: str = ""
    decided_by: str = ""

    @property
    def name(self) -> str:
        """Column of the statement in a frame that is ready to be decided, and its rule id."""
        return stated_column(self.extract, self.column)


def stated_column(extract: str, column: str) -> str:
    """Return the name under which a stated column stands in a frame that is ready to be decided."""
    return f"stated.{extract}.{column}"


@dataclass(frozen=True, slots=True)
class Item:
    """One MHHS-only item.

    Attributes:
        item: its name in the augmented data.
        catalogue: number in the interface catalogue.
        key: its key in a DIP message; empty where it has none of its own.
        values: the values it can have; empty for any.
        effective_from: SQL of its effective-from date.
        excludes: whether an undecided metering point is excluded.
        held_by: roles that load it.
        decimal: whether it is a number with three places.
        treated_as: the contract column, as ``extract.column``, whose treatment under the policy it shares.
        criterion: whether a ring-fence plan may ask for it although nobody loads it.
    """

    item: str
    catalogue: str
    key: str
    description: str
    basis: tuple[str, ...]
    values: tuple[str, ...]
    effective_from: str
    excludes: bool
    held_by: tuple[str, ...]
    decimal: bool
    treated_as: str
    criterion: bool
    stated: tuple[Statement, ...]
    rows: tuple[Decision, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Every rule id that can decide the item: its statements, then its rows."""
        return (*(s.name for s in self.stated), *(r.rule for r in self.rows))

    @property
    def tells_source(self) -> bool:
        """Whether a value says in words which source decided it."""
        return any(row.decided_by or row.decided_as for row in self.rows)


@dataclass(frozen=True, slots=True)
class Input:
    """A column that conditions may read, and the values that the lint tries."""

    name: str
    values: tuple[Any, ...]
    codes: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A named SQL condition that must hold, or, as an impossibility, cannot."""

    code: str
    sql: str
    description: str


@dataclass(frozen=True, slots=True)
class Tables:
    """The whole of ``items.yaml``.

    Attributes:
        inputs: what conditions may read beside items.
        impossible: combinations that quality rules keep out, which the lint leaves aside.
        minor_meters: meter types that only stand beside a settlement meter.
        segments: meter type -> the market segment that such a meter speaks for.
        items: in the order in which they are decided.
        coherence: what must hold of a metering point with all its items (DQ31).
        digest: SHA-256 of the file.
    """

    inputs: tuple[Input, ...]
    impossible: tuple[Condition, ...]
    minor_meters: tuple[str, ...]
    segments: Mapping[str, str]
    items: tuple[Item, ...]
    coherence: tuple[Condition, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class AssociationEvidence:
    """One kind of evidence for an association: which keys must be equal, and how sure it makes us."""

    rule: str
    match: tuple[str, ...]
    grade: str
    description: str


@dataclass(frozen=True, slots=True)
class Associations:
    """The whole of ``associations.yaml``.

    Attributes:
        grades: words for confidence, the surest first.
        site: columns in which both ends agree always.
        same: columns in which both ends must agree once matched; else the link is left out.
        evidence: kinds of evidence, the strongest first.
        carried: columns of the other end that decision tables may read, as ``partner_<column>``.
        primary: SQL conditions that tell the primary of a related group, the first that singles one out.
        constraints: registration rejection codes that hold in the result.
    """

    grades: tuple[str, ...]
    site: tuple[str, ...]
    same: tuple[str, ...]
    evidence: tuple[AssociationEvidence, ...]
    carried: tuple[str, ...]
    primary: tuple[Condition, ...]
    constraints: tuple[Condition, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class CentralParty:
    """A central party of the market by invented ids, for a cut whose industry standing data does not name it."""

    mpid: str
    dip_id: str


@dataclass(frozen=True, slots=True)
class Services:
    """The whole of ``services.yaml``: DIP id prefix of each role, for participants that gave no mapping table.

    ``central`` has the parties of which the market has one each, by role.
    """

    prefixes: Mapping[str, str]
    digest: str
    central: Mapping[str, CentralParty] = field(default_factory=dict)

    @property
    def roles(self) -> frozenset[str]:
        """Every DIP role that the product uses."""
        return frozenset({*self.prefixes, *self.central})
