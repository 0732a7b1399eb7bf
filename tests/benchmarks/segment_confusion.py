"""What augmentation decides against the sample's truth, for distributors alone, with meter operators, and with all.

    python tests/benchmarks/segment_confusion.py [--mpans 4000] [--seed 7] [--defects 0] [--folder DIR]

Prints for each set of roles how many metering points are released, and market segment and connection type against
the truth as confusion matrices; for the segment also which source decided how many, and how many of them rightly. Ends
with code 1 where fewer than 97 % are released.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
ROLES = {"LDSO": ("LDSO",), "LDSO + MOP": ("LDSO", "MOP"), "all": ("LDSO", "MOP", "SUP", "DC", "ELEXON")}
LEAST = 0.97


def roles_cut(sample: Path, roles: tuple[str, ...]) -> Path:
    """Write a ``cut.yaml`` beside the sample's that has some roles only, without a ring-fence; return its path."""
    document = yaml.safe_load((sample / "cut.yaml").read_text())
    document["participants"] = [p for p in document["participants"] if p["role"] in roles]
    document.pop("ring_fence")
    name = "-".join(roles).lower()
    document["work"] = f"work-{name}"
    path = sample / f"cut-{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def measure(cut: Path) -> dict[str, Any]:
    """Run a cut up to augmentation; return what was found, and which source decided the segment."""
    from flows.cut.context import forget
    from tests.augment.conftest import run_until_augmented
    from tests.augment.truth import compare

    known = run_until_augmented(cut)
    found = compare(known, cut.parent)
    forget()
    return found


def matrix(cells: list[tuple[str, str, int]], codes: str) -> str:
    """Return a confusion matrix as text: a row for what was found, a column for what is true, ``-`` for none."""
    known = {(found if found != "None" else "-", true if true != "None" else "-"): n for found, true, n in cells}
    lines = ["    found\\true" + "".join(f"{true:>8}" for true in codes)]
    lines += [f"    {found:<10}" + "".join(f"{known.get((found, true), 0):>8,}" for true in codes) for found in codes]
    return "\n".join(lines)


def deciders(by_rule: list[tuple[str, str, str, int]]) -> str:
    """Return how many segments each source decided, and how many of them as the truth is."""
    counts: dict[str, list[int]] = {}
    for source, found, true, n in by_rule:
        count = counts.setdefault(source, [0, 0])
        count[0] += n
        count[1] += n if found == true else 0
    return "\n".join(f"    {source:<24}{n:>8,} of which right {right:>8,}" for source, (n, right) in counts.items())


def main() -> int:
    """Make the sample, measure each set of roles, and print."""
    from flows.sample import SampleRequest, generate

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpans", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--defects", type=float, default=0.0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="segments-"))
    sample = folder / "sample"
    if not sample.exists():
        generate(SampleRequest(given.mpans, given.seed, given.defects), sample)
    least = 1.0
    for name, roles in ROLES.items():
        found = measure(roles_cut(sample, roles))
        share = found["rows"] / given.mpans
        least = min(least, share)
        print(f"{name}: {found['rows']:,} of {given.mpans:,} released ({share:.1%})")
        print("  market segment", matrix(found["confusion"]["market_segment"], "SAU-"), sep="\n")
        print("  decided by", deciders(found["segment_by_source"]), sep="\n")
        print("  connection type", matrix(found["confusion"]["connection_type"], "WLHEU-"), sep="\n")
    return 0 if least >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
