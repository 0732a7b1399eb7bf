"""The rows of one extract of a backup, held against the pack: what came back, what is excluded, what differs."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contracts.evidence import Evidence
from contracts.evidence_types import Maybe
from contracts.load import load_all
from contracts.model import Contract, Treatment
from flows.cleanse.listing import CleanseList
from flows.cut.progress import Progress
from flows.intake import SourceFiles
from flows.pseudonymise.source import pseudonymise_batch, source_columns
from flows.report.figures import MEANINGS, reasons
from flows.restore.backup import RestoredExtract, _Batch
from flows.restore.faults import FaultList
from flows.restore.load_files import ExcludedList, Filler, LoadFiles
from flows.restore.real_identifiers import RealNames
from flows.restore.real_values import RealValues, as_released, stated_precision
from flows.restore.unmatched import compare, list_unmatched
from transforms.pseudonymise.mpan import order_key
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality.exclusions import COINCIDENT

BATCH = 131_072
UNTOUCHED = ("keep", "pseudonymise", "synthetic", "move", "vary")  # treatments after which a value can be met again
REMAINING = {"point": pl.UInt64, "token": pl.String, "first_cause": pl.String, "reasons": pl.String}


class RestoredFile(BaseModel):
    """One of several files: how many of its rows came back."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    returned: int


class RestoredRows(BaseModel):
    """What became of the rows of one extract.

    Attributes:
        excluded: rows by the first cause's reason code.
        only_in_backup: rows that the pack neither returns nor excludes.
        matching, differing, only_in_pack: records of the pack that agree with the backup, differ, are not in it.
    """

    model_config = ConfigDict(frozen=True)

    extract: str
    rows: int
    returned: int
    excluded: dict[str, int]
    only_in_backup: int
    matching: int
    differing: int
    only_in_pack: int
    files: Maybe[tuple[RestoredFile, ...]] = None


@dataclass(frozen=True, slots=True, repr=False)
class ExtractResult:
    """What became of one extract: counts, names of load files, and what its pseudonyms stand for."""

    facts: RestoredRows
    files: list[str]
    real: RealNames


Points: TypeAlias = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]


def restore_extract(
    extract: RestoredExtract,
    folder: Path,
    pseudonymiser: Pseudonymiser,
    progress: Progress,
    cleanse: CleanseList,
    values: RealValues,
) -> ExtractResult:
    """Write the load file of one extract: the rows of the backup whose metering points the pack returns, as they were.

    Args:
        values: takes in what the own rows say of moved dates and varied amounts, and of what steps name.

    Raises:
        IntakeError, RefusedError: the backup cannot be read.
    """
    contract = load_all()[extract.name]
    treated = stated_precision(extract.evidence, extract.name)
    compared = _compared(extract, contract)
    given = _given(extract.file("data"), compared)
    gone = _gone(extract.file("excluded"))
    known, faults = np.unique(given["point"].to_numpy()), FaultList(cleanse, extract, contract)
    keys, hashes, places, points, mpans, esme = [], [], [], [], [], []
    facts: Counter[str] = Counter()
    gone_for: Counter[str] = Counter()
    source = SourceFiles(extract.specs, layouts=contract.dtc_layouts, contract=contract)
    with (
        LoadFiles(extract, source, contract, folder) as load,
        ExcludedList(
            folder / f"excluded-{extract.name}.csv", source.files, _words(extract.evidence), several=extract.several
        ) as listed,
        closing(source.readers()) as readers,  # its threads end with it, also after a fault
    ):
        for reader in readers:
            columns = source_columns(contract, reader)
            filler = Filler.of(extract, columns)
            for batch in reader.batches():
                named = pseudonymise_batch(batch, contract, columns, pseudonymiser, reader.spec)
                own = _Batch(batch, named, columns)
                back = own.among(known)
                released = as_released(named, contract, treated, pseudonymiser)
                _learn(values, own, released, treated)
                load.add(reader, filler.filled(batch, own.points, values), back)
                facts.update(rows=batch.height, returned=int(back.sum()))
                hidden = pseudonymiser.tokens(named["mpan_core"].set(pl.Series(back), None), COINCIDENT)
                stands, why = listed.add(own, ~back, gone, hidden, gone_for)
                faults.add(own, columns, stands, why)
                keys.append(own.points[back])
                places.append(np.flatnonzero(back) + facts["rows"] - batch.height + 1)
                hashes.append(_digest(released, compared).filter(pl.Series(back)))
                points.append(own.points[own.valid])
                mpans.append(own.mpans())
                esme.append(own.meters())
                progress(extract.label, facts["rows"])
            load.end(reader)
    met = _met(keys, hashes, places)
    agreement, real = compare(given, met), RealNames.of(points, mpans, esme)
    files = [*load.files, *listed.files]
    if agreement["matching"] < given.height:
        files += list_unmatched(folder / f"unmatched-{extract.name}.csv", given, met, real)
    found = RestoredRows(
        extract=extract.name,
        rows=facts["rows"],
        returned=facts["returned"],
        excluded=dict(sorted(gone_for.items())),
        only_in_backup=facts["rows"] - facts["returned"] - gone_for.total(),
        **agreement,
        files=tuple(RestoredFile(name=n, rows=r, returned=b) for n, r, b in load.counts()) if extract.several else None,
    )
    return ExtractResult(found, files, real)


