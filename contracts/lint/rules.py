"""House rules of quality rules and derived columns: arguments, columns, tables, conditions that can be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import polars as pl

from contracts.codes import codes
from contracts.conditions import NotRowWiseError, sql
from contracts.errors import ContractError
from contracts.lint.columns import pattern_fault
from contracts.lint.document import LintFindings
from contracts.model import Contract, Derived, Rule, column_type
from contracts.vocabulary import ARGUMENTS, LOOK_UPS, Expectation, RuleStage

# What a row has beside the contract's columns; what raw text at intake has.
GIVEN: Mapping[str, pl.DataType] = {"cut_date": pl.Date(), "participant": pl.String(), "_order": pl.UInt64()}
RAW: Mapping[str, pl.DataType] = {"address_text": pl.String()}
OWN_IDENTIFIER = "own_identifier"
Schema = dict[str, pl.DataType]


class RulePlace:
    """What a contract's rules stand on: its own columns, and the tables of everybody."""

    def __init__(
        self,
        contract: Contract,
        others: Mapping[str, Contract],
        reference: Mapping[str, Sequence[str]],
        *,
        unread: bool = False,
    ) -> None:
        """Gather the columns; ``unread`` tells that some contract cannot be read, so an extract may be missing."""
        self.contract, self.others, self.reference, self.unread = contract, others, reference, unread
        self.staged: Schema = {c.name: column_type(c) for c in contract.staged} | dict(GIVEN)
        self.raw: Schema = {c.name: column_type(c) for c in contract.columns} | dict(RAW)
        self.derived: Schema = {}

    def quality(self) -> Schema:
        """Return the columns that a rule of the quality stage may read."""
        return self.staged | self.derived

    def excused(self, table: str) -> bool:
        """Tell whether a table may be missing because its contract cannot be read, which is told already."""
        return self.unread and table.partition(":")[0] in ("extract", "all", "senders")

    def table(self, name: str) -> Schema | None:
        """Return the columns of a table that rules look up, None where there is no such table."""
        kind, _, extract = name.partition(":")
        if kind == "senders" and extract in self.others:
            return {"participant": pl.String()}
        if kind in ("extract", "all") and extract in self.others:
            other = self.others[extract]
            plain = {d.name: pl.String() for d in other.derived if not d.spanning}
            return {c.name: column_type(c) for c in other.staged} | dict(GIVEN) | plain
        if name in self.reference:
            return {column: pl.String() for column in self.reference[name]}
        return None


def condition_fault(text: str, schema: Schema, *, boolean: bool) -> tuple[str, pl.DataType | None]:
    """Return what is wrong with an SQL expression over columns, or nothing; and the type that it yields."""
    try:
        expression = sql(text)
    except NotRowWiseError:
        return "looks at other rows, or at the clock: it must be about the columns of one row", None
    except pl.exceptions.PolarsError:
        return "is not an SQL expression", None
    if unknown := sorted(set(expression.meta.root_names()) - set(schema)):
        return f"reads {', '.join(unknown)}, which is not there", None
    roots = tuple((name, schema[name]) for name in sorted(set(expression.meta.root_names())))
    found = _yields(text, roots)
    if isinstance(found, str):
        return f"does not fit the types of its columns ({found})", None
    if boolean and (found != pl.Boolean or not expression.meta.root_names()):
        return "is not a condition on a column: it must be true or false", None
    return "", found


@lru_cache(maxsize=4096)
def _yields(text: str, roots: tuple[tuple[str, pl.DataType], ...]) -> pl.DataType | str:
    """Return the type that an expression yields over columns, or the kind of fault."""
    try:
        return pl.DataFrame(schema=dict(roots)).select(sql(text).alias("x")).schema["x"]
    except pl.exceptions.PolarsError as fault:
        return type(fault).__name__


def check_derived(place: RulePlace, findings: LintFindings) -> None:
    """Check the derived columns, in their order: each may read those before it."""
    for derived in place.contract.derived:
        where = f"derived column {derived.name}"
        if derived.name in place.quality():
            findings.add("C30", where, "has the name of another column")
        place.derived[derived.name] = _derived_type(place, derived, where, findings)


def _derived_type(place: RulePlace, derived: Derived, where: str, findings: LintFindings) -> pl.DataType:
    if derived.sql:
        fault, found = condition_fault(derived.sql, place.quality(), boolean=False)
        if fault:
            findings.add("C31", where, fault)
        return found or pl.String()
    table = place.table(derived.table)
    if table is None:
        if not place.excused(derived.table):
            findings.add("C32", where, f"there is no table {derived.table!r}")
        return pl.String()
    _check_keys(place, derived.table, derived.keys, where, findings)
    if derived.where:
        fault, _ = condition_fault(derived.where, table, boolean=True)
        if fault:
            findings.add("C31", where, f"where: {fault}")
    fault, found = condition_fault(derived.value, table, boolean=False)
    if fault:
        findings.add("C31", where, f"value: {fault}")
    return found or pl.String()


