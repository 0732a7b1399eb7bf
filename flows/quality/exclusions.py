"""EXCLUSIONS: from the verdicts of rules to the metering points that leave, with everything linked to them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from flows.cut.partitions import (
    COMPANION,
    JUDGED,
    STAGES,
    ParticipantExtract,
    frames,
    read_exclusions,
    write_exclusions,
)
from flows.cut.workspace import Workspace
from transforms.quality import exclusions


def cascade(workspace: Workspace, links: pl.DataFrame) -> int:
    """Exclude the companions of excluded metering points: a group with one unusable member is unusable.

    May be called again with more links once more is known; it replaces what it wrote before.

    Args:
        links: columns ``mpan_core``, ``other``: pseudonyms that belong together (related, import and export).

    Returns:
        How many metering points are out for this reason alone.
    """
    own = [stage for stage in STAGES if stage != COMPANION]
    out = pl.concat(
        [read_exclusions(workspace, n, own).select("mpan_core") for n in range(workspace.partitions)]
    ).to_series()
    found = exclusions.companions(links, out)
    number = found.select(workspace.partition_number()).to_series()
    for n in range(workspace.partitions):
        write_exclusions(workspace, COMPANION, n, found.filter(number == n))
    return found.height


def stated_links(workspace: Workspace, extracts: Sequence[ParticipantExtract]) -> pl.DataFrame:
    """Return the related metering points that registrations state."""
    parts = [
        frame.select("mpan_core", pl.col("related_mpan").alias("other")).drop_nulls()
        for number in range(workspace.partitions)
        for frame in frames(workspace, JUDGED, extracts, "registration", number)
    ]
    return (
        pl.concat(pl.collect_all(parts))
        if parts
        else pl.DataFrame(schema=dict.fromkeys(("mpan_core", "other"), pl.String))
    )
