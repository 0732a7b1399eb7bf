"""Coincident pseudonyms: those that happen to be the real MPAN of somebody in the cut. They are excluded everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from contracts.errors import ResidueError
from contracts.vocabulary import Field
from flows.cut.partitions import ParticipantExtract, write_exclusions
from flows.cut.records import CoincidentCount
from flows.cut.workspace import Workspace
from flows.pseudonymise.pseudonym_index import coincident, pseudonym_index
from transforms.leak_scan.known import most_by_chance
from transforms.pseudonymise import mpan
from transforms.pseudonymise.pseudonymiser import Pseudonymiser
from transforms.quality.exclusions import COINCIDENT


def exclude(
    workspace: Workspace, extracts: Sequence[ParticipantExtract], pseudonymiser: Pseudonymiser
) -> CoincidentCount:
    """Exclude pseudonyms that happen to be real MPANs of the cut; tell whether their number is in the band of chance.

    A pseudonym equals the real MPAN of another metering point exactly when the scheme, applied to it, gives a
    pseudonym again; so no raw data is needed. Expected: the sum over distributors of n^2 / 10^10.

    Returns:
        How many there are and the band of chance, as the evidence has it.
    """
    known = pseudonym_index(workspace, extracts, Field.MPAN)
    per_distributor = np.bincount((known.keys % 100).astype(np.int64), minlength=100).astype(float)
    expected = float((per_distributor**2).sum()) / 10**10
    hits = known.keys[coincident(known, pseudonymiser)]
    cause = [pl.lit(COINCIDENT).alias(name) for name in ("first_cause", "reasons")]
    hit_rows = mpan.texts(hits).alias("mpan_core").to_frame().with_columns(*cause, pl.lit("").alias("extract"))
    part = hit_rows.select(workspace.partition_number()).to_series()
    for number in range(workspace.partitions):
        write_exclusions(workspace, COINCIDENT, number, hit_rows.filter(part == number))
    spread = 4 * math.sqrt(expected)
    return CoincidentCount(
        count=hit_rows.height,
        expected_low=round(max(0.0, expected - spread), 3),
        expected_high=round(expected + spread + 1, 3),
        most=most_by_chance(expected),
    )


def require_chance(found: CoincidentCount) -> None:
    """End the run where raw MPANs may stand among the pseudonyms.

    Raises:
        ResidueError: more pseudonyms are MPANs of the cut than chance explains.
    """
    if found.most is not None and found.count > found.most:
        raise ResidueError(
            f"{found.count} pseudonyms are MPANs of the cut, where chance gives at most {found.most}",
            where="coincident pseudonyms",
            remedy="nothing was published; MPANs may have passed the pseudonymise stage as they are",
        )


def found(workspace: Workspace) -> pl.Series:
    """Return every coincident pseudonym of the cut, whatever else excludes it."""
    files = sorted((workspace.root / "excluded" / COINCIDENT).glob("*.arrow"))
    parts = [pl.read_ipc(path, columns=["mpan_core"])["mpan_core"] for path in files]
    return pl.concat(parts) if parts else pl.Series("mpan_core", [], dtype=pl.String)