def _check_keys(place: RulePlace, table: str, keys: Mapping[str, str], where: str, findings: LintFindings) -> None:
    columns = place.table(table) or {}
    if not keys:
        findings.add("C33", where, "has no key")
    if table.startswith("all:") and list(keys) != ["mpan_core"]:
        findings.add("C33", where, "a table over all partitions is looked up by mpan_core alone")
    for column, text in keys.items():
        if column not in columns:
            findings.add("C33", where, f"table {table} has no column {column!r}")
        fault, _ = condition_fault(text, place.quality(), boolean=False)
        if fault:
            findings.add("C33", where, f"key {column}: {fault}")


def check_rules(place: RulePlace, findings: LintFindings) -> None:
    """Check the rules of one contract."""
    earlier: dict[str, Rule] = {}
    for rule in place.contract.rules:
        where = f"rule {rule.id}"
        if rule.id in earlier:
            findings.add("C34", where, "is there twice")
        for other in rule.unless:
            if other not in earlier:
                findings.add("C35", where, f"unless {other!r}: there is no such rule before it")
            elif rule.stage is RuleStage.INTAKE and earlier[other].stage is not RuleStage.INTAKE:
                findings.add("C35", where, f"unless {other!r}: that rule is judged later")
        if rule.carried and rule.carried not in {c.name for c in place.contract.columns if not c.required}:
            findings.add("C36", where, f"carried {rule.carried!r}: there is no such optional column")
        if _check_arguments(rule, where, findings):
            _check_meaning(place, rule, where, findings)
        earlier[rule.id] = rule


def _check_arguments(rule: Rule, where: str, findings: LintFindings) -> bool:
    """Check that an expectation has what it needs and nothing that it does not know."""
    needed, optional = ARGUMENTS[Expectation(rule.expectation)]
    given = set(rule.kwargs)
    for name in sorted(needed - given):
        findings.add("C37", where, f"{rule.expectation} needs {name!r}")
    for name in sorted(given - needed - optional - {"row_condition"}):
        findings.add("C37", where, f"{rule.expectation} does not know {name!r}")
    return needed <= given


def _check_meaning(place: RulePlace, rule: Rule, where: str, findings: LintFindings) -> None:
    kwargs = rule.kwargs
    schema = place.raw if rule.stage is RuleStage.INTAKE else place.quality()
    marks = rule.expectation in (Expectation.CONFORM, Expectation.COLUMNS_CONFORM)
    if marks and rule.stage is not RuleStage.INTAKE:
        findings.add("C38", where, "whether a text takes its form is known at intake only: it needs stage intake")
    if rule.stage is RuleStage.INTAKE and rule.expectation in {*LOOK_UPS, Expectation.UNIQUE}:
        findings.add("C38", where, "looks beyond its row, which is possible at the quality stage only")
    known = {*schema, OWN_IDENTIFIER} if marks else set(schema)
    names = [str(kwargs[word]) for word in ("column", "partner") if word in kwargs] + list(
        kwargs.get("column_list", ())
    )
    for name in names:
        if name not in known:
            findings.add("C39", where, f"there is no column {name!r}")
    for word in ("condition", "row_condition"):
        if word in kwargs and (fault := condition_fault(str(kwargs[word]), schema, boolean=True)[0]):
            findings.add("C31", where, f"{word}: {fault}")
    if "regex" in kwargs and (fault := pattern_fault(str(kwargs["regex"]))):
        findings.add("C27", where, fault)
    if "code_list" in kwargs and (fault := _codes_fault(str(kwargs["code_list"]))):
        findings.add("C40", where, fault)
    if "owner" in kwargs and (fault := condition_fault(str(kwargs["owner"]), _spanned(place), boolean=False)[0]):
        findings.add("C31", where, f"owner: {fault}")
    if rule.expectation == Expectation.IN_REFERENCE:
        _check_reference(place, rule, where, findings)


def _spanned(place: RulePlace) -> Schema:
    return place.quality() | {d.name: pl.String() for d in place.contract.derived}


def _codes_fault(name: str) -> str:
    try:
        codes(name)
    except ContractError:
        return f"there is no code list {name!r}"
    return ""


def _check_reference(place: RulePlace, rule: Rule, where: str, findings: LintFindings) -> None:
    name = str(rule.kwargs["table"])
    table = place.table(name)
    if table is None:
        if not place.excused(name):
            findings.add("C32", where, f"there is no table {name!r}")
        return
    _check_keys(place, name, rule.kwargs["keys"], where, findings)
    if "where" in rule.kwargs and (fault := condition_fault(str(rule.kwargs["where"]), table, boolean=True)[0]):
        findings.add("C31", where, f"where: {fault}")
