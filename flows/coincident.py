"""Coincident pseudonyms: those that happen to be the real MPAN of somebody in the cut. They are excluded everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from contracts.load import load_all
from contracts.vocabulary import Field
from flows.quality import JUDGED, Held, write_exclusions
from flows.workspace import Workspace
from transforms.leaks import Keys, Sought, mpan_keys
from transforms.mpan import order_key
from transforms.pseudonymise import Pseudonymiser

COINCIDENT = "coincident"


def exclude(workspace: Workspace, held: Sequence[Held], pseudonymiser: Pseudonymiser) -> dict[str, Any]:
    """Exclude pseudonyms that happen to be real MPANs of the cut; tell whether their number is in the band of chance.

    A pseudonym equals the real MPAN of another metering point exactly when the scheme, applied to it, gives a
    pseudonym again; so no raw data is needed. Expected: the sum over distributors of n^2 / 10^10.

    Returns:
        How many there are and the band of chance, as the evidence has it.
    """
    sought = Sought.of(_all_keys(workspace, held))
    per_distributor = np.bincount((sought.keys % 100).astype(np.int64), minlength=100).astype(float)
    expected = float((per_distributor**2).sum()) / 10**10
    count = 0
    for number in range(workspace.partitions):
        own = _pseudonyms(workspace, held, number)
        again = pseudonymiser.values(Field.MPAN, own["mpan_core"])
        hit = own.filter(pl.Series(sought.holds(mpan_keys(again))))
        count += hit.height
        cause = [pl.lit(COINCIDENT).alias(name) for name in ("first_cause", "reasons")]
        write_exclusions(workspace, COINCIDENT, number, hit.with_columns(*cause, pl.lit("").alias("extract")))
    spread = 4 * math.sqrt(expected)
    return {
        "count": count,
        "expected_low": round(max(0.0, expected - spread), 3),
        "expected_high": round(expected + spread + 1, 3),
    }


def found(workspace: Workspace) -> pl.Series:
    """Return every coincident pseudonym of the cut, whatever else excludes it."""
    files = sorted((workspace.root / "excluded" / COINCIDENT).glob("*.arrow"))
    parts = [pl.read_ipc(path, columns=["mpan_core"])["mpan_core"] for path in files]
    return pl.concat(parts) if parts else pl.Series("mpan_core", [], dtype=pl.String)


def _pseudonyms(workspace: Workspace, held: Sequence[Held], number: int) -> pl.DataFrame:
    """Return the distinct pseudonym MPANs of a partition, of any extract and column, in canonical order."""
    parts = [values.to_frame() for h in held for values in _columns(workspace, h, number)]
    if not parts:
        return pl.DataFrame(schema={"mpan_core": pl.String})
    return pl.concat(parts).drop_nulls().unique().sort(order_key())


def _columns(workspace: Workspace, h: Held, number: int) -> list[pl.Series]:
    names = [c.name for c in load_all()[h.extract].staged if c.treatment.field is Field.MPAN]
    frame = workspace.scan(JUDGED, h.participant, h.extract, number)
    return [] if frame is None else [s.alias("mpan_core") for s in frame.select(names).collect()]


def _all_keys(workspace: Workspace, held: Sequence[Held]) -> Keys:
    parts = [mpan_keys(_pseudonyms(workspace, held, n)["mpan_core"]) for n in range(workspace.partitions)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
