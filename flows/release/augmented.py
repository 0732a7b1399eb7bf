"""What a release holds of augmentation: per participant its items, and which of its metering points are fenced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.augmentation import Item
from contracts.evidence_results import ItemCountsEvidence
from contracts.vocabulary import Classification, Method
from flows.augment.companions import read_companions
from flows.augment.shared_texts import read_shared
from flows.cut.config import Participant
from flows.cut.context import Context
from flows.cut.parallel import map_parallel
from flows.cut.partitions import ALL, AUGMENTED, EXTRACT, JUDGED, ORDER, frames, read_exclusions
from flows.cut.qualification import gets_return
from flows.cut.records import OwnItemCounts
from flows.release.table_files import ParquetTable
from transforms.augment.decision_tables import provenance, reasons, told_columns
from transforms.augment.volumes import volumes
from transforms.pseudonymise.mpan import Keys, order_key
from transforms.pseudonymise.pseudonymiser import less_precise, treat

TAKEN_OVER = ("registration", "metering")  # extracts whose columns stand in an augmented record under their own names
COUNTED = ("stated", "derived", "manufactured", "absent", "undecided")
CONFIDENCE = "linked_mpan_confidence"
OWN = "own"
COUNTERPARTIES = "counterparties"
FACTS = (
    "distributor_mpid",
    "gsp_group_id",
    "supplier_mpid",
    "supplier_effective_from",
    "data_collector_mpid",
    "meter_operator_mpid",
    "profile_class",
    "measurement_class",
    "energisation_status",
    "meter_serial_number",
    "meter_type",
    "meter_install_date",
)
"""What the counterparties of a metering point hold about it."""
VOLUMES, SUPPLIED_FROM = "annual_consumption", "supplier_effective_from"
AT_ONCE = 10  # participants whose row groups fill in memory at the same time
ROWS = 65_536  # records whose texts are in memory at a time


def held_by(items: Sequence[Item], roles: Sequence[str]) -> list[Item]:
    """Return the items that one of some roles loads."""
    return [item for item in items if set(roles) & set(item.held_by)]


def own_points(known: Context, participant: Participant, number: int) -> pl.LazyFrame | None:
    """Return ``_order`` of the metering points that a participant itself sent in a partition, in order.

    They are asked for by every file that a participant gets: gathered once, and kept in room ``own``.
    """
    workspace = known.workspace
    kept = workspace.scan(OWN, participant.mpid, OWN, number)
    if kept is not None:
        return kept
    parts = [
        frame.select(ORDER)
        for extract in participant.extracts
        if (frame := workspace.scan(JUDGED, participant.mpid, extract.contract, number)) is not None
    ]
    if not parts:
        return None
    points = pl.concat(parts).drop_nulls().collect()[ORDER].unique().sort()
    workspace.write(points.to_frame(), OWN, participant.mpid, OWN, number)
    return workspace.scan(OWN, participant.mpid, OWN, number)


def augmented(known: Context, number: int) -> pl.LazyFrame | None:
    """Return the augmented records of a partition that are released, under the policy in force, in canonical order."""
    frame = known.workspace.scan(AUGMENTED, ALL, EXTRACT, number)
    if frame is None:
        return None
    out = read_exclusions(known.workspace, number).lazy().select(order_key().alias(ORDER)).drop_nulls()
    released = frame.join(out, on=ORDER, how="anti", maintain_order="left")
    moved: set[str] = set()
    for name, extract, column in _taken_over(known, frame.collect_schema().names()):
        contract = known.contracts[extract]
        moves = contract.treatment(contract.column(column)).method is Method.MOVE
        if not (moves and name in moved):  # two extracts tell it; a date that is moved twice is nowhere else
            released = _treated(known, released, name, extract, column)
        moved |= {name} if moves else set()
    return _of_partners(known, _summed(known, released, number))


def as_released(known: Context) -> Context:
    """Return the context under which release and return packs are treated: contracts of the profile, and companions.

    Dates of metering points that share a meter move together; of free texts those are released that many share.
    """
    maker = known.pseudonymiser.together(read_companions(known.workspace)).among(read_shared(known.workspace))
    return replace(known, contracts=known.released, pseudonymiser=maker)


def _summed(known: Context, frame: pl.LazyFrame, number: int) -> pl.LazyFrame:
    """Return the records with the sum of the annual consumption that is released, where amounts are varied."""
    contract = known.contracts[VOLUMES]
    if not any(contract.treatment(contract.column(name)).method is Method.VARY for name in ("eac", "aa")):
        return frame
    parts = frames(known.workspace, JUDGED, known.extracts, VOLUMES, number)
    if not parts:
        return frame
    rows = treat(pl.concat(parts).select(ORDER, "time_pattern_regime_id", "eac", "aa"), contract, known.pseudonymiser)
    whole = volumes(rows, ORDER).select(ORDER, pl.col("eac").alias("_volume"))
    done = frame.join(whole, on=ORDER, how="left", maintain_order="left")
    here = frame.collect_schema()["annual_consumption"]
    summed = pl.when(pl.col("annual_consumption").is_not_null()).then(pl.col("_volume").cast(here))
    return done.with_columns(summed.alias("annual_consumption")).drop("_volume")


def _of_partners(known: Context, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the records with the dates of linked metering points moved as they are moved in these points' own."""
    contract, schema = known.contracts[EXTRACT], frame.collect_schema()
    name = f"partner_{SUPPLIED_FROM}"
    treatment = contract.treatment(contract.column(SUPPLIED_FROM))
    if name not in schema or treatment.method is not Method.MOVE:
        return frame
    moved = less_precise(name, schema[name], treatment, known.pseudonymiser, order_key("linked_mpan"))
    return frame.with_columns(moved)


