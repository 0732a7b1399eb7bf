"""FEEDBACK: what each participant is to cleanse, under pseudonyms, in its own return pack.

The lines are made partition by partition from the verdicts, and wait in the work folder for the return.

Source: Q48 to Q52 (cleanse before the next cut), Q78 (who misses the day may be misaligned).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from contracts.errors import PlaceError
from contracts.model import Contract
from contracts.vocabulary import Effect, RuleStage
from flows import align
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.parallel import map_parallel
from flows.cut.partitions import JUDGED, SUBMITTED, TOLD
from flows.cut.workspace import disk
from flows.pack import bag
from flows.pack.writer import PackWriter
from flows.quality.after_augmentation import CHECKED, NAME
from flows.quality.first_causes import first_causes
from flows.release.extracts import unnamed
from flows.release.table_files import ParquetTable
from transforms.align import REGISTRATION
from transforms.pseudonymise.pseudonymiser import treat
from transforms.quality.blame import BLAMED
from transforms.quality.fault_lines import (
    EFFECTS,
    duplicates,
    fault_lines,
    lines_of_cause,
    lines_of_code,
    rule_lines,
    stacked,
)
from transforms.quality.rules import any_broken, mask_columns
from transforms.release import feedback
from transforms.release.submission_check import TOLD as COLUMNS_TOLD

FOLDER = bag.FEEDBACK  # of a pack
PARTS, TOLD_LINES, COUNTED = "feedback", "lines", "counts"  # of the work folder, by participant and partition
LINES = ("lines.csv", "lines.parquet")
TOLD_SCHEMA = dict.fromkeys(COLUMNS_TOLD, pl.String())


def write_feedback(known: Context, participants: Sequence[Participant], number: int) -> None:
    """Write what a partition says of each participant's rows into the work folder, unless it is there.

    Args:
        known: with the contracts as released: a value is shown as it is released, and no identifier at all.
    """
    workspace = known.workspace
    if all(workspace.scan(PARTS, p.mpid, COUNTED, number) is not None for p in participants):
        return
    found = _found(known, number, partial(_show, known))

    def one(participant: Participant) -> None:
        lines, counts = _told_one(known, participant, number, found)
        workspace.write(lines, PARTS, participant.mpid, TOLD_LINES, number)
        workspace.write(counts, PARTS, participant.mpid, COUNTED, number)

    map_parallel(one, participants)


def _told_one(known: Context, participant: Participant, number: int, found: _Told) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the lines of one participant and their counts."""
    mpid = participant.mpid
    sided = [
        (spec, rows.filter((pl.col("left") == mpid) | (pl.col("right") == mpid))) for spec, rows in found.differences
    ]
    differences = [(spec, rows) for spec, rows in sided if rows.height]
    told = [feedback.sides(rows, spec, mpid) for spec, rows in differences]
    lines = feedback.joined(
        _lines(known, participant, number, found.causes),
        pl.concat([pl.DataFrame(schema=feedback.FEEDBACK), *told]),
        {reason for spec, _ in found.differences for reason in spec.reasons},
    )
    lines = feedback.in_order(unnamed(lines, known))
    absent = (feedback.absent(rows, spec, mpid) for spec, rows in differences)
    return lines, pl.concat([feedback.counts(lines), *absent])


def join_feedback(known: Context, participant: Participant, place: Callable[[str], Path]) -> None:
    """Write the lines of a participant from those of all partitions.

    Args:
        place: path in the return pack -> where to write it.
    """
    csv, parquet = (place(f"{FOLDER}/{name}") for name in LINES)
    with disk(csv):
        pl.DataFrame(schema=feedback.FEEDBACK).write_csv(csv)
    with ParquetTable(parquet) as table:
        for lines in _parts(known, participant.mpid, TOLD_LINES):
            with disk(csv), open(csv, "ab") as file:
                lines.write_csv(file, include_header=False)
            table.add(lines)