def _learn(values: RealValues, own: _Batch, released: pl.DataFrame, treated: dict[str, Treatment]) -> None:
    """Take in what a batch says of the own dates and amounts, and of what steps name."""
    values.add(own.named, released, np.where(own.valid, own.points, 0), treated)
    values.names.add(own, released)


def _met(keys: list[Points], hashes: list[pl.Series], places: list[Places]) -> pl.DataFrame:
    """Return the own rows that the pack returns: metering point, digest of the row, place in the backup."""
    digests = pl.concat([pl.Series([], dtype=pl.UInt64), *hashes])
    own_points, numbers = np.concatenate([np.empty(0, np.uint64), *keys]), np.concatenate([np.empty(0, int), *places])
    return pl.DataFrame({"point": own_points, "row": digests, "at": numbers})


def _words(evidence: Evidence) -> dict[str, str]:
    """Return what the codes of a pack's reasons mean; of what the pack says itself, the words that we know alone."""
    ours = {rule.fault for contract in load_all().values() for rule in contract.rules}
    ours |= {word for words in MEANINGS.values() for word in words}
    return {entry.reason: "; ".join(word for word in entry.faults if word in ours) for entry in reasons(evidence)}


def _compared(extract: RestoredExtract, contract: Contract) -> list[str]:
    """Return the columns whose values pack and backup must agree on: those that no policy made coarser."""
    policy = extract.evidence.policy
    treated = ((policy and policy.extracts) or {}).get(extract.name, {})
    untouched = {name for name, how in treated.items() if str(getattr(how, "treatment", how)).startswith(UNTOUCHED)}
    names = set(pq.read_schema(extract.file("data")).names)
    return [c.name for c in contract.staged if c.name in names & untouched]


def _digest(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Return a 64-bit digest of each row, equal for equal texts of these columns."""
    texts = [pl.col(c).cast(pl.String).fill_null("\0") for c in columns]
    return frame.select(pl.concat_str(texts, separator="\x1f").hash().alias("row")).to_series()


def _given(path: Path, compared: list[str]) -> pl.DataFrame:
    """Return ``point`` and ``row`` digest of every row that the pack returns."""
    parts = [pl.DataFrame(schema={"point": pl.UInt64, "row": pl.UInt64})]
    for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
        frame = pl.DataFrame(batch)
        parts.append(frame.select(order_key().alias("point")).with_columns(_digest(frame, compared)))
    return pl.concat(parts)


def _gone(path: Path) -> pl.DataFrame:
    """Return the rows that the pack says are excluded, by metering point or by keyed token."""
    if not path.is_file():
        return pl.DataFrame(schema=REMAINING)
    frame = pl.read_parquet(path).with_columns(order_key().alias("point"))
    return frame.select(REMAINING.keys()).unique(maintain_order=True)
