"""A process that commits to a ledger again and again; each answer is appended to a file before the next commit.

    python -m tests.ringfence.committer URL NUMBER COMMITS SPAN ANSWERS

Commits NUMBER-0, NUMBER-1, ... ask for overlapping metering points out of SPAN. After a kill it is started again with
the same arguments: commits whose answer is on file are skipped, the one in flight is asked again under its key.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import polars as pl

from contracts.errors import RingFenceError
from flows.ringfence.ledger import Change, Ledger
from flows.ringfence.schema import ROW

CUT = "CUT-1"
UNITS = 5


def wanted(name: str, span: int) -> pl.DataFrame:
    """Return the rows that a commit asks for: the same for the same name."""
    rng = random.Random(name)
    mpans = [f"{number:013d}" for number in sorted(rng.sample(range(span), UNITS))]
    said = {"phase": "SIT", "stage": "functional", "test_case": name, "participant": "SUPA", "participant_role": "",
            "role": "BASE"}  # fmt: skip
    frame = pl.DataFrame({"mpan": mpans, "unit": mpans}).with_columns(pl.lit(v).alias(k) for k, v in said.items())
    return frame.with_columns(pl.lit(1, pl.Int64).alias("round"), pl.lit(0, pl.Int64).alias("reuse")).select(ROW)


def main(url: str, number: str, commits: str, span: str, answers: str) -> None:
    """Commit until all have an answer."""
    file = Path(answers)
    known = {json.loads(line)["name"] for line in file.read_text().splitlines()} if file.exists() else set()
    with Ledger(url) as ledger, file.open("a") as stream:
        for each in range(int(commits)):
            name = f"{number}-{each}"
            if name in known:
                continue
            change = Change(CUT, name, name, f"process {number}", "2023-08-19T00:00:00+00:00", "race")
            try:
                receipt = ledger.commit(change, wanted(name, int(span)))
                answer = {"name": name, "batch": receipt.number, "replayed": receipt.replayed}
            except RingFenceError:
                answer = {"name": name, "batch": None}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
