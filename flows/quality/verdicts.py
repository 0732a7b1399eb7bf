"""The quality stage: every rule of every contract, twice: as row verdicts and by Great Expectations.

The row verdicts exclude; Great Expectations counts the same rules independently for the report. Where the two counts
differ the run stops: one of them would be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.model import Contract, column_type
from flows.cut.context import Context
from flows.cut.partitions import (
    JUDGED,
    ORDER,
    QUALITY,
    ParticipantExtract,
    load,
    uncarried,
    withheld,
    write_exclusions,
)
from flows.cut.records import CrossPartitionNames
from flows.cut.workspace import Workspace
from flows.quality.cross_partition import ALL, EXTRACT, SENDERS, cross_partition_tables, local_tables, plain_tables
from flows.quality.silent import silent_rules
from transforms.quality import exclusions, rules
from transforms.quality.code_tuples import CodeTuples, code_columns, mpan_columns
from transforms.quality.lookups import PARTICIPANT, WITHHELD, Tables, derive

SPANNING = "tables"
TABLES = "tables"


def write_tables(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], reference: Tables, cut_date: date
) -> CrossPartitionNames:
    """Write the tables that span partitions into the work folder; return their names in the order of their files."""
    tables = cross_partition_tables(workspace, extracts, reference, cut_date)
    folder = workspace.folder(SPANNING)
    for number, table in enumerate(tables.values()):
        workspace.put(table, folder / f"{number:03d}.arrow")
    return CrossPartitionNames(names=tuple(tables))


def read_tables(workspace: Workspace, reference: Tables) -> dict[str, pl.DataFrame]:
    """Return the reference tables and those that were written to span partitions."""
    written = workspace.recorded(CrossPartitionNames)
    names = written.names if written else ()
    folder = workspace.root / SPANNING
    return {**reference, **{name: pl.read_ipc(folder / f"{n:03d}.arrow") for n, name in enumerate(names)}}


def table_names(known: Context) -> set[str]:
    """Return the names of the reference tables and of those that were written to span partitions."""
    written = known.workspace.recorded(CrossPartitionNames)
    return {*known.reference.tables, *(written.names if written else ())}


def judge_partition(
    workspace: Workspace,
    extracts: Sequence[ParticipantExtract],
    number: int,
    shared: Tables,
    cut_date: date,
    in_part: Collection[str] = (),
) -> None:
    """Judge all extracts of one partition; write them sorted, with verdicts, and the MPANs that are excluded.

    Args:
        in_part: extracts of which only some rows are held: rules that look things up in them are not judged.
        shared: reference tables and those of :func:`flows.quality.cross_partition.spanning_tables`.
    """
    names = {h.extract for h in extracts}
    loaded = {
        e: in_order(f, workspace.contracts[e]) for e in names if (f := load(workspace, extracts, e, number)) is not None
    }
    tuples: dict[str, CodeTuples | None] = {}
    if "registration" in loaded:
        contract, plain = workspace.contracts["registration"], plain_tables(shared)
        own = [d.name for d in contract.derived if not d.table.startswith((EXTRACT, ALL, SENDERS))]
        frame = derive(loaded["registration"], contract, plain, cut_date, only=mpan_columns(contract))
        tuples["registration"] = CodeTuples.of(frame, code_columns(contract))
        loaded["registration"] = derive(frame, contract, plain, cut_date, only=own, tuples=tuples["registration"])
    tables = dict(shared)
    for extract in names:  # a table that is held but empty here still judges: nothing is found in it
        if extract not in in_part:
            tables[f"{EXTRACT}{extract}"] = loaded.get(extract, _empty(workspace.contracts[extract]))
            if (gone := withheld(workspace, extracts, extract, number)) is not None:
                tables[f"{WITHHELD}{EXTRACT}{extract}"] = gone
    for extract, frame in loaded.items():
        tables.update(local_tables(workspace.contracts[extract], frame))
    missing, silent = uncarried(workspace, extracts), silent_rules(workspace, extracts, shared)
    causes = []
    for extract in sorted(loaded):
        contract = workspace.contracts[extract]
        without, passing = missing.get(extract, {}), silent.get(extract, {})
        frame = loaded.pop(extract)
        whole = rules.judge(
            frame, contract, tables, cut_date, uncarried=without, silent=passing, tuples=tuples.get(extract)
        )
        causes.append(exclusions.faulty(whole.lazy(), contract))
        for h in extracts:
            if h.extract == extract:
                own_rows = whole.filter(pl.col(PARTICIPANT) == h.participant).drop(PARTICIPANT)
                if own_rows.height:
                    workspace.write(own_rows, JUDGED, h.participant, extract, number)
    workspace.promise(JUDGED, f"{number:04d}")
    write_exclusions(workspace, QUALITY, number, exclusions.exclusions(causes).collect())


def _empty(contract: Contract) -> pl.DataFrame:
    """Return an extract without a row, each column of its type; derived columns of other extracts are left out."""
    columns = {c.name: column_type(c) for c in contract.staged}
    names = [*(d.name for d in contract.derived if not d.table.startswith(EXTRACT)), PARTICIPANT]
    return pl.DataFrame(schema={**columns, **dict.fromkeys(names, pl.String), ORDER: pl.UInt64})


def in_order(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return rows in canonical order: by order key and contract key, what still ties by all other columns.

    The order depends on the rows alone, not on the order in which they came. Rows without a pseudonym stand last, by
    their token. Order keys are sorted as integers; texts are compared of those rows alone that share one.
    """
    index = frame[ORDER].arg_sort(nulls_last=True).to_numpy()
    named = frame.height - frame[ORDER].null_count()
    keys = frame[ORDER].gather(index[:named]).to_numpy()
    same = keys[1:] == keys[:-1]
    tied = np.ones(frame.height, dtype=bool)  # those without a key among themselves
    tied[:named] = False
    tied[1:named] |= same
    tied[: max(named - 1, 0)] |= same
    places = np.flatnonzero(tied)
    if places.size:
        index = index.copy()
        index[places] = index[places][_tie_order(frame, index[places], contract)]
    return frame[index] if (index[1:] < index[:-1]).any() else frame


def _tie_order(frame: pl.DataFrame, rows: NDArray[np.uint32], contract: Contract) -> NDArray[np.uint32]:
    """Return the order of some rows by order key, contract key, and what still ties by all other columns."""
    keys = [ORDER, *(c for c in contract.key if c != "mpan_core")]
    rest = [c.name for c in contract.staged if c.name not in contract.key]
    index = frame.select(keys)[rows].select(pl.arg_sort_by(keys, nulls_last=True)).to_series()
    ordered = frame.select(keys)[rows[index.to_numpy()]]
    alike = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in keys)
    tied = ordered.select((alike | alike.shift(-1) | pl.col(ORDER).is_null()).fill_null(value=False)).to_series()
    done: NDArray[np.uint32] = index.to_numpy().copy()
    if tied.any():
        some = done[tied.arg_true().to_numpy()]
        by = [ORDER, "_token", *keys[1:], PARTICIPANT, *rest]
        again = frame.select(by)[rows[some]].select(pl.arg_sort_by(by, nulls_last=True)).to_series()
        done[tied.arg_true().to_numpy()] = some[again.to_numpy()]
    return done
