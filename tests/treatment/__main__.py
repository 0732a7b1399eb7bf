"""What profiles cost and buy, as a table: ``python -m tests.treatment PACK PACK ...``, releases of the same backups."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

KEYS = ["gsp_group_id", "profile_class"]
WHY = {  # parts of the evidence that a profile changes
    "attack": "intruders find less",
    "risk": "fewer metering points are alone",
    "policy": "names the profile and its treatments",
    "dpia": "names the treatments",
    "lineage": "names the treatments",
    "mixed_series": "exact mixes no half-hours",
    "shared_texts": "exact counts no texts",
    "leak_scan": "other values stand in the files",
    "times": "when it was made",
    "ring_fence": "the ledger's id and head are of another run",
}


def evidence(pack: Path) -> dict[str, Any]:
    """Return the evidence of a pack."""
    found: dict[str, Any] = json.loads((pack / "evidence" / "evidence.json").read_text(encoding="utf-8"))
    return found


def settled(pack: Path) -> pl.DataFrame:
    """Return annual consumption by GSP Group and profile class, kWh, and how many metering points."""
    registered = pl.concat([pl.read_parquet(p).select("mpan_core", *KEYS) for p in files(pack, "registration")])
    rows = pl.concat([pl.read_parquet(p).select("mpan_core", "eac") for p in files(pack, "annual_consumption")])
    both = rows.join(registered.unique("mpan_core"), on="mpan_core").with_columns(pl.col("eac").cast(pl.Float64))
    return both.group_by(KEYS).agg(pl.col("mpan_core").n_unique().alias("points"), pl.col("eac").sum()).sort(KEYS)


def files(pack: Path, extract: str) -> list[Path]:
    """Return the files of an extract."""
    return sorted(pack.glob(f"data/*/{extract}.parquet"))


def filled(found: dict[str, Any]) -> str:
    """Return how many of the units that test cases want are there."""
    cases = found["ring_fence"]["test_cases"]
    return f"{sum(case['allocated'] for case in cases)} of {sum(case['wanted'] for case in cases)}"


def differing(found: dict[str, Any], exact: dict[str, Any]) -> dict[str, str]:
    """Return the parts of the evidence that are not as in the exact release, with the reason, empty where it is none.

    Of the ring-fence the ledger alone may differ: what was allocated and what is short is the same in every profile.
    """
    parts = {name: WHY.get(name, "") for name in sorted({*found, *exact}) if found.get(name) != exact.get(name)}
    fences = [{k: v for k, v in one["ring_fence"].items() if not k.startswith("ledger_")} for one in (found, exact)]
    return parts if fences[0] == fences[1] else parts | {"ring_fence": ""}


def row(pack: Path, first: Path) -> list[str]:
    """Return one line: against the first pack, which is exact."""
    found, exact = evidence(pack), evidence(first)
    before, after = settled(first), settled(pack)
    both = before.join(after, on=KEYS, suffix="_after").filter(pl.col("points") >= 10)
    apart = (both["eac_after"] / both["eac"] - 1).abs().to_numpy()
    whole = float(after["eac"].to_numpy().sum() / before["eac"].to_numpy().sum()) - 1
    verdicts = "unchanged" if found["rules"] == exact["rules"] else "CHANGED"
    aligned = "unchanged" if found.get("alignment") == exact.get("alignment") else "CHANGED"
    return [
        str(found["policy"]["profile"]), verdicts, aligned, filled(found), f"{100 * whole:+.2f} %",
        f"{100 * float(np.median(apart)):.2f} %", f"{100 * float(apart.max()):.2f} %",
    ]  # fmt: skip


def comparison(packs: list[Path]) -> list[list[str]]:
    """Return the table, its head first; the first pack is the one that the others are held against."""
    head = ["Profile", "Rules' verdicts", "Alignment", "Test cases filled", "Annual consumption, all",
            "by group and class, median", "largest"]  # fmt: skip
    return [head, *(row(pack, packs[0]) for pack in packs)]


def main(packs: list[Path]) -> None:
    """Print the table."""
    head, *rest = comparison(packs)
    lines = [head, ["---"] * len(head), *rest]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    first = evidence(packs[0])
    for pack in packs[1:]:
        found = evidence(pack)
        parts = differing(found, first)
        print(
            f"{found['policy']['profile']}: {len(found) - len(parts)} parts of the evidence are as in the exact release"
        )
        for name, why in parts.items():
            print(f"- {name}: {why or 'DIFFERS WITHOUT A REASON'}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
