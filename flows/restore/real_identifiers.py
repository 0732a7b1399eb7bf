"""Pseudonym to real name, for the metering points and meters of one's own backup alone: looked up, never decrypted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from transforms.pseudonymise.mpan import LENGTH, order_key

Points = NDArray[np.uint64]
ESME = {"esme_id": pl.String, "real": pl.String}


@dataclass(frozen=True, slots=True, repr=False)
class RealNames:
    """What the pseudonyms of one's own backup stand for.

    Attributes:
        points: order keys of the pseudonym MPANs, sorted, each once.
        mpans: the real MPANs as integers, in that order.
        esme: pseudonym ESME ids and the real ones.
    """

    points: Points
    mpans: Points
    esme: pl.DataFrame

    @classmethod
    def of(cls, points: Sequence[Points], mpans: Sequence[Points], esme: Sequence[pl.DataFrame]) -> Self:
        """Join pieces; a metering point may come many times."""
        whole = np.concatenate([*points, np.empty(0, np.uint64)])
        known, first = np.unique(whole, return_index=True)
        real = np.concatenate([*mpans, np.empty(0, np.uint64)])[first]
        names = pl.concat([*esme, pl.DataFrame(schema=ESME)]).unique("esme_id", keep="first", maintain_order=True)
        return cls(known, real, names)

    def joined(self, other: RealNames) -> RealNames:
        """Return the names of both."""
        return RealNames.of([self.points, other.points], [self.mpans, other.mpans], [self.esme, other.esme])

    def mpan(self, pseudonyms: pl.Series) -> pl.Series:
        """Return the real MPAN of each pseudonym; null where it is none of the backup's."""
        keys = pseudonyms.alias("mpan_core").to_frame().select(order_key().fill_null(0)).to_series().to_numpy()
        if not self.points.size:
            return pl.Series(pseudonyms.name, [None], dtype=pl.String).new_from_index(0, pseudonyms.len())
        at = np.minimum(np.searchsorted(self.points, keys), self.points.size - 1)
        known = pl.Series(self.points[at] == keys) & pseudonyms.is_not_null()
        text = pl.Series(pseudonyms.name, self.mpans[at]).cast(pl.String).str.zfill(LENGTH)
        return text.set(~known, None)

    def meter(self, pseudonyms: pl.Series) -> pl.Series:
        """Return the real ESME id of each pseudonym, or the pseudonym where the backup holds none: no real device."""
        frame = pl.DataFrame({"esme_id": pseudonyms})
        found = frame.join(self.esme, on="esme_id", how="left", maintain_order="left")
        return found.select(pl.coalesce("real", "esme_id").alias(pseudonyms.name)).to_series()
