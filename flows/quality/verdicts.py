"""The quality stage: every rule of every contract, twice: as row verdicts and by Great Expectations.

The row verdicts exclude; Great Expectations counts the same rules independently for the report. Where the two counts
differ the run stops: one of them would be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import polars as pl

from contracts.model import Contract, column_type
from flows.cut.partitions import (
    JUDGED,
    ORDER,
    QUALITY,
    ParticipantExtract,
    load,
    uncarried,
    write_exclusions,
)
from flows.cut.records import CrossPartitionNames
from flows.cut.workspace import Workspace
from flows.quality.cross_partition import ALL, EXTRACT, SENDERS, cross_partition_tables, local_tables, plain_tables
from flows.quality.silent import silent_rules
from transforms.quality import exclusions, rules
from transforms.quality.lookups import PARTICIPANT, Tables, derive

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
    loaded = {e: f for e in names if (f := load(workspace, extracts, e, number)) is not None}
    if "registration" in loaded:
        contract, plain = workspace.contracts["registration"], plain_tables(shared)
        own = [d.name for d in contract.derived if not d.table.startswith((EXTRACT, ALL, SENDERS))]
        loaded["registration"] = derive(loaded["registration"], contract, plain, cut_date, only=own)
    tables = dict(shared)
    for extract in names:  # a table that is held but empty here still judges: nothing is found in it
        if extract not in in_part:
            tables[f"{EXTRACT}{extract}"] = loaded.get(extract, _empty(workspace.contracts[extract]))
    for extract, frame in loaded.items():
        tables.update(local_tables(workspace.contracts[extract], frame))
    missing, silent = uncarried(workspace, extracts), silent_rules(workspace, extracts, shared)
    causes = []
    for extract in sorted(loaded):
        contract = workspace.contracts[extract]
        ordered = in_order(loaded.pop(extract), contract)
        without, passing = missing.get(extract, {}), silent.get(extract, {})
        whole = rules.judge(ordered, contract, tables, cut_date, uncarried=without, silent=passing)
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
    their token.
    """
    keys = [ORDER, *(c for c in contract.key if c != "mpan_core")]
    rest = [c.name for c in contract.staged if c.name not in contract.key]
    ordered = frame.sort(keys, nulls_last=True)
    alike = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in keys)
    tied = ordered.select((alike | alike.shift(-1) | pl.col(ORDER).is_null()).fill_null(value=False)).to_series()
    if not tied.any():
        return ordered
    places = tied.arg_true()
    some = ordered.select([*keys, "_token", PARTICIPANT, *rest]).filter(tied).with_columns(places.alias("_place"))
    resorted = some.sort(ORDER, "_token", *keys[1:], PARTICIPANT, *rest, nulls_last=True)["_place"]
    if (resorted == places).all():
        return ordered
    index = np.arange(ordered.height)
    index[places.to_numpy()] = resorted.to_numpy()
    return ordered[index]
