"""PARTITIONS: the layers of the work folder by name, and how one partition of one is written and read."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import polars.selectors as cs

from contracts.errors import PlaceError
from flows.cut.records import SourceFacts, TreatedColumns
from flows.cut.workspace import FLUSH_ROWS, HELD_ROWS, LEAST_FLUSH, Workspace, _partition
from transforms.pseudonymise.mpan import order_key
from transforms.quality import exclusions
from transforms.quality.lookups import PARTICIPANT

ORDER = "_order"
ROW = "_row"  # the row's place in its source, as it is read; it decides nothing
STAGED = "staged"
SUBMITTED, QUALITY, COMPANION = "submitted", "quality", "companion"
JUDGED, EXCLUDED = "judged", "excluded"
TOLD = "told"  # what a submission pack says of its own faulty rows, rule by rule
AUGMENTED = "augmented"
ALL, EXTRACT = "all", "registration"  # one room for the whole market: a metering point has one augmented record
ALLOCATIONS = "allocations.arrow"
STAGES = (SUBMITTED, QUALITY, "coincident", "augment", COMPANION)  # in the order in which they exclude


@dataclass(frozen=True, slots=True)
class ParticipantExtract:
    """One extract of one participant."""

    participant: str
    extract: str


def frames(
    workspace: Workspace, room: str, extracts: Iterable[ParticipantExtract], extract: str, number: int
) -> list[pl.LazyFrame]:
    """Return a partition of one extract of all participants, one frame each."""
    found = [workspace.scan(room, h.participant, h.extract, number) for h in extracts if h.extract == extract]
    return [frame for frame in found if frame is not None]


def load(
    workspace: Workspace,
    extracts: Sequence[ParticipantExtract],
    extract: str,
    number: int,
    columns: Collection[str] | None = None,
) -> pl.DataFrame | None:
    """Return a partition of one extract of all participants in memory, with ``participant``; None where none sends it.

    Args:
        columns: the columns wanted, or None for all; those that the extract does not have are left out.
    """
    parts = []
    for h in extracts:
        frame = workspace.scan(STAGED, h.participant, h.extract, number) if h.extract == extract else None
        if frame is not None:
            if columns is not None:
                frame = frame.select(c for c in frame.collect_schema().names() if c in columns)
            parts.append(frame.with_columns(pl.lit(h.participant).alias(PARTICIPANT)))
    return pl.concat(pl.collect_all(parts), how="diagonal") if parts else None  # a pack's rows have nothing sealed


def withheld(
    workspace: Workspace, extracts: Iterable[ParticipantExtract], extract: str, number: int
) -> pl.DataFrame | None:
    """Return the metering points of a partition that submission packs exclude from one extract: ``_order``, unique."""
    sent = frames(workspace, SUBMITTED, extracts, extract, number)
    if not sent:
        return None
    return pl.concat([frame.select(ORDER) for frame in sent]).drop_nulls().unique().sort(ORDER).collect()


def uncarried(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> contract columns that its source does not carry."""
    found: dict[str, dict[str, set[str]]] = {}
    for h in extracts:
        facts = workspace.recorded(SourceFacts, h.participant, h.extract)
        if facts is not None:
            every = {column.name for column in workspace.contracts[h.extract].columns}
            found.setdefault(h.extract, {})[h.participant] = every - set(facts.columns)
    return found


def treated(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> dict[str, dict[str, set[str]]]:
    """Return extract -> participant -> columns that came in a submission pack, hidden or changed by its policy."""
    found: dict[str, dict[str, set[str]]] = {}
    for h in extracts:
        record = workspace.recorded(TreatedColumns, h.participant, h.extract)
        if record is not None and record.columns:
            found.setdefault(h.extract, {})[h.participant] = set(record.columns)
    return found


def write_exclusions(workspace: Workspace, stage: str, number: int, excluded: pl.DataFrame) -> None:
    """Write the MPANs that a stage excludes from one partition."""
    workspace.put(excluded, workspace.folder(EXCLUDED, stage) / f"{number:04d}.arrow")


def read_exclusions(workspace: Workspace, number: int, stages: Collection[str] = STAGES) -> pl.DataFrame:
    """Return the MPANs that stages exclude from a partition; the first stage's cause stands first.

    Raises:
        PlaceError: the partition was judged, and who is excluded is gone.
    """
    if QUALITY in stages and workspace.promised(JUDGED, f"{number:04d}") and not is_judged(workspace, number):
        raise PlaceError(
            "the exclusions of a partition that was judged are gone",
            where=str(workspace.root / EXCLUDED / QUALITY),
            remedy="see who removes files there, delete the work folder and run again",
        )
    found = [workspace.root / EXCLUDED / stage / f"{number:04d}.arrow" for stage in STAGES if stage in stages]
    frames_ = [pl.read_ipc(path) for path in found if path.is_file()]
    if not frames_:
        return pl.DataFrame(schema=exclusions.SCHEMA)
    return pl.concat(frames_).unique("mpan_core", keep="first", maintain_order=True)


def is_judged(workspace: Workspace, number: int) -> bool:
    """Tell whether a partition is judged already: its exclusions are written last."""
    return (workspace.root / EXCLUDED / QUALITY / f"{number:04d}.arrow").is_file()


class PartitionWriter:
    """Spreads batches over the partitions of one extract."""

    def __init__(self, workspace: Workspace, room: str, participant: str, extract: str) -> None:
        self._workspace, self._place = workspace, (room, participant, extract)
        self._held: dict[int, list[pl.DataFrame]] = {}
        self._rows: dict[int, int] = {}
        self._parts: dict[int, int] = {}
        self._full = max(LEAST_FLUSH, min(FLUSH_ROWS, HELD_ROWS // workspace.partitions))
        shutil.rmtree(workspace.root.joinpath(*self._place), ignore_errors=True)

    def add(self, batch: pl.DataFrame) -> None:
        """Take a batch with an ``mpan_core`` column; rows without a pseudonym go to the first partition."""
        count = self._workspace.partitions
        batch = batch.with_columns(order_key().alias(ORDER))
        if count == 1:
            self._hold(0, batch)
            return
        number = batch.select(_partition(pl.col(ORDER), count)).to_series().to_numpy()
        rows = np.argsort(number, kind="stable")  # by counting: numbers are small
        ends = np.cumsum(np.bincount(number, minlength=count))
        for key, (end, begin) in enumerate(zip(ends, [0, *ends[:-1]], strict=True)):
            if begin < end:
                self._hold(key, batch[rows[begin:end]])

    def _hold(self, number: int, piece: pl.DataFrame) -> None:
        self._held.setdefault(number, []).append(piece)
        self._rows[number] = self._rows.get(number, 0) + piece.height
        if self._rows[number] >= self._full:
            self._flush(number)

    def _flush(self, number: int) -> None:
        pieces = self._held.pop(number, [])
        if pieces:
            part = self._parts.get(number, 0)
            self._workspace.write(_without_remains(pl.concat(pieces, rechunk=True)), *self._place, number, part)
            self._parts[number], self._rows[number] = part + 1, 0

    def close(self) -> None:
        """Write what is still held, and note what is written."""
        for number in sorted(self._held):
            self._flush(number)
        self._workspace.promise(*self._place)


def _without_remains(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows in whose memory nothing stands behind a null: a file would hold what was blanked there."""
    text, number = pl.col(pl.String), cs.numeric()
    return frame.with_columns(
        pl.when(text.is_not_null()).then(text.fill_null("")),
        pl.when(number.is_not_null()).then(number.fill_null(0)),
    )
