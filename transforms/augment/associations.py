"""Finds import/export associations by ranked evidence and orders related groups; what is not clear is left out.

An export is linked to the one import that the strongest evidence names. No pairs are compared: each kind of evidence
is a key, imports are counted by key, and an export looks its key up. Related groups are connected components.

Source: domain 6.4 (REG1050 to REG1067); the evidence, its ranking and its grades stand in
``contracts/augmentation/associations.yaml``.

Candidates are one row per metering point and meter serial. Columns: ``point`` (UInt64, ``mpan.order_key``),
``mpan_core``, ``site``, ``serial``, ``premises``, ``uprn`` (UInt64, equal where the thing is the same, null where it is
not known), ``stated`` and ``related`` (``point`` of the metering point that a participant names, or null),
``direction`` (I or E), ``metered``, ``out`` (excluded), ``connection_type``, ``profile_class``, ``supplier_mpid``,
``supplier_effective_from``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from contracts.augmentation.model import AssociationEvidence, Associations, Condition
from transforms.augment.decision_tables import sql
from transforms.connected_components import smallest_connected

STATED = "stated"
PRINCIPAL, SUBSIDIARY, PRIMARY, SECONDARY = "PRINCIPAL", "SUBSIDIARY", "PRIMARY", "SECONDARY"
LINKED, AMBIGUOUS, DIFFERENT, ABSENT = "linked", "ambiguous", "ends differ", "partner excluded"
RELATIONS = {"point": pl.UInt64, "partner": pl.UInt64, "role": pl.String, "sound": pl.Boolean}
LINKS = {"point": pl.UInt64, "partner": pl.UInt64, "role": pl.String, "rule": pl.String, "grade": pl.String}
OUTCOMES = {"rule": pl.String, "outcome": pl.String, "exports": pl.UInt32}


def related(candidates: pl.DataFrame, primary: Sequence[Condition]) -> pl.DataFrame:
    """Order the related groups that registrations name.

    Returns:
        As ``RELATIONS``, a row per member: its ``role`` and ``partner`` (the primary; of the primary, in order its
        first secondary). Of a group that names an absent member, or breaks REG1051, REG1060, REG1062 or REG1067, no
        member is ``sound``, and partner and role are null.
    """
    points = candidates.unique("point", keep="first", maintain_order=True)
    edges = points.select("point", "related").drop_nulls().filter(pl.col("point") != pl.col("related"))
    if edges.is_empty():
        return pl.DataFrame(schema=RELATIONS)
    names = np.unique(np.concatenate([edges["point"].to_numpy(), edges["related"].to_numpy()]))
    left, right = (np.searchsorted(names, edges[c].to_numpy()) for c in ("point", "related"))
    group = smallest_connected(names.size, left, right)
    wanted = [
        "point",
        "direction",
        "metered",
        "out",
        "site",
        "profile_class",
        "supplier_mpid",
        "supplier_effective_from",
    ]
    members = pl.DataFrame({"point": names, "group": names[group]}).join(
        points.select(wanted), on="point", how="left", maintain_order="left"
    )
    members = members.with_columns(
        pl.col("point").is_in(edges["point"].implode()).alias("refers"),
        pl.col("point").is_in(edges["related"].implode()).alias("referred"),
        (pl.col("supplier_effective_from") == pl.col("supplier_effective_from").min().over("group")).alias("earliest"),
    )
    return _roles(_with_primary(members, primary), edges)


def _with_primary(members: pl.DataFrame, primary: Sequence[Condition]) -> pl.DataFrame:
    """Add ``primary``: the member that the first condition to single one out singles out; null where none does."""
    chosen = pl.lit(None, pl.UInt64)
    for condition in reversed(primary):
        holds = sql(condition.sql, where=condition.code).fill_null(value=False)
        alone = holds.sum().over("group") == 1
        chosen = pl.when(alone).then(pl.col("point").filter(holds).first().over("group")).otherwise(chosen)
    return members.with_columns(chosen.alias("primary"))


def _roles(members: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    both = pl.concat([edges, edges.select(pl.col("related").alias("point"), pl.col("point").alias("related"))]).unique()
    touching = members.select("point", "primary").join(
        both, left_on=["point", "primary"], right_on=["point", "related"], how="semi"
    )
    is_primary = pl.col("point") == pl.col("primary")
    # a column of its own: inside a window the list would be copied for every group
    members = members.with_columns((is_primary | pl.col("point").is_in(touching["point"].implode())).alias("near"))
    fit = (
        pl.col("near")
        & (pl.col("direction") == "I")
        & pl.col("metered")
        & (pl.col("supplier_mpid") == pl.col("supplier_mpid").first().over("group"))
        & (pl.col("site") == pl.col("site").first().over("group"))
    )
    sound = fit.fill_null(value=False).all().over("group") & pl.col("primary").is_not_null()
    first = pl.col("point").filter(~is_primary).min().over("group")
    return members.select(
        "point",
        pl.when(sound).then(pl.when(is_primary).then(first).otherwise(pl.col("primary"))).alias("partner"),
        pl.when(sound).then(pl.when(is_primary).then(pl.lit(PRIMARY)).otherwise(pl.lit(SECONDARY))).alias("role"),
        sound.alias("sound"),
    ).sort("point")


@dataclass(frozen=True, slots=True)
class Found:
    """What resolution found.

    Attributes:
        links: as ``LINKS``, two rows each: the export (``SUBSIDIARY``), and its import (``PRINCIPAL``), which stands
            once with its surest export.
        together: ``point`` and ``partner`` that stand or fall together, excluded or not, by the surest evidence.
        outcomes: as ``OUTCOMES``, how many exports each kind of evidence linked, or left and why.
    """

    links: pl.DataFrame
    together: pl.DataFrame
    outcomes: pl.DataFrame


def links(candidates: pl.DataFrame, relations: pl.DataFrame, rules: Associations) -> Found:
    """Link each export to its import.

    Args:
        relations: as from :func:`related`; a secondary is stood for by its primary.
    """
    metered = candidates.filter(pl.col("metered"))
    exports, imports = (metered.filter(pl.col("direction") == d) for d in ("E", "I"))
    primaries = relations.filter(pl.col("role") == SECONDARY).select("point", pl.col("partner").alias("primary"))
    imports = imports.join(primaries, on="point", how="left", maintain_order="left").with_columns(
        pl.coalesce("primary", "point").alias("stands")
    )
    found = []
    left = exports
    for evidence in rules.evidence:
        match = _stated(left, imports) if evidence.match == (STATED,) else _matched(left, imports, evidence)
        found.append(match.with_columns(pl.lit(evidence.rule).alias("rule"), pl.lit(evidence.grade).alias("grade")))
        left = left.join(match, on="point", how="anti")
    judged = _judged(pl.concat(found), candidates, rules)
    counts = judged.filter(~pl.col("out")).group_by("rule", "outcome").len("exports").sort("rule", "outcome")
    sure = (pl.col("grade") == rules.grades[0]) & pl.col("outcome").is_in([LINKED, ABSENT])
    return Found(
        links=_both_ways(judged.filter(pl.col("outcome") == LINKED, ~pl.col("out")), rules),
        together=judged.filter(sure).select("point", "partner"),
        outcomes=counts.select(pl.col(name).cast(kind) for name, kind in OUTCOMES.items()),
    )


def _matched(exports: pl.DataFrame, imports: pl.DataFrame, evidence: AssociationEvidence) -> pl.DataFrame:
    """Return the exports whose key some import has: ``point``, ``partner`` (null where several imports have it)."""
    keys = ["site", *evidence.match]
    named = imports.select(*keys, "stands").drop_nulls().unique()
    by_key = named.group_by(keys).agg(pl.len().alias("imports"), pl.col("stands").first())
    hits = exports.select("point", *keys).drop_nulls().join(by_key, on=keys, how="inner")
    return _one_each(hits.group_by("point"))


def _one_each(groups: pl.dataframe.group_by.GroupBy) -> pl.DataFrame:
    alone = (pl.col("imports").max() == 1) & (pl.col("stands").n_unique() == 1)
    return groups.agg(pl.when(alone).then(pl.col("stands").first()).alias("partner"))


def _stated(exports: pl.DataFrame, imports: pl.DataFrame) -> pl.DataFrame:
    """Return what participants state, from either end, within one site."""
    theirs = imports.select("site", "point", "stands", "stated").unique()
    mine = exports.select("point", "site", "stated").unique()
    forward = mine.drop_nulls("stated").join(
        theirs, left_on=["site", "stated"], right_on=["site", "point"], how="inner"
    )
    backward = mine.join(
        theirs.drop_nulls("stated"), left_on=["site", "point"], right_on=["site", "stated"], how="inner"
    )
    pairs = pl.concat([forward.select("point", "stands"), backward.select("point", "stands")]).unique()
    return _one_each(pairs.with_columns(pl.lit(1).alias("imports")).group_by("point"))


def _judged(matches: pl.DataFrame, candidates: pl.DataFrame, rules: Associations) -> pl.DataFrame:
    """Add ``out`` (the export is excluded) and ``outcome``: linked, or why not."""
    facts = candidates.select("point", "out", *rules.same).unique("point", keep="first", maintain_order=True)
    own = matches.join(facts, on="point", how="inner", maintain_order="left")
    met = own.join(facts, left_on="partner", right_on="point", how="left", maintain_order="left", suffix="_partner")
    agree = pl.all_horizontal(pl.col(c) == pl.col(f"{c}_partner") for c in rules.same).fill_null(value=False)
    outcome = (
        pl.when(pl.col("partner").is_null())
        .then(pl.lit(AMBIGUOUS))
        .when(pl.col("out_partner").fill_null(value=True))
        .then(pl.lit(ABSENT))
        .when(~agree)
        .then(pl.lit(DIFFERENT))
        .otherwise(pl.lit(LINKED))
    )
    return met.select("point", "partner", "rule", "grade", "out", outcome.alias("outcome"))


def _both_ways(linked: pl.DataFrame, rules: Associations) -> pl.DataFrame:
    order = [e.rule for e in rules.evidence]
    exports = linked.with_columns(
        pl.lit(SUBSIDIARY).alias("role"),
        pl.col("rule").replace_strict(order, list(range(len(order))), return_dtype=pl.UInt8).alias("strength"),
    )
    imports = (
        exports.sort("strength", "point")
        .unique("partner", keep="first", maintain_order=True)
        .rename({"point": "partner", "partner": "point"})
        .with_columns(pl.lit(PRINCIPAL).alias("role"))
    )
    return pl.concat([exports.select(*LINKS), imports.select(*LINKS)]).sort("point")


def violations(members: pl.DataFrame, constraints: Sequence[Condition]) -> dict[str, int]:
    """Count, per registration rejection code, the relationships in a result that break it.

    Columns in: every released metering point that is in a relationship: ``mpan_core``, ``linked_mpan``,
    ``association_role``, ``related_mpan``, ``related_role``, ``energy_direction``, ``metered_indicator`` (text),
    ``supplier_mpid``. A partner that has no row is not in the released data.
    """
    kinds = (("linked_mpan", "association_role"), ("related_mpan", "related_role"))
    edges = pl.concat(
        members.select(pl.col("mpan_core").alias("own"), pl.col(m).alias("partner"), pl.col(r).alias("role"))
        for m, r in kinds
    ).filter(pl.col("partner").is_not_null() | pl.col("role").is_not_null())
    facts = members.select(
        "mpan_core",
        pl.col("energy_direction").alias("direction"),
        (pl.col("metered_indicator") == "true").alias("metered"),
        pl.col("supplier_mpid").alias("supplier"),
        "related_role",
    ).unique("mpan_core", keep="first", maintain_order=True)
    own = facts.rename({"mpan_core": "own", **{c: f"own_{c}" for c in ("direction", "metered", "supplier")}})
    other = facts.drop("related_role").rename(
        {"mpan_core": "partner", **{c: f"partner_{c}" for c in ("direction", "metered", "supplier")}}
    )
    frame = edges.join(own, on="own", how="left").join(
        other.with_columns(pl.lit(value=True).alias("present")), on="partner", how="left"
    )
    frame = frame.with_columns(
        pl.col("present").fill_null(value=False),
        (pl.struct("own", "partner", "role").is_duplicated()).alias("repeated"),
    )
    for name, role, end in (
        ("principals", SUBSIDIARY, "own"),
        ("subsidiaries", SUBSIDIARY, "partner"),
        ("primaries", SECONDARY, "own"),
        ("secondaries", SECONDARY, "partner"),
    ):
        counts = edges.filter(pl.col("role") == role).group_by(pl.col(end).alias("own")).len(name)
        frame = frame.join(counts, on="own", how="left").with_columns(pl.col(name).fill_null(0).cast(pl.Int64))
    linked = edges.filter(pl.col("role").is_in([PRINCIPAL, SUBSIDIARY])).group_by("own").len("linked")
    frame = frame.join(linked, on="own", how="left").with_columns(pl.col("linked").fill_null(0).cast(pl.Int64))
    broken = [(~sql(c.sql, where=c.code).fill_null(value=False)).sum().alias(c.code) for c in constraints]
    return {code: int(count or 0) for code, count in frame.select(broken).row(0, named=True).items()}
