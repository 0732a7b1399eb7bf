"""What rules read beside an extract's own columns: derived columns, and whether a row's key stands in a table.

Everything is looked up by narrow frames of keys, each table and key once however many rules ask, and metering points
by their order key (an integer) instead of their text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from contracts.conditions import sql
from contracts.model import Contract, Derived, Rule
from contracts.vocabulary import LOOK_UPS, Expectation, RuleStage
from transforms.pseudonymise.mpan import order_key
from transforms.quality.code_tuples import CodeTuples

ORDER = "_order"
PARTICIPANT = "participant"
CUT_DATE = "cut_date"
SPARSE = 4  # of so many rows at most one has a key: only those are looked up
MPAN = "mpan_core"
OF_EXTRACTS = ("extract", "all")  # kinds of tables that are made of another extract's rows
WITHHELD = "withheld:"
"""Before the name of a table: the metering points, by order key, that submission packs exclude from its extract."""
Tables = Mapping[str, pl.DataFrame]


def found(rule_id: str) -> str:
    """Return the name of the column that says whether a row keeps a look-up rule, its conditions apart."""
    return f"_in_{rule_id}"


def table_of(contract: Contract, rule: Rule) -> str:
    """Return the name of the table that a look-up rule needs."""
    if rule.expectation == Expectation.IN_REFERENCE:
        return str(rule.kwargs["table"])
    return f"{rule.expectation}:{contract.extract}.{rule.id}"


def judged(contract: Contract, stage: RuleStage, tables: Collection[str]) -> list[Rule]:
    """Return the rules that can be judged with the tables at hand; the others are reported as not judged."""
    return [rule for rule in contract.rules_at(stage) if tables_of(contract, rule) <= set(tables)]


def tables_of(contract: Contract, rule: Rule) -> set[str]:
    """Return the names of all tables that a rule needs: its own, and those of the derived columns that it reads."""
    needed = {d.table for d in rests_on(contract, rule_columns(rule)) if d.table}
    return needed | {table_of(contract, rule)} if rule.expectation in LOOK_UPS else needed


def rule_columns(rule: Rule) -> set[str]:
    """Return the columns that a rule reads of a row."""
    kwargs = rule.kwargs
    names = {str(kwargs[word]) for word in ("column", "partner") if word in kwargs} | set(kwargs.get("column_list", ()))
    texts = [str(kwargs[word]) for word in ("condition", "row_condition", "owner") if word in kwargs]
    for text in [*texts, *dict(kwargs.get("keys", {})).values()]:
        names |= set(sql(text).meta.root_names())
    return names


def columns_behind(contracts: Mapping[str, Contract], extract: str, rule: Rule) -> set[tuple[str, str]]:
    """Return all columns that a verdict rests on, through derived columns and look-ups in other extracts.

    Returns:
        Pairs of extract and column; the extract is empty for columns of the row that is judged.
    """
    open_, behind = [("", name) for name in rule_columns(rule)], set[tuple[str, str]]()
    if rule.expectation == Expectation.IN_REFERENCE:
        open_ += _read_of_table(contracts, table_of(contracts[extract], rule), rule.kwargs["keys"], rule.kwargs)
    while open_:
        pair = open_.pop()
        if pair in behind:
            continue
        behind.add(pair)
        for derived in contracts[pair[0] or extract].derived:
            if derived.name == pair[1]:
                texts = [derived.sql] if derived.sql else list(derived.keys.values())
                open_ += [(pair[0], root) for text in texts for root in sql(text).meta.root_names()]
                wanted = {"value": derived.value, "where": derived.where}
                open_ += _read_of_table(contracts, derived.table, derived.keys, wanted)
    return behind


def _read_of_table(
    contracts: Mapping[str, Contract], table: str, keys: Collection[str], wanted: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Return the columns that a look-up reads of a table made of an extract; none of any other table."""
    kind, _, extract = table.partition(":")
    if kind not in OF_EXTRACTS or extract not in contracts:
        return []
    texts = [str(wanted[word]) for word in ("value", "where") if wanted.get(word)]
    return [(extract, name) for name in (*keys, *(root for text in texts for root in sql(text).meta.root_names()))]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One column to be looked up: its name, and the value to take or, without one, whether the key is there."""

    name: str
    value: str = ""
    where: str = ""

    def aggregate(self) -> pl.Expr:
        """Return the column over the rows of one key; of several values the smallest, whatever their order."""
        chosen = sql(self.where).fill_null(value=False) if self.where else pl.lit(value=True)
        if not self.value:
            return chosen.any().alias(self.name)
        return sql(self.value).filter(chosen).min().alias(self.name)


def derive(
    frame: pl.DataFrame,
    contract: Contract,
    tables: Tables,
    cut_date: date,
    only: Collection[str] | None = None,
    tuples: CodeTuples | None = None,
) -> pl.DataFrame:
    """Add the contract's derived columns that a frame does not have yet.

    Columns out: ``cut_date``; each derived column, null where its table is not at hand. Rows stay as they are.

    Args:
        only: names of the derived columns wanted; those that they rest on must be named too. ``None`` for all but
            those for tables over all partitions.
        tuples: of the frame; what rests on codes alone is looked up once a tuple, and added to them.
    """
    if CUT_DATE not in frame.columns:
        frame = frame.with_columns(pl.lit(cut_date).alias(CUT_DATE))
    if tuples is not None and CUT_DATE not in tuples.rows.columns:
        tuples.rows = tuples.rows.with_columns(pl.lit(cut_date).alias(CUT_DATE))
    asked = [d for d in contract.derived if (not d.spanning if only is None else d.name in only)]
    wanted = [d for d in asked if d.name not in frame.columns]
    while wanted:
        first = wanted[0]
        if first.sql:
            made = _once(frame, tuples, [first.sql], partial(_select, name=first.name, text=first.sql))
            frame, wanted = frame.hstack(made), wanted[1:]
        elif first.table not in tables:
            frame, wanted = frame.with_columns(pl.lit(None, pl.String).alias(first.name)), wanted[1:]
        else:
            alike = [d for d in wanted if (d.table, d.keys) == (first.table, first.keys)]
            columns = [_Wanted(d.name, d.value, d.where) for d in alike]
            table, keys = tables[first.table], first.keys
            frame = frame.hstack(
                _once(frame, tuples, keys.values(), partial(_look_up, table=table, keys=keys, wanted=columns))
            )
            wanted = [d for d in wanted if d not in alike]
    return frame


def _select(rows: pl.DataFrame, name: str, text: str) -> pl.DataFrame:
    return rows.select(sql(text).alias(name))


def _once(
    frame: pl.DataFrame,
    tuples: CodeTuples | None,
    texts: Iterable[str],
    work_out: Callable[[pl.DataFrame], pl.DataFrame],
) -> pl.DataFrame:
    """Work out columns of some SQL expressions: once a tuple where they read nothing but codes, else row by row."""
    if tuples is not None and tuples.know({root for text in texts for root in sql(text).meta.root_names()}):
        return tuples.add(work_out(tuples.rows))
    return work_out(frame)


def look_up(
    frame: pl.DataFrame,
    contract: Contract,
    rules: Sequence[Rule],
    tables: Tables,
    tuples: CodeTuples | None = None,
) -> pl.DataFrame:
    """Add ``_in_<rule>`` for each look-up rule: true where the row keeps it, or lacks a part of the key.

    A metering point that a submission pack excludes from the extract looked up is there, and its rows are not: of these
    a rule says nothing.

    Args:
        tuples: as of :func:`derive`.
    """
    waiting = [rule for rule in rules if rule.expectation in LOOK_UPS]
    added: list[pl.DataFrame] = []
    while waiting:
        name, keys = table_of(contract, waiting[0]), _keys(waiting[0])
        alike = [rule for rule in waiting if (table_of(contract, rule), _keys(rule)) == (name, keys)]
        find = partial(_found, table=tables[name], keys=keys, rules=alike, withheld=tables.get(f"{WITHHELD}{name}"))
        added.append(_once(frame, tuples, keys.values(), find))
        waiting = [rule for rule in waiting if rule not in alike]
    return pl.concat([frame, *added], how="horizontal") if added else frame


def _found(
    rows: pl.DataFrame,
    table: pl.DataFrame,
    keys: Mapping[str, str],
    rules: Sequence[Rule],
    withheld: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return ``_in_<rule>`` of rules that look up the same keys in the same table."""
    columns = [_Wanted(found(rule.id), where=str(rule.kwargs.get("where", ""))) for rule in rules]
    hits = _look_up(rows, table, keys, columns)
    absent = rows.select(pl.any_horizontal(sql(text).is_null() for text in keys.values())).to_series()
    if withheld is not None and MPAN in keys:
        asked = pl.col(ORDER) if keys[MPAN] == MPAN and ORDER in rows.columns else order_key(keys[MPAN])
        absent |= rows.select(asked.is_in(withheld[ORDER].implode()).fill_null(value=False)).to_series()
    verdicts = []
    for rule in rules:
        hit = hits[found(rule.id)].fill_null(value=False)
        verdicts.append((absent | (hit if rule.expectation == Expectation.IN_REFERENCE else ~hit)).alias(hit.name))
    return pl.DataFrame(verdicts)