def feedback_counts(known: Context, mpid: str) -> pl.DataFrame:
    """Return how much there is to tell a participant: :data:`transforms.release.feedback.COUNTS`."""
    return feedback.total(list(_parts(known, mpid, COUNTED)))


def _parts(known: Context, mpid: str, what: str) -> Iterator[pl.DataFrame]:
    for number in range(known.workspace.partitions):
        frame = known.workspace.scan(PARTS, mpid, what, number)
        if frame is None:
            raise PlaceError(
                f"what is told {mpid} was written and is gone",
                where=str(known.workspace.root / PARTS),
                remedy="see who removes files there, delete the work folder and run again",
            )
        yield frame.collect()


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of the metering points of a partition, whoever sent them.

    Attributes:
        causes: of the excluded ones (:func:`flows.quality.first_causes.first_causes`).
        differences: of those about which extracts disagree.
    """

    causes: pl.DataFrame
    differences: Sequence[align.Difference]


def _found(known: Context, number: int, show: align.Show) -> _Told:
    differences = align.differences(known.workspace, known.extracts, number, show)
    return _Told(first_causes(known.workspace, known.extracts, number), differences)


def _show(known: Context, frame: pl.LazyFrame, contract: Contract) -> pl.LazyFrame:
    return treat(frame, contract, known.pseudonymiser)


def _lines(known: Context, participant: Participant, number: int, causes: pl.DataFrame) -> pl.DataFrame:
    """Return what rules say of a participant's rows of a partition: ``FEEDBACK``, without other's values."""
    mpid, workspace = participant.mpid, known.workspace
    names = [h.extract for h in known.extracts if h.participant == mpid]
    parts = [pl.DataFrame(schema=feedback.FEEDBACK)]
    for name in names:
        contract = known.contracts[name]
        judged = workspace.scan(JUDGED, mpid, name, number)
        if judged is not None:
            parts.append(_judged(judged, contract, mpid, causes, known.contracts))
        sent, told = (workspace.scan(room, mpid, name, number) for room in (SUBMITTED, TOLD))
        own = told.collect() if told is not None else pl.DataFrame(schema=TOLD_SCHEMA)
        parts.append(_told(own.join(causes, on="mpan_core", how="left", maintain_order="left"), contract, mpid))
        if sent is not None:
            rest = sent.collect().join(own, on=["mpan_core", "token"], how="anti", nulls_equal=True)
            parts.append(_submitted(rest, contract, mpid, causes, known.contracts))
    made = workspace.scan(CHECKED, mpid, NAME, number) if REGISTRATION in names else None
    if made is not None:  # rules over augmented metering points are about what the registration says
        rows = made.collect()
        lines = fault_lines(rows, known.results[NAME])
        parts.append(_placed(lines, rows.with_columns(pl.lit("").alias("row_key")), REGISTRATION, mpid))
    return pl.concat(parts)


def _judged(
    frame: pl.LazyFrame, contract: Contract, mpid: str, causes: pl.DataFrame, contracts: Mapping[str, Contract]
) -> pl.DataFrame:
    own = any_broken(contract, Effect.EXCLUDE).alias("_own")
    told = any_broken(contract, Effect.WARN).alias("_told")
    masks = mask_columns(contract)
    kept = ["mpan_core", pl.col("_token").alias("token"), feedback.row_key(contract), *masks, BLAMED, own, told]
    rows = frame.select(kept).with_row_index("_row").collect()
    rows = rows.join(causes, on="mpan_core", how="left", maintain_order="left")
    rows = rows.filter(pl.col("_own") | pl.col("_told") | pl.col("why").is_not_null())
    differs = np.zeros(rows.height, np.uint64)
    twins = duplicates(frame, contract)
    there = rows.select("_row").join(twins, left_on="_row", right_on="at", how="left", maintain_order="left")["bits"]
    differs[:] = there.fill_null(0).to_numpy()
    others = rows.with_row_index("at").filter(~pl.col("_own"), pl.col("why").is_not_null())
    whys = others.partition_by("why", as_dict=True, maintain_order=True).items()
    caused = stacked(lines_of_cause(some["at"], str(why), contracts) for (why,), some in whys)
    return _placed(pl.concat([fault_lines(rows, contract, differs), caused]), rows, contract.extract, mpid)


def _told(own: pl.DataFrame, contract: Contract, mpid: str) -> pl.DataFrame:
    """Return the lines of a submission pack about its own rows, in the words of the rules."""
    turns = {rule.id: (turn, rule) for turn, rule in enumerate(contract.rules) if rule.effect in EFFECTS}
    lines = []
    numbered = own.with_row_index("at")
    for (name, column), some in numbered.partition_by("rule_id", "column", as_dict=True, maintain_order=True).items():
        if name in turns:
            turn, rule = turns[str(name)]
            lines.append(rule_lines(some["at"], turn, str(column), rule))
    return _placed(stacked(lines), own, contract.extract, mpid)


def _submitted(
    rows: pl.DataFrame, contract: Contract, mpid: str, causes: pl.DataFrame, contracts: Mapping[str, Contract]
) -> pl.DataFrame:
    """Return lines of rows that a submission excludes and none of whose own rules it tells."""
    found = rows.join(causes, on="mpan_core", how="left", maintain_order="left").with_row_index("at")
    lines = []
    known = pl.col("why").is_not_null()
    for (why,), some in found.filter(known).partition_by("why", as_dict=True, maintain_order=True).items():
        lines.append(lines_of_cause(some["at"], str(why), contracts))
    coded = found.filter(~known).with_columns(pl.col("reasons").str.split(" ").alias("code")).explode("code")
    for (code,), some in coded.partition_by("code", as_dict=True, maintain_order=True).items():
        lines.append(lines_of_code(some["at"], str(code), contract, contracts))
    return _placed(stacked(lines), found.drop("at").with_columns(row_key=pl.lit("")), contract.extract, mpid)


def write_told(known: Context, pack: PackWriter) -> None:
    """Write into a submission pack which rules its own rows break, for the feedback of the return.

    A row that is released again is judged again by whoever takes the pack, but for the rules of intake: so that what is
    written are rows that leave, and those that intake warns about.

    Columns out: ``TOLD`` of :mod:`transforms.release.submission_check`; by participant and extract a file.
    """
    for source in known.extracts:
        contract = known.contracts[source.extract]
        kept = [r.id for r in contract.rules if r.effect is Effect.EXCLUDE or r.stage is RuleStage.INTAKE]
        path = pack.path(f"{FOLDER}/{source.participant}/{source.extract}.parquet")
        with ParquetTable(path) as table:
            table.add(pl.DataFrame(schema=TOLD_SCHEMA))
            for number in range(known.workspace.partitions):
                frame = known.workspace.scan(JUDGED, source.participant, source.extract, number)
                if frame is not None:
                    none = pl.DataFrame(schema={"mpan_core": pl.String, "why": pl.String, "causes": pl.UInt32})
                    lines = _judged(frame, contract, source.participant, none, known.contracts)
                    told = unnamed(lines.filter(pl.col("rule_id").is_in(kept)), known)
                    table.add(told.select(TOLD_SCHEMA.keys()).unique().sort(pl.all(), nulls_last=True))


def _placed(lines: pl.DataFrame, rows: pl.DataFrame, extract: str, mpid: str) -> pl.DataFrame:
    """Return lines with the metering points and rows that they are about.

    A line stands alone where nothing else excludes its metering point, in no extract of anybody.
    """
    wanted = ("mpan_core", "token", "row_key", "causes")
    here = rows.select(name for name in wanted if name in rows.columns)[lines["at"]]
    placed = lines.drop("at").hstack(here)
    causes = pl.col("causes") if "causes" in here.columns else pl.lit(None, pl.UInt32)
    own = pl.col("broken_by").is_null() & (pl.col("effect") == "exclude")
    return feedback.shaped(
        placed.with_columns(
            extract=pl.lit(extract),
            alone=own & (causes == 1),
            broken_by=pl.coalesce("broken_by", pl.lit(f"{mpid}/{extract}")),
        )
    )
