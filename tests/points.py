"""What has to be shown to a data protection officer, and the tests that show it, printed as a page.

``python -m tests.points`` writes the page that lies in ``docs/privacy-points.md``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

POINTS = Path(__file__).with_name("points.yaml")
HEAD = """\
# Points of data protection

What law, guidance and standards ask of a system that makes pseudonymised test data, point by point, and the tests that
show each. Written by `make docs` from `tests/points.yaml`; a test fails while one of the tests is not there. Sources:
UK GDPR Article 4(5) and Recital 26; ICO guidance of March 2025; EDPB 01/2025; ENISA 2019 and 2021; NIST SP 800-188 and
SP 800-57; ISO/IEC 20889 and 27559.

| point | asks | shown by | not shown |
|---:|---|---|---|
"""


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes:
        tests: as ``file::test`` below ``tests``.
        open: what they do not show.
    """

    asks: str
    tests: tuple[str, ...]
    open: str = ""


def points() -> list[Point]:
    """Return the points in order."""
    return [
        Point(entry["asks"], tuple(entry["tests"]), entry.get("open", ""))
        for entry in yaml.safe_load(POINTS.read_text(encoding="utf-8"))
    ]


def points_page() -> str:
    """Return the page as Markdown."""
    every = points()
    rows = [
        f"| {number} | {point.asks} | {'<br>'.join(f'`{test}`' for test in point.tests)} | {point.open} |"
        for number, point in enumerate(every, start=1)
    ]
    whole = sum(not point.open for point in every)
    tail = f"\n{len(every)} points; {whole} shown whole, {len(every) - whole} in part, as the last column says.\n"
    return HEAD + "\n".join(rows) + "\n" + tail


if __name__ == "__main__":
    sys.stdout.write(points_page())
