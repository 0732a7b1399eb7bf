"""A sample of fewer participants: half of what a small run costs is spent on each participant's packs and reports."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection
from pathlib import Path

FEWEST = ("EELC", "SUPA", "MOPB")  # a distributor, a supplier, a meter operator: the least that can be ring-fenced
EVERY_EXTRACT = (*FEWEST, "DCOL", "ELEX")  # each extract of the sample once, but for the two of a second agent
_ENTRY = re.compile(r"^  - mpid: (\w+)\n(?:   .*\n|\n)*", re.MULTILINE)


def keep_participants(folder: Path, kept: Collection[str]) -> Path:
    """Take all other participants out of the cut of a sample, and out of its plan; return its ``cut.yaml``.

    The files of the others stay where they are, and nobody reads them.
    """
    cut, plan = folder / "cut.yaml", folder / "ring_fence.csv"
    text = cut.read_text(encoding="utf-8")
    assert {match[1] for match in _ENTRY.finditer(text)} >= set(kept)
    cut.write_text(_ENTRY.sub(lambda match: match[0] if match[1] in kept else "", text), encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(plan.read_text(encoding="utf-8"))))
    with plan.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row for row in rows if row["participant"] in kept)
    return cut
