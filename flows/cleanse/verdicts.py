"""Which rows of a participant's own backup to put right: file, row, real MPAN, column, rule and reason.

The work folder holds verdicts by place in the source and no raw identifier; the sources are read a second time and met
with them, place by place.

Source: Q48 to Q52 (exclusions with reasons, for the participant to cleanse its own data).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.errors import IntakeError
from contracts.vocabulary import Effect
from flows.cleanse.listing import Cleansed, CleanseList, cleanse_file
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, ROW, ParticipantExtract
from flows.cut.records import SourceFacts
from flows.cut.workspace import disk
from flows.intake import FILE, FirstRows, SourceFiles
from flows.intake.joined import FileRead
from flows.pseudonymise.source import source_columns
from flows.quality.first_causes import first_causes
from transforms.column_map import ColumnMap
from transforms.pseudonymise.mpan import normalise
from transforms.quality.blame import BLAMED
from transforms.quality.fault_lines import SCHEMA, duplicates, fault_lines, lines_of_cause, stacked
from transforms.quality.rules import any_broken, mask_columns

FOLDER = "cleanse"  # of the work folder: verdicts by place in the source
Masks = NDArray[np.uint64]
Codes = NDArray[np.uint32]


class RowNumbers:
    """Tells of each row the file it is in, and its number there from 1, the header apart."""

    def __init__(self, files: Sequence[FileRead]) -> None:
        self._files, self._before = files, Counter[int]()

    def of(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Columns in: ``FILE``. Columns out: ``file``, ``row``."""
        counts = batch.select(FILE, pl.int_range(1, pl.len() + 1).over(FILE).alias("row"))
        numbers = batch[FILE].unique().to_list()
        before = counts[FILE].replace_strict({n: self._before[n] for n in numbers}, return_dtype=pl.Int64)
        names = {n: self._files[n].spec.file or "database" for n in numbers}
        file = counts[FILE].replace_strict(names, return_dtype=pl.String).alias("file")
        self._before.update(dict(batch[FILE].value_counts().iter_rows()))
        return pl.DataFrame([file, counts["row"] + before])


@dataclass(slots=True)
class Judged:
    """The verdicts on one source, by place.

    Attributes:
        masks: bits of the rules that a row breaks.
        codes: what of another extract excludes it; 0 for nothing.
        differs: bits of the contract's columns in which it differs from its duplicates.
        about: bits of the columns that its rules of intake are about.
    """

    masks: Masks
    codes: Codes
    differs: Masks
    about: Masks


def write_cleanse(known: Context, first: Mapping[ParticipantExtract, FirstRows] | None = None) -> Cleansed:
    """Write the list of a cut that has been judged.

    Args:
        first: what was read of each source, where that was not all.

    Raises:
        IntakeError, RefusedError: a source cannot be read again, or changed meanwhile.
        PlaceError: the disk is unfit.
    """
    told: dict[str, int] = {}
    own = {h: facts for h in known.extracts if (facts := _facts(known, h)) is not None}
    judged = {h: _empty(known, h, facts.rows) for h, facts in own.items()}
    for number in range(known.workspace.partitions):
        _take_partition(known, number, judged, told)
    with CleanseList(cleanse_file(known.job)) as out:
        for h, verdicts in judged.items():
            again = FirstRows(first[h].most, first[h].files) if first else FirstRows()
            _list_source(out, known, h, verdicts, list(told), again)
    return out.found


def _facts(known: Context, h: ParticipantExtract) -> SourceFacts | None:
    """Return the facts of a source that can be read again: none of a pack."""
    packs = {
        e.source.pack for p in known.job.model.participants if p.mpid == h.participant
        for e in p.extracts if e.contract == h.extract
    }  # fmt: skip
    return known.workspace.recorded(SourceFacts, h.participant, h.extract) if packs == {None} else None


def _empty(known: Context, h: ParticipantExtract, rows: int) -> Judged:
    words, folder = len(mask_columns(known.contracts[h.extract])), known.workspace.folder(FOLDER)
    if not rows:
        return Judged(
            np.zeros((0, words), np.uint64), np.zeros(0, np.uint32), *(np.zeros(0, np.uint64) for _ in range(2))
        )
    name = f"{h.participant}-{h.extract}"
    with disk(folder):
        masks: Masks = np.memmap(folder / f"{name}.masks", np.uint64, "w+", shape=(rows, words))
        codes: Codes = np.memmap(folder / f"{name}.codes", np.uint32, "w+", shape=(rows,))
        differs: Masks = np.memmap(folder / f"{name}.differs", np.uint64, "w+", shape=(rows,))
        about: Masks = np.memmap(folder / f"{name}.about", np.uint64, "w+", shape=(rows,))
    return Judged(masks, codes, differs, about)


