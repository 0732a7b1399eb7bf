"""BACKUP: a participant's own records, read again in their batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.evidence import Evidence
from contracts.evidence_inputs import InputEvidence
from flows.intake import SourceSpec
from flows.restore.real_identifiers import ESME
from transforms.column_map import ColumnMap
from transforms.pseudonymise.mpan import normalise, order_key
from transforms.release.source_form import SourceForm, form_of

Points = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class RestoredExtract:
    """One extract of a return pack, and where the participant keeps its own of it."""

    pack: Path
    participant: str
    entry: InputEvidence
    evidence: Evidence
    specs: tuple[SourceSpec, ...]

    @property
    def several(self) -> bool:
        """Whether it came as several files, and goes back file for file."""
        return bool(self.entry.files)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.specs[0].name if len(self.specs) == 1 else f"{self.participant}/{self.name}"

    @property
    def name(self) -> str:
        """The extract's contract."""
        return self.entry.extract

    @property
    def how(self) -> SourceForm:
        """How the participant writes it."""
        return form_of(self.entry)

    def file(self, room: str) -> Path:
        """Return its Parquet file in a room of the pack."""
        return self.pack / room / self.participant / f"{self.name}.parquet"


class _Batch:
    """A batch of the backup beside its pseudonymised rows."""

    def __init__(self, raw: pl.DataFrame, named: pl.DataFrame, columns: ColumnMap) -> None:
        self.raw, self.named, self._columns = raw, named, columns
        keys = named.select(order_key().alias("point")).to_series()
        self.valid: NDArray[np.bool_] = keys.is_not_null().to_numpy()
        self.points: Points = keys.fill_null(0).to_numpy()

    def among(self, known: Points) -> NDArray[np.bool_]:
        """Tell which rows are of some metering points."""
        if not known.size:
            return np.zeros(self.points.size, dtype=np.bool_)
        at = np.minimum(np.searchsorted(known, self.points), known.size - 1)
        found: NDArray[np.bool_] = (known[at] == self.points) & self.valid
        return found

    def physical(self, name: str) -> pl.Series | None:
        """Return a column of the backup by its contract name."""
        for physical, contract_name in self._columns.names.items():
            if contract_name == name:
                return self.raw[physical].str.strip_chars()
        return None

    def mpans(self) -> Points:
        """Return the real MPANs of the rows that have a pseudonym, as integers."""
        text = self.physical("mpan_core")
        if text is None:
            return np.empty(0, np.uint64)
        return normalise(text).filter(pl.Series(self.valid)).cast(pl.UInt64).to_numpy()

    def meters(self) -> pl.DataFrame:
        """Return pseudonym and real ESME ids."""
        raw = self.physical("esme_id")
        if raw is None or "esme_id" not in self.named.columns:
            return pl.DataFrame(schema=ESME)
        return pl.DataFrame({"esme_id": self.named["esme_id"], "real": raw}).drop_nulls().unique(maintain_order=True)
