"""What a pack expects of its ring-fenced metering points, step by step, read back for a person (Q74)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, EvidenceError, PlaceError
from contracts.processes import market_processes
from contracts.strict import none_of
from flows.messages.pack_records import EXPECTED, STEPS

MOST = 5_000  # rows that a terminal is given


def expected_steps(pack: Path, *, mpan: str = "", test_case: str = "", processes: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return the rows of ``expected/steps.parquet``, each once, in the order of test case, metering point and step.

    Args:
        processes: in the order in which they are to be told; empty for all.

    Raises:
        ConfigurationError: there is no such process, or the pack expects nothing of what was asked for.
        EvidenceError: the pack holds no steps.
    """
    known = market_processes().processes
    for name in processes:
        if name not in known:
            raise ConfigurationError(none_of(name, [*known], "process"), where="--process")
    files = sorted(pack.glob(f"data/*/{EXPECTED}/{STEPS}.parquet"))
    if not files:
        raise EvidenceError("holds no steps of processes", where=pack.name, remedy="name a release with a ring-fence")
    rows = pl.concat(pl.scan_parquet(file) for file in files)
    if mpan:
        rows = rows.filter(pl.col("mpan_core") == mpan)
    if test_case:
        rows = rows.filter(pl.col("test_case") == test_case)
    if processes:
        rows = rows.filter(pl.col("process").is_in(list(processes)))
    order = {name: n for n, name in enumerate(processes or known)}
    place = pl.col("process").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    found = (
        rows.unique(maintain_order=True).sort("test_case", "mpan_core", place, "step", maintain_order=True).collect()
    )
    if found.is_empty():
        raise ConfigurationError("the pack expects nothing of that", where=pack.name, remedy="see allocations.parquet")
    return found


def write_steps(steps: pl.DataFrame, out: Path) -> None:
    """Write rows as CSV.

    Raises:
        PlaceError: the file exists already, or the disk is unfit.
    """
    if out.exists():
        raise PlaceError("already exists", where=out.name, remedy="name a new file")
    try:
        steps.write_csv(out)
    except OSError as fault:
        raise PlaceError(f"cannot be written: {fault.strerror or 'disk fault'}", where=out.name) from None


def told(steps: pl.DataFrame) -> Iterator[str]:
    """Yield rows as text: a paragraph a metering point and process, a line a step and a line an item."""
    titles = {name: process.title for name, process in market_processes().processes.items()}
    chain: tuple[str, ...] = ()
    number = 0
    for row in steps.head(MOST).iter_rows(named=True):
        here = (row["test_case"], row["mpan_core"], row["process"])
        if here != chain:
            yield f"{row['test_case']}  {row['mpan_core']}  {titles.get(row['process'], row['process'])}"
            chain, number = here, 0
        if row["step"] != number:
            number = row["step"]
            assumed = " (assumed)" if row["receivers_assumed"] else ""
            sender = f"{row['sender'] or '?'} {row['sender_dip_id'] or '?'}"
            told_to = f"{row['receivers'] or 'nobody'}{assumed}"
            yield f"  {number:2d}  {sender} sends {row['interface']} [{row['event']}] to {told_to}"
        if row["reason"]:
            yield f"        not made: {row['reason']}"
        elif row["item"]:
            value = row["value"] if row["value"] is not None else "nothing"
            yield f"        {row['item']} = {value}; held by {row['held_by']}"
    if steps.height > MOST:
        yield f"and {steps.height - MOST:,} rows more: write them with --out FILE"