def _take_partition(
    known: Context, number: int, judged: Mapping[ParticipantExtract, Judged], told: dict[str, int]
) -> None:
    """Put the verdicts on the rows of a partition where they stand in their sources."""
    out = first_causes(known.workspace, known.extracts, number)
    for h, verdicts in judged.items():
        frame = known.workspace.scan(JUDGED, h.participant, h.extract, number)
        if frame is None:
            continue
        contract = known.contracts[h.extract]
        names = mask_columns(contract)
        own = any_broken(contract, Effect.EXCLUDE).alias("_own")
        here = frame.filter(pl.col(ROW).is_not_null())
        rows = here.select(ROW, "mpan_core", *names, BLAMED, own).collect()
        at = rows[ROW].to_numpy()
        verdicts.masks[at] = rows.select(names).to_numpy()
        verdicts.about[at] = rows[BLAMED].to_numpy()
        twins = duplicates(here, contract)
        verdicts.differs[at[twins["at"].to_numpy()]] = twins["bits"].to_numpy()
        because = rows.select("mpan_core", "_own").join(out, on="mpan_core", how="left", maintain_order="left")
        texts = because["why"].set(because["_own"], None)
        for text in texts.drop_nulls().unique().sort():
            told.setdefault(text, len(told) + 1)
        coded = texts.replace_strict(told, default=0, return_dtype=pl.UInt32) if told else None
        if coded is not None:
            verdicts.codes[at] = coded.fill_null(0).to_numpy()


def _list_source(
    out: CleanseList, known: Context, h: ParticipantExtract, verdicts: Judged, told: Sequence[str], first: FirstRows
) -> None:
    contract, job = known.contracts[h.extract], known.job
    participant = next(p for p in job.model.participants if p.mpid == h.participant)
    specs = [job.source(participant, entry) for entry in job.entries(participant, h.extract)]
    files = SourceFiles(specs, layouts=contract.dtc_layouts, contract=contract, first=first)
    numbers, at = RowNumbers(files.files), 0
    with closing(files.readers()) as readers:  # its threads end with it, also after a fault
        for reader in readers:
            columns = source_columns(contract, reader)
            for batch in first.of(reader.batches(), len(reader.numbers)):
                places, end = numbers.of(batch), at + batch.height
                masks, codes = verdicts.masks[at:end], verdicts.codes[at:end]
                if len(masks) != batch.height:
                    raise _changed(h)
                hit = np.flatnonzero(masks.any(axis=1) | (codes > 0))
                if hit.size:
                    rows = batch[hit]
                    judged = pl.DataFrame(masks[hit], schema=mask_columns(contract))
                    own = judged.with_columns(pl.Series(BLAMED, verdicts.about[at:end][hit]))
                    mine = fault_lines(own, contract, verdicts.differs[at:end][hit])
                    lines = joined_lines([mine, _of_others(known, codes[hit], told)], rows, places[hit], columns)
                    out.add(lines.with_columns(participant=pl.lit(h.participant), extract=pl.lit(h.extract),
                            broken_by=pl.coalesce("broken_by", pl.lit(f"{h.participant}/{h.extract}"))))  # fmt: skip
                at = end
    if at != len(verdicts.masks):
        raise _changed(h)


def _changed(h: ParticipantExtract) -> IntakeError:
    remedy = "run it again when nothing writes to the backup"
    return IntakeError("changed while it was being read", where=f"{h.participant}/{h.extract}", remedy=remedy)


def _of_others(known: Context, codes: Codes, told: Sequence[str]) -> pl.DataFrame:
    """Return lines for rows whose metering point is excluded for what another extract says, or for a linked one."""
    each = np.unique(codes[codes > 0])
    places = [pl.Series(np.flatnonzero(codes == code), dtype=pl.UInt32) for code in each]
    return stacked(lines_of_cause(at, told[code - 1], known.contracts) for code, at in zip(each, places, strict=True))


def joined_lines(
    lines: Sequence[pl.DataFrame], rows: pl.DataFrame, places: pl.DataFrame, columns: ColumnMap
) -> pl.DataFrame:
    """Put lines in the order of the rows that they are about, with file, row, real MPAN and heading."""
    headings = {name: heading.strip() for heading, name in columns.names.items()}
    mpan = next((rows[heading] for heading, name in columns.names.items() if name == "mpan_core"), None)
    real = pl.Series("mpan_core", [None], dtype=pl.String).new_from_index(0, rows.height)
    if mpan is not None:
        real = normalise(mpan.str.strip_chars()).alias("mpan_core")
    found = pl.concat([pl.DataFrame(schema=SCHEMA), *lines], how="diagonal").sort("at", "turn", maintain_order=True)
    told = pl.DataFrame([*places.get_columns(), real])[found["at"].to_list()]
    heading = pl.col("column").replace_strict(headings, default="", return_dtype=pl.String).alias("heading")
    return found.hstack(told).with_columns(heading)