def _keys(rule: Rule) -> Mapping[str, str]:
    match rule.expectation:
        case Expectation.IN_REFERENCE:
            keys: Mapping[str, str] = rule.kwargs["keys"]
            return keys
        case Expectation.ONE_OWNER:
            return {"value": str(rule.kwargs["column"])}
        case _:
            return {"value": str(rule.kwargs["column"]), "partner": str(rule.kwargs["partner"])}


def _look_up(
    frame: pl.DataFrame, table: pl.DataFrame, keys: Mapping[str, str], wanted: Sequence[_Wanted]
) -> pl.DataFrame:
    """Return the wanted columns, row by row, from a table by its key columns, each matched to an SQL expression."""
    left, right, names = [], [], []
    for number, (column, text) in enumerate(keys.items()):
        name = f"_key_{number}"
        names.append(name)
        by_order = column == MPAN and ORDER in table.columns and (text != MPAN or ORDER in frame.columns)
        right.append(pl.col(ORDER if by_order else column).alias(name))
        if not by_order:
            left.append(sql(text).alias(name))
        else:
            left.append((pl.col(ORDER) if text == MPAN else order_key(text)).alias(name))
    read = {root for w in wanted for text in (w.value, w.where) if text for root in sql(text).meta.root_names()}
    narrow = table.select(*right, *(pl.col(root) for root in sorted(read)))
    values = narrow.drop_nulls(names).group_by(names).agg(w.aggregate() for w in wanted)
    asked = frame.select(left)
    present = asked.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    if present.sum() * SPARSE > asked.height:
        joined = asked.join(values, on=names, how="left", maintain_order="left")
        return joined.select(w.name for w in wanted)
    few = asked.filter(present).join(values, on=names, how="left", maintain_order="left").select(w.name for w in wanted)
    return few.select(pl.all().gather((present.cum_sum() - 1).set(~present, None)))


def rests_on(contract: Contract, names: Collection[str]) -> list[Derived]:
    """Return the derived columns among ``names`` and those that they rest on, in the contract's order."""
    known = {d.name: d for d in contract.derived}
    needed: set[str] = set()
    open_ = [name for name in names if name in known]
    while open_:
        name = open_.pop()
        if name not in needed:
            needed.add(name)
            derived = known[name]
            texts = [derived.sql] if derived.sql else list(derived.keys.values())
            open_ += [root for text in texts for root in sql(text).meta.root_names() if root in known]
    return [d for d in contract.derived if d.name in needed]
