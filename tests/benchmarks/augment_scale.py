"""Seconds and peak memory of the augmentation stage, and how right it is, over a sample of any size.

    python tests/benchmarks/augment_scale.py --mpans 10000000 --folder /somewhere/large [--defects 0.02]

Makes the sample and takes it through the stages before augmentation once; what is measured is the stage by itself, in
a process of its own: associations over all partitions, every item of every metering point, exclusions, the checks of
REG1050 to REG1067, and the rules over augmented metering points.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def prepare(cut: Path) -> None:
    """Run the stages before augmentation."""

    from flows import pipeline

    plan = pipeline.prepare(str(cut))
    for wave in pipeline._waves(str(cut), "release", plan):
        for step in wave:
            if step.stage in (pipeline.AUGMENT.name, pipeline.RING_FENCE.name):
                return
            began = time.monotonic()
            step.call()
            sys.stderr.write(f"{step.name}: {time.monotonic() - began:.1f} s\n")


def measure(cut: Path) -> dict[str, object]:
    """Run the augmentation stage and compare it with the truth."""
    from flows.augment.stage import augmentation
    from flows.cut.context import context
    from flows.ringfence.population import population
    from tests.augment.truth import compare, shares

    known = context(str(cut))
    base = _peak()
    began, cpu = time.monotonic(), time.process_time()
    done = augmentation(known)
    took, used, peak = time.monotonic() - began, time.process_time() - cpu, _peak()
    population(known)
    found = compare(known, cut.parent)
    precision, recall = shares(found["links"])
    return {
        "rows": found["rows"],
        "partitions": known.workspace.partitions,
        "seconds": round(took, 1),
        "cpu_seconds": round(used, 1),
        "peak_mib": peak,
        "base_mib": base,
        "precision": precision,
        "recall": recall,
        "links": found["links"],
        "grades": found["grades"],
        "related": found["related"],
        "confusion": found["confusion"],
        "constraints_broken": sum(done.associations.constraints.values()),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Prepare if need be, then measure in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpans", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--defects", type=float, default=0.02)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--step", choices=("all", "prepare", "measure"), default="all")
    given = parser.parse_args()
    cut = given.folder / "cut.yaml"
    if given.step == "prepare":
        prepare(cut)
    elif given.step == "measure":
        print(json.dumps(measure(cut), indent=2))
    else:
        if not cut.is_file():
            from flows.sample import SampleRequest, generate

            generate(SampleRequest(given.mpans, given.seed, given.defects), given.folder)
        for step in ("prepare", "measure"):
            subprocess.run([sys.executable, __file__, "--folder", str(given.folder), "--step", step], check=True)


if __name__ == "__main__":
    main()
