"""Tests that were red, or not seen green, after the house was rebuilt: they run and are reported, and do not gate yet.

Each line is the beginning of a test's id and the reason. A line goes when its tests were seen green; a line that is not
needed any more shows as ``XPASS`` in pytest's summary.
"""

from __future__ import annotations

UNSETTLED: dict[str, str] = {}
SLOW = "not seen green on today's tree: the machine was too busy to run it to its end"
MARKS = ("slow", "dask", "postgres", "browser")
SETTLED: tuple[str, ...] = ()


def reason(node: str, marks: set[str]) -> str:
    """Return why a test does not gate, empty where it does."""
    for prefix, why in UNSETTLED.items():
        if node.startswith(prefix):
            return why
    if marks & set(MARKS) and not node.startswith(SETTLED):
        return SLOW
    return ""
