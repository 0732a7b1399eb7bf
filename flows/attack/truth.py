"""TRUTH: the real values of the people who are searched for, from the backups of a cut, in memory alone.

The cut's key says which pseudonym is whose: without it nobody could tell a right claim from a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.attack.model import Attack
from contracts.errors import IntakeError
from contracts.load import load_all
from contracts.model import Contract
from contracts.scheme import scheme_lists
from contracts.vocabulary import Form
from flows.attack.released import FIRST, PERIOD, as_chunk, joined, needed
from flows.cut.config import ExtractConfig, Job, Participant, load_cut
from flows.cut.context import cut_keys
from flows.intake import SourceFiles
from flows.pseudonymise.source import source_columns
from transforms.attack.facts import ORDER, gather, series, wanted
from transforms.attack.search import ReleasedPart
from transforms.column_map import ColumnMap
from transforms.conform import conform, normalise_mpans
from transforms.pseudonymise.mpan import keys, order_key
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

Points = NDArray[np.uint64]
SEED_FIELD = "attack"
BATCH = 131_072


@dataclass(frozen=True, slots=True, repr=False)
class Truth:
    """The backups that a release was made from, and the key of the cut.

    Attributes:
        seed: number made from the key; decides who is searched for and what is misremembered.
    """

    job: Job
    pseudonymiser: Pseudonymiser
    seed: int
    contracts: Mapping[str, Contract]

    @classmethod
    def of(cls, cut: Path) -> Truth:
        """Open the truth that a ``cut.yaml`` names.

        Raises:
            ConfigurationError, KeyMaterialError: the file or its key is wrong.
        """
        job = load_cut(cut)
        keys = cut_keys(job)
        seed = int.from_bytes(keys.field(SEED_FIELD).material()[:8], "little")
        maker = Pseudonymiser(keys, job.model.cut.policy.postcode, lists=scheme_lists())
        return cls(job, maker, seed, load_all())

    def facts(self, attack: Attack, points: Points) -> ReleasedPart:
        """Return the real values of some metering points, each fact from the first place that tells it."""
        frames = []
        for extract, contract in self.contracts.items():
            asked = [
                (fact, column)
                for fact, column in wanted(attack.facts, extract)
                if fact.places[0] == f"{extract}.{column}"
            ]
            for carried in self._carried(extract, contract, points, [column for _, column in asked]):
                mine = [(fact, column) for fact, column in asked if column in carried.columns]
                frames.append(gather(carried.lazy(), mine, extract))
        return joined(frames, attack, attack.facts)

    def series(self, attack: Attack, points: Points, days: Sequence[date]) -> ReleasedPart:
        """Return the real totals of days and half-hours of some metering points."""
        spec = attack.series
        periods = [PERIOD.format(n) for n in range(1, spec.periods + 1)]
        rows = self._carried(spec.extract, self.contracts[spec.extract], points, needed(spec))
        if not rows:
            return ReleasedPart(np.empty(0, np.uint64), {})
        return as_chunk(series(pl.concat(rows, how="vertical_relaxed").lazy(), spec, days, periods).collect())

    def others(self, other: Truth, points: Points) -> Points:
        """Return the order keys that some metering points of this cut have in another; 0 for those not in the backups.

        Raises:
            IntakeError: the backups hold none of them.
        """
        here, there = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for participant, entry in self._entries(FIRST):
            for batch in self._raw(participant, entry, self.contracts[FIRST]):
                own = self.pseudonymiser.permuted(batch.mpans)
                mine = held(own, points)
                here.append(own[mine])
                there.append(other.pseudonymiser.permuted(batch.mpans[mine]))
        own, their = np.concatenate(here), np.concatenate(there)
        if not own.size:
            raise IntakeError("the backups hold no metering point of the release", where=self.job.file.name)
        order = np.argsort(own, kind="stable")
        at = np.minimum(np.searchsorted(own[order], points), own.size - 1)
        found: Points = np.where(own[order][at] == points, their[order][at], np.uint64(0))
        return found

    def _carried(self, extract: str, contract: Contract, points: Points, columns: Sequence[str]) -> list[pl.DataFrame]:
        """Return ``_order`` and columns of the rows of some metering points; one frame a source, none without rows."""
        found = []
        for participant, entry in self._entries(extract) if columns else ():
            for orders, raw in self._of(participant, entry, contract, points):
                kept = raw.select(column for column in dict.fromkeys(columns) if column in raw.columns)
                found.append(kept.insert_column(0, pl.Series(ORDER, orders)))
        return [pl.concat(found, how="vertical_relaxed")] if found else []

    def rows(self, participant: Participant, entry: ExtractConfig) -> Iterator[tuple[Points, pl.DataFrame]]:
        """Yield order keys and conformed rows of all metering points of a source of backups."""
        contract = self.contracts[entry.contract]
        for batch in self._raw(participant, entry, contract):
            rows = _conformed(batch.texts[batch.rows], contract, batch.columns, batch.where)
            yield self.pseudonymiser.permuted(batch.mpans), rows

    def _entries(self, extract: str) -> list[tuple[Participant, ExtractConfig]]:
        members = self.job.model.participants
        return [(member, e) for member in members for e in member.extracts if e.contract == extract]

    def _of(
        self, participant: Participant, entry: ExtractConfig, contract: Contract, points: Points
    ) -> Iterator[tuple[Points, pl.DataFrame]]:
        """Yield order keys and rows of some metering points: by the key, or as a submission pack has them already.

        Only their rows are conformed; of the others the MPAN alone is looked at.
        """
        if entry.source.pack is None:
            for batch in self._raw(participant, entry, contract):
                orders = self.pseudonymiser.permuted(batch.mpans)
                mine = held(orders, points)
                if mine.any():
                    rows = batch.texts[batch.rows[mine]]
                    yield orders[mine], _conformed(rows, contract, batch.columns, batch.where)
            return
        for path in self.job.files(participant, entry):
            for part in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
                frame = pl.DataFrame(part)
                orders = frame.select(order_key().fill_null(0)).to_series().to_numpy()
                mine = held(orders, points)
                if mine.any():
                    yield orders[mine], frame.filter(pl.Series(mine))

    def _raw(self, participant: Participant, entry: ExtractConfig, contract: Contract) -> Iterator[RawRows]:
        """Yield the rows of a backup under their real MPANs; of each batch those whose MPAN is valid."""
        if entry.source.pack is not None:
            raise IntakeError(
                "is a submission pack, which does not say who is who in another cut",
                where=f"{participant.mpid}/{entry.contract}",
                remedy="name the cut.yaml of the backups themselves",
            )
        source = SourceFiles([self.job.source(participant, entry)], layouts=contract.dtc_layouts, contract=contract)
        for reader in source.readers():
            columns = source_columns(contract, reader)
            alone = replace(contract, columns=tuple(one for one in contract.columns if one.form is Form.MPAN))
            for texts in reader.batches():
                mpans, valid = keys(_conformed(texts, alone, columns, reader.label)["mpan_core"])
                rows = np.flatnonzero(valid)
                yield RawRows(texts, rows, mpans[rows], columns, reader.label)


@dataclass(frozen=True, slots=True, repr=False)
class RawRows:
    """A batch of a backup as texts.

    Attributes:
        rows: places of those with a valid MPAN; ``mpans``: the MPANs, as order keys.
        where: what the source is called.
    """

    texts: pl.DataFrame
    rows: NDArray[np.int64]
    mpans: Points
    columns: ColumnMap
    where: str


def held(orders: Points, points: Points) -> NDArray[np.bool_]:
    """Tell which order keys are among some, which are sorted."""
    at = np.minimum(np.searchsorted(points, orders), points.size - 1)
    found: NDArray[np.bool_] = points[at] == orders if points.size else np.zeros(orders.size, np.bool_)
    return found


def _conformed(batch: pl.DataFrame, contract: Contract, columns: ColumnMap, where: str) -> pl.DataFrame:
    try:
        return normalise_mpans(conform(batch.lazy(), contract, columns).collect(), contract)
    except pl.exceptions.PolarsError as fault:
        what = f"a batch could not be read ({type(fault).__name__})"
        raise IntakeError(what, where=where, remedy="please report it") from None
