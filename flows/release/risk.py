"""The disclosure risk of a release, counted over what is released, partition by partition."""

from __future__ import annotations

import polars as pl

from contracts.errors import ConfigurationError, ResidueError
from contracts.evidence_results import Risk
from contracts.model import Treatment
from contracts.profiles import UNIQUE, promised
from flows.cut.context import Context
from flows.cut.partitions import JUDGED, frames, read_exclusions
from flows.cut.records import MeasuredRisk
from transforms.augment.settlement_meter import settlement_meter
from transforms.pseudonymise.pseudonymiser import treat
from transforms.release import disclosure_risk

COUNTED = (("eac", "annual_consumption", "eac"), ("supplier_effective_from", "registration", "supplier_effective_from"))


def measure(known: Context) -> Risk | None:
    """Return the risk section of the evidence; None where no registration is in the cut. It is measured once.

    Raises:
        ConfigurationError: a quasi-identifier is no column that the risk can be measured on.
    """
    done = known.workspace.recorded(MeasuredRisk)
    if done is None:
        done = MeasuredRisk(found=_measured(known))
        known.workspace.record(done)
    return done.found


def _measured(known: Context) -> Risk | None:
    policy = known.job.model.cut.policy.risk
    more = _precision(known)
    parts, digests = [], []
    for number in range(known.workspace.partitions):
        points = released_points(known, number)
        if points is None:
            continue
        names = points.collect_schema().names()
        unknown = [q for q in policy.quasi_identifiers if q not in names and disclosure_risk.READS.get(q) not in names]
        if unknown:
            raise ConfigurationError(
                f"no such quasi-identifier: {', '.join(unknown)}",
                where="cut.policy.risk",
                remedy=f"known are {', '.join(sorted({*names, *disclosure_risk.READS}))}",
            )
        parts.append(disclosure_risk.classes(points, policy.quasi_identifiers).collect(engine="streaming"))
        told = {name: treatment for name, treatment in more.items() if name in names}
        digests.append(disclosure_risk.keys(points, policy.quasi_identifiers, told))
        if len(parts) > 8:
            parts = [disclosure_risk.merge_classes(parts, policy.quasi_identifiers)]
    if not parts:
        return None
    found = disclosure_risk.figures(
        disclosure_risk.merge_classes(parts, policy.quasi_identifiers)["size"], policy.quasi_identifiers
    )
    alone, whole = disclosure_risk.alone(digests), known.job.model.cut.policy
    most = {**promised(whole.profile, found.metering_points or 0).figures, **whole.promises}.get(UNIQUE)
    return found.model_copy(update={"thresholds": policy.thresholds or None, "alone": alone, "alone_promised": most})


def _precision(known: Context) -> dict[str, Treatment]:
    """Return how amounts and dates are released that count beside the quasi-identifiers."""
    found = {}
    for name, extract, column in COUNTED:
        contract = known.contracts[extract]
        found[name] = contract.treatment(contract.column(column))
    return found


def refuse(known: Context, found: Risk | None) -> None:
    """End the run where a threshold of the policy is passed.

    Raises:
        ResidueError: names the figures.
    """
    thresholds = {str(name): most for name, most in known.job.model.cut.policy.risk.thresholds.items()}
    passed = disclosure_risk.passed(found, thresholds) if found else []
    if passed:
        raise ResidueError(
            "; ".join(passed),
            where="disclosure risk",
            remedy="coarsen columns by cut.policy.overlay, keep the postcode area only, or review the threshold",
        )


def released_points(known: Context, number: int) -> pl.LazyFrame | None:
    """Return the released metering points of a partition with meter type and annual consumption, as they leave."""
    workspace, extracts, under = known.workspace, known.extracts, known.contracts
    registrations = frames(workspace, JUDGED, extracts, "registration", number)
    if not registrations:
        return None
    excluded = read_exclusions(workspace, number).lazy().select("mpan_core")
    points = pl.concat(registrations).filter(pl.col("mpan_core").is_not_null())
    points = points.join(excluded, on="mpan_core", how="anti")
    points = treat(points, under["registration"], known.pseudonymiser)
    meters = frames(workspace, JUDGED, extracts, "metering", number)
    if meters:
        meter = settlement_meter(pl.concat(meters), known.tables).select("mpan_core", "meter_type")
        sent = treat(meter, under["metering"], known.pseudonymiser).rename({"meter_type": "_sent"})
        stated = [pl.col("meter_type")] if "meter_type" in points.collect_schema().names() else []
        points = points.join(sent, on="mpan_core", how="left")  # what the meter operator sends goes before
        points = points.with_columns(pl.coalesce("_sent", *stated).alias("meter_type")).drop("_sent")
    consumption = frames(workspace, JUDGED, extracts, "annual_consumption", number)
    if consumption:
        yearly = treat(pl.concat(consumption), under["annual_consumption"], known.pseudonymiser)
        if "eac" in yearly.collect_schema().names():
            total = yearly.group_by("mpan_core").agg(pl.col("eac").cast(pl.Float64).sum())
            points = points.join(total, on="mpan_core", how="left")
    names = points.collect_schema().names()
    absent = {"meter_type": pl.String, "eac": pl.Float64}  # what the cut does not hold singles nobody out
    return points.with_columns(pl.lit(None, kind).alias(name) for name, kind in absent.items() if name not in names)
