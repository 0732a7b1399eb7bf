"""Puts measured figures into their pages, each between its pair of marks; what is not given stays as it is.

python -m tests.benchmarks.performance_page [--whole-job A.json] [--floor B.json] [--peers C.json]
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tests.benchmarks import anonymise_floor, peers, whole_job
from tests.benchmarks.watched import ROOT

PERFORMANCE, PEERS = ROOT / "docs/performance.md", ROOT / "docs/peers.md"
BLOCKS = {
    "whole-job": (PERFORMANCE, whole_job.show),
    "floor": (PERFORMANCE, anonymise_floor.show),
    "peers": (PEERS, peers.show),
}


def put(text: str, block: str, figures: str) -> str:
    """Return the page with the text between the marks of a block replaced.

    Raises:
        SystemExit: the page lacks the marks.
    """
    marks = re.compile(rf"(<!-- {block}: begin -->\n).*(<!-- {block}: end -->)", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"no marks for {block}")
    return marks.sub(lambda found: f"{found[1]}\n{figures}\n\n{found[2]}", text)


def main() -> None:
    """Read the figures and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for block in BLOCKS:
        parser.add_argument(f"--{block}", type=Path, dest=block)
    given = vars(parser.parse_args())
    for block, (page, show) in BLOCKS.items():
        if given[block]:
            figures = show(json.loads(given[block].read_text(encoding="utf-8")), markdown=True)
            page.write_text(put(page.read_text(encoding="utf-8"), block, figures), encoding="utf-8")


if __name__ == "__main__":
    main()
