"""Tables that rules look things up in and that span partitions: who sends what, what is referred to, what is shared.

A value with several owners is found by hashes of values and owners, eight bytes each, whatever the extract holds;
only what the hashes point at is then read again and judged by its text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.conditions import sql
from contracts.model import Contract, Rule
from contracts.vocabulary import Expectation
from flows.cut.partitions import ParticipantExtract, load, withheld
from flows.cut.workspace import Workspace
from transforms.pseudonymise.mpan import order_key
from transforms.quality.lookups import MPAN, ORDER, PARTICIPANT, WITHHELD, Tables, derive, rests_on, table_of

ALL, EXTRACT, SENDERS = "all:", "extract:", "senders:"
Hashes = NDArray[np.uint64]


def cross_partition_tables(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], reference: Tables, cut_date: date
) -> dict[str, pl.DataFrame]:
    """Return every table over all partitions that a rule or derived column of the extracts held names."""
    walk = CrossPartitionTables(workspace, extracts, reference, cut_date)
    tables = {
        f"{SENDERS}{extract}": pl.DataFrame(
            {PARTICIPANT: sorted({h.participant for h in extracts if h.extract == extract})},
            schema={PARTICIPANT: pl.String},
        )
        for extract in workspace.contracts
    }
    for target in sorted({h.extract for h in extracts}):
        if (table := walk.referred(target)) is not None:
            tables[f"{ALL}{target}"] = table
            if (gone := walk.withheld(target)) is not None:
                tables[f"{WITHHELD}{ALL}{target}"] = gone
    for contract, rule in walk.rules():
        if rule.expectation == Expectation.ONE_OWNER and rule.kwargs["column"] != MPAN:
            tables[table_of(contract, rule)] = walk.shared(contract, rule)
        elif rule.expectation == Expectation.USUAL_PAIR:
            tables[table_of(contract, rule)] = walk.unusual(contract, rule)
    return tables


def local_tables(contract: Contract, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the metering points of a partition that several owners hold, for rules that ask for one owner of each."""
    tables = {}
    for rule in contract.rules:
        if rule.expectation == Expectation.ONE_OWNER and rule.kwargs["column"] == MPAN:
            pairs = frame.select(pl.col(ORDER), pl.col(MPAN).alias("value"), sql(rule.kwargs["owner"]).alias("owner"))
            several = pairs.drop_nulls().group_by(ORDER, "value").agg(pl.col("owner").n_unique())
            tables[table_of(contract, rule)] = several.filter(pl.col("owner") > 1).select("value")
    return tables


