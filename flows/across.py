"""Stages across participants, partition by partition: coincident pseudonyms, alignment, augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

import contracts
from contracts.augmentation import REASON, items
from contracts.vocabulary import Field
from flows.quality import JUDGED, Held, frames, read_exclusions, write_exclusions
from flows.workspace import ORDER, Workspace, disk
from transforms import align, associate, augment
from transforms.mpan import order_key
from transforms.pseudonymise import Pseudonymiser

AUGMENTED = "augmented"
COINCIDENT = "coincident"
POPULATION = "population.parquet"


# -- coincident pseudonyms ------------------------------------------------------------------------------------


def _pseudonyms(workspace: Workspace, held: Sequence[Held], number: int) -> pl.DataFrame:
    """Return the distinct pseudonym MPANs of a partition, of any extract, in canonical order."""
    parts = [
        f.select("mpan_core")
        for extract in {h.extract for h in held}
        for f in frames(workspace, JUDGED, held, extract, number)
    ]
    if not parts:
        return pl.DataFrame(schema={"mpan_core": pl.String})
    return pl.concat(parts).drop_nulls().unique().sort(order_key()).collect()


def coincident(workspace: Workspace, held: Sequence[Held], pseudonymiser: Pseudonymiser) -> dict[str, Any]:
    """Exclude pseudonyms that happen to be real MPANs of the cut; tell whether their number is in the band of chance.

    A pseudonym equals the real MPAN of another metering point exactly when the scheme, applied to it, gives a
    pseudonym again; so no raw data is needed. Expected: the sum over distributors of n^2 / 10^10.
    """
    keys = [
        _pseudonyms(workspace, held, n).select(order_key().alias("k"))["k"].to_numpy()
        for n in range(workspace.partitions)
    ]
    known = np.sort(np.concatenate(keys))
    per_distributor = np.bincount((known % 100).astype(np.int64), minlength=100).astype(float)
    expected = float((per_distributor**2).sum()) / 10**10
    count = 0
    for number in range(workspace.partitions):
        own = _pseudonyms(workspace, held, number)
        again = (
            pseudonymiser.values(Field.MPAN, own["mpan_core"]).to_frame().select(order_key().alias("k"))["k"].to_numpy()
        )
        hit = own.filter(pl.Series(_in_sorted(again, known)))
        count += hit.height
        excluded = hit.with_columns(
            pl.lit(COINCIDENT).alias("first_cause"), pl.lit(COINCIDENT).alias("reasons"), pl.lit("").alias("extract")
        )
        write_exclusions(workspace, COINCIDENT, number, excluded)
    spread = 4 * math.sqrt(expected)
    return {
        "count": count,
        "expected_low": round(max(0.0, expected - spread), 3),
        "expected_high": round(expected + spread + 1, 3),
    }


def _in_sorted(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if known.size == 0:
        return np.zeros(values.size, dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, values), known.size - 1)
    found: NDArray[np.bool_] = known[at] == values
    return found


# -- alignment ------------------------------------------------------------------------------------------------


@cache
def comparisons() -> Sequence[Mapping[str, Any]]:
    """Return what is to be aligned, from ``contracts/alignment.yaml``."""
    path = Path(contracts.__file__).parent / "alignment.yaml"
    found: Sequence[Mapping[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["comparisons"]
    return found


def _by_sender(workspace: Workspace, held: Sequence[Held], extract: str, number: int) -> pl.LazyFrame | None:
    parts = []
    for h in held:
        frame = workspace.scan(JUDGED, h.participant, extract, number) if h.extract == extract else None
        if frame is not None:
            parts.append(frame.with_columns(pl.lit(h.participant).alias("participant")))
    return pl.concat(parts) if parts else None


def alignment(workspace: Workspace, held: Sequence[Held]) -> list[dict[str, Any]]:
    """Count agreement between the registration and every other extract, per pair of participants and item."""
    counts = []
    for number in range(workspace.partitions):
        registration = _by_sender(workspace, held, "registration", number)
        for spec in comparisons():
            other = _by_sender(workspace, held, spec["right"], number)
            if registration is None or other is None:
                continue
            senders = tuple(sorted({h.participant for h in held if h.extract == spec["right"]}))
            frame = align.compare(
                registration.filter(pl.col("mpan_core").is_not_null()),
                other,
                extract=spec["right"],
                items=spec["items"],
                expected=spec["expected"],
                scope=spec["scope"],
                participants=senders,
            )
            counts.append(frame.collect())
    return [{"extract_left": "registration", **row} for row in align.total(counts).iter_rows(named=True)]


# -- association and augmentation -----------------------------------------------------------------------------


def _slim(workspace: Workspace, held: Sequence[Held], number: int) -> pl.LazyFrame | None:
    """Return what association needs of one partition: metered metering points with serials and premises."""
    registrations = frames(workspace, JUDGED, held, "registration", number)
    meters = frames(workspace, JUDGED, held, "metering", number)
    if not registrations:
        return None
    excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
    points = pl.concat(registrations).filter(
        pl.col("mpan_core").is_not_null(), ~pl.col("measurement_class").is_in(["B", "D"])
    )
    points = points.join(excluded, on="mpan_core", how="anti")
    serials = pl.concat([m.select("mpan_core", "meter_serial_number") for m in meters]) if meters else None
    if serials is None:
        joined = points.with_columns(pl.lit(None, pl.String).alias("meter_serial_number"))
    else:
        joined = points.join(serials, on="mpan_core", how="left")
    return joined.select(*associate.SLIM, "llfc_direction")


def associations(workspace: Workspace, held: Sequence[Held]) -> pl.DataFrame:
    """Find import/export links over all partitions: export metering points first, then what could answer them."""
    parts = [slim for n in range(workspace.partitions) if (slim := _slim(workspace, held, n)) is not None]
    if not parts:
        return pl.DataFrame(schema=associate.LINKS)
    exports = pl.concat([p.filter(pl.col("llfc_direction") == "E").collect() for p in parts])
    near = []
    for part in parts:
        imports = part.filter(pl.col("llfc_direction") == "I")
        serial = imports.join(
            exports.lazy().select("meter_serial_number").drop_nulls(), on="meter_serial_number", how="semi"
        )
        place = imports.join(exports.lazy().select(associate.PREMISES), on=list(associate.PREMISES), how="semi")
        near.append(pl.concat([serial, place]).unique().collect())
    return associate.links(exports.lazy(), pl.concat(near).lazy()).collect()


def augmentation(workspace: Workspace, held: Sequence[Held]) -> list[dict[str, Any]]:
    """Fill the MHHS-only items of every metering point that is not excluded, and link imports with exports.

    Writes room ``augmented``: the registration's columns, the items with rule and source, ``linked_mpan``,
    ``linked_mpan_source``, ``linked_mpan_confidence``. Undecided metering points are excluded (DQ31).

    Returns:
        Per item, how many values were stated, derived, manufactured and undecided.
    """
    found = associations(workspace, held)
    both = pl.concat(
        [
            found,
            found.group_by("linked_mpan")
            .agg(pl.col("mpan_core").min(), pl.col("confidence").min())
            .select(pl.col("linked_mpan").alias("mpan_core"), pl.col("mpan_core").alias("linked_mpan"), "confidence"),
        ]
    )
    names = [item.item for item in items()]
    tally = dict.fromkeys([*names, "linked_mpan"], (0, 0))
    for number in range(workspace.partitions):
        for name, (derived, rest) in _augment_partition(workspace, held, number, both).items():
            tally[name] = (tally[name][0] + derived, tally[name][1] + rest)
    return [
        {"item": name, "stated": 0, "derived": derived, "manufactured": 0, "undecided": rest}
        for name, (derived, rest) in tally.items()
    ]


def _augment_partition(
    workspace: Workspace, held: Sequence[Held], number: int, both: pl.DataFrame
) -> dict[str, tuple[int, int]]:
    registrations = _by_sender(workspace, held, "registration", number)
    if registrations is None:
        return {}
    meters = frames(workspace, JUDGED, held, "metering", number)
    excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
    points = registrations.filter(pl.col("mpan_core").is_not_null()).join(excluded, on="mpan_core", how="anti")
    if meters:
        points = points.join(augment.latest_meter(pl.concat(meters)), on="mpan_core", how="left")
    else:
        missing = ("meter_serial_number", "meter_type", "esme_id")
        points = points.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    points = augment.augment(points, items())
    links = both.lazy().rename({"confidence": "linked_mpan_confidence"})
    source = pl.when(pl.col("linked_mpan").is_not_null()).then(pl.lit("derived")).alias("linked_mpan_source")
    points = points.join(links, on="mpan_core", how="left").with_columns(source)
    marks = [c for c in points.collect_schema().names() if c.startswith("_") and c != ORDER]
    done = points.drop(marks).sort(ORDER).collect()
    workspace.write(done, AUGMENTED, "all", "registration", number)
    out = augment.undecided(done.lazy(), items()).collect()
    causes = out.with_columns(
        pl.lit(REASON).alias("first_cause"), pl.lit(REASON).alias("reasons"), pl.lit("registration").alias("extract")
    )
    write_exclusions(workspace, "augment", number, causes)
    tally = {i.item: (done.height - done[i.item].null_count(), done[i.item].null_count()) for i in items()}
    tally["linked_mpan"] = (done["linked_mpan"].count(), 0)
    return tally


# -- the ring-fence's population ------------------------------------------------------------------------------


def population(workspace: Workspace) -> Path:
    """Write what the ring-fence chooses from: one row per released metering point, as Parquet.

    Columns out: ``mpan``, ``linked_mpan``, ``related_mpan``, ``conforming``, ``direction`` (IMPORT or EXPORT),
    ``meter_serial_number`` and ``premises`` (pseudonyms; equal ones make one unit of allocation), and the attributes
    that criteria may name.
    """
    parts = []
    premises = pl.concat_str([pl.col(name).fill_null("") for name in associate.PREMISES], separator="|")
    known = pl.col(associate.PREMISES[0]).is_not_null() & pl.col(associate.PREMISES[-1]).is_not_null()
    for number in range(workspace.partitions):
        frame = workspace.scan(AUGMENTED, "all", "registration", number)
        if frame is None:
            continue
        excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
        direction = pl.when(pl.col("energy_direction") == "E").then(pl.lit("EXPORT")).otherwise(pl.lit("IMPORT"))
        parts.append(
            frame.join(excluded, on="mpan_core", how="anti", maintain_order="left").select(
                pl.col("mpan_core").alias("mpan"),
                "linked_mpan",
                "related_mpan",
                pl.lit(value=True).alias("conforming"),
                direction.alias("direction"),
                "meter_serial_number",
                pl.when(known).then(premises).alias("premises"),
                *ATTRIBUTES,
            )
        )
    path = workspace.root / POPULATION
    with disk(path):
        pl.concat(parts).sink_parquet(path, maintain_order=True)
    return path


ATTRIBUTES = (
    "distributor_id",
    "gsp_group_id",
    "supplier_mpid",
    "data_collector_mpid",
    "meter_operator_mpid",
    "profile_class",
    "measurement_class",
    "energisation_status",
    "market_segment",
    "connection_type",
    "energy_direction",
    "metered_indicator",
    "domestic_premises_indicator",
    "dcc_service_flag",
    "meter_type",
)