def _taken_over(known: Context, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each column of the records that is a contract's column: its name here, the extract, its name there."""
    items = {i.item: i.treated_as for i in known.tables.items if i.treated_as}
    for name, origin in items.items():
        extract, _, column = origin.partition(".")
        yield name, extract, column
    for extract in TAKEN_OVER:
        columns = (c.name for c in known.contracts[extract].staged)
        yield from ((c, extract, c) for c in columns if c in names and c not in items)


def _treated(known: Context, frame: pl.LazyFrame, name: str, extract: str, column: str) -> pl.LazyFrame:
    """Treat one column as the policy treats the contract's column that it was taken over from (Q58)."""
    contract = known.contracts[extract]
    source = contract.column(column)
    method = contract.treatment(source).method
    if method is Method.VARY:
        return frame  # a sum is the sum of what is released
    own = source.classification is Classification.IDENTIFIER and contract.treatment(source) == source.treatment
    if method is Method.KEEP or own:
        return frame
    schema = frame.collect_schema()
    if method in (Method.DROP, Method.SUPPRESS):
        return frame.with_columns(pl.lit(None, schema[name]).alias(name))
    aside = {column: "_aside"} if column in schema and column != name else {}
    alone = replace(contract, columns=(source,))
    done = treat(frame.rename({**aside, name: column}), alone, known.pseudonymiser)
    return done.rename({column: name, **{new: old for old, new in aside.items()}})


class _Share:
    """What one participant gets of the augmented records: its items of its own metering points, and their counts.

    A recipient's counterparties are written beside, in the work folder: its return pack takes them from there.
    """

    def __init__(self, known: Context, participant: Participant, place: Callable[[str], Path]) -> None:
        self._known, self._participant = known, participant
        self._items = held_by(known.tables.items, participant.sender_roles)
        self._counts: dict[str, Counter[str]] = {item.item: Counter() for item in self._items}
        self._table = ParquetTable(place(f"data/{participant.mpid}/{AUGMENTED}.parquet"))
        self._facts = ParquetTable(counterparties(known, participant)) if _receives(known, participant) else None

    def add(self, records: pl.DataFrame, number: int) -> None:
        """Take its own of the records of a partition, which have the provenance of every item, and the facts."""
        own = own_points(self._known, self._participant, number)
        if own is not None:
            mine = rows_of(records[ORDER].to_numpy(), own.collect()[ORDER].to_numpy())
            told = [name for item in self._items for name in told_columns(item)]
            rows = records.select("mpan_core", *told, CONFIDENCE)[mine].with_columns(reasons(self._items))
            self._table.add(rows)
            for name, found in self._counts.items():
                found.update(_by_source(rows, name))
            if self._facts is not None:
                self._facts.add(records.select("mpan_core", *(pl.col(_fact(name)).alias(name) for name in FACTS))[mine])

    def close(self) -> None:
        """Write what is held, and note how many values each item has by source."""
        with self._table:
            counts = {item: dict(found) for item, found in self._counts.items()}
            self._known.workspace.record(OwnItemCounts(counts=counts), self._participant.mpid)
        if self._facts is not None:
            with self._facts:
                pass


def rows_of(keys: Keys, own: Keys) -> NDArray[np.intp]:
    """Return which places of ``keys`` hold one of ``own``, which is sorted."""
    if not own.size:
        return np.empty(0, np.intp)
    places = np.minimum(np.searchsorted(own, keys), own.size - 1)
    return np.flatnonzero(own[places] == keys)


def counterparties(known: Context, participant: Participant) -> Path:
    """Return the file of the work folder that says who the counterparties of each own metering point are."""
    return known.workspace.folder(COUNTERPARTIES) / f"{participant.mpid}.parquet"


def _receives(known: Context, participant: Participant) -> bool:
    return gets_return(known.job.model, participant.mpid)


def _fact(name: str) -> str:
    return f"fact.{name}"


def release_augmented(known: Context, participants: Sequence[Participant], place: Callable[[str], Path]) -> None:
    """Write ``data/<participant>/augmented.parquet`` of each: the items of its own metering points.

    Columns out: ``mpan_core``, per item that the participant's role holds ``<item>``, ``<item>_rule``,
    ``<item>_source``, ``<item>_from`` and where the tables tell it ``<item>_decided_by``; ``linked_mpan_confidence``;
    ``undecided``, why items are empty that nothing decides. Notes how many values each item has by source.
    Records are read once for every ``AT_ONCE`` participants; what they hold of counterparties is sliced on the way.
    """
    for begin in range(0, len(participants), AT_ONCE):
        shares = [_Share(known, participant, place) for participant in participants[begin : begin + AT_ONCE]]
        for number in range(known.workspace.partitions):
            frame = augmented(known, number)
            if frame is not None:
                every = provenance(known.tables.items, frame.collect_schema().names())
                facts = [pl.col(name).alias(_fact(name)) for name in FACTS]
                for some in frame.collect().iter_slices(ROWS):
                    records = some.select(ORDER, "mpan_core", *every, CONFIDENCE, *facts)
                    map_parallel(partial(_Share.add, records=records, number=number), shares)
        map_parallel(_Share.close, shares)


def own_counts(known: Context, mpid: str) -> list[ItemCountsEvidence]:
    """Return how many values each item has by source among a participant's own metering points."""
    recorded = known.workspace.recorded(OwnItemCounts, mpid)
    counts = recorded.counts if recorded else {}
    names = [item.item for item in known.tables.items if item.item in counts]
    none = dict.fromkeys(COUNTED, 0)
    return [ItemCountsEvidence.model_validate({"item": name, **none, **counts[name]}) for name in names]


def _by_source(rows: pl.DataFrame, item: str) -> dict[str, int]:
    """Count values by source; a decided absence is ``absent``, and what has no source ``undecided``."""
    source, given = rows[f"{item}_source"], rows[item].is_not_null()
    found = dict(source.filter(given).value_counts().rows())
    undecided = source.null_count()
    return {**found, "absent": int((~given).sum()) - undecided, "undecided": undecided}


def release_allocations(
    known: Context, participant: Participant, allocations: pl.DataFrame, place: Callable[[str], Path]
) -> int:
    """Write the ring-fenced metering points among a participant's own; return how many rows."""
    keyed = allocations.with_columns(order_key().alias(ORDER))
    parts = []
    for number in range(known.workspace.partitions):
        own = own_points(known, participant, number)
        if own is not None:
            parts.append(keyed.join(own.collect(), on=ORDER, how="semi"))
    if not parts:
        return 0
    keys = [ORDER, *(c for c in ("phase", "stage", "test_case", "participant", "role") if c in allocations.columns)]
    out = pl.concat(parts).sort(keys).drop(ORDER)
    with ParquetTable(place(f"data/{participant.mpid}/allocations.parquet")) as table:
        table.add(out)
    return out.height
