"""``python -m tests.recall``: plants leaks of every kind and prints, or writes, how many the scan finds.

The table that ships with the product is the last campaign's: ``--write`` puts it there.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import yaml

from flows.cut.build import tool_version
from flows.leak_scan.recall import RECALL
from tests.recall.campaign import Found, campaign


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mpans", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--each", type=int, default=12)
    arguments.add_argument("--write", action="store_true")
    asked = arguments.parse_args()

    def told(found: Found) -> None:
        print(
            f"{found.kind:60} {found.planted:5} {found.found:5}{'' if found.found == found.planted else '  MISSED'}",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        results = campaign(Path(folder), mpans=asked.mpans, seed=asked.seed, count=asked.each, told=told)
    planted, found = sum(r.planted for r in results), sum(r.found for r in results)
    print(f"{len(results)} kinds, {found} of {planted} found ({found / planted:.4f})")
    if asked.write:
        document = yaml.safe_load(RECALL.read_text(encoding="utf-8"))
        document |= {
            "date": datetime.now(UTC).date().isoformat(),
            "version": tool_version(),
            "metering_points": asked.mpans,
            "seed": asked.seed,
            "kinds": [{"kind": r.kind, "planted": r.planted, "found": r.found} for r in results],
        }
        RECALL.write_text(yaml.safe_dump(document, sort_keys=False, width=120), encoding="utf-8")


if __name__ == "__main__":
    main()
