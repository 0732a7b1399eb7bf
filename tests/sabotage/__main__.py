"""``python -m tests.sabotage``: breaks a stage in every way there is, and prints which guard noticed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.sabotage.campaign import Outcome, campaign
from tests.sabotage.ways import WAYS


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--no-controls", action="store_true", help="no run with nothing broken beside each")
    arguments.add_argument("--only", default="", help="ways whose name has this text")
    asked = arguments.parse_args()
    ways = [name for name in WAYS if asked.only in name]
    caught = clean = 0
    with tempfile.TemporaryDirectory() as folder:
        for way, outcome, control in campaign(Path(folder), ways, controls=not asked.no_controls):
            caught += bool(outcome.caught) and not outcome.visible
            clean += control is not None and not control.caught and bool(control.visible)
            print(f"{way}\n    {told(outcome)}", flush=True)
            if control is not None:
                print(f"    control: {told(control)}", flush=True)
    print(f"{caught} of {len(ways)} caught before anything was visible; {clean} controls clean")
    sys.exit(caught != len(ways))


def told(outcome: Outcome) -> str:
    if not outcome.caught:
        return f"went through: {len(outcome.visible)} packs"
    yet = f", yet {len(outcome.visible)} packs are visible" if outcome.visible else ""
    return f"exit {outcome.code}, {outcome.caught[:200]}{yet}"


if __name__ == "__main__":
    main()
