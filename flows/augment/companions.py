"""COMPANIONS: who shares a meter with whom, kept for the release, which moves their dates together."""

from __future__ import annotations

import numpy as np
import polars as pl

from flows.cut.partitions import ALL, AUGMENTED, EXTRACT
from flows.cut.workspace import Workspace
from transforms.treatment.companions import COLUMNS, Points, heads

COMPANIONS = "companions.arrow"


def write_companions(workspace: Workspace) -> None:
    """Note the metering points that follow another, from the augmented records of all partitions."""
    parts = [(np.empty(0, np.uint64), np.empty(0, np.uint64))]
    for number in range(workspace.partitions):
        frame = workspace.scan(AUGMENTED, ALL, EXTRACT, number)
        if frame is not None:
            there = frame.collect_schema().names()
            parts.append(heads(frame.select(name for name in COLUMNS if name in there)))
    points, whom = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    workspace.put(pl.DataFrame({"point": points, "head": whom}).sort("point"), workspace.root / COMPANIONS)


def read_companions(workspace: Workspace) -> tuple[Points, Points]:
    """Return the metering points that follow another, in order, and whom each follows, as order keys."""
    kept = pl.read_ipc(workspace.root / COMPANIONS)
    return kept["point"].to_numpy(), kept["head"].to_numpy()
