"""Coincident pseudonyms: those that happen to be real MPANs of the cut, found without raw data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.vocabulary import Field
from flows.quality import JUDGED, Held, frames, write_exclusions
from flows.workspace import Workspace
from transforms.mpan import order_key
from transforms.pseudonymise import Pseudonymiser

COINCIDENT = "coincident"


def _pseudonyms(workspace: Workspace, held: Sequence[Held], number: int) -> pl.DataFrame:
    """Return the distinct pseudonym MPANs of a partition, of any extract, in canonical order."""
    parts = [
        f.select("mpan_core")
        for extract in {h.extract for h in held}
        for f in frames(workspace, JUDGED, held, extract, number)
    ]
    if not parts:
        return pl.DataFrame(schema={"mpan_core": pl.String})
    return pl.concat(parts).drop_nulls().unique().sort(order_key()).collect()


def coincident(workspace: Workspace, held: Sequence[Held], pseudonymiser: Pseudonymiser) -> dict[str, Any]:
    """Exclude pseudonyms that happen to be real MPANs of the cut; tell whether their number is in the band of chance.

    A pseudonym equals the real MPAN of another metering point exactly when the scheme, applied to it, gives a
    pseudonym again; so no raw data is needed. Expected: the sum over distributors of n^2 / 10^10.
    """
    keys = [
        _pseudonyms(workspace, held, n).select(order_key().alias("k"))["k"].to_numpy()
        for n in range(workspace.partitions)
    ]
    known = np.sort(np.concatenate(keys))
    per_distributor = np.bincount((known % 100).astype(np.int64), minlength=100).astype(float)
    expected = float((per_distributor**2).sum()) / 10**10
    count = 0
    for number in range(workspace.partitions):
        own = _pseudonyms(workspace, held, number)
        again = (
            pseudonymiser.values(Field.MPAN, own["mpan_core"]).to_frame().select(order_key().alias("k"))["k"].to_numpy()
        )
        hit = own.filter(pl.Series(_in_sorted(again, known)))
        count += hit.height
        excluded = hit.with_columns(
            pl.lit(COINCIDENT).alias("first_cause"), pl.lit(COINCIDENT).alias("reasons"), pl.lit("").alias("extract")
        )
        write_exclusions(workspace, COINCIDENT, number, excluded)
    spread = 4 * math.sqrt(expected)
    return {
        "count": count,
        "expected_low": round(max(0.0, expected - spread), 3),
        "expected_high": round(expected + spread + 1, 3),
    }


def _in_sorted(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if known.size == 0:
        return np.zeros(values.size, dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, values), known.size - 1)
    found: NDArray[np.bool_] = known[at] == values
    return found
