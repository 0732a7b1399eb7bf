"""Stages across participants, partition by partition: coincident pseudonyms and alignment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

import contracts
from contracts.vocabulary import Field
from flows.quality import JUDGED, Held, frames, write_exclusions
from flows.workspace import Workspace
from transforms import align
from transforms.mpan import order_key
from transforms.pseudonymise import Pseudonymiser

COINCIDENT = "coincident"


# -- coincident pseudonyms ------------------------------------------------------------------------------------


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


# -- alignment ------------------------------------------------------------------------------------------------


@cache
def comparisons() -> Sequence[Mapping[str, Any]]:
    """Return what is to be aligned, from ``contracts/alignment.yaml``."""
    path = Path(contracts.__file__).parent / "alignment.yaml"
    found: Sequence[Mapping[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["comparisons"]
    return found


def _by_sender(workspace: Workspace, held: Sequence[Held], extract: str, number: int) -> pl.LazyFrame | None:
    parts = []
    for h in held:
        frame = workspace.scan(JUDGED, h.participant, extract, number) if h.extract == extract else None
        if frame is not None:
            parts.append(frame.with_columns(pl.lit(h.participant).alias("participant")))
    return pl.concat(parts) if parts else None


def alignment(workspace: Workspace, held: Sequence[Held]) -> list[dict[str, Any]]:
    """Count agreement between the registration and every other extract, per pair of participants and item."""
    counts = []
    for number in range(workspace.partitions):
        registration = _by_sender(workspace, held, "registration", number)
        for spec in comparisons():
            other = _by_sender(workspace, held, spec["right"], number)
            if registration is None or other is None:
                continue
            senders = tuple(sorted({h.participant for h in held if h.extract == spec["right"]}))
            frame = align.compare(
                registration.filter(pl.col("mpan_core").is_not_null()),
                other,
                extract=spec["right"],
                items=spec["items"],
                expected=spec["expected"],
                scope=spec["scope"],
                participants=senders,
            )
            counts.append(frame.collect())
    return [{"extract_left": "registration", **row} for row in align.total(counts).iter_rows(named=True)]
