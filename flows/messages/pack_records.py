"""What a release or return pack holds of its ring-fenced metering points: allocations, expected records, processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from contracts.errors import ConfigurationError, EvidenceError
from contracts.processes.model import Process, Processes
from contracts.strict import none_of

EXPECTED, STEPS, SETTLEMENT = "expected", "steps", "settlement"
CASE = ("test_case", "mpan_core", "role")
WHERE = "data/*"


def allocated(pack: Path, test_cases: Sequence[str], *, phase: str = "CIT") -> pl.DataFrame:
    """Return the allocations wanted, each once: ``test_case``, ``mpan_core``, ``role``, in order.

    Args:
        test_cases: ids; empty for all of the phase. ``phase``: empty for every one.

    Raises:
        EvidenceError: the pack holds no allocations. ConfigurationError: a test case has none.
    """
    files = sorted(pack.glob(f"{WHERE}/allocations.parquet"))
    if not files:
        raise EvidenceError(
            "holds no allocations", where=pack.name, remedy="name a release made with a ring-fence plan"
        )
    whole = pl.concat(pl.scan_parquet(f).select("phase", *CASE) for f in files)
    if test_cases:
        whole = whole.filter(pl.col("test_case").is_in(list(test_cases)))
    elif phase:
        whole = whole.filter(pl.col("phase") == phase)
    found = whole.select(CASE).unique().sort(CASE).collect()
    if missing := sorted(set(test_cases) - set(found["test_case"])):
        raise ConfigurationError(f"no metering point is allocated to {', '.join(missing)}", where=pack.name)
    return found


def expected_records(pack: Path, given: pl.DataFrame) -> pl.DataFrame:
    """Return the expected records of the metering points given and of those associated with them, each once, in order.

    Raises:
        EvidenceError: the pack is of an earlier version, which did not say who else takes part in a process.
    """
    files = sorted(pack.glob(f"{WHERE}/{EXPECTED}.parquet"))
    whole = pl.concat((pl.scan_parquet(f) for f in files), how="vertical")
    if "other_supplier_dip_id" not in whole.collect_schema():
        raise EvidenceError("was made before processes were part of a release", where=pack.name, remedy="run it again")
    mpans = given["mpan_core"].unique().implode()
    own = whole.filter(pl.col("mpan_core").is_in(mpans)).unique("mpan_core", keep="any").collect()
    near = pl.concat([own["linked_mpan"], own["related_mpan"]]).drop_nulls().unique()
    near_of = pl.any_horizontal(pl.col(c).is_in(mpans) for c in ("linked_mpan", "related_mpan"))
    others = whole.filter(pl.col("mpan_core").is_in(near.implode()) | near_of).collect()
    return pl.concat([own, others]).unique("mpan_core", keep="first", maintain_order=True).sort("mpan_core")


def processes_of(pack: Path, known: Processes, asked: Sequence[str]) -> dict[str, list[Process]]:
    """Return the processes of each test case as the pack states them; of those asked for alone, where any is.

    Raises:
        ConfigurationError: there is no such process. EvidenceError: the pack names one that is not known here.
    """
    for name in asked:
        if name not in known.processes:
            raise ConfigurationError(none_of(name, [*known.processes], "process"), where="--process")
    files = sorted(pack.glob(f"{WHERE}/{EXPECTED}/{STEPS}.parquet"))
    if not files:
        raise EvidenceError("holds no steps of processes", where=pack.name, remedy="run the release again")
    pairs = pl.concat(pl.scan_parquet(f).select("test_case", "process") for f in files).unique().collect()
    unknown = sorted(set(pairs["process"]) - set(known.processes))
    if unknown:
        raise EvidenceError(f"names a process that is not known here: {', '.join(unknown)}", where=pack.name)
    found: dict[str, set[str]] = {}
    for test_case, process in pairs.rows():
        found.setdefault(test_case, set()).add(process)
    return {
        case: [p for name, p in known.processes.items() if name in names and (not asked or name in asked)]
        for case, names in sorted(found.items())
    }
