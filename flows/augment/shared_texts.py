"""SHARED TEXTS: which free texts so many metering points share that they are released, counted over the whole cut."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from contracts.errors import ConfigurationError
from contracts.evidence_results import SharedTextsEvidence
from contracts.model import Treatment
from contracts.vocabulary import Method
from flows.augment.companions import read_companions
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, ORDER, frames, read_exclusions
from flows.cut.records import SharedTexts
from flows.cut.workspace import Workspace
from transforms.pseudonymise.mpan import order_key
from transforms.treatment.shared_texts import HEADS, POINTS, VALUE, SharedRule, enough, tally

SHARED = "shared_texts.arrow"
COLUMN = "column"


def write_shared(known: Context) -> None:
    """Count who shares each text of the columns that profile or overlay releases so, and note those that stay.

    Excluded metering points do not count. Memory follows the number of different texts.
    """
    kept, told = [pl.DataFrame(schema={COLUMN: pl.String, VALUE: pl.String})], []
    for extract, column, treatment in shared_columns(known):
        rule = SharedRule.of(treatment)
        counted = _counted(known, extract, column, rule)
        texts = enough(counted, rule)
        kept.append(pl.DataFrame({VALUE: texts}).select(pl.lit(f"{extract}.{column}").alias(COLUMN), VALUE))
        rare = counted.filter(~pl.col(VALUE).is_in(texts.implode()))
        told.append(
            SharedTextsEvidence(
                extract=extract,
                column=column,
                least=rule.least,
                texts=counted.height,
                released=texts.len(),
                metering_points=int(counted[POINTS].sum()),
                replaced=int(rare[POINTS].sum()),
            )
        )
    known.workspace.put(pl.concat(kept), known.workspace.root / SHARED)
    known.workspace.record(SharedTexts(columns=tuple(told)))


def refuse_shared(known: Context) -> None:
    """Refuse an overlay that wants texts of a submission pack counted: one participant's backup is not the cut.

    Raises:
        ConfigurationError: names the column.
    """
    for name, contract in known.contracts.items():
        for column in contract.staged:
            if contract.treatment(column).method is Method.COMMON:
                raise ConfigurationError(
                    "is released where many share it, which only the whole cut tells; a pack of one participant cannot",
                    where=f"{name}.{column.name}, {known.job.model.cut.policy.overlay}",
                    remedy="take the entry out (the release does it), or name token, suppress or 'generalise first N'",
                )


def shared_columns(known: Context) -> Iterator[tuple[str, str, Treatment]]:
    """Yield the columns of the cut's extracts that are released so: extract, column, treatment."""
    for extract in dict.fromkeys(held.extract for held in known.extracts):
        contract = known.released[extract]
        for column in contract.staged:
            if (treatment := contract.treatment(column)).method is Method.COMMON:
                yield extract, column.name, treatment


def read_shared(workspace: Workspace) -> dict[str, pl.Series]:
    """Return the texts that are released of each such column, ``extract.column``."""
    kept = pl.read_ipc(workspace.root / SHARED)
    record = workspace.recorded(SharedTexts)
    named = [f"{one.extract}.{one.column}" for one in record.columns] if record else []
    return {name: kept.filter(pl.col(COLUMN) == name)[VALUE] for name in named}


def _counted(known: Context, extract: str, column: str, rule: SharedRule) -> pl.DataFrame:
    """Return a column's texts with how many metering points have each, over all partitions."""
    workspace, following = known.workspace, read_companions(known.workspace)
    parts = [pl.DataFrame(schema={VALUE: pl.String, POINTS: pl.UInt32, HEADS: pl.UInt32})]
    for number in range(workspace.partitions):
        there = [
            frame.select(ORDER, column)
            for frame in frames(workspace, JUDGED, known.extracts, extract, number)
            if column in frame.collect_schema()
        ]
        if there:
            out = read_exclusions(workspace, number).lazy().select(order_key().alias(ORDER)).drop_nulls()
            parts.append(tally(pl.concat(there).join(out, on=ORDER, how="anti"), column, rule, following))
    return pl.concat(parts).group_by(VALUE).agg(pl.col(POINTS).sum(), pl.col(HEADS).sum())