class CrossPartitionTables:
    """Walks the partitions of a work folder, reading no more columns than a question needs."""

    def __init__(
        self, workspace: Workspace, extracts: Sequence[ParticipantExtract], reference: Tables, cut_date: date
    ) -> None:
        self._workspace, self._extracts, self._reference, self._cut_date = workspace, extracts, reference, cut_date
        self._asked: dict[str, pl.Series] = {}  # order keys that some row refers to, by extract
        self._contracts = [workspace.contracts[e] for e in sorted({h.extract for h in extracts})]

    def rules(self) -> Iterator[tuple[Contract, Rule]]:
        """Give every rule of every extract held."""
        for contract in self._contracts:
            for rule in contract.rules:
                yield contract, rule

    # -- what is referred to ----------------------------------------------------------------------------------

    def referred(self, target: str) -> pl.DataFrame | None:
        """Return the rows of ``target`` that some row refers to: a small table, however large the target."""
        name, keys, values = f"{ALL}{target}", set(), set()
        for contract in self._contracts:
            for derived in contract.derived:
                if derived.table == name:
                    keys |= {(contract.extract, text) for text in derived.keys.values()}
                    values |= _roots([derived.value, derived.where])
            for rule in contract.rules:
                if rule.expectation == Expectation.IN_REFERENCE and rule.kwargs["table"] == name:
                    keys |= {(contract.extract, text) for text in rule.kwargs["keys"].values()}
                    values |= _roots([str(rule.kwargs.get("where", ""))])
        if not keys:
            return None

        def referring(text: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
            return lambda frame: frame.select(order_key(text).alias(ORDER)).drop_nulls().unique()

        asked = [self._each(extract, [text], referring(text)) for extract, text in sorted(keys)]
        wanted = self._asked[target] = pl.concat(asked)[ORDER].unique().implode()
        return self._each(target, [MPAN, ORDER, *values], lambda frame: frame.filter(pl.col(ORDER).is_in(wanted)))

    def withheld(self, target: str) -> pl.DataFrame | None:
        """Return those of them that submission packs exclude from ``target``; nothing where no pack does."""
        numbers = range(self._workspace.partitions)
        gone = [f for number in numbers if (f := withheld(self._workspace, self._extracts, target, number)) is not None]
        return pl.concat(gone).filter(pl.col(ORDER).is_in(self._asked[target])).unique().sort(ORDER) if gone else None

    # -- what is shared ---------------------------------------------------------------------------------------

    def shared(self, contract: Contract, rule: Rule) -> pl.DataFrame:
        """Return the values of a column that belong to several owners: column ``value``."""
        value, owner = str(rule.kwargs["column"]), str(rule.kwargs["owner"])
        columns = [value, *_roots([owner])]

        def pairs(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.select(pl.col(value).alias("value"), sql(owner).alias("owner")).drop_nulls().unique()

        suspects = _of_several_owners(
            self._each(
                contract.extract,
                columns,
                lambda f: pairs(f).select(pl.col("value").hash(seed=0), pl.col("owner").hash(seed=1)),
            )
        )
        if not suspects.size:
            return pl.DataFrame(schema={"value": pl.String})
        chosen = pl.Series(suspects).implode()
        met = self._each(
            contract.extract, columns, lambda f: pairs(f).filter(pl.col("value").hash(seed=0).is_in(chosen))
        )
        several = met.unique().group_by("value").len().filter(pl.col("len") > 1)
        return several.select("value").sort("value")

    def unusual(self, contract: Contract, rule: Rule) -> pl.DataFrame:
        """Return the pairs that are rare among all pairs of a common value: columns ``value`` and ``partner``."""
        value, partner = str(rule.kwargs["column"]), str(rule.kwargs["partner"])
        pair = {"value": sql(value), "partner": sql(partner)}
        counts = self._each(
            contract.extract,
            _roots([value, partner]),
            lambda f: f.select(**pair).drop_nulls().group_by("value", "partner").len(),
        )
        counts = counts.group_by("value", "partner").agg(pl.col("len").sum())
        of_value = pl.col("len").sum().over("value")
        rare = (of_value >= int(rule.kwargs["least"])) & (pl.col("len") < float(rule.kwargs["share"]) * of_value)
        return counts.filter(rare).select("value", "partner").sort("value", "partner")

    # -- walking ----------------------------------------------------------------------------------------------

    def _each(
        self, extract: str, columns: Collection[str], take: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> pl.DataFrame:
        """Take something from each partition of an extract, derived columns included, and join the pieces."""
        contract = self._workspace.contracts[extract]
        parts = []
        for number in range(self._workspace.partitions):
            frame = self._with_derived(contract, columns, number)
            if frame is not None:
                parts.append(take(frame))
        return pl.concat(parts) if parts else pl.DataFrame()

    def _with_derived(self, contract: Contract, columns: Collection[str], number: int) -> pl.DataFrame | None:
        """Return a partition with some of its columns; derived ones are made, from other extracts if need be."""
        derived = rests_on(contract, columns)
        read = {*columns, MPAN, ORDER, *(r for d in derived for r in _roots([d.sql, *d.keys.values()]))}
        frame = load(self._workspace, self._extracts, contract.extract, number, read)
        if frame is None or not derived:
            return frame
        tables = dict(self._reference)
        for name in {d.table for d in derived if d.table.startswith(EXTRACT)}:
            needed = {c for d in derived if d.table == name for c in (*d.keys, *_roots([d.value, d.where]))}
            other = self._with_derived(self._workspace.contracts[name.removeprefix(EXTRACT)], needed, number)
            if other is not None:
                tables[name] = other
        return derive(frame, contract, tables, self._cut_date, only=[d.name for d in derived])


def _roots(texts: Collection[str]) -> set[str]:
    return {root for text in texts if text for root in sql(text).meta.root_names()}


def _of_several_owners(pairs: pl.DataFrame) -> Hashes:
    """Return the hashes of values that occur with more than one hash of an owner."""
    if not pairs.height:
        return np.empty(0, np.uint64)
    ordered = np.sort(pairs["value"].to_numpy())
    repeated = pl.Series(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]))
    few = pairs.filter(pl.col("value").is_in(repeated.implode())).unique()
    return few.filter(pl.col("value").is_duplicated())["value"].unique().to_numpy()


def plain_tables(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the tables that depend on no extract: reference data and code lists."""
    return {name: table for name, table in tables.items() if not name.startswith((ALL, EXTRACT, SENDERS, WITHHELD))}
