"""How fast `datacut dtc mask` is on one core: python -m tests.benchmarks.dtc_mask_speed --catalogue CSV

Masks files of D0150 and D0010, dense with identifiers: an MPAN, a meter and one or two registers or readings each.
Prints the best of the runs as megabytes a CPU second, and beside it a control that is nothing of ours: the same bytes
split into lines and fields by Python and joined again. A busy or slower machine slows both; their ratio lasts longer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np

from contracts.dtc.policy import SHIPPED
from contracts.scheme import scheme_lists
from flows.dtc import files
from flows.dtc.mask import Request, Rules, mask_flows
from tests.dtc.flow_files import PUBLISHED
from transforms.pseudonymise import mpan
from transforms.pseudonymise.keys import FieldKeys
from transforms.pseudonymise.pseudonymiser import Pseudonymiser

GOAL = 50  # megabytes a CPU second
DISTRIBUTORS = [10, 12, 13, 14, 15, 16, 20, 22, 23]
KEYS = FieldKeys(bytes(range(32)), "benchmark")


def cores(count: int) -> list[str]:
    """Return valid MPAN cores of several distributors."""
    rng = np.random.default_rng(1)
    bodies = rng.integers(0, 10**10, count).astype(np.uint64)
    texts: list[str] = mpan.texts(bodies * np.uint64(100) + rng.choice(DISTRIBUTORS, count).astype(np.uint64)).to_list()
    return texts


def d0150(core: str, i: int) -> Iterator[str]:
    """Yield the records of one metering point's technical details."""
    yield f"288|{core}|20190401||E|"
    yield "289|0393|20190401|||"
    serial = f"E{i % 23:02d}Z{i * 7919 % 10**6:06d}"
    yield f"290|{serial}|||100|J|LANDIS E110|AMAP|||||||||||N|20040615|20040601||||H|20040615|"
    for register in range(1 + i % 2):
        yield f"293|{register + 1:02d}|C|AI|1.00||5|||"
    if i % 7 == 0:
        yield f"08A|S{i % 30:02d}D{i % 100000:05d}|20190401|AMAP|"


def d0010(core: str, i: int) -> Iterator[str]:
    """Yield the records of one metering point's readings."""
    yield f"026|{core}|V|"
    yield f"028|S{i % 31:02d}D{i * 7907 % 10**5:05d}|R|"
    for register in range(1 + i % 2):
        yield f"030|{register + 1:02d}|20230801000000|{i * 37 % 99999}.0|||T|N|"
    if i % 50 == 0:
        yield "033|02|Customer says the dog bites, call first|"


def write(folder: Path, points: int) -> int:
    """Write two files of each flow, and return their size in bytes."""
    for number, (flow, records) in enumerate((("D0150002", d0150), ("D0010002", d0010)) * 2):
        lines = [line for i, core in enumerate(cores(points)) for line in records(core, i + number)]
        head = f"ZHV|{number:010d}|{flow}|M|MOPA|D|DCOL|20230819020000||||OPER|"
        text = "\n".join([head, *lines, f"ZPT|{number:010d}|{len(lines)}||1|20230819020001|", ""])
        (folder / f"{flow}-{number}.usr").write_text(text, encoding="ascii")
    return sum(path.stat().st_size for path in folder.iterdir())


def best(runs: int, work: Callable[[], object]) -> float:
    """Return the fewest CPU seconds of some runs."""
    seconds = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return min(seconds)


def split_and_join(folder: Path) -> None:
    """Take every field out of every line and put them together again."""
    for path in folder.iterdir():
        b"\n".join([b"|".join(line.split(b"|")) for line in path.read_bytes().split(b"\n")])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=PUBLISHED)
    parser.add_argument("--points", type=int, default=300_000, help="metering points a file")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    texts = (path.read_text(encoding="utf-8") for path in (asked.catalogue, SHIPPED))
    rules = Rules.read(*texts, catalogue_name="catalogue", policy_name="policy")
    pseudonymiser = Pseudonymiser(KEYS, lists=scheme_lists())
    files.os.sync = lambda: None  # the disk is not what is measured
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch, "in"), Path(scratch, "out")
        source.mkdir()
        size = write(source, asked.points)

        def mask() -> None:
            shutil.rmtree(out, ignore_errors=True)
            mask_flows(Request([source], out, rules, False, "TR01", KEYS.fingerprint(), None), pseudonymiser)

        masked, control = best(asked.runs, mask), best(asked.runs, lambda: split_and_join(source))
    print(f"{size / 1e6:.0f} MB, {4 * asked.points:,} metering points, best of {asked.runs}")
    print(f"dtc mask              {size / masked / 1e6:6.1f} MB a CPU second  goal {GOAL}")
    print(f"split and join alone  {size / control / 1e6:6.1f} MB a CPU second")
    print(f"ratio                 {control / masked:6.2f}")


if __name__ == "__main__":
    main()
