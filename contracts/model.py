"""What a contract says, as frozen values: extract, columns, treatments, rules, DTC layouts. No YAML, no frames here."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import polars as pl

from contracts.dtc.layout import DtcLayout
from contracts.vocabulary import Classification, Dimension, Effect, Field, Form, Method, RuleStage

DECIMAL_DIGITS, DECIMAL_SCALE = 16, 3
Arguments: TypeAlias = Mapping[str, Any]  # of an expectation or a reader, by name, as a contract states them


def column_type(column: Column) -> pl.DataType:
    """Return the type of a conformed column."""
    match column.form:
        case Form.DATE:
            return pl.Date()
        case Form.DECIMAL:
            return pl.Decimal(DECIMAL_DIGITS, int(column.options.get("scale", DECIMAL_SCALE)))
        case Form.INTEGER:
            return pl.Int32()
        case _:
            return pl.String()


def plain(name: str) -> str:
    """Return a column name without case, spaces and punctuation: as intake compares names."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to a column's values on the way out.

    Attributes:
        method: one of the methods.
        field: the scheme's field when ``method`` is ``pseudonymise``.
        rule: the generalisation when ``method`` is ``generalise`` (``year``, ``month``, ``outward``, ``area``); how far
            when it is ``move`` (``365 days``) or ``vary`` (``10 %``); how many share it when it is ``common``
            (``10 metering points``, ``first 3, 10 metering points``).
    """

    method: Method
    field: Field | None = None
    rule: str | None = None

    def describe(self) -> str:
        """Return the treatment in the words of the data dictionary."""
        detail = self.field.value if self.field else self.rule
        return f"{self.method.value} ({detail})" if detail else self.method.value


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an extract.

    Attributes:
        name: the contract's name, used everywhere inside.
        physical_names: names it may have in a backup (``contracts/headings.yaml``); compared as :func:`plain` does.
        form: how text becomes a value.
        options: parameters of the form (``width``, ``formats``, ``code_list``, ``scale``).
        required: whether the column must be in the source at all.
        key: 1-based position in the extract's primary key, 0 if it is not part of it.
        item: the DTC item or catalogue number, as ``J0003``; empty where none is known.
        other_items: further item references under which flows carry the same.
    """

    name: str
    physical_names: tuple[str, ...]
    form: Form
    classification: Classification
    treatment: Treatment
    description: str
    required: bool = False
    key: int = 0
    item: str = ""
    other_items: tuple[str, ...] = ()
    options: Arguments = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Rule:
    """One quality rule: an expectation that is both a row verdict and a Great Expectations result.

    Attributes:
        id: unique in the contract; starts with its reason code (``DQ05_profile_class``).
        reason: the reason code that an excluded MPAN carries (``DQ05``).
        effect: exclude, warn or reject the file.
        stage: judged on raw text at intake, or on pseudonymised rows.
        basis: where the rule comes from (Q, R, DQ, J numbers or a section).
        expectation: Great Expectations type in snake case.
        kwargs: its arguments; code lists and reference tables by name.
        description: the rule in one sentence that an auditor reads.
        fault: what is wrong with a row that breaks it, in words that follow "because".
        unless: earlier rules of the same contract; where one of them is broken this rule is not judged, so that
            one fault has one reason.
        carried: an optional column; the rule is judged only for sources that carry it.
        codes: the codes of the list that ``kwargs`` names as ``code_list``, in the list's order.
    """

    id: str
    reason: str
    effect: Effect
    stage: RuleStage
    basis: tuple[str, ...]
    dimension: Dimension
    expectation: str
    kwargs: Arguments
    description: str
    fault: str
    unless: tuple[str, ...] = ()
    carried: str = ""
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that rules and augmentation may read and that is never released from this extract.

    Attributes:
        name: its name.
        sql: an SQL expression over the row; or, where it is empty,
        table: a reference table, ``extract:<name>``, ``all:<name>`` or ``senders:<name>``,
        keys: column of that table -> SQL expression over the row,
        value: the column of that table to take; the smallest value where several rows have the key.
        where: an SQL condition on the table's rows; those for which it does not hold are not looked at.
        spanning: whether the column is made for tables over all partitions only, and not for each row judged.
    """

    name: str
    sql: str = ""
    table: str = ""
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    value: str = ""
    where: str = ""
    spanning: bool = False


@dataclass(frozen=True, slots=True)
class Spelling:
    """How values of a backup are spelt (``contracts/spelling.yaml``).

    Attributes:
        nulls: words for null in every form; case does not count.
        nulls_unless_held: words for null where the form of a column has no such value.
        fillers: characters that fill the column of an identifier where there is none -> from how many of it on.
        first_year, last_year: years that a date can have.
        special_days: days outside these years that are meant: open ends, and day nought of spreadsheets.
        century_turn: a declared two-digit year below it is of the century of 2000.
        zones: name of a time zone -> minutes before Greenwich.
    """

    nulls: tuple[str, ...] = ()
    nulls_unless_held: tuple[str, ...] = ()
    fillers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    first_year: int = 1900
    last_year: int = 2200
    special_days: tuple[datetime.date, ...] = ()
    century_turn: int = 50
    zones: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"Z": 0}))


@dataclass(frozen=True, slots=True)
class HalfHours:
    """What tables with a row a half-hour call their columns; compared as headings are.

    Attributes:
        start, end: the moment at which a half-hour begins or ends.
        stamp: a moment that may be either; the first one of a source tells.
        day, time, period: the settlement day, with the time of day or the number of the settlement period.
        values: measurement quantity -> headings of its kWh (kVArh).
        flag: A actual or E estimated.
        sensors: sensor of a df2 file -> measurement quantity.
        quantity: measurement quantity of a table that states none.
    """

    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    stamp: tuple[str, ...] = ()
    day: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    period: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    flag: tuple[str, ...] = ()
    sensors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    quantity: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """One extract: what a row is, its columns, its rules."""

    extract: str
    version: str
    title: str
    row: str
    role: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    forbidden: tuple[str, ...] = ()  # words of a header that refuse the file (DQ23, Q68)
    harmless: tuple[str, ...] = ()  # whole headers that do not, though they hold such a word: names of no person
    sounds_personal: tuple[str, ...] = ()  # those of `forbidden` that headings of things have too: may be allowed
    undecided: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # heading -> columns
    dtc_layouts: tuple[DtcLayout, ...] = ()
    derived: tuple[Derived, ...] = ()
    digest: str = ""
    spelling: Spelling = Spelling()
    half_hours: HalfHours | None = None
    overlay: Mapping[str, Treatment] = field(default_factory=lambda: MappingProxyType({}))

    def treatment(self, column: Column) -> Treatment:
        """Return what is done to a column: the policy's word, else the contract's."""
        return self.overlay.get(column.name, column.treatment)

    def column(self, name: str) -> Column:
        """Return the column called ``name``.

        Raises:
            KeyError: the contract has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the primary-key columns in key order."""
        return tuple(c.name for c in sorted(self.columns, key=lambda c: c.key) if c.key)

    @property
    def staged(self) -> tuple[Column, ...]:
        """Columns that rules may read, in contract order: all but those that the contract itself drops."""
        return tuple(c for c in self.columns if c.treatment.method is not Method.DROP)

    @property
    def released(self) -> tuple[Column, ...]:
        """Columns that leave, in contract order: all but those dropped by the contract or the policy."""
        return tuple(c for c in self.staged if self.treatment(c).method is not Method.DROP)

    def rules_at(self, stage: RuleStage) -> tuple[Rule, ...]:
        """Return the rules judged at ``stage``, in contract order: the first one is the first cause."""
        return tuple(rule for rule in self.rules if rule.stage is stage)
