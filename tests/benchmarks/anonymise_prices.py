"""What each guarantee of ``datacut anonymise`` costs, as multiples of the floor of ``anonymise_floor``.

    python -m tests.benchmarks.anonymise_prices --rows 1000000 --scratch DIR [--json OUT.json] [--markdown]

One registration, one thread of Polars, one source after another: then CPU seconds add up, and what is spent inside a
function is that function's. The floor has one thread too.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.watched import about, machine, table, watch

# What is bought -> where it is spent. A function inside another counts for its own line alone.
PRICES = {
    "read the file, in any character set and delimiter": ["flows.intake.csv_reader:parse_text"],
    "types, spellings, rules of a batch": [
        "flows.pseudonymise.source:pseudonymise_batch",
        "flows.pseudonymise.source:written_dates",
    ],
    "pseudonyms of MPANs, UPRNs, serial numbers": ["transforms.pseudonymise.pseudonymiser:pseudonymise"],
    "pseudonyms of addresses": ["transforms.pseudonymise.address:addresses"],
    "no row's own identifier in another column": ["transforms.release.leak_candidates:own_row"],
    "work folder: any order of rows in, one order out, memory of a partition": [
        "flows.cut.partitions:PartitionWriter.add",
        "flows.cut.workspace:Workspace.put",
        "flows.quality.cross_partition:load",
        "flows.quality.verdicts:in_order",
    ],
    "rules of the quality stage, their look-ups and tables": [
        "flows.quality.verdicts:judge_partition",
        "flows.quality.verdicts:write_tables",
        "flows.quality.exclusions:cascade",
    ],
    "every rule counted again by Great Expectations": ["flows.quality.rule_counts:count_twice"],
    "coincident pseudonyms": ["flows.quality.coincident:exclude"],
    "released and excluded rows as Parquet": ["flows.release.extracts:release_extract"],
    "leak scan": [
        "flows.leak_scan.scan:Scanner.__init__",
        "flows.leak_scan.scan:Scanner.folder",
        "flows.leak_scan.scan:Scanner.document",
    ],
    "risk, evidence, report, digests, signature": ["flows.release.stage:publish"],
}
REST = "start, imports, self-test, the rest"


class Purse:
    """CPU seconds of this process, each counted for the innermost function that is open."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._open = [REST]
        self._since = time.process_time()

    def turn(self, line: str | None) -> None:
        """Enter a line, or leave the one at hand."""
        now = time.process_time()
        self.spent[self._open[-1]] += now - self._since
        self._since = now
        if line is None:
            self._open.pop()
        else:
            self._open.append(line)

    def watch(self, place: str, line: str) -> None:
        """Replace a function, wherever it was imported to, by one that counts."""
        module, _, name = place.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, last = name.split(".")
        for part in outer:
            owner = getattr(owner, part)
        plain: Callable[..., Any] = getattr(owner, last)

        @functools.wraps(plain)
        def counted(*given: Any, **named: Any) -> Any:
            self.turn(line)
            try:
                return plain(*given, **named)
            finally:
                self.turn(None)

        for user in [owner, *(m for n, m in list(sys.modules.items()) if n.startswith(("flows", "transforms")))]:
            if getattr(user, last, None) is plain:
                setattr(user, last, counted)


def inside(cut: str) -> None:
    """Run the command in this process and print what each line cost, as JSON."""
    import flows.cut.parallel

    flows.cut.parallel.WORKERS = 1  # before anybody takes it over
    from flows.cli import main as cli

    purse = Purse()
    for line, places in PRICES.items():
        for place in places:
            purse.watch(place, line)
    sys.argv = ["datacut", "anonymise", cut, "--plain", "--json"]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise
    purse.turn(None)
    sys.stderr.write("\n" + json.dumps(purse.spent))


def measure(rows: int, scratch: Path) -> dict[str, Any]:
    """Measure ours by lines, and the floor."""
    from tests.benchmarks.anonymise_floor import FLOOR, SOURCE, registration

    folder = scratch / f"prices-{rows}"
    shutil.rmtree(folder, ignore_errors=True)
    alone = {"POLARS_MAX_THREADS": "1"}
    try:
        cut = registration(rows, 1, 0.05, folder)
        command = [sys.executable, "-m", "tests.benchmarks.anonymise_prices", "--inside", str(cut)]
        ours = watch(command, env=alone)
        if ours.code:
            raise SystemExit(f"datacut anonymise ended with {ours.code}: {ours.err.strip()}")
        floor = watch([sys.executable, "-c", FLOOR, folder / SOURCE, folder / "floor.parquet"], env=alone)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"rows": rows, "floor": floor.cpu, "spent": json.loads(ours.err.splitlines()[-1])}


def show(kept: dict[str, Any], *, markdown: bool) -> str:
    """Return the table."""
    floor, spent = kept["floor"], kept["spent"]
    rows = [(line, f"{spent.get(line, 0):.2f}", f"{spent.get(line, 0) / floor:.2f}") for line in [*PRICES, REST]]
    rows.append(("all", f"{sum(spent.values()):.2f}", f"{sum(spent.values()) / floor:.2f}"))
    facts = about(kept["machine"]) if markdown else json.dumps(kept["machine"])
    told = f"{kept['rows']:,} rows; floor {floor:.2f} CPU seconds."
    return "\n\n".join((facts, table(("what is bought", "CPU s", "times the floor"), rows, markdown=markdown), told))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, help="folder on a disk that is large enough")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside(given.inside)
        return 0
    if given.scratch is None:
        parser.error("give --scratch")
    kept = {"machine": machine(), **measure(given.rows, given.scratch.resolve())}
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(show(kept, markdown=given.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
