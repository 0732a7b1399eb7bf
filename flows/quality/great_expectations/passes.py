"""Counting over the partitions of one extract: one streaming pass each, faults kept apart, counts handed on.

Knows Polars and nothing of Great Expectations. A question is about rows; an answer is a number of rows, or
the type name of what went wrong. No cell of the data leaves this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl
from polars import selectors as cs

from contracts.errors import QualityError

# A panic of Polars is no Exception, and a faulty rule must not end the run.
ANYTHING = (Exception, pl.exceptions.PanicException)
_ROWS = "__rows__"
_EXTENT = ("__least__", "__greatest__", "__missing__")


@dataclass(frozen=True)
class MetricFault:
    """A question that could not be answered: the type name of the exception, never its text."""

    kind: str


@dataclass(frozen=True)
class MetricTally:
    """How many rows satisfy a boolean expression; ``None`` counts every row. NULL does not count."""

    rows: pl.Expr | None

    def aggregate(self) -> pl.Expr:
        """Return the count as an expression; additive over partitions."""
        return pl.len() if self.rows is None else self.rows.sum()


@dataclass(frozen=True)
class Repeats:
    """How many rows of a domain share their key with another row; NULL parts of a key equal each other."""

    domain: pl.Expr
    key: tuple[str, ...]


Question = MetricTally | Repeats | MetricFault
Answer = int | MetricFault


class Partitions:
    """One extract as a sequence of lazy frames with equal schemas.

    NaN is read as missing and categories as text, so that every rule sees one kind of absent value and one
    kind of code. Partitions are read one after another: the largest bounds memory, not their sum. Uniqueness
    of a key that is not local to partitions is the exception: it keeps the distinct keys of the extract.

    Attributes:
        schema: columns as the rules see them.
        collects: how often a plan over the data has been executed; a suite without faults costs one per
            partition, plus one per uniqueness rule (one per partition where the rule is local to partitions).
        range_key: the column whose ranges the partitions are, if declared. The declaration is checked against
            the data; uniqueness of a key that contains the column is then settled partition by partition.
    """

    def __init__(self, frames: Sequence[pl.LazyFrame], *, range_key: str | None = None) -> None:
        """Take the frames without reading a row.

        Raises:
            QualityError: no frame, a frame whose schema cannot be found out, frames with unequal schemas, or
                a range key that is none of their columns.
        """
        if not frames:
            raise QualityError("an extract without a partition cannot be judged")
        schemas = [_schema(frame) for frame in frames]
        for position, schema in enumerate(schemas):
            if list(schema.items()) != list(schemas[0].items()):
                raise QualityError("partitions of one extract differ in their columns", where=f"partition {position}")
        if range_key is not None and range_key not in schemas[0]:
            raise QualityError("partitions are declared as ranges of a column they lack", where=range_key)
        self._frames = [_levelled(frame, schemas[0]) for frame in frames]
        self.schema: pl.Schema = _levelled(pl.LazyFrame(schema=schemas[0]), schemas[0]).collect_schema()
        self._empty = pl.DataFrame(schema=self.schema)
        self.range_key = range_key
        self.collects = 0

    def dry_run(self, expression: pl.Expr) -> pl.DataFrame:
        """Evaluate over no rows: types, columns and patterns are checked, data is not touched.

        Raises:
            polars.exceptions.PolarsError: the expression does not fit the schema.
        """
        return self._empty.lazy().select(expression).collect()

    def count(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer all questions, in order; tallies of one partition share one pass."""
        asked = questions if self._all_fit(questions) else [self._vetted(question) for question in questions]
        answers: list[Answer] = [question if isinstance(question, MetricFault) else 0 for question in asked]
        tallies = {str(i): q.aggregate() for i, q in enumerate(asked) if isinstance(q, MetricTally)}
        local = any(isinstance(q, Repeats) and self._range_part(q) for q in asked)
        totals, disjoint = self._totals(tallies, with_extent=local)
        for name, total in totals.items():
            answers[int(name)] = total
        for i, question in enumerate(asked):
            if isinstance(question, Repeats):
                answers[i] = self._repeats(question, disjoint)
        return answers

    def _all_fit(self, questions: Sequence[Question]) -> bool:
        """Tell whether all questions fit the schema, by one plan over no rows."""
        asked: dict[str, pl.Expr] = {}
        for i, question in enumerate(questions):
            if isinstance(question, Repeats):
                asked |= {f"{i}": question.domain, f"key {i}": pl.struct(question.key).is_null()}
            elif isinstance(question, MetricTally) and question.rows is not None:
                asked[f"{i}"] = question.rows
        try:
            return set(self._empty.lazy().select(**asked).collect().dtypes) <= {pl.Boolean}
        except ANYTHING:  # which one it is, and why, is found question by question
            return False

    def _vetted(self, question: Question) -> Question:
        """Turn a question that does not fit the schema into its fault before any row is read."""
        if isinstance(question, MetricFault):
            return question
        rows = question.rows if isinstance(question, MetricTally) else question.domain
        try:
            if rows is not None and self.dry_run(rows.alias(_ROWS)).dtypes != [pl.Boolean]:
                return MetricFault("NotBoolean")  # a sum over numbers would be a sum of values
            if isinstance(question, Repeats):
                self.dry_run(pl.struct(question.key))
        except ANYTHING as error:
            return MetricFault(type(error).__name__)
        return question

    def _totals(self, tallies: Mapping[str, pl.Expr], *, with_extent: bool) -> tuple[dict[str, Answer], bool]:
        """Sum tallies over partitions; tell also whether these are disjoint ranges of the range key."""
        totals: dict[str, Answer] = dict.fromkeys(tallies, 0)
        extents: list[dict[str, Any]] = []
        for frame in self._frames:
            wanted = {name: tallies[name] for name, total in totals.items() if not isinstance(total, MetricFault)}
            if with_extent and self.range_key is not None:
                wanted |= _extent(self.range_key)
            row = self._measure(frame, wanted)
            extents.append({name: row.pop(name) for name in _EXTENT if name in row})
            for name, found in row.items():
                so_far = totals[name]
                totals[name] = (
                    found if isinstance(found, MetricFault) or isinstance(so_far, MetricFault) else so_far + found
                )
        return totals, with_extent and _disjoint(extents)

    def _measure(self, frame: pl.LazyFrame, wanted: Mapping[str, pl.Expr]) -> dict[str, Any]:
        """One row of aggregates; after a failure, halve until the culprits stand alone."""
        if not wanted:
            return {}
        found = self._collect(frame.select(**wanted))
        if not isinstance(found, MetricFault):
            return found.row(0, named=True)
        if len(wanted) == 1:
            return dict.fromkeys(wanted, found)
        names = list(wanted)
        halves = names[: len(names) // 2], names[len(names) // 2 :]
        measured: dict[str, Any] = {}
        for half in halves:
            measured |= self._measure(frame, {name: wanted[name] for name in half})
        return measured

    def _repeats(self, question: Repeats, disjoint: bool) -> Answer:
        if not self._range_part(question):
            return self._repeated_rows(pl.concat([_keys(frame, question) for frame in self._frames]))
        if not disjoint:
            return MetricFault("PartitionOverlap")
        total = 0
        for frame in self._frames:
            found = self._repeated_rows(_keys(frame, question))
            if isinstance(found, MetricFault):
                return found
            total += found
        return total

    def _range_part(self, question: Repeats) -> bool:
        return len(self._frames) > 1 and self.range_key in question.key

    def _repeated_rows(self, keys: pl.LazyFrame) -> Answer:
        sizes = keys.group_by(pl.all()).agg(pl.len().alias(_ROWS))
        found = self._collect(sizes.select(pl.col(_ROWS).filter(pl.col(_ROWS) > 1).sum()))
        return found if isinstance(found, MetricFault) else int(found.item())

    def _collect(self, plan: pl.LazyFrame) -> pl.DataFrame | MetricFault:
        """The one place where a plan over the data runs: what it raises may quote a cell, and ends here."""
        self.collects += 1
        try:
            return plan.collect(engine="streaming")
        except ANYTHING as error:
            return MetricFault(type(error).__name__)


def _schema(frame: pl.LazyFrame) -> pl.Schema:
    kind = ""
    try:
        return frame.collect_schema()
    except ANYTHING as error:
        kind = type(error).__name__
    raise QualityError(f"the columns of a partition cannot be read ({kind})")


def _levelled(frame: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """Read NaN as missing and categories as text; leave a frame without either as it is."""
    dtypes = schema.dtypes()
    if any(dtype.is_float() for dtype in dtypes):
        frame = frame.with_columns(cs.float().fill_nan(None))
    if any(isinstance(dtype, pl.Categorical | pl.Enum) for dtype in dtypes):
        frame = frame.with_columns((cs.categorical() | cs.enum()).cast(pl.String))
    return frame


def _keys(frame: pl.LazyFrame, question: Repeats) -> pl.LazyFrame:
    return frame.filter(question.domain).select(question.key)


def _extent(column: str) -> dict[str, pl.Expr]:
    """Bounds of the range key, used to check the declaration and never handed on."""
    value = pl.col(column)
    return dict(zip(_EXTENT, (value.min(), value.max(), value.null_count()), strict=True))


def _disjoint(extents: Sequence[Mapping[str, Any]]) -> bool:
    """True if no two partitions can hold an equal value of the range key (NULL included)."""
    if any(isinstance(value, MetricFault) for extent in extents for value in extent.values()):
        return False
    least, greatest, missing = _EXTENT
    bounds = sorted((e[least], e[greatest]) for e in extents if e[least] is not None)
    apart = all(before[1] < after[0] for before, after in pairwise(bounds))
    return apart and sum(e[missing] > 0 for e in extents) <= 1
