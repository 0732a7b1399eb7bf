"""What was added to a participant's records, keyed by its real MPANs: items, allocations, expected results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from contracts.evidence import Evidence
from contracts.evidence_results import ItemCountsEvidence
from flows.intake.source import DELIMITERS
from flows.release.table_files import ParquetTable
from flows.restore.real_identifiers import RealNames
from flows.restore.real_values import RealValues
from flows.restore.step_names import FOREIGN, STEPS
from transforms.pseudonymise.mpan import order_key
from transforms.release.source_form import form_of

AUGMENTED, NARROW = "augmented", "mhhs.csv"
TABLES = (AUGMENTED, "expected", STEPS, "counterparties", "allocations")
TOTALS = "expected/settlement.csv"  # of fenced sets: no metering point in it
PARTNERS = ("linked_mpan", "related_mpan", "unit")
# Pseudonyms of what the participant holds under its real name already, or of what is another's: no use in a load file.
HIDDEN = ("meter_serial_number", "uprn", "postcode", *(f"address_line_{n}" for n in range(1, 10)))
BATCH = 65_536
OwnValues = Callable[[pl.DataFrame], pl.DataFrame]


def restore_items(
    pack: Path, participant: str, evidence: Evidence, real: RealNames, values: RealValues, folder: Path
) -> tuple[tuple[ItemCountsEvidence, ...], list[str]]:
    """Write each table of the pack under real MPANs, as CSV in the participant's delimiter and as Parquet.

    Columns out: as in the pack, ``mpan_core`` real; of another metering point the real MPAN where the backup holds it,
    else null and ``<column>_note`` says so; columns of pseudonym addresses and serials are left out, and in steps they
    are the real ones where the backup holds them, else as released with ``value_note``; dates and annual consumption
    that are the participant's own as they really are, in steps as well; what settlement makes of a released consumption
    stays as released, and so do its totals. The items alone are in ``mhhs.csv`` too, one value a line.

    Returns:
        Per item how many values are present by source, absent or undecided; and the names of the files.
    """
    words = {form_of(entry).delimiter for entry in evidence.inputs} & set(DELIMITERS)
    mark = DELIMITERS[min(words)] if len(words) == 1 and "dtc" not in {e.form for e in evidence.inputs} else ","
    cut_date = date.fromisoformat(evidence.cut.date)
    files = []
    for name in TABLES:
        source = pack / f"data/{participant}/{name}.parquet"
        if source.is_file():
            target = name.replace("/", "_")
            _table(source, folder / target, real, partial(_own_values, values, cut_date), mark)
            files += [f"{target}.csv", f"{target}.parquet"]
            if name == AUGMENTED:
                items = [entry.item for entry in evidence.augmentation or ()]
                _narrow(folder / f"{target}.parquet", folder / NARROW, items, mark)
                files.append(NARROW)
    if (totals := pack / f"data/{participant}/{TOTALS}").is_file():
        target = TOTALS.replace("/", "_")
        (folder / target).write_bytes(totals.read_bytes())
        files.append(target)
    return evidence.augmentation or (), files


def _table(source: Path, target: Path, real: RealNames, own: OwnValues, mark: str) -> None:
    file = pq.ParquetFile(source)
    csv, parquet = target.with_suffix(".csv"), target.with_suffix(".parquet")
    with open(csv, "wb") as text, ParquetTable(parquet) as table:
        first = True
        for batch in file.iter_batches(batch_size=BATCH):
            rows = _under_real_names(own(pl.DataFrame(batch)), real)
            rows.write_csv(text, include_header=first, separator=mark)
            table.add(rows)
            first = False
        if first:
            empty = _under_real_names(pl.DataFrame(file.schema_arrow.empty_table()), real)
            empty.write_csv(text, separator=mark)
            table.add(empty)


def _narrow(source: Path, target: Path, items: Sequence[str], mark: str) -> None:
    """Write the values of the MHHS-only items one below the other: real MPAN, item, value; empty ones have no line."""
    with open(target, "wb") as text:
        text.write(mark.join(("mpan_core", "item", "value")).encode() + b"\n")
        for batch in pq.ParquetFile(source).iter_batches(batch_size=BATCH):
            rows = pl.DataFrame(batch).with_row_index("_row")
            held = [item for item in items if item in rows.columns]
            order = {item: n for n, item in enumerate(held)}
            lines = rows.select("_row", "mpan_core", pl.col(held).cast(pl.String)).unpivot(
                held, index=["_row", "mpan_core"], variable_name="item"
            )
            turn = pl.col("item").replace_strict(order, return_dtype=pl.Int32)
            lines = lines.drop_nulls("value").sort("_row", turn)
            lines.select("mpan_core", "item", "value").write_csv(text, include_header=False, separator=mark)


def _own_values(values: RealValues, cut_date: date, frame: pl.DataFrame) -> pl.DataFrame:
    points = frame.select(order_key().fill_null(0)).to_series().to_numpy()
    if "item" in frame.columns:
        return values.names.steps(values.steps(frame, points, cut_date), points)
    nobody = np.zeros(frame.height, np.uint64)
    linked = "linked_mpan" in frame.columns
    partners = frame.select(order_key("linked_mpan").fill_null(0)).to_series().to_numpy() if linked else nobody
    return values.names.texts(values.table(frame, points, partners), points)


def _steps_under_real_names(rows: pl.DataFrame, real: RealNames) -> pl.DataFrame:
    """Give linked metering points in steps their real MPAN, or say that the backup holds none."""
    named = rows["item"].is_in(list(PARTNERS)).fill_null(value=False)
    known = real.mpan(rows["value"].set(~named, None))
    foreign = pl.when(pl.lit(named & rows["value"].is_not_null() & known.is_null())).then(pl.lit(FOREIGN))
    value = pl.when(pl.lit(named)).then(pl.lit(known)).otherwise("value")
    return rows.with_columns(value.alias("value"), pl.coalesce(foreign, "value_note").alias("value_note"))


def _under_real_names(frame: pl.DataFrame, real: RealNames) -> pl.DataFrame:
    mpans = real.mpan(frame["mpan_core"])
    out = frame.drop(c for c in HIDDEN if c in frame.columns).with_columns(mpans)
    for name in PARTNERS:
        if name in frame.columns:
            known = real.mpan(frame[name])
            note = pl.when(pl.lit(frame[name].is_not_null() & known.is_null())).then(pl.lit(FOREIGN))
            out = out.with_columns(known, note.alias(f"{name}_note"))
    if "item" in frame.columns:
        out = _steps_under_real_names(out, real)
        mpans = out["mpan_core"]
    if "esme_id" in frame.columns:
        out = out.with_columns(real.meter(frame["esme_id"]))
    return out.filter(mpans.is_not_null())
