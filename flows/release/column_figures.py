"""What a release holds, in figures that identify nobody: smart meters by supplier and region, codes by column.

Source: Q93 (share of smart meters).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import polars as pl

from contracts.conditions import sql
from contracts.evidence_results import ColumnFigures, SmartShare, ValueCount
from contracts.model import Contract
from contracts.vocabulary import Classification, Form, Method
from flows.cut.context import Context
from flows.release.risk import released_points

LEAST = 10  # rows that a figure needs to be shown
MOST = 30  # values of a column that are named
SMART = "smart_meter_type"  # derived column of the registration that says what a smart meter is
BY = ("supplier_mpid", "gsp_group_id")
COUNTED = (Form.CODE, Form.FLAG)


def smart_shares(known: Context) -> list[SmartShare]:
    """Count released metering points with a meter, and with a smart one, by supplier and GSP Group."""
    contract = known.contracts["registration"]
    smart = next((sql(derived.where) for derived in contract.derived if derived.name == SMART), pl.lit(value=False))
    parts = []
    for number in range(known.workspace.partitions):
        points = released_points(known, number)
        if points is None or not set(BY) <= set(points.collect_schema().names()):
            continue
        metered = points.filter(pl.col("meter_type").is_not_null())
        counts = metered.group_by(BY).agg(pl.len().alias("metered"), smart.fill_null(value=False).sum().alias("smart"))
        parts.append(counts.collect(engine="streaming"))
    if not parts:
        return []
    whole = pl.concat(parts).drop_nulls(list(BY)).group_by(BY).agg(pl.col("metered", "smart").sum())
    shown = whole.filter(pl.col("metered") >= LEAST).sort(BY)
    return [SmartShare(supplier=s, gsp_group=g, metered=m, smart=n) for s, g, m, n in shown.iter_rows()]


def column_figures(known: Context, root: Path) -> list[ColumnFigures]:
    """Count the codes of each released column over all participants, from the files of a pack."""
    found = []
    for name in dict.fromkeys(h.extract for h in known.extracts):
        files = sorted((root / "data").glob(f"*/{name}.parquet"))
        columns = _counted(known.contracts[name])
        if not files or not columns:
            continue
        frames = [pl.scan_parquet(path) for path in files]
        counts: dict[str, dict[str | None, int]] = {column: defaultdict(int) for column in columns}
        for frame in frames:
            there = [c for c in columns if c in frame.collect_schema().names()]
            queries = [frame.group_by(column).len() for column in there]
            for column, table in zip(there, pl.collect_all(queries, engine="streaming"), strict=True):
                for value, rows in table.iter_rows():
                    counts[column][value] += rows
        found += [_figures(name, column, values) for column, values in counts.items() if values]
    return found


def _counted(contract: Contract) -> list[str]:
    return [
        column.name
        for column in contract.released
        if column.form in COUNTED
        and column.classification is not Classification.IDENTIFIER
        and contract.treatment(column).method is Method.KEEP
    ]


def _figures(extract: str, column: str, counts: dict[str | None, int]) -> ColumnFigures:
    rows, filled = sum(counts.values()), sum(n for value, n in counts.items() if value is not None)
    shown = sorted(
        ((n, str(v)) for v, n in counts.items() if v is not None and n >= LEAST), key=lambda e: (-e[0], e[1])
    )
    values = tuple(ValueCount(value=value, rows=n) for n, value in shown[:MOST])
    return ColumnFigures(
        extract=extract,
        column=column,
        rows=rows,
        filled=filled,
        values=values,
        rest=filled - sum(entry.rows for entry in values),
    )
