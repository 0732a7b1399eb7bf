"""What a run of the small sample has to say, frozen: contents of every table and file, and what the evidence states.

``python -m tests.pipeline.frozen`` writes ``frozen.json`` anew. Do so when an output is meant to change, and read in
the difference that nothing else did: a part that you did not touch has changed because of you, or of a library.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from flows.pipeline import run_plain
from flows.sample import SampleRequest, generate

FROZEN = Path(__file__).with_name("frozen.json")
SAMPLE = SampleRequest(1_500, 11, 0.05)
ROOMS = ("data", "excluded", "feedback", "report/tables")
VOLATILE = {"times", "tool", "contracts", "bytes", "ledger_head", "ledger_id"}  # when, with what, in which ledger
VERSIONED = ("index.html", ".md")  # pages: they say when


def fingerprint(data: bytes) -> str:
    """Return what stands for some bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def contents(path: Path) -> bytes:
    """Return what a file says: of Parquet names, types and cells, since its bytes are the library's as well."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pl.read_parquet(path, hive_partitioning=False)
    return str(table.schema).encode() + table.write_csv().encode()


def _rounded(value: Any) -> Any:
    """Return a section without what differs from run to run, figures to six places."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _parts(evidence: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, value in _rounded(evidence).items():
        if isinstance(value, dict):
            yield from ((f"{section}.{key}", inner) for key, inner in value.items())
        else:
            yield section, value


def stated(pack: Path) -> dict[str, str]:
    """Return part -> fingerprint of a release pack, of the return packs beside it, and of its evidence."""
    found = {}
    for room in ROOMS:
        for path in sorted(pack.parent.glob(f"*/{room}/**/*")):
            if path.is_file() and not path.name.endswith(VERSIONED):
                found[path.relative_to(pack.parent).as_posix()] = fingerprint(contents(path))
    evidence = json.loads((pack / "evidence" / "evidence.json").read_bytes())
    for part, value in _parts(evidence):
        found[f"evidence {part}"] = fingerprint(json.dumps(value, sort_keys=True).encode())
    return found


def main() -> None:
    """Run the sample and freeze what it says."""
    folder = Path(tempfile.mkdtemp())
    try:
        generate(SAMPLE, folder / "cut")
        found = stated(Path(run_plain(folder / "cut" / "cut.yaml").pack))
    finally:
        shutil.rmtree(folder)
    FROZEN.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{FROZEN.name}: {len(found)} parts")


if __name__ == "__main__":
    main()
