"""``datacut run`` in a process whose stage ``tables`` fails as told, for tests of what Prefect does about it.

``python -m tests.ops.driver CUT.yaml FAULT TIMES``: raises ``PlaceError`` or ``RefusedError`` that many times.
"""

from __future__ import annotations

import sys

from contracts import errors
from flows import pipeline
from flows.cli import main
from flows.cut.progress import StepCounts
from flows.orchestration import flows


def run(cut: str, fault: str, times: int) -> None:
    """Run the command with a stage that fails at first."""
    original, left = pipeline.tabulate, [times]

    def failing(cut_file: str) -> StepCounts:
        if left[0]:
            left[0] -= 1
            raise getattr(errors, fault)("cannot be written", where="the work folder", remedy="free some space")
        return original(cut_file)

    pipeline.tabulate = failing
    flows.RETRIED_AFTER[:] = [0.1, 0.1]
    sys.argv = ["datacut", "run", cut, "--json"]
    main.main()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
